"""YAML text as a tree whose every node knows its line and column.

The tree is built from parser events rather than by PyYAML's composer, for three reasons: aliases keep a place of
their own, depth and size are bounded while reading (a hostile file costs no more than an honest one), and a scalar
keeps its spelling, so that a message can say ``YAML reads no as false``.

Only what every YAML reader understands alike is accepted: no tags, no merge keys, no keys that are not text, and no
scalar whose meaning hangs on the reader (``scalars``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, NoReturn, TypeAlias

import yaml
from yaml import events

from agentgpu_iac.characters import character_name, hidden_character
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.inputs import LINE_BREAK, line_and_column
from agentgpu_iac.spec.scalars import Refusal, Scalar, meaning_of, read_plain, shown
from agentgpu_iac.units import counted

try:
    from yaml import CSafeLoader as _FastestLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _FastestLoader  # type: ignore[assignment]

MAX_DEPTH = 32
"""Levels of nesting. The deepest key of an agent stack stands at level 6."""

MAX_NODES = 200_000
"""Values in one file, counted with every alias written out: hundreds for each agent of the largest stack."""

MAX_FAULTS = 1000
"""Faults listed of one file: the first ones in it."""

Step: TypeAlias = str | int
Steps: TypeAlias = tuple[Step, ...]
"""The way from the top of the file to a value: keys, and positions in lists that count from 0."""

Data: TypeAlias = "Scalar | tuple[Data, ...] | dict[str, Data]"
"""What a file holds, without places: lists become tuples."""


class Place(NamedTuple):
    """Where something starts in the file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """One value, and how it is spelt in the file (without quotes). A refused one holds its spelling."""

    place: Place
    value: Scalar
    spelling: str
    refused: bool = False
    size: int = 1
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list. ``size`` counts its values at all levels, ``depth`` its levels, both with aliases written out."""

    place: Place
    items: tuple[Node, ...]
    refused: bool
    size: int
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping and the places of its keys; ``size`` and ``depth`` as for a list."""

    place: Place
    entries: dict[str, Node]
    key_places: dict[str, Place]
    refused: bool
    size: int
    depth: int


Node: TypeAlias = ScalarNode | ListNode | MapNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One YAML document and what is wrong with it as YAML.

    A node for which a fault is already listed is marked as refused, so that nobody goes on to complain about what it
    holds.
    """

    root: Node
    faults: tuple[Fault, ...]

    def node_at(self, steps: Steps) -> Node:
        """The value at the end of these steps; the nearest value above it where there is none."""
        node = self.root
        for step in steps:
            below = _child(node, step)
            if below is None:
                break
            node = below
        return node

    def key_place(self, steps: Steps) -> Place:
        """Where the last of these steps is written as a key; the place of the value where it is not a key."""
        parent = self.node_at(steps[:-1])
        last = steps[-1] if steps else None
        if isinstance(parent, MapNode) and isinstance(last, str) and last in parent.key_places:
            return parent.key_places[last]
        return self.node_at(steps).place

    def is_readable(self, steps: Steps) -> bool:
        """Whether neither this value nor anything that it stands in has been refused."""
        node: Node | None = self.root
        for step in steps:
            if node is None or node.refused:
                break
            node = _child(node, step)
        return node is None or not node.refused


def top_level(text: str, key: str) -> str | None:
    """The scalar under a key of the mapping that a YAML text is; None where there is none.

    It reads no further than it must, and never deeper than a file may nest.
    """
    depth, words = 0, 0
    last: str | None = None
    try:
        for event in yaml.parse(text, Loader=_FastestLoader):
            if isinstance(event, events.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH or (depth == 1 and isinstance(event, events.SequenceStartEvent)):
                    return None
            elif isinstance(event, events.CollectionEndEvent):
                depth -= 1
                if depth == 1:  # the end of a key's value
                    words, last = words + 1, None
            elif depth == 1 and isinstance(event, events.NodeEvent):
                value = event.value if isinstance(event, events.ScalarEvent) else None
                if words % 2 and last == key:
                    return value
                words, last = words + 1, value
    except (yaml.YAMLError, ValueError, OverflowError):  # whoever reads the whole text says what is wrong with it
        pass
    return None


def compose(text: str, source: str, *, max_nodes: int = MAX_NODES, start: str = "") -> Tree:
    """Read one YAML document. ``start``: what to do about a file that is empty.

    Raises:
        BadInput: the text is no YAML, holds no document or several, or goes beyond a bound. What is wrong with single
            keys and values does not raise: it is listed in the tree.
    """
    composer = _Composer(text, source, max_nodes, start)
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        raise BadInput([*composer.faults, _syntax_fault(error, text, source)]) from None
    except (yaml.YAMLError, ValueError, OverflowError):  # the pure-Python parser lets bad escapes through to chr()
        raise BadInput(
            [*composer.faults, Fault(source=source, message="holds a character that YAML forbids")]
        ) from None


def data_of(node: Node) -> Data:
    """Strip the places: mappings become dicts, lists become tuples."""
    match node:
        case ScalarNode():
            return node.value
        case ListNode():
            return tuple(data_of(item) for item in node.items)
        case MapNode():
            return {key: data_of(value) for key, value in node.entries.items()}


def place_of_index(text: str, index: int) -> Place:
    """Line and column of a character, by the line breaks that YAML knows."""
    return Place(*line_and_column(text, index))


def spelled(steps: Steps) -> str:
    """Write steps as people do: ``spec.agents[0].model``."""
    written = ""
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        elif not _PLAIN_KEY.fullmatch(step):
            written += f"[{shown(step)}]"
        else:
            written += f".{step}" if written else step
    return written


def steps_of(path: str) -> Steps:
    """Read ``spec.agents[0].model`` back into steps. What has no such form is passed over."""
    return tuple(int(index) if index else key for index, key in _STEP.findall(path))


_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep"
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP: Final = re.compile(r"\[([0-9]{1,9})\]|([A-Za-z_][A-Za-z0-9_-]*)")


def _child(node: Node, step: Step) -> Node | None:
    if isinstance(node, MapNode) and isinstance(step, str):
        return node.entries.get(step)
    if isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def _place(event: events.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(0, 0)


class _Composer:
    """Turns parser events into nodes, depth first, and gathers faults on the way."""

    def __init__(self, text: str, source: str, max_nodes: int, start: str) -> None:
        self.faults: list[Fault] = []
        self._events: Iterator[events.Event] = yaml.parse(text, Loader=_FastestLoader)
        self._source = source
        self._anchors: dict[str, Node] = {}
        self._open_anchors: set[str] = set()
        self._size = 0
        self._max_nodes = max_nodes
        self._start = start

    def document(self) -> Tree:
        next(self._events)  # stream start
        if isinstance(next(self._events), events.StreamEndEvent):
            raise BadInput.one(self._source, "is empty", hint=self._start)
        root = self._node(next(self._events), ())
        next(self._events)  # document end
        following = next(self._events)
        if not isinstance(following, events.StreamEndEvent):
            self._stop(_place(following), (), "a second document starts here", "one file holds one agent stack")
        return Tree(root=root, faults=tuple(self.faults))

    def _node(self, event: events.Event, steps: Steps) -> Node:
        place = _place(event)
        self._dive(len(steps), place, steps)
        if isinstance(event, events.AliasEvent):
            return self._aliased(event, place, steps)
        self._grow(1, place, steps)
        if isinstance(event, events.ScalarEvent):
            return self._anchored(event.anchor, self._scalar(event, place, steps))
        if not isinstance(event, events.CollectionStartEvent):  # the grammar of events leaves nothing else
            self._stop(place, steps, "is not valid YAML")
        return self._anchored(event.anchor, self._collection(event, place, steps))

    def _collection(self, event: events.CollectionStartEvent, place: Place, steps: Steps) -> ListNode | MapNode:
        refused = self._refuses_tag(event, place, steps)
        anchor = {event.anchor} if event.anchor else set()
        self._open_anchors |= anchor
        if isinstance(event, events.SequenceStartEvent):
            node: ListNode | MapNode = self._list(place, steps, refused)
        else:
            node = self._mapping(place, steps, refused)
        self._open_anchors -= anchor
        return node

    def _scalar(self, event: events.ScalarEvent, place: Place, steps: Steps) -> ScalarNode:
        refused = self._refuses_tag(event, place, steps)
        reading = self._reading(event)
        if isinstance(reading, Refusal):
            refused = True
            self._complain(place, steps, reading.message, reading.hint)
            reading = event.value
        return ScalarNode(place=place, value=reading, spelling=event.value, refused=refused)

    def _reading(self, event: events.ScalarEvent) -> Scalar | Refusal:
        if hidden := hidden_character(event.value):
            return Refusal(message=f"holds the hidden character {character_name(hidden)}", hint="take it out")
        return read_plain(event.value) if event.implicit[0] else event.value

    def _list(self, place: Place, steps: Steps, refused: bool) -> ListNode:
        items: list[Node] = []
        while not isinstance(event := next(self._events), events.SequenceEndEvent):
            items.append(self._node(event, (*steps, len(items))))
        return ListNode(place=place, items=tuple(items), refused=refused, size=_size(items), depth=_depth(items))

    def _mapping(self, place: Place, steps: Steps, refused: bool) -> MapNode:
        entries: dict[str, Node] = {}
        key_places: dict[str, Place] = {}
        while not isinstance(event := next(self._events), events.MappingEndEvent):
            key_place = _place(event)
            key = self._key(event, key_place, steps)
            value = self._node(next(self._events), (*steps, "?" if key is None else key))
            if key is None:
                continue
            if key in entries:
                self._complain(key_place, steps, f"duplicate key {shown(key)}", f"first on line {key_places[key].line}")
                continue
            entries[key] = value
            key_places[key] = key_place
        values = entries.values()
        return MapNode(
            place=place,
            entries=entries,
            key_places=key_places,
            refused=refused,
            size=_size(values),
            depth=_depth(values),
        )

    def _key(self, event: events.Event, place: Place, steps: Steps) -> str | None:
        """The text of a key; None, and a fault, where it is anything else."""
        if not isinstance(event, events.ScalarEvent):
            node = self._node(event, (*steps, "?"))
            self._complain(place, steps, f"a key must be text, not {_kind(event, node)}")
            return None
        if event.anchor:
            self._anchors[event.anchor] = ScalarNode(place=place, value=event.value, spelling=event.value)
        if event.tag:
            self._complain(place, steps, f"the tag {_short_tag(event.tag)} is not accepted", "leave the tag out")
            return None
        if event.implicit[0] and event.value == "<<":
            self._complain(
                place,
                steps,
                "merge keys (<<) are not supported",
                "write the keys out, or alias a whole value: key: *name",
            )
            return None
        reading = self._reading(event)
        if isinstance(reading, Refusal):
            hint = _after_a_comma(event.value) or reading.hint
            self._complain(place, steps, f"the key {shown(event.value)} {_after_the_key(reading.message)}", hint)
            return None
        if isinstance(reading, str):
            return reading
        self._complain(
            place,
            steps,
            f"a key must be text, but YAML reads {event.value or 'an empty key'} as {meaning_of(reading)}",
            _after_a_comma(event.value) or (f"quote it: {event.value!r}" if event.value else ""),
        )
        return None

    def _aliased(self, event: events.AliasEvent, place: Place, steps: Steps) -> Node:
        name = event.anchor or ""
        if name in self._open_anchors:
            self._stop(place, steps, f"the alias *{name} refers to a value that it is a part of")
        target = self._anchors.get(name)
        if target is None:
            self._stop(place, steps, f"the alias *{name} has no anchor &{name} above it")
        self._dive(len(steps) + target.depth, place, steps)
        self._grow(target.size, place, steps)
        return replace(target, place=place)

    def _anchored(self, name: str | None, node: Node) -> Node:
        if name:
            self._anchors[name] = node
        return node

    def _dive(self, depth: int, place: Place, steps: Steps) -> None:
        if depth > MAX_DEPTH:
            self._stop(place, steps[:8], _TOO_DEEP)

    def _grow(self, size: int, place: Place, steps: Steps) -> None:
        self._size += size
        if self._size > self._max_nodes:
            self._stop(
                place, steps, f"holds more than {counted(self._max_nodes, 'value')}, counting what aliases repeat"
            )

    def _refuses_tag(self, event: events.ScalarEvent | events.CollectionStartEvent, place: Place, steps: Steps) -> bool:
        if event.tag:
            self._complain(place, steps, f"the tag {_short_tag(event.tag)} is not accepted", "leave the tag out")
        return bool(event.tag)

    def _complain(self, place: Place, steps: Steps, message: str, hint: str = "") -> None:
        self.faults.append(self._fault(place, steps, message, hint))
        if len(self.faults) == MAX_FAULTS:
            self._stop(place, steps, f"… more than {MAX_FAULTS:,} faults, nothing below this line was read")

    def _stop(self, place: Place, steps: Steps, message: str, hint: str = "") -> NoReturn:
        raise BadInput([*self.faults, self._fault(place, steps, message, hint)])

    def _fault(self, place: Place, steps: Steps, message: str, hint: str) -> Fault:
        return Fault(
            source=self._source,
            line=place.line,
            column=place.column,
            path=spelled(steps),
            message=message,
            hint=hint,
        )


def _size(nodes: Iterable[Node]) -> int:
    return 1 + sum(node.size for node in nodes)


def _depth(nodes: Iterable[Node]) -> int:
    return 1 + max((node.depth for node in nodes), default=0)


def _kind(event: events.Event, node: Node) -> str:
    if isinstance(event, events.AliasEvent):
        return "an alias"
    return "a list" if isinstance(node, ListNode) else "a mapping"


def _after_a_comma(key: str) -> str:
    """What to do about a key that is the end of a number in thousands: ``{concurrent: 10,000}``."""
    return "a number has no commas: write 10000, not 10,000" if re.fullmatch("[0-9]{3}", key) else ""


def _after_the_key(message: str) -> str:
    return message if message.startswith("holds") else f"is not text: {message}"


def _short_tag(tag: str) -> str:
    return shown(tag.replace("tag:yaml.org,2002:", "!!"))


_SYNTAX_HINTS: Final = {
    "mapping values are not allowed": "check the indentation, and quote a text that holds ': '",
    "could not find expected ':'": "a key is followed by ': '; check the indentation and the quotes above",
    "did not find expected key": "check the indentation, and that quotes and brackets above are closed",
    "did not find expected '-' indicator": "check the indentation of the list",
    "block sequence entries are not allowed": "start the list on a line of its own",
    "found unknown escape character": "in double quotes write \\\\ for a backslash, or use single quotes",
}


def _syntax_fault(error: yaml.MarkedYAMLError, text: str, source: str) -> Fault:
    """Place what the YAML parser says on a line of the file; at the end of the file it points one line beyond."""
    mark = error.problem_mark or error.context_mark
    last = place_of_index(text, len(text))
    place = min(Place(mark.line + 1, mark.column + 1), last) if mark else last
    problem = error.problem or error.context or "unreadable"
    if "nesting depth" in problem:  # libyaml reads ahead, and gives up at 1,000 levels before we have seen ours
        return Fault(source=source, line=place.line, column=place.column, message=_TOO_DEEP)
    started = f", {error.context}" if error.context else ""
    where = f" that starts on line {error.context_mark.line + 1}" if error.context_mark and started else ""
    return Fault(
        source=source,
        line=place.line,
        column=place.column,
        message=f"is not valid YAML: {problem}{started}{where}",
        hint=_syntax_hint(problem, _character_at(text, place)),
    )


def _character_at(text: str, place: Place) -> str:
    lines = LINE_BREAK.split(text)
    return lines[place.line - 1][place.column - 1 : place.column]


def _syntax_hint(problem: str, character: str) -> str:
    if "cannot start any token" in problem:
        return "indent with spaces, not tabs" if character == "\t" else f"quote a text that starts with {character!r}"
    return next((hint for start, hint in _SYNTAX_HINTS.items() if problem.startswith(start)), "")
