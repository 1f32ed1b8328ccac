"""The real side of ``Cluster``: the dynamic client of the ``kubernetes`` package, reading only.

The client's own discovery is left out: it keeps a cache file in the temporary folder, which outlives the answer and may
belong to somebody else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.dynamic import DynamicClient

from agentgpu_iac.clusters.port import Body, Forbidden, Resource, at
from agentgpu_iac.errors import AgentGpuError, BadInput, OutsideFailure
from agentgpu_iac.inputs import MOST_CONFIG_BYTES, read_file, source_of, text_of
from agentgpu_iac.spec.yaml_tree import compose

_CONNECT_S = 5
_READ_S = 30
"""How long to wait for a connection, and for the next bytes of an answer."""

_PAGE = 500

_RETRIES = urllib3.Retry(
    total=None,
    connect=0,
    read=0,
    redirect=0,
    status=5,
    status_forcelist=(HTTPStatus.TOO_MANY_REQUESTS,),
    backoff_factor=0.2,
    raise_on_status=False,
)
"""An API server that is busy, or has just been given a kind, says when to ask again; one that is gone stays gone."""


def connect(kubeconfig: Path | None, context: str | None) -> KubernetesCluster:
    """The cluster of a kubeconfig, or of the pod that we run in. Raises BadInput where neither tells one."""
    settings = client.Configuration()
    try:
        _load(settings, kubeconfig, context)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
        source = str(kubeconfig) if kubeconfig else "kubeconfig"
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput.one(
            source, message, hint="name a kubeconfig with --kubeconfig, or a context with --context"
        ) from None
    settings.retries = _RETRIES
    return KubernetesCluster(client.ApiClient(settings))


def _load(settings: Any, kubeconfig: Path | None, context: str | None) -> None:
    if kubeconfig is not None and not kubeconfig.is_file():
        raise FileNotFoundError("there is no such file")
    for path in _kubeconfigs(kubeconfig):
        text = text_of(read_file(path, MOST_CONFIG_BYTES, of="a kubeconfig"), source_of(path))
        if text.strip():
            compose(text, source_of(path))
    try:
        config.load_kube_config(
            str(kubeconfig) if kubeconfig else None, context, client_configuration=settings, persist_config=False
        )
    except config.ConfigException:
        if kubeconfig or context:
            raise
        try:
            config.load_incluster_config(client_configuration=settings)
        except config.ConfigException:
            raise config.ConfigException("there is no kubeconfig that names a cluster") from None


def _kubeconfigs(named: Path | None) -> tuple[Path, ...]:
    """The files that the client reads: those that are there. It knows no bounds itself."""
    if named is not None:
        return (named,)
    listed = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return tuple(path for each in listed if each not in ("", os.devnull) and (path := Path(each).expanduser()).exists())


class KubernetesCluster:
    """A cluster behind its API server."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._client = DynamicClient(api, discoverer=lambda *_: None)

    def resources(self, api_version: str) -> Mapping[str, Resource]:
        """The kinds of an API version; empty where the cluster does not know it."""
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer = self._get(path)
        except Forbidden as error:
            raise OutsideFailure(str(error)) from None
        return {
            each["kind"]: Resource(path=path, plural=each["name"], namespaced=each["namespaced"])
            for each in at(answer, "resources") or ()
            if "/" not in each["name"]
        }

    def items(self, resource: Resource, namespace: str, labels: str = "", fields: str = "") -> tuple[Body, ...]:
        """The objects of a namespace, or of the whole cluster for "", page by page."""
        found: list[Body] = []
        more: str | None = None
        while True:
            answer = self._get(
                _path(resource, namespace),
                label_selector=labels or None,
                field_selector=fields or None,
                limit=_PAGE,
                _continue=more,
            )
            found += at(answer, "items") or ()
            more = at(answer, "metadata", "continue") or None
            if more is None:
                return tuple(found)

    def item(self, resource: Resource, namespace: str, name: str) -> Body | None:
        """One object, or None where there is none."""
        return self._get(f"{_path(resource, namespace)}/{name}")

    def _get(self, path: str, **parameters: Any) -> Body | None:
        host = self._api.configuration.host
        try:
            answer = self._client.request(
                "get", path, serializer=lambda _, body: body, _request_timeout=(_CONNECT_S, _READ_S), **parameters
            )
        except client.ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise _refusal(host, path, error) from None
            return None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise OutsideFailure(f"{host} does not answer: {_reason(error)}") from None
        if not isinstance(answer, dict):
            raise OutsideFailure(f"{host} answered {path} with something that is not a Kubernetes object")
        return answer


def _path(resource: Resource, namespace: str) -> str:
    within = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return f"{resource.path}{within}/{resource.plural}"


def _refusal(host: str, path: str, error: Any) -> AgentGpuError:
    message = _message(error)
    match error.status:
        case HTTPStatus.FORBIDDEN:
            return Forbidden(message)
        case HTTPStatus.UNAUTHORIZED:
            return OutsideFailure(f"{host} does not know you: {message} (renew your credentials)")
        case _:
            return OutsideFailure(f"{host} answered {path} with {error.status}: {message}")


def _message(error: Any) -> str:
    """What the API server said, without its headers."""
    try:
        told = json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        told = error.reason
    return str(told).strip()


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    text = str(error).strip().splitlines()
    return text[0].rpartition("Failed to establish a new connection: ")[2] if text else type(error).__name__
