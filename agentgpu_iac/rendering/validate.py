"""Check rendered manifests against the schemas of a Kubernetes version, strictly and without a cluster.

The schemas come with the optional package ``kubernetes-validate``. They know Kubernetes' own kinds; for the others
(Karpenter's, Kustomize's) there is nothing to check against, and ``validation`` says which those are.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TypeAlias

import yaml

from agentgpu_iac.errors import BadInput, Fault, MissingExtra
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.rendering.skyserve import is_of_a_service
from agentgpu_iac.rendering.validate_hosts import is_of_a_machine, machine_faults
from agentgpu_iac.rendering.yaml_text import Mapping, load

_SUFFIXES = (".yaml", ".yml")

_Outcome: TypeAlias = "Fault | str | None"
"""A fault, or what was not checked, or nothing where the object is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """What the schemas say, and of what they say nothing."""

    faults: tuple[Fault, ...]
    """One for each object at most, in the order of the files."""
    not_checked: tuple[str, ...]
    """Objects that no schema describes, as ``path: Kind name``."""


def validate(files: Iterable[RenderedFile], kubernetes_version: str) -> tuple[Fault, ...]:
    """What is wrong with the manifests. ``validation`` also says which of them could not be checked."""
    return validation(files, kubernetes_version).faults


def validation(files: Iterable[RenderedFile], kubernetes_version: str) -> ValidationReport:
    """Check all manifests among the files; of virtual machines' files, the structure.

    Raises BadInput where the version has no schemas, MissingExtra without ``kubernetes-validate``.
    """
    every = tuple(files)
    machines = tuple(file for file in every if is_of_a_machine(file))
    of_machines = machine_faults(machines)
    every = tuple(file for file in every if not is_of_a_machine(file))
    if machines and not any(file.path.endswith("kustomization.yaml") for file in every):
        return ValidationReport(faults=of_machines, not_checked=())
    if services := tuple(file.path for file in every if is_of_a_service(file)):
        return ValidationReport(faults=(), not_checked=tuple(f"{path}: SkyServe service" for path in services))
    library = _library()
    version = _known_version(library, kubernetes_version)
    outcomes = [_outcome(library, version, file) for file in every if file.path.endswith(_SUFFIXES)]
    return ValidationReport(
        faults=(*(each for each in outcomes if isinstance(each, Fault)), *of_machines),
        not_checked=tuple(each for each in outcomes if isinstance(each, str)),
    )


def _outcome(library: ModuleType, version: str, file: RenderedFile) -> _Outcome:
    try:
        manifest = load(file.content.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return Fault(source=file.path, message=f"is not YAML: {error}")
    if not isinstance(manifest, dict) or not manifest.get("apiVersion") or not manifest.get("kind"):
        return Fault(source=file.path, message="is not a Kubernetes object")
    try:
        library.validate(manifest, version, strict=True)
    except library.ValidationError as error:
        place = ".".join(str(key) for key in error.path)
        return Fault(source=file.path, path=place, message=str(error.message))
    except library.SchemaNotFoundError:
        return f"{file.path}: {manifest['kind']} {_name(manifest)}".rstrip()
    return None


def _name(manifest: Mapping) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _library() -> ModuleType:
    try:
        return importlib.import_module("kubernetes_validate.utils")
    except ModuleNotFoundError as error:
        raise MissingExtra("render --validate", "validate", error) from None


def _known_version(library: ModuleType, wanted: str) -> str:
    """The wanted version as ``major.minor``. Raises BadInput where it has no schemas of its own."""
    match = re.fullmatch(r"v?(\d+\.\d+)(\.\d+.*)?", wanted)
    known = [".".join(version.split(".")[:2]) for version in library.all_versions()]
    if match is None or match[1] not in known:
        hint = f"known: {known[0]} to {known[-1]}"
        raise BadInput.one("validate", f"no schemas for Kubernetes {wanted!r}", hint=hint)
    return match[1]
