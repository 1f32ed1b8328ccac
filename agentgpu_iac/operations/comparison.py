"""A planned object beside the live one: which of the fields that we render differ.

The API server, controllers and webhooks add fields of their own, so a field that is not planned says nothing. Three
things are read beyond the letter: quantities by value, what is empty or zero as absent (the API server leaves it out),
and the elements of a list by the key that tells them apart. Elements and keys that are too many count where nothing but
a hand adds them: in lists, and in the mappings of ``_CLOSED``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from agentgpu_iac.clusters.port import Body
from agentgpu_iac.units import quantity

_IDENTITY = frozenset({"apiVersion", "kind", "status"})

_CLOSED = frozenset({"data", "nodeSelector", "selector", "matchLabels", "limits", "hard"})
"""Mappings in which we plan every key."""

_QUANTITIES = frozenset({"requests", "limits", "capacity", "hard"})
_QUANTITY_FIELDS = frozenset({"averageValue", "sizeLimit", "storage"})

_KEYS = ("name", "mountPath", "key", "containerPort", "port", "topologyKey", "type", "alert", "record")
"""Fields by which the elements of a list are told apart: the first that is different in each."""

_VARIABLES = "env"
_HIDDEN = "(set; its value is not shown)"
"""A variable that somebody added may hold a secret, and a report may end up in a log."""

_SHOWN = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not as planned; a side is None where it has nothing."""

    path: str
    planned: str | None
    live: str | None


def differences(planned: Body, live: Body, ignored: frozenset[str] = frozenset()) -> tuple[Difference, ...]:
    """Every planned field whose live value differs, except at paths that something else owns."""
    found: list[Difference] = []
    for key, value in planned.items():
        if key not in _IDENTITY:
            found += _differences(value, live.get(key), (key,))
    return tuple(each for each in found if each.path not in ignored)


def _differences(planned: Any, live: Any, place: tuple[str, ...]) -> Iterator[Difference]:
    if _is_empty(planned) and _is_empty(live):
        return
    if isinstance(planned, Mapping) and isinstance(live, Mapping):
        for key, value in planned.items():
            yield from _differences(value, live.get(key), (*place, key))
        if place[-1] in _CLOSED:
            for key in live:
                if key not in planned:
                    yield from _differences(None, live[key], (*place, key))
    elif isinstance(planned, list | tuple) and isinstance(live, list | tuple):
        yield from _list_differences(planned, live, place)
    elif not _equal(planned, live, place):
        yield _difference(planned, live, place)


def _list_differences(planned: Sequence[Any], live: Sequence[Any], place: tuple[str, ...]) -> Iterator[Difference]:
    both = (*planned, *live)
    if not all(isinstance(each, Mapping) for each in both):
        yield from _word_differences(planned, live, place)
        return
    key = _key(planned, live)
    if key is None:
        planned_by, live_by = dict(enumerate(planned)), dict(enumerate(live))
    else:
        planned_by, live_by = ({each[key]: each for each in side} for side in (planned, live))
    if place[-1] == _VARIABLES:
        live_by = {name: each if name in planned_by else _HIDDEN for name, each in live_by.items()}
    for name in dict.fromkeys((*planned_by, *live_by)):
        yield from _differences(planned_by.get(name), live_by.get(name), (*place[:-1], f"{place[-1]}[{name}]"))


def _key(planned: Sequence[Any], live: Sequence[Any]) -> str | None:
    for key in _KEYS:
        sides = ([each.get(key) for each in side] for side in (planned, live))
        if all(_tells_apart(side) for side in sides):
            return key
    return None


def _tells_apart(values: Sequence[Any]) -> bool:
    return all(isinstance(each, str | int) for each in values) and len(set(values)) == len(values)


def _word_differences(planned: Sequence[Any], live: Sequence[Any], place: tuple[str, ...]) -> Iterator[Difference]:
    """Lists of words, such as arguments: a word after a flag is named by the flag."""
    ours, theirs = [_text(each) for each in planned], [_text(each) for each in live]
    for change, start, end, live_start, live_end in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if change == "equal":
            continue
        before = ours[start - 1] if start else ""
        position = before if before.startswith("--") and "=" not in before else str(start)
        yield Difference(
            path=f"{_spelled(place)}[{position}]",
            planned=_shown(" ".join(ours[start:end])) if end > start else None,
            live=_shown(" ".join(theirs[live_start:live_end])) if live_end > live_start else None,
        )


def _equal(planned: Any, live: Any, place: tuple[str, ...]) -> bool:
    if isinstance(planned, bool) or isinstance(live, bool):
        return planned is live
    if planned == live:
        return True
    if place[-1] in _QUANTITY_FIELDS or (len(place) > 1 and place[-2] in _QUANTITIES):
        values = quantity(str(planned)), quantity(str(live))
        return None not in values and values[0] == values[1]
    return False


def _is_empty(value: Any) -> bool:
    return (
        value is None or value is False or value in ("", 0) or (isinstance(value, Mapping | list | tuple) and not value)
    )


def _difference(planned: Any, live: Any, place: tuple[str, ...]) -> Difference:
    path = _spelled(place)
    if isinstance(planned, str) and isinstance(live, str) and "\n" in planned + live:
        ours, theirs = planned.split("\n"), live.split("\n")
        pairs = enumerate(zip(ours, theirs, strict=False))
        line = next((number for number, (our, other) in pairs if our != other), min(len(ours), len(theirs)))
        path = f"{path} line {line + 1}"
        planned, live = (side[line] if line < len(side) else None for side in (ours, theirs))
    return Difference(path=path, planned=_present(planned), live=_present(live))


def _present(value: Any) -> str | None:
    return None if value is None else _shown(_text(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _spelled(place: tuple[str, ...]) -> str:
    """A path as people write it; a key that holds dots or slashes stands in brackets."""
    path = ""
    for key in place:
        if ("." in key or "/" in key) and "[" not in key:
            path += f"[{key}]"
        else:
            path += f".{key}" if path else key
    return path
