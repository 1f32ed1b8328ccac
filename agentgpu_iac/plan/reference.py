"""The plan field by field, as a page for people: made from the models and from the meanings of their codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agentgpu_iac.plan.meanings import CONSTRAINTS, DRIVERS, WARNINGS, Meaning
from agentgpu_iac.plan.schema import ANSWERS, answer_schema, plan_schema
from agentgpu_iac.spec.reference import parts_text

_PREFACE: Final = """\
# The plan, field by field

Made by `make schema` from the models; [schema/plan.v1alpha1.json](schema/plan.v1alpha1.json) is its JSON Schema, for other tools.

`agentgpu plan SPEC --format json` (or `yaml`) prints the plan.
It is the only thing that manifests, the Pulumi program, `explain` and `diff` are made from.
Its version stands in `apiVersion`; fields are added, none is renamed. The same spec and catalog give the same bytes.

Units are in the names: `Gib` is 2^30 bytes, `S` seconds, `Ms` milliseconds, `Usd` US dollars. A month is 720 h.
Figures of memory are per accelerator, figures of throughput per tier.

When nothing fits, `--format json` prints `{"feasible": false, "message": ..., "rejections": [...]}` and the exit code is 1.
Where the baseline alone is over the budget, `waysOut` lists the changes that bring it under (`agentgpu levers`).
"""
_LAST: Final = "Of the parallelisms of one accelerator only the nearest miss is listed.\n"


def plan_reference_text() -> str:
    """The page, in Markdown: one table for each part of the plan, then its warnings and constraints."""
    return "\n".join(
        (
            _PREFACE,
            *parts_text(plan_schema(), "Plan", has_defaults=False),
            *_codes("Warning codes", ("code", "says", "what to do"), WARNINGS.items()),
            *_codes(
                "Rejection constraints", ("constraint", "need and limit are", "what would lift it"), CONSTRAINTS.items()
            ),
            _LAST,
            *_codes("What drives the price", ("constraint", "need and limit are", "what loosens it"), DRIVERS.items()),
        )
    )


def answer_reference_text(name: str) -> str:
    """The page of what ``levers`` or ``frontier`` answers, in Markdown."""
    title = f"# The answer of `agentgpu {name}`, field by field\n"
    return "\n".join((title, *parts_text(answer_schema(name), ANSWERS[name].__name__, has_defaults=False)))


def _codes(title: str, columns: tuple[str, ...], meanings: Iterable[tuple[str, Meaning]]) -> Iterator[str]:
    rows = (f"| `{code}` | {meaning.says} | {meaning.remedy} |" for code, meaning in meanings)
    yield "\n".join((f"## {title}\n", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows, ""))
