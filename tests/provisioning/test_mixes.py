"""A burst on other machines than the baseline: what Pulumi makes of it."""

from __future__ import annotations

from agentgpu_iac.provisioning.aws.program import deploy
from tests.planning.test_mixes import both
from tests.provisioning.recording import record
from tests.provisioning.scenes import SETTINGS
from tests.provisioning.test_node_pools import accelerator_groups
from tests.rendered import rendered_once


def test_each_tier_has_node_groups_of_its_own_machines() -> None:
    plan = both()
    recording = record(lambda: deploy(plan, rendered_once(plan), SETTINGS))
    groups = accelerator_groups(recording).values()
    found = {(group.inputs["labels"]["agentgpu.dev/tier"], *group.inputs["instanceTypes"]) for group in groups}
    assert found == {("baseline", "g6e.xlarge"), ("burst", "p5.48xlarge")}
    assert {group.inputs["capacityType"] for group in groups} == {"ON_DEMAND", "SPOT"}
    assert set(recording.outputs["agentUrls"]) == {"support"}
