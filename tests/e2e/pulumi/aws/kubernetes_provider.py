"""``pulumi-resource-kubernetes`` as a test double: it writes down the objects that it is given, one file each.

What it does NOT check: anything about the objects. No API server sees them, nothing becomes ready, ``skipAwait`` means
nothing, and a diff is the engine's own comparison of inputs. Another suite runs the real provider against a real API
server; here only what the AWS program hands over, in which order, and what Pulumi does with it, is looked at.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi
from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main as serve

from tests.e2e.pulumi.aws.lifeline import leave_with_the_engine
from tests.e2e.pulumi.aws.values import marked_map, plain, plain_map

FOLDER_VARIABLE = "KUBERNETES_DOUBLE_FOLDER"
GROUP = "kubernetes:yaml/v2:ConfigGroup"


class KubernetesDouble(protocol.Provider):
    """Builds a ConfigGroup's children, and keeps each object as a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def construct(self, request: protocol.ConstructRequest) -> protocol.ConstructResponse:
        if request.resource_type != GROUP:
            raise NotImplementedError(f"the double builds no {request.resource_type}")
        group = pulumi.ComponentResource(GROUP, request.name, {}, request.options)
        for value in plain(request.inputs["objs"]):
            pulumi.CustomResource(
                f"kubernetes:{_version(value)}:{value['kind']}",
                f"{request.name}:{_ident(value)}",
                value,
                pulumi.ResourceOptions(parent=group),
            )
        urn = await group.urn.future()
        assert urn is not None
        return protocol.ConstructResponse(urn=urn, state={}, state_dependencies={})

    async def configure(self, request: protocol.ConfigureRequest) -> protocol.ConfigureResponse:
        return protocol.ConfigureResponse(accept_secrets=True, supports_preview=False)

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        content = plain_map(request.properties)
        ident = _ident(content)
        self._file(request.type, ident).write_text(json.dumps(content, indent=1), encoding="utf-8")
        return protocol.CreateResponse(resource_id=ident, properties=dict(request.properties))

    async def read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        file = self._file(request.type, request.resource_id)
        if not file.exists():
            return protocol.ReadResponse(resource_id="")
        found: dict[str, PropertyValue] = marked_map(json.loads(file.read_text("utf-8")), like=request.properties)
        return protocol.ReadResponse(resource_id=request.resource_id, properties=found, inputs=found)

    async def update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        file = self._file(request.type, request.resource_id)
        file.write_text(json.dumps(plain_map(request.news), indent=1), encoding="utf-8")
        return protocol.UpdateResponse(properties=dict(request.news))

    async def delete(self, request: protocol.DeleteRequest) -> None:
        self._file(request.type, request.resource_id).unlink()

    def _file(self, token: str, ident: str) -> Path:
        return self._folder / f"{token.rpartition(':')[2]}.{ident.replace('/', '.')}.json"


def _version(value: dict[str, Any]) -> str:
    api_version = str(value["apiVersion"])
    return api_version if "/" in api_version else f"core/{api_version}"


def _ident(value: dict[str, Any]) -> str:
    metadata = value.get("metadata", value)  # a Helm release has its name beside its values
    return "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def main() -> None:
    """Serve the protocol on a loopback port, as a plugin does."""
    leave_with_the_engine()
    serve(sys.argv[1:], version("pulumi-kubernetes"), KubernetesDouble(Path(os.environ[FOLDER_VARIABLE])))
