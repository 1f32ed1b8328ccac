"""The objects that a rendered tree plans: what Kustomize would apply of one overlay."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from agentgpu_iac.clusters.port import Body, at
from agentgpu_iac.errors import BadInput
from agentgpu_iac.operations.snapshot import Kind, Ref
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.plan.overlays import patched, patches_of
from agentgpu_iac.rendering.skyserve import is_of_a_service
from agentgpu_iac.rendering.yaml_text import load

_OVERLAYS = "overlays"
_KUSTOMIZATION = "kustomization.yaml"


def overlays(files: Iterable[RenderedFile]) -> tuple[str, ...]:
    """The overlays of a tree, by name; the one to take where none is named comes first."""
    parts = (file.path.split("/") for file in files)
    return tuple(sorted({each[1] for each in parts if each[0] == _OVERLAYS and len(each) > 2}))


def planned_objects(files: Iterable[RenderedFile], overlay: str | None) -> Mapping[Ref, Body]:
    """Every object of an overlay (the first one for None). Raises BadInput if the tree has no such overlay."""
    by_path = {file.path: file for file in files}
    known = overlays(by_path.values())
    if not known:
        services = any(is_of_a_service(file) for file in by_path.values())
        what, hint = (
            ("SkyServe", "sky serve status") if services else ("virtual machines", "on each machine: docker compose ps")
        )
        raise BadInput.one("status", f"the files of this target are for {what}, not for a cluster", hint=hint)
    chosen = known[0] if overlay is None else overlay
    if chosen not in known:
        hint = f"this stack has {', '.join(known)}"
        raise BadInput.one("--overlay", f"there is no overlay {chosen!r} for this stack", hint=hint)
    bodies = _bodies(by_path, f"{_OVERLAYS}/{chosen}")
    return {ref(body): body for body in bodies}


def ref(body: Body) -> Ref:
    """Which object a body is."""
    return Ref(
        kind=Kind(api_version=str(body.get("apiVersion", "")), name=str(body.get("kind", ""))),
        namespace=str(at(body, "metadata", "namespace") or ""),
        name=str(at(body, "metadata", "name") or ""),
    )


def _bodies(files: Mapping[str, RenderedFile], folder: str) -> Iterator[Body]:
    kustomization = load(files[f"{folder}/{_KUSTOMIZATION}"].content.decode())
    patches = patches_of(kustomization) if isinstance(kustomization, dict) else {}
    for resource in at(kustomization, "resources") or ():
        path = posixpath.normpath(f"{folder}/{resource}")
        if path in files:
            body = load(files[path].content.decode())
            if isinstance(body, dict):
                yield dict(patched(body, patches))
        else:
            yield from (dict(patched(body, patches)) for body in _bodies(files, path))
