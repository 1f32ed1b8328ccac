"""What the spec leaves unset: every field of every part, with the default that stands in for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from agentgpu_iac.plan import Assumption
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.units import figure


def assumptions(written: StackSpec, settled: StackSpec) -> tuple[Assumption, ...]:
    """Those of the stack first, then those of each agent, in the order of the fields.

    ``written`` is the spec as its file has it, ``settled`` the same with what the target and the catalog fill in.
    """
    agents = zip(written.agents, settled.agents, strict=True)
    return (
        *_of(written, settled, None, ""),
        *(assumption for agent, filled in agents for assumption in _of(agent, filled, agent.name, "")),
    )


def _of(written: Document, settled: Document, agent: str | None, path: str) -> Iterator[Assumption]:
    """The unset fields of a part, then those of the parts in it. What has no default, or none that says anything, is left out."""
    inner: list[tuple[str, Document, Document]] = []
    for field in type(written).model_fields:
        value, filled = getattr(written, field), getattr(settled, field)
        here = f"{path}.{camel(field)}" if path else camel(field)
        if isinstance(value, Document):
            inner.append((here, value, filled))
        elif isinstance(value, tuple) and value and isinstance(value[0], Document):
            if field != "agents":
                inner += [(f"{here}[{at}]", *pair) for at, pair in enumerate(zip(value, filled, strict=True))]
        elif field not in written.model_fields_set and isinstance(filled, (bool, int, float, str, Decimal)):
            yield Assumption(agent=agent, part=path, field=camel(field), value=_as_written(filled))
    for inner_path, document, filled in inner:
        yield from _of(document, filled, agent, inner_path)


def _as_written(value: float | str | Decimal) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else figure(value)
