"""From a file to an agent stack, or to every fault in the file at once.

::

    bytes ──> text ──> tree of nodes ──> data ──┬──> models ──> AgentStack
                │            │                  └──> rules
                └────────────┴───── faults, each with line and column ──────> BadInput
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import AgentStack
from agentgpu_iac.spec.rules import LINE, Violation, violations
from agentgpu_iac.spec.scalars import character_name
from agentgpu_iac.spec.shape import fractional_keys, parts_of
from agentgpu_iac.spec.wording import NUMBER, worded, wrong_kind
from agentgpu_iac.spec.yaml_tree import (
    MAX_FAULTS,
    ListNode,
    MapNode,
    Node,
    Place,
    ScalarNode,
    Steps,
    Tree,
    compose,
    data_of,
    place_of_index,
    spelled,
    steps_of,
)

MAX_BYTES = 4 * 2**20
"""The largest file that is read: 1,000 agents with every key written out take 1.3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStack:
    """An agent stack together with the file that it came from."""

    stack: AgentStack
    source: str
    """Name of the file, as it stands in messages."""
    sha256: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    tree: Tree = field(repr=False, compare=False)
    """The file's values with their places."""

    def fault(self, path: str, message: str, hint: str = "") -> Fault:
        """A fault at the line and column of a value such as ``spec.agents[0].model``.

        Where the file does not hold that value, the fault stands at the nearest value above it.
        """
        return _fault(self.source, self.tree.node_at(steps_of(path)).place, path, message, hint)


def load(path: Path, *, max_bytes: int = MAX_BYTES) -> LoadedStack:
    """Read an agent stack from a file.

    Raises:
        BadInput: the file cannot be read, or holds faults; carries all of them.
    """
    return load_bytes(read_bytes(path, max_bytes + 1), source_of(path), max_bytes=max_bytes)


def source_of(path: Path) -> str:
    """How a file is named in messages."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def read_bytes(path: Path, most: int) -> bytes:
    """The first bytes of a file, ``most`` of them at most. Raises BadInput where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        message = f"cannot be read: {error.strerror or 'the system refuses'}"
        raise BadInput.one(source_of(path), message) from None
    except ValueError:
        raise BadInput.one(ascii(source_of(path)), "is no name of a file") from None


def load_text(text: str, source: str, *, max_bytes: int = MAX_BYTES) -> LoadedStack:
    """Read an agent stack from text; ``source`` names it in messages.

    Raises:
        BadInput: the text holds faults; carries all of them.
    """
    _refuse_unprintable(text, source)
    return load_bytes(text.encode(), source, max_bytes=max_bytes)


def load_bytes(raw: bytes, source: str, *, max_bytes: int = MAX_BYTES) -> LoadedStack:
    """Read an agent stack from the bytes of a file; ``source`` names it in messages.

    Raises:
        BadInput: the bytes hold faults; carries all of them.
    """
    if len(raw) > max_bytes:
        raise BadInput.one(source, f"is larger than {max_bytes:,} bytes, the most that is read")
    tree = compose(_decoded(raw, source), source)
    if not isinstance(tree.root, MapNode):
        raise BadInput([*tree.faults, _not_a_mapping(tree.root, source)])
    data = data_of(tree.root)
    stack, errors = _validated(data)
    disguises = {steps: node for steps, node in _disguises(tree.root, AgentStack, ()) if tree.is_readable(steps)}
    rejections = [error for error in errors if error["loc"] not in disguises and _is_news(error, tree)]
    faults = [
        *tree.faults,
        *(_broken_rule(violation, tree, source) for violation in violations(data)),
        *(_disguised_number(steps, node, source) for steps, node in disguises.items()),
        *_worded(rejections, tree, source),
    ]
    if faults or stack is None:
        raise BadInput(_first(faults, max(len(rejections) - MAX_FAULTS, 0)))
    return LoadedStack(stack=stack, source=source, sha256=hashlib.sha256(raw).hexdigest(), tree=tree)


def _decoded(raw: bytes, source: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = place_of_index(before := raw[: error.start].decode("utf-8"), len(before))
        hint = "save it as UTF-8" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else ""
        message = f"is not UTF-8 text: the byte 0x{raw[error.start]:02x} does not belong here"
        raise BadInput([_fault(source, place, "", message, hint)]) from None
    text = text.removeprefix("\ufeff")
    _refuse_unprintable(text, source)
    return text


_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _refuse_unprintable(text: str, source: str) -> None:
    """YAML allows no control characters, not even in comments."""
    found = _UNPRINTABLE.search(text)
    if found:
        message = f"holds the control character {character_name(found.group())}"
        raise BadInput([_fault(source, place_of_index(text, found.start()), "", message, "take it out")])


def _not_a_mapping(root: Node, source: str) -> Fault:
    found = "a list" if isinstance(root, ListNode) else "a single value"
    message = f"the file must hold a mapping (apiVersion, kind, metadata, spec), not {found}"
    return _fault(source, root.place, "", message)


def _validated(data: object) -> tuple[AgentStack | None, Sequence[ErrorDetails]]:
    try:
        return AgentStack.model_validate(data, by_name=False, by_alias=True), ()
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _worded(errors: Sequence[ErrorDetails], tree: Tree, source: str) -> Iterator[Fault]:
    """What the models reject, in words: the first ``MAX_FAULTS`` in the file, since finding words takes time."""
    placed = ((_place_of(error, tree), error) for error in errors)
    for place, error in heapq.nsmallest(MAX_FAULTS, placed, key=lambda pair: pair[0]):
        steps: Steps = error["loc"]
        about = steps[:-1] if error["type"] in {"missing", "extra_forbidden"} else steps
        wording = worded(error, tree.node_at(steps))
        yield _fault(source, place, spelled(about), wording.message, wording.hint)


def _is_news(error: ErrorDetails, tree: Tree) -> bool:
    """Whether an error adds anything.

    It does not where the value has been refused already, or where a list only seems too short because pydantic
    leaves out its faulty items.
    """
    steps: Steps = error["loc"]
    node = tree.node_at(steps)
    if error["type"] == "too_short" and isinstance(node, ListNode) and node.items:
        return False
    return tree.is_readable(steps)


def _place_of(error: ErrorDetails, tree: Tree) -> Place:
    steps: Steps = error["loc"]
    return tree.key_place(steps) if error["type"] == "extra_forbidden" else tree.node_at(steps).place


def _broken_rule(violation: Violation, tree: Tree, source: str) -> Fault:
    """Place a rule's violation, and name the line of the value that it clashes with."""
    place = tree.node_at(violation.steps).place
    line = tree.node_at(violation.other).place.line
    hint = violation.hint.replace(LINE, str(line))
    return _fault(source, place, spelled(violation.steps), violation.message, hint)


def _disguised_number(steps: Steps, node: ScalarNode, source: str) -> Fault:
    wording = wrong_kind(NUMBER, node)
    return _fault(source, node.place, spelled(steps), wording.message, wording.hint)


def _disguises(node: Node, document: type[Document], steps: Steps) -> Iterator[tuple[Steps, ScalarNode]]:
    """Text and truth values where a number with decimals belongs: the models would quietly convert them."""
    if isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from _disguises(item, document, (*steps, index))
    if not isinstance(node, MapNode):
        return
    parts = parts_of(document)
    numbers = fractional_keys(document)
    for key, value in node.entries.items():
        if key in numbers and isinstance(value, ScalarNode) and isinstance(value.value, bool | str):
            yield (*steps, key), value
        elif key in parts:
            yield from _disguises(value, parts[key], (*steps, key))


def _first(faults: list[Fault], unworded: int) -> list[Fault]:
    """The first ``MAX_FAULTS`` faults in the file, and how many follow them."""
    more = len(faults) - MAX_FAULTS + unworded
    if more <= 0:
        return faults
    listed = sorted(faults)[:MAX_FAULTS]
    return [*listed, replace(listed[-1], message=f"… and {more:,} more faults below this line", hint="")]


def _fault(source: str, place: Place, path: str, message: str, hint: str = "") -> Fault:
    return Fault(source=source, line=place.line, column=place.column, path=path, message=message, hint=hint)
