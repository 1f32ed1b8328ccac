"""Values put into the text of an agent stack, at their places: everything else stays as it was written, comments too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.loader import LoadedStack, load_text
from agentgpu_iac.spec.yaml_tree import MapNode, Place, ScalarNode, Steps, spelled

_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"")


def with_values(text: str, loaded: LoadedStack, values: Mapping[Steps, str]) -> str:
    """The text with these values. A key that is not there is put before the first of its mapping, or before ``agents``.

    Raises:
        BadInput: a value stands where only a person can tell what is meant, such as behind an alias. Nothing is half done.
    """
    starts = _line_starts(text)
    edits = dict(_grouped(text, starts, loaded, values))
    made = text
    for begin in sorted(edits, reverse=True):
        end, new = edits[begin]
        made = made[:begin] + new + made[end:]
    _check(made, loaded, values)
    return made


def _grouped(
    text: str, starts: list[int], loaded: LoadedStack, values: Mapping[Steps, str]
) -> list[tuple[int, tuple[int, str]]]:
    edits: dict[int, tuple[int, str]] = {}
    by_parent: dict[Steps, dict[str, str]] = {}
    for steps, value in values.items():
        node = loaded.tree.node_at(steps)
        parent = loaded.tree.node_at(steps[:-1])
        if isinstance(parent, MapNode) and _exists(loaded, steps[:-1]) and steps[-1] in parent.entries:
            if not isinstance(node, ScalarNode):
                raise _unclear(loaded, steps)
            begin = _index(starts, node.place)
            quoted = _QUOTED.match(text, begin)
            end = quoted.end() if quoted else begin + len(node.spelling)
            if quoted is None and text[begin:end] != node.spelling:
                raise _unclear(loaded, steps)
            edits[begin] = (end, value)
        else:
            by_parent.setdefault(steps[:-1], {})[str(steps[-1])] = value
    newline = (_BREAK.search(text) or [""])[0] or "\n"
    for parent_steps, entries in by_parent.items():
        begin, new = _insertion(text, starts, loaded, parent_steps, entries, newline)
        if begin in edits:
            raise _unclear(loaded, parent_steps)
        edits[begin] = (begin, new)
    return list(edits.items())


def _insertion(
    text: str, starts: list[int], loaded: LoadedStack, parent: Steps, entries: Mapping[str, str], newline: str
) -> tuple[int, str]:
    """Where new keys go, and how they are written there."""
    if not _exists(loaded, parent):
        begin, new = _insertion(text, starts, loaded, parent[:-1], {str(parent[-1]): ""}, newline)
        grand = loaded.tree.node_at(parent[:-1])
        flow = f"{{{', '.join(f'{key}: {value}' for key, value in entries.items())}}}"
        if _is_flow(text, starts, grand.place):
            return begin, new.replace(f"{parent[-1]}: ", f"{parent[-1]}: {flow}", 1)
        indent = " " * (_column(text, begin) + 2)
        lines = "".join(f"{newline}{indent}{key}: {value}" for key, value in entries.items())
        return begin, new.replace(f"{parent[-1]}: ", f"{parent[-1]}:{lines}", 1)
    node = loaded.tree.node_at(parent)
    if not isinstance(node, MapNode):
        raise _unclear(loaded, parent)
    at = _index(starts, node.place)
    if not node.entries:
        return at + 1, ", ".join(f"{key}: {value}" for key, value in entries.items())
    anchor = next((key for key in ("model", "agents") if key in node.key_places), next(iter(node.key_places)))
    begin = _index(starts, node.key_places[anchor])
    if _is_flow(text, starts, node.place):
        return begin, "".join(f"{key}: {value}, " for key, value in entries.items())
    indent = " " * _column(text, begin)
    return begin, "".join(f"{key}: {value}{newline}{indent}" for key, value in entries.items())


def _exists(loaded: LoadedStack, steps: Steps) -> bool:
    """Whether the file holds a mapping at the end of the steps."""
    node = loaded.tree.root
    for step in steps:
        if isinstance(node, MapNode):
            if step not in node.entries:
                return False
            node = node.entries[str(step)]
        elif isinstance(step, int) and hasattr(node, "items"):
            node = node.items[step]
        else:
            return False
    return isinstance(node, MapNode)


def _check(made: str, loaded: LoadedStack, values: Mapping[Steps, str]) -> None:
    """The result must read as the stack with these values, and with nothing else changed."""
    again = load_text(made, loaded.source).stack.model_dump(mode="json", by_alias=True)
    wanted = loaded.stack.model_dump(mode="json", by_alias=True)
    for steps, value in values.items():
        place: Any = wanted
        for step in steps[:-1]:
            place = place[step]
        place[steps[-1]] = value
    if again != wanted:
        raise _unclear(loaded, next(iter(values)))


def _unclear(loaded: LoadedStack, steps: Steps) -> BadInput:
    path = spelled(steps)
    message = (
        "cannot be put into this file by a program: the value is shared by an anchor, or written in an unusual way"
    )
    return BadInput([loaded.fault(path, message, "write it by hand")])


def _is_flow(text: str, starts: list[int], place: Place) -> bool:
    return text[_index(starts, place)] == "{"


def _line_starts(text: str) -> list[int]:
    return [0, *(found.end() for found in _BREAK.finditer(text))]


def _index(starts: list[int], place: Place) -> int:
    return starts[place.line - 1] + place.column - 1


def _column(text: str, index: int) -> int:
    """Characters before this one in its line, of which only blanks and a list's dashes matter to YAML."""
    start = max((found.end() for found in _BREAK.finditer(text, 0, index)), default=0)
    return index - start
