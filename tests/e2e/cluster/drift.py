"""What an API server added to an object, or wrote otherwise than we did: what a GitOps tool may take for drift."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_RECORD = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
"""Of ``metadata``: the API server's own record of every object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A difference that is right, and why."""

    kind: str
    """A regular expression, as the path is."""
    path: str
    reason: str

    def covers(self, kind: str, path: str) -> bool:
        """Whether a difference is this one."""
        return bool(re.fullmatch(self.kind, kind) and re.fullmatch(self.path, path))


ALLOWED = (
    Allowed(
        kind="Namespace",
        path=r"spec|metadata\.labels\.kubernetes\.io/metadata\.name",
        reason="the API server's own: the finalizer and the label that every namespace has",
    ),
    Allowed(
        kind="Service",
        path=r"spec\.(clusterIP|clusterIPs|ipFamilies)",
        reason="allocated by the cluster, from its own address ranges",
    ),
    Allowed(
        kind="PersistentVolume|PersistentVolumeClaim",
        path=r"metadata\.finalizers|metadata\.annotations(\.pv\.kubernetes\.io/.*)?",
        reason="written by the volume controllers when they protect and bind a volume and its claim",
    ),
    Allowed(
        kind="PersistentVolume",
        path=r"spec\.claimRef\.(uid|resourceVersion)",
        reason="written by the volume controller: which claim of that name it has bound",
    ),
    Allowed(
        kind="Deployment|DaemonSet|LeaderWorkerSet",
        path=r".*\.serviceAccount",
        reason="the deprecated second name of serviceAccountName: the API server mirrors it",
    ),
    Allowed(
        kind="Deployment",
        path=r"spec\.replicas",
        reason="of a burst tier that something scales: its manifest leaves the number to whoever does",
    ),
    Allowed(
        kind="Deployment",
        path=r"metadata\.annotations\.deployment\.kubernetes\.io/revision",
        reason="the Deployment controller's count of versions",
    ),
    Allowed(
        kind="DaemonSet",
        path=r"metadata\.annotations(\.deprecated\.daemonset\.template\.generation)?",
        reason="the API server's count of versions, for clients of the first DaemonSet API",
    ),
)
"""Every difference that a correct object may have. One that no object has is a fault of this list."""


def differences(ours: dict[str, Any], live: dict[str, Any]) -> tuple[str, ...]:
    """Paths at which the live object has something else than ours: a value added, changed or gone. Status is not ours."""
    metadata = {key: value for key, value in live["metadata"].items() if key not in _RECORD}
    spoken = {key: value for key, value in live.items() if key != "status"}
    return tuple(sorted(_differences(ours, {**spoken, "metadata": metadata}, "")))


def _differences(ours: object, live: object, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(live, dict):
        for key in {**ours, **live}:
            at = f"{path}.{key}" if path else str(key)
            if key in ours and key in live:
                yield from _differences(ours[key], live[key], at)
            else:
                yield at
    elif isinstance(ours, list) and isinstance(live, list) and len(ours) == len(live):
        for index, (left, right) in enumerate(zip(ours, live, strict=True)):
            yield from _differences(left, right, f"{path}[{index}]")
    elif ours != live:
        yield path
