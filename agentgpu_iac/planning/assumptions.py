"""What the spec leaves unset: every field of every part, with the default that stands in for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from agentgpu_iac.plan import Assumption
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.units import figure


def assumptions(spec: StackSpec) -> tuple[Assumption, ...]:
    """Those of the stack first, then those of each agent, in the order of the fields."""
    agents = ((agent.name, agent) for agent in spec.agents)
    return (
        *_of(spec, None, ""),
        *(assumption for name, agent in agents for assumption in _of(agent, name, "")),
    )


def _of(part: Document, agent: str | None, path: str) -> Iterator[Assumption]:
    """The unset fields of a part, then those of the parts in it. What has no default, or none that says anything, is left out."""
    inner: list[tuple[str, Document]] = []
    for field in type(part).model_fields:
        value = getattr(part, field)
        here = f"{path}.{camel(field)}" if path else camel(field)
        if isinstance(value, Document):
            inner.append((here, value))
        elif isinstance(value, tuple) and field != "agents":
            inner += [(f"{here}[{at}]", item) for at, item in enumerate(value) if isinstance(item, Document)]
        elif field not in part.model_fields_set and isinstance(value, (bool, int, float, str, Decimal)):
            yield Assumption(agent=agent, part=path, field=camel(field), value=_as_written(value))
    for inner_path, document in inner:
        yield from _of(document, agent, inner_path)


def _as_written(value: float | str | Decimal) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else figure(value)
