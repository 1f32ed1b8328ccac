"""What somebody wrote into an agent stack, value by value, in the spec's own words: nothing derived, no default."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.spec.scalars import Scalar
from agentgpu_iac.spec.yaml_tree import MapNode, Node, ScalarNode, spelled


def written(node: Node, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value of a file with its path. Items of a list that have names of their own are called by them, so that an agent
    which comes first does not rename all others.
    """
    if isinstance(node, ScalarNode):
        yield path, _shown(node.value)
    elif isinstance(node, MapNode):
        for key, value in node.entries.items():
            step = spelled((key,))
            yield from written(
                value, step if not path else f"{path}{step}" if step.startswith("[") else f"{path}.{step}"
            )
        if not node.entries:
            yield path, "{}"
    else:
        names = [_name_of(item) for item in node.items]
        by_name = None not in names and len({*names}) == len(names)
        for index, item in enumerate(node.items):
            yield from written(item, f"{path}[{names[index] if by_name else index}]")
        if not node.items:
            yield path, "[]"


def _name_of(node: Node) -> str | None:
    name = node.entries.get("name") if isinstance(node, MapNode) else None
    return str(name.value) if isinstance(name, ScalarNode) else None


def _shown(value: Scalar) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
