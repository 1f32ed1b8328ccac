"""Machines of another provider beside a cluster on EKS: what is rented, who is let in, and what the cluster is told."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings
from tests.plans import make_joined_plan
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import SETTINGS
from tests.provisioning.spheron.ssh_server import make_key, private
from tests.rendered import rendered_once

MACHINE = "pulumi-python:dynamic/agentgpu:SpheronMachine"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
RENTED = MachineSettings(ssh_public_key="ssh-ed25519 AAAA", secrets={"agents-api-key": "callers-key"}, burst_nodes=2)
PLAN = make_joined_plan()


@cache
def files() -> tuple[RenderedFile, ...]:
    return rendered_once(PLAN)


def deployed(machines: MachineSettings = RENTED, **changes: Any) -> Recording:
    return record(lambda: deploy(PLAN, files(), replace(SETTINGS, machines=machines, **changes)))


def refusals(plan: Plan, settings: Settings) -> list[str]:
    with pytest.raises(BadInput) as caught:
        deploy(plan, files(), settings)
    return [str(fault) for fault in caught.value.faults]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return deployed()


def test_as_many_machines_run_as_are_asked_for_and_the_cluster_is_told_of_them(recording: Recording) -> None:
    assert [machine.name for machine in recording.of(MACHINE)] == ["demo-burst-0", "demo-burst-1"]
    (told,) = recording.of(CONFIG_MAP)
    assert told.inputs["metadata"] == {"name": "traffic-router-machines", "namespace": "demo"}
    assert told.inputs["data"] == {
        "machines": "demo-burst-0 198.51.100.1\ndemo-burst-1 198.51.100.1\n",
        "tls.crt": "a certificate",
    }
    assert [machine["pool"] for machine in recording.outputs["burstMachines"]] == ["demo-burst"] * 2


def test_a_machine_lets_in_the_way_out_of_the_cluster_and_holds_its_secrets_as_secrets(recording: Recording) -> None:
    machine = recording.of(MACHINE)[0]
    secret = machine.inputs["cloudInit"]
    assert set(secret) > {"value"}, "a secret, as Pulumi wraps it"
    written = {file["path"]: file["content"] for file in json.loads(secret["value"])["writeFiles"]}
    assert written["/etc/agentgpu/front"] == "192.0.2.7\n"
    assert written["/etc/agentgpu/secrets.env"] == "VLLM_API_KEY='callers-key'\n"
    assert written["/etc/agentgpu/tls/tls.crt"] == "a certificate"
    assert "/opt/agentgpu/front.nft" in written
    inputs = [resource.inputs for resource in recording.resources if resource.token != MACHINE]
    assert "callers-key" not in json.dumps(inputs, default=str), "no other resource holds it, in clear or not"


def test_secrets_are_brought_by_ssh_where_there_is_a_key_and_who_may_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    hosts = tuple(one.model_copy(update={"admin_ranges": ("203.0.113.7/32",)}) for one in PLAN.hosts)
    plan = PLAN.model_copy(update={"hosts": hosts})
    machines = replace(RENTED, ssh_private_key=private(make_key()))
    recording = record(lambda: deploy(plan, rendered_once(plan), replace(SETTINGS, machines=machines)))
    for one in recording.of(MACHINE):
        assert "callers-key" not in json.dumps(one.inputs, default=str)
        assert "its key" not in json.dumps(one.inputs, default=str)
        assert '"/etc/agentgpu/front"' in one.inputs["cloudInit"]
    brought = recording.of("pulumi-python:dynamic/agentgpu:MachineFiles")
    assert [one.name for one in brought] == ["demo-burst-0-secrets", "demo-burst-1-secrets"]
    assert brought[0].inputs["files"]["value"]["/etc/agentgpu/secrets.env"] == "VLLM_API_KEY='callers-key'\n"
    assert not [sentence for sentence in said if "user data" in sentence]
    deployed()
    assert len([sentence for sentence in said if "user data" in sentence]) == 1


def test_the_cluster_is_made_of_its_own_nodes_alone(recording: Recording) -> None:
    groups = [resource.name for resource in recording.resources if resource.token == "aws:eks/nodeGroup:NodeGroup"]
    assert not any("burst" in name for name in groups)
    (applied,) = recording.of("kubernetes:yaml/v2:ConfigGroup")
    names = {(one["kind"], one["metadata"]["name"]) for one in applied.inputs["objs"]}
    assert ("Deployment", "support") in names
    assert ("Deployment", "support-burst") not in names
    assert recording.position(CONFIG_MAP, "demo-machines") > recording.position(
        "kubernetes:yaml/v2:ConfigGroup", "demo"
    )


def test_without_machines_nothing_of_their_seller_is_needed() -> None:
    quiet = deployed(MachineSettings())
    assert quiet.of(MACHINE) == []
    (told,) = quiet.of(CONFIG_MAP)
    assert told.inputs["data"]["machines"] == ""
    assert quiet.outputs["burstMachines"] == []


def test_a_network_that_you_have_says_by_which_address_it_asks() -> None:
    own = dict(vpc_id="vpc-1", private_subnet_ids=("subnet-a", "subnet-b"))
    (refusal,) = refusals(PLAN, replace(SETTINGS, machines=RENTED, **own))
    assert "agentgpu:wayOut: is missing" in refusal
    machine = deployed(**own, way_out="198.51.100.77").of(MACHINE)[0]
    written = json.loads(machine.inputs["cloudInit"]["value"])["writeFiles"]
    assert {"/etc/agentgpu/front": "198.51.100.77\n"}.items() <= {
        one["path"]: one["content"] for one in written
    }.items()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secrets": {}}, "agentgpu:secrets.agents-api-key: is missing"),
        ({"ssh_public_key": None}, "exactly one SSH key"),
        ({"in_clear": ("agentgpu:secrets",)}, "stands in clear"),
        ({"burst_nodes": -1}, "must not be negative"),
    ],
)
def test_settings_that_are_wrong_are_found_before_anything_is_made(changes: dict[str, Any], words: str) -> None:
    (refusal,) = refusals(PLAN, replace(SETTINGS, machines=replace(RENTED, **changes)))
    assert words in refusal


def test_machines_that_nothing_here_rents_are_refused() -> None:
    pool = PLAN.node_pools[1].model_copy(update={"provider": "lambda"})
    other = PLAN.model_copy(update={"node_pools": (PLAN.node_pools[0], pool)})
    (refusal,) = refusals(other, replace(SETTINGS, machines=MachineSettings()))
    assert "nothing here rents machines of lambda as spot" in refusal
