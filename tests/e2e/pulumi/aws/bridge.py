"""The real provider without an engine: its own validation and plan of inputs, asked by the plugin protocol."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from tests.e2e.ports import HOST
from tests.e2e.processes import end, start
from tests.e2e.pulumi.aws.cloud import REGION
from tests.provisioning.recording import Recorded
from tools.install import path as tool

_OFFLINE: Final = {"region": REGION, "skipCredentialsValidation": True, "skipRequestingAccountId": True}
_LARGEST_ANSWER: Final = 1 << 28
_SEED: Final = bytes(32)
"""Suffixes of names come from it."""


class Bridge:
    """The provider's process."""

    def __init__(self, stub: ResourceProviderStub) -> None:
        self._stub = stub
        self._answers: dict[str, tuple[str, ...]] = {}

    def complaints(self, resource: Recorded) -> tuple[str, ...]:
        """What validation says of the inputs, or else the plan of their creation; empty where both are content."""
        key = json.dumps([resource.token, resource.name, resource.inputs], sort_keys=True)
        if key not in self._answers:
            self._answers[key] = tuple(self._complaints(resource))
        return self._answers[key]

    def _complaints(self, resource: Recorded) -> Iterator[str]:
        try:
            checked = self._check(resource)
            yield from (f"{failure.property}: {failure.reason}".strip(": ") for failure in checked.failures)
            if not checked.failures:
                self._stub.Create(messages.CreateRequest(properties=checked.inputs, preview=True, **_named(resource)))
        except grpc.RpcError as error:
            yield str(error.details())

    def replacing(self, resource: Recorded, changed: Recorded) -> tuple[str, ...]:
        """The inputs whose change makes another thing, by the provider's own plan for what is there."""
        old, new = self._check(resource).inputs, self._check(changed).inputs
        planned = self._stub.Create(messages.CreateRequest(properties=old, preview=True, **_named(resource)))
        known = _without_unknown(json_format.MessageToDict(planned.properties))
        answer = self._stub.Diff(
            messages.DiffRequest(id="id", olds=_struct(known), news=new, old_inputs=old, **_named(resource))
        )
        return tuple(sorted(set(answer.replaces)))

    def _check(self, resource: Recorded) -> messages.CheckResponse:
        news = _struct(resource.inputs)
        return self._stub.Check(
            messages.CheckRequest(olds=_struct({}), news=news, randomSeed=_SEED, **_named(resource))
        )


_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the protocol writes what is known after creation."""


def _without_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_unknown(inner) for key, inner in value.items() if inner != _UNKNOWN}
    return [_without_unknown(inner) for inner in value] if isinstance(value, list) else value


def _named(resource: Recorded) -> dict[str, str]:
    urn = f"urn:pulumi:test::agentgpu::{resource.token}::{resource.name}"
    return {"urn": urn, "name": resource.name, "type": resource.token}


def _struct(content: Mapping[str, Any]) -> struct_pb2.Struct:
    found = struct_pb2.Struct()
    found.update(content)
    return found


@contextmanager
def bridge(folder: Path) -> Iterator[Bridge]:
    """Start the provider; it is told to ask AWS nothing."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{HOST}:9",
    }
    with (folder / "provider.log").open("wb") as log:
        command = [tool("pulumi-resource-aws"), f"{HOST}:9"]
        process = start(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            with process.stdout as said:
                port = int(said.readline())
            options = [("grpc.max_receive_message_length", _LARGEST_ANSWER)]
            with grpc.insecure_channel(f"{HOST}:{port}", options=options) as channel:
                stub = ResourceProviderStub(channel)
                stub.Configure(messages.ConfigureRequest(args=_struct(_OFFLINE), acceptSecrets=True))
                yield Bridge(stub)
        finally:
            end(process)
