"""How long a difference is over many changes: every two examples, and every two of what becomes of five agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, permutations

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.review.change_page import diff_page
from agentgpu_iac.review.change_view import MOST_LINES, diff_comment
from agentgpu_iac.review.diff import FileChanges, diff
from tests.examples import EXAMPLES, STACKS
from tests.review.screens import FOUR_AGENTS, WIDTHS, lines_of
from tests.review.stacks import changed_text, example, with_other_words

FIVE = STACKS / "examples" / "five-agents.yaml"
FILES = FileChanges(
    added=tuple(f"base/deployment-agent-{number}.yaml" for number in range(200)),
    changed=tuple(f"overlays/node-groups/patch-{number}.yaml" for number in range(300)),
    deleted=tuple(f"monitoring/rule-{number}.yaml" for number in range(100)),
)
"""More than a stack of this size has."""
VARIANTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "as it is": (),
    "three times the sessions": (("concurrent: ", "concurrent: 3"),),
    "other models": (("Qwen/Qwen3-14B", "Qwen/Qwen3-8B"), ("Qwen/Qwen2.5-Coder-32B-Instruct", "Qwen/Qwen3-32B")),
    "another region": (("  target: eks\n", "  target: eks\n  regions: [eu-central-1]\n"),),
    "another target": (("  target: eks\n", "  target: kubernetes\n  providers: [aws]\n  regions: [us-east-1]\n"),),
    "a deployment each": (("      model:", "      isolation: dedicated\n      model:"),),
    "other names": (
        ("name: voice-router", "name: ear"),
        ("name: chat", "name: desk"),
        ("fallback: voice-router", "fallback: ear"),
    ),
    "quantised, on another engine": (("      model:", "      precision: fp8\n      engine: sglang\n      model:"),),
    "who may call, and pins": (
        (
            "  target: eks\n",
            "  target: eks\n  security: {apiKeySecret: callers}\n  pins: {engineImage: 'registry.internal/vllm@sha256:"
            + "0" * 64
            + "'}\n",
        ),
    ),
}
PAIRS = {
    "a few": (
        ("as it is", "other names"),
        ("as it is", "who may call, and pins"),
        ("customer-service", "tiered"),
        ("tiered", "trio"),
    ),
    "every two examples": tuple(combinations([path.stem for path in EXAMPLES], 2)),
    **{
        f"{name} and the others": tuple(pair for pair in permutations(VARIANTS, 2) if pair[0] == name)
        for name in VARIANTS
    },
}


@cache
def plan_of(name: str) -> Plan:
    """An example, or five agents with these words in the place of others."""
    if name in VARIANTS:
        return changed_text(FIVE, VARIANTS[name]).plan
    return next(example(path).plan for path in EXAMPLES if path.stem == name)


def seen(comment: str) -> Iterator[str]:
    """The lines of a comment that are there before anything is unfolded."""
    folded = False
    for line in comment.splitlines():
        if not folded:
            yield line
        folded = line.startswith("<details>") or (folded and line != "</details>")


@pytest.mark.broad(every=len(PAIRS))
@pytest.mark.parametrize("pairs", PAIRS)
def test_a_difference_is_short_whatever_changed(pairs: str) -> None:
    """The bounds were once measured on two changes."""
    long = []
    for before, after in PAIRS[pairs]:
        found = diff(plan_of(before), plan_of(after), files=FILES)
        comment = diff_comment(found)
        assert comment.count("<details>") == comment.count("</details>") == 2, f"{before}, {after}: cut"
        lengths = {
            "comment": (comment.count("\n"), MOST_LINES - 1),
            "comment, folded": (len([*seen(comment)]), FOUR_AGENTS),
            **{
                f"screen of {width}": (len(lines_of(diff_page(found, "a.yaml", "b.yaml"), width)), FOUR_AGENTS)
                for width in WIDTHS
            },
        }
        long += [(before, after, what, count) for what, (count, most) in lengths.items() if count > most]
    assert not long


def test_the_changes_are_many() -> None:
    assert sum(map(len, PAIRS.values())) >= 150
    assert len({with_other_words(FIVE, changes) for changes in VARIANTS.values()}) == len(VARIANTS)
