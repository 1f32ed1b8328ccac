"""What can be asked of a cluster.

``Cluster`` is the port; ``kubernetes_api`` is its one real side, and needs the ``kubernetes`` package.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from agentgpu_iac.errors import AgentGpuError, MissingExtra

Body = Mapping[str, Any]
"""A Kubernetes object as JSON."""


def at(body: Any, *place: str | int) -> Any:
    """What stands at a place of an object, or None."""
    for key in place:
        if isinstance(body, Mapping):
            body = body.get(str(key))
        elif isinstance(body, list | tuple) and isinstance(key, int) and -len(body) <= key < len(body):
            body = body[key]
        else:
            return None
    return body


class Forbidden(AgentGpuError):
    """The cluster authenticated us, but access control forbids the read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How the API server serves a kind."""

    path: str
    """Of the API version: ``/api/v1``, ``/apis/apps/v1``."""
    plural: str
    namespaced: bool


class Cluster(Protocol):
    """A cluster that can be read. Its methods raise OutsideFailure where it does not answer."""

    def resources(self, api_version: str) -> Mapping[str, Resource]:
        """The kinds of an API version; empty where the cluster does not know it."""

    def items(self, resource: Resource, namespace: str, labels: str = "", fields: str = "") -> tuple[Body, ...]:
        """The objects of a namespace, or of the whole cluster for "". Raises Forbidden."""

    def item(self, resource: Resource, namespace: str, name: str) -> Body | None:
        """One object, or None where there is none. Raises Forbidden."""


def connect(kubeconfig: Path | None, context: str | None, *, what: str = "status") -> Cluster:
    """The cluster that a kubeconfig names; ``what`` asks for it.

    Raises BadInput if the kubeconfig is malformed, and MissingExtra if the client library is missing.
    """
    try:
        module = importlib.import_module("agentgpu_iac.clusters.kubernetes_api")
    except ModuleNotFoundError as error:
        raise MissingExtra(what, "cluster", error) from None
    return cast(Cluster, module.connect(kubeconfig, context))
