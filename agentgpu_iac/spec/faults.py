"""Every fault of a file at once, each at its line: what YAML refuses, what the models refuse, and what rules forbid.

Agent stacks and catalog overlays are read through here, so that they complain in the same words.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic_core import ErrorDetails

from agentgpu_iac.credentials import credential_in
from agentgpu_iac.errors import Fault
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.rule_values import LINE, Violation
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
    spelled,
)
from agentgpu_iac.units import counted

CREDENTIAL_HINT = (
    "write the name of a Secret that holds it, and revoke it if this file was ever shared: Secrets are made with kubectl "
    "or a secret store"
)


def document_faults(
    tree: Tree,
    source: str,
    root: type[Document],
    errors: Sequence[ErrorDetails],
    broken: Iterable[Violation] = (),
) -> list[Fault]:
    """Everything wrong with a file that holds a document of this kind.

    Args:
        tree: The file.
        source: Its name in messages.
        root: The document that was read.
        errors: What its model refuses.
        broken: The rules that it breaks.
    """
    disguises = {steps: node for steps, node in _disguises(tree.root, root, ()) if tree.is_readable(steps)}
    pasted = dict(_pasted_credentials(tree.root, ()))
    rejections = [
        error
        for error in errors
        if error["loc"] not in disguises and not _is_within(error["loc"], pasted) and _is_news(error, tree)
    ]
    faults = [
        *tree.faults,
        *(_pasted(steps, node, source) for steps, node in pasted.items()),
        *(_broken_rule(each, tree, source) for each in broken if not _is_within(each.steps, pasted)),
        *(_disguised_number(steps, node, source) for steps, node in disguises.items() if steps not in pasted),
        *_worded(rejections, tree, source, root),
    ]
    return _first(faults, max(len(rejections) - MAX_FAULTS, 0))


def _worded(errors: Sequence[ErrorDetails], tree: Tree, source: str, root: type[Document]) -> Iterator[Fault]:
    """What the models reject, in words: the first ``MAX_FAULTS`` in the file, since finding words takes time."""
    placed = ((_place_of(error, tree), error) for error in errors)
    for place, error in heapq.nsmallest(MAX_FAULTS, placed, key=lambda pair: pair[0]):
        steps: Steps = error["loc"]
        about = steps[:-1] if error["type"] in {"missing", "extra_forbidden"} else steps
        wording = worded(error, tree.node_at(steps), root)
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


def _pasted_credentials(node: Node, steps: Steps) -> Iterator[tuple[Steps, Node]]:
    """Values, and keys, that look like a credential, wherever they stand: a spec names Secrets and never holds one."""
    if isinstance(node, ScalarNode):
        if credential_in(node.spelling):
            yield steps, node
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from _pasted_credentials(item, (*steps, index))
    else:
        for key, value in node.entries.items():
            if credential_in(key):
                yield (*steps, key), ScalarNode(place=node.key_places[key], value=key, spelling=key)
            yield from _pasted_credentials(value, (*steps, key))


def _is_within(steps: Steps, pasted: Mapping[Steps, Node]) -> bool:
    """Whether a fault is about a value that is refused as a credential: what else is wrong with it would quote it."""
    return any(steps[: len(known)] == known for known in pasted) if pasted else False


def _pasted(steps: Steps, node: Node, source: str) -> Fault:
    kind = credential_in(node.spelling) if isinstance(node, ScalarNode) else None
    message = f"holds what looks like {kind}; only names belong here, so it is not repeated"
    return _fault(source, node.place, spelled(steps), message, CREDENTIAL_HINT)


def _disguised_number(steps: Steps, node: ScalarNode, source: str) -> Fault:
    wording = wrong_kind(NUMBER, node, steps)
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
    return [*listed, replace(listed[-1], message=f"… and {counted(more, 'more fault')} below this line", hint="")]


def _fault(source: str, place: Place, path: str, message: str, hint: str = "") -> Fault:
    return Fault(source=source, line=place.line, column=place.column, path=path, message=message, hint=hint)
