"""Ill nodes, where ``observability.nodeHealth`` is eks-agent: who finds them, and who replaces them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import yaml

from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.rendering.helm_values import helm_values
from tests.plans import make_tiered_plan
from tests.provisioning.aws_api import complaints
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import KARPENTER, SETTINGS
from tests.rendered import rendered_once

ADDON, GROUP = "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"
RELEASE = "kubernetes:helm.sh/v3:Release"
AGENT = "eks-node-monitoring-agent"


def watched(node_health: str) -> Plan:
    plan = make_tiered_plan()
    return plan.model_copy(update={"watching": plan.watching.model_copy(update={"node_health": node_health})})


@cache
def deployed(node_health: str, nodes: str) -> Recording:
    plan = watched(node_health)
    return record(lambda: deploy(plan, rendered_once(plan), {"karpenter": KARPENTER, "node-groups": SETTINGS}[nodes]))


def karpenters(node_health: str) -> dict[str, Any]:
    (release,) = (each for each in deployed(node_health, "karpenter").of(RELEASE) if each.inputs["name"] == "karpenter")
    settings: dict[str, Any] = release.inputs["values"]["settings"]
    return settings


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("nodes", ["karpenter", "node-groups"])
def test_the_agent_comes_with_the_addons_once_there_are_nodes(nodes: str) -> None:
    recording = deployed("eks-agent", nodes)
    (addon,) = (each for each in recording.of(ADDON) if each.inputs["addonName"] == AGENT)
    assert addon.inputs["clusterName"] == "demo"
    assert complaints(addon) == []
    assert recording.position(GROUP, "demo-system") < recording.position(ADDON, f"demo-{AGENT}")


def test_karpenter_replaces_what_it_finds_as_its_chart_s_values_beside_say() -> None:
    assert karpenters("eks-agent")["featureGates"] == {"nodeRepair": True}
    (values,) = (file for file in helm_values(watched("eks-agent")) if file.path.endswith("/karpenter.yaml"))
    assert yaml.safe_load(values.content)["settings"]["featureGates"] == {"nodeRepair": True}


def test_nobody_does_where_it_was_not_asked_for() -> None:
    for nodes in ("karpenter", "node-groups"):
        assert AGENT not in {each.inputs["addonName"] for each in deployed("none", nodes).of(ADDON)}
    assert "featureGates" not in karpenters("none")
