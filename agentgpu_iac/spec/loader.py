"""From a file to an agent stack, or to every fault in the file at once.

::

    bytes ──> text ──> tree of nodes ──> data ──┬──> models ──> AgentStack
                │            │                  └──> rules
                └────────────┴───── faults, each with line and column ──────> BadInput
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentgpu_iac.characters import character_name
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.inputs import read_file, source_of, text_of
from agentgpu_iac.spec.faults import document_faults
from agentgpu_iac.spec.model import AgentStack
from agentgpu_iac.spec.rules import violations
from agentgpu_iac.spec.yaml_tree import (
    Data,
    ListNode,
    MapNode,
    Node,
    Place,
    Steps,
    Tree,
    compose,
    data_of,
    place_of_index,
    steps_of,
)
from agentgpu_iac.units import counted

MAX_BYTES = 4 * 2**20
"""The largest file that is read: the most agents that a stack has, with every key written out, take a tenth of it."""
_PLANS: Final = "agentgpu.dev/plan/"
"""How the versions of a plan's format begin."""


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


Also: TypeAlias = Callable[[Tree, str], Sequence[Fault]]
"""Faults of a file that only the catalog tells: asked for where the file holds others, so that all are told at once."""


def load(path: Path, *, max_bytes: int = MAX_BYTES, also: Also | None = None) -> LoadedStack:
    """Read an agent stack from a file.

    Raises:
        BadInput: the file cannot be read, or holds faults; carries all of them.
    """
    return load_bytes(read_file(path, max_bytes), source_of(path), max_bytes=max_bytes, also=also)


def load_text(text: str, source: str, *, max_bytes: int = MAX_BYTES, also: Also | None = None) -> LoadedStack:
    """Read an agent stack from text; ``source`` names it in messages.

    Raises:
        BadInput: the text holds faults; carries all of them.
    """
    _refuse_unprintable(text, source)
    return load_bytes(text.encode(), source, max_bytes=max_bytes, also=also)


def load_bytes(raw: bytes, source: str, *, max_bytes: int = MAX_BYTES, also: Also | None = None) -> LoadedStack:
    """Read an agent stack from the bytes of a file; ``source`` names it in messages.

    Raises:
        BadInput: the bytes hold faults; carries all of them.
    """
    if len(raw) > max_bytes:
        raise BadInput.one(source, f"is larger than {counted(max_bytes, 'byte')}, the most that is read")
    tree = compose(_decoded(raw, source), source, start="start with: agentgpu init")
    if not isinstance(tree.root, MapNode):
        raise BadInput([*tree.faults, _not_a_mapping(tree.root, source)])
    data = data_of(tree.root)
    if isinstance(data, dict) and str(data.get("apiVersion")).startswith(_PLANS):
        message = "is a plan, which is made already, and an agent stack is asked for"
        raise BadInput.one(source, message, hint="explain, diff, render and report take a plan")
    stack, errors = _validated(data)
    faults = document_faults(tree, source, AgentStack, errors, violations(data))
    if faults or stack is None:
        raise BadInput([*faults, *(also(tree, source) if also is not None else ())])
    return LoadedStack(stack=stack, source=source, sha256=hashlib.sha256(raw).hexdigest(), tree=tree)


def changed(loaded: LoadedStack, values: Mapping[Steps, Data]) -> LoadedStack:
    """The same stack with other values at some places, by the same rules as if the file held them.

    Places of faults are those of the file.

    Raises:
        BadInput: the stack would hold faults; carries all of them.
    """
    data: Data = data_of(loaded.tree.root)
    for steps, value in values.items():
        data = _with_value(data, steps, value)
    stack, errors = _validated(data)
    faults = document_faults(loaded.tree, loaded.source, AgentStack, errors, violations(data))
    if faults or stack is None:
        raise BadInput(faults)
    text = json.dumps(data, sort_keys=True, default=str)
    return replace(loaded, stack=stack, sha256=hashlib.sha256(text.encode()).hexdigest())


def _with_value(data: Data, steps: Steps, value: Data) -> Data:
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    if isinstance(first, int):
        items = data if isinstance(data, tuple) else ()
        return tuple(_with_value(item, rest, value) if at == first else item for at, item in enumerate(items))
    entries = data if isinstance(data, dict) else {}
    return {**entries, first: _with_value(entries.get(first), rest, value)}


def _decoded(raw: bytes, source: str) -> str:
    text = text_of(raw, source)
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


def _fault(source: str, place: Place, path: str, message: str, hint: str = "") -> Fault:
    return Fault(source=source, line=place.line, column=place.column, path=path, message=message, hint=hint)
