"""What the catalog prices beside the nodes is what the program makes."""

from __future__ import annotations

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.provisioning.aws.cluster import SYSTEM_INSTANCE_TYPES, SYSTEM_NODES


def test_the_system_nodes_that_are_priced_are_those_that_are_made() -> None:
    row = load_catalog().charge("aws", "system-nodes")
    assert row is not None
    assert row.count == SYSTEM_NODES
    assert row.what.startswith(f"system nodes ({', '.join(SYSTEM_INSTANCE_TYPES)})")
