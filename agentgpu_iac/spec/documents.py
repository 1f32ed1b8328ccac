"""Other files of ours than agent stacks, read the same way: every fault at once, each at its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.inputs import read_file, source_of, text_of
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.faults import document_faults
from agentgpu_iac.spec.rule_values import Violation
from agentgpu_iac.spec.yaml_tree import Data, MapNode, Steps, Tree, compose, data_of, spelled

Kind = TypeVar("Kind", bound=Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument(Generic[Kind]):
    """A document together with the file that it came from."""

    document: Kind
    source: str
    tree: Tree = field(repr=False, compare=False)

    def fault(self, steps: Steps, message: str, hint: str = "") -> Fault:
        """A fault at a value of the file; at the nearest value above it where it is missing."""
        line, column = self.tree.node_at(steps).place
        return Fault(source=self.source, line=line, column=column, path=spelled(steps), message=message, hint=hint)


def read_document(
    path: Path, kind: type[Kind], rules: Callable[[Data], Iterable[Violation]], *, most_bytes: int
) -> ReadDocument[Kind]:
    """Read a file of one kind.

    Raises:
        BadInput: it cannot be read, is no YAML, or holds faults; carries all of them.
    """
    source = source_of(path)
    start = f"it begins with apiVersion: agentgpu.dev/v1alpha1 and kind: {kind.__name__}"
    tree = compose(text_of(read_file(path, most_bytes, of=kind.__name__), source), source, start=start)
    if not isinstance(tree.root, MapNode):
        place = tree.root.place
        message = "the file must hold a mapping (apiVersion, kind, ...)"
        raise BadInput([*tree.faults, Fault(source=source, line=place.line, column=place.column, message=message)])
    data = data_of(tree.root)
    errors: Sequence[ErrorDetails] = ()
    found: Kind | None = None
    try:
        found = kind.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    faults = document_faults(tree, source, kind, errors, rules(data))
    if faults or found is None:
        raise BadInput(faults)
    return ReadDocument(document=found, source=source, tree=tree)
