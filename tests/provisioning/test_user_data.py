"""User data of GPU nodes: what nodeadm is told, in one document."""

from __future__ import annotations

import email

import pytest
import yaml

from agentgpu_iac.provisioning.aws.user_data import gpu_node_user_data


@pytest.mark.parametrize("nvme", [True, False])
@pytest.mark.parametrize("parallel_pull", [True, False])
def test_an_array_and_parallel_pulls_are_asked_for_where_they_are_planned(nvme: bool, parallel_pull: bool) -> None:
    text = gpu_node_user_data(cache_path="/mnt/k8s-disks/0/agentgpu-models", nvme=nvme, parallel_pull=parallel_pull)
    message = email.message_from_string(text)
    assert message.defects == []
    told = [
        yaml.safe_load(part.get_payload())["spec"]  # type: ignore[union-attr, arg-type]
        for part in message.get_payload()
        if part.get_content_type() == "application/node.eks.aws"  # type: ignore[union-attr]
    ]
    assert ({"instance": {"localStorage": {"strategy": "RAID0"}}} in told) is nvme
    assert ({"featureGates": {"FastImagePull": True}} in told) is parallel_pull
    assert len(told) == nvme + parallel_pull
