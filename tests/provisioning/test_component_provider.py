"""The schema that programs in other languages get: a name in it is kept."""

from __future__ import annotations

import json

import pytest
from pulumi.errors import InputPropertiesError
from pulumi.provider.server import ProviderServicer

from agentgpu_iac import __version__
from agentgpu_iac.pulumi.provider import Components

REQUIRED = {
    "AgentStack": ((), ("agentStack",)),
    "Network": (("plan", "zones"), ("privateSubnetIds", "vpcId")),
    "Cluster": (
        ("apiAllowedCidrs", "plan", "subnetIds"), ("clusterName", "kubeconfig", "nodeRoleArn", "securityGroupId"),
    ),
    "GpuNodePool": (
        ("clusterName", "clusterSecurityGroupId", "nodeRoleArn", "plan", "pool", "subnetIds"), ("nodeGroupArns",),
    ),
    "Karpenter": (("chart", "clusterName", "kubeconfig", "plan"), ()),
    "ModelCacheBucket": (("clusterName", "plan"), ()),
    "Serving": (("plan",), ("notApplied",)),
}  # fmt: skip


def test_the_schema_of_the_components() -> None:
    schema = json.loads(Components().schema or "")
    assert (schema["name"], schema["version"]) == ("agentgpu", __version__)
    found = {
        name.removeprefix("agentgpu:index:"): (
            tuple(sorted(one.get("requiredInputs") or ())), tuple(sorted(one.get("required") or ())),
        )
        for name, one in schema["resources"].items()
    }  # fmt: skip
    assert found == REQUIRED
    for one in schema["resources"].values():
        assert one["isComponent"]
        assert one["description"]
        assert all(
            each.get("description") for each in (*one["inputProperties"].values(), *one.get("properties", {}).values())
        )


def test_what_is_wrong_reaches_the_engine_as_a_sentence() -> None:
    """Pulumi's server makes no answer of an error without a list, and fails itself."""
    with pytest.raises(InputPropertiesError, match=r"missing\.json") as caught:
        Components().construct("agents", "agentgpu:index:AgentStack", {"plan": "missing.json"})
    server = ProviderServicer(Components(), [], "127.0.0.1:9")
    status = server.create_grpc_invalid_properties_status(caught.value.message, caught.value.errors)
    assert status.trailing_metadata
