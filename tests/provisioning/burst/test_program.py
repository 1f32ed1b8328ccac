"""The Pulumi stack of the machines alone: what it holds, and who needs what for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.provisioning.aws.program import deploy as deploy_cluster
from agentgpu_iac.provisioning.burst.program import Settings, check, make
from agentgpu_iac.provisioning.kubernetes.program import Settings as ClusterSettings
from agentgpu_iac.provisioning.program import deploy as deploy_all
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings
from tests.plans import make_joined_plan
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import SETTINGS
from tests.rendered import rendered_once

MACHINE = "pulumi-python:dynamic/agentgpu:SpheronMachine"
RENTED = MachineSettings(
    ssh_public_key="ssh-ed25519 AAAA", secrets={"agents-api-key": "callers-key"}, burst_machines={"demo-burst": 2}
)
PLAN = make_joined_plan()


@cache
def files() -> tuple[RenderedFile, ...]:
    return rendered_once(PLAN)


def deployed(machines: MachineSettings = RENTED, **changes: Any) -> Recording:
    how: dict[str, Any] = dict(machines=machines, cluster=ClusterSettings(), way_out="198.51.100.7")
    settings = Settings(**{**how, **changes})

    def program() -> None:
        check(PLAN, settings)
        for name, value in make(PLAN, files(), settings).items():
            pulumi.export(name, value)

    return record(program)


def refusals(**changes: Any) -> list[str]:
    how: dict[str, Any] = dict(machines=RENTED, cluster=ClusterSettings(), way_out="198.51.100.7", plan=PLAN)
    plan = {**how, **changes}.pop("plan")
    rest = {key: each for key, each in {**how, **changes}.items() if key != "plan"}
    with pytest.raises(BadInput) as caught:
        check(plan, Settings(**rest))
    return [str(fault) for fault in caught.value.faults]


def test_it_holds_machines_their_certificate_and_one_config_map() -> None:
    found = deployed()
    assert {resource.token.rpartition(":")[2] for resource in found.resources} == {
        "MachinesBeside",
        "MachinesCertificate",
        "MachinePool",
        "SpheronMachine",
        "ConfigMap",
        "kubernetes",
    }
    assert [machine.name for machine in found.of(MACHINE)] == ["demo-burst-0", "demo-burst-1"]
    assert found.outputs["certificate"] == "a certificate"
    assert len(found.outputs["burstMachines"]) == 2


def test_the_cluster_is_told_of_those_that_stay() -> None:
    found = deployed(replace(RENTED, burst_listed={"demo-burst": 1}))
    (told,) = found.of("kubernetes:core/v1:ConfigMap")
    assert told.inputs["data"]["machines"] == "demo-burst-0 198.51.100.1\n"
    assert len(found.of(MACHINE)) == 2


def test_the_stack_of_everything_else_then_has_none() -> None:
    """Two owners of one machine, or of the list of them, would take it from each other."""
    apart = replace(SETTINGS, burst_apart=True, machines=MachineSettings())
    found = record(lambda: deploy_cluster(PLAN, files(), apart))
    assert not found.of(MACHINE)
    assert not found.of("kubernetes:core/v1:ConfigMap")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan": PLAN.model_copy(update={"joined": None})}, "no machine stands beside the cluster"),
        ({"way_out": None}, "agentgpu:wayOut: is missing"),
        ({"cluster": ClusterSettings(kubeconfig=Path("/none"))}, "there is no file /none"),
        (
            {"machines": replace(RENTED, burst_machines={"demo-brust": 1})},
            "agentgpu:burstMachines.demo-brust: is no pool that a burst is on (did you mean 'demo-burst'?)",
        ),
        ({"machines": replace(RENTED, burst_machines={"demo-burst": -1})}, "must be a number of machines, 0 or more"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(changes: dict[str, Any], words: str) -> None:
    assert any(words in refusal for refusal in refusals(**changes)), refusals(**changes)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("", "there is no Pulumi program for 'compose'"),
        ("brust", "'brust' is no part of a plan"),
        ("burst", "no machine"),
    ],
)
def test_a_part_is_a_word_and_nothing_is_everything(part: str, words: str) -> None:
    """The project's own Pulumi.yaml sets it to nothing."""
    alone = PLAN.model_copy(update={"target": "compose", "joined": None})
    pulumi.runtime.set_all_config({"agentgpu:part": part})
    try:
        with pytest.raises(BadInput, match=words):
            deploy_all(alone, files(), pulumi.Config("agentgpu"))
    finally:
        pulumi.runtime.set_all_config({})
