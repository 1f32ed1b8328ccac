"""Settings of one deployment that say how its cluster and nodes are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pulumi

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import NodePool
from agentgpu_iac.provisioning.aws.node_updates import generation_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """How cluster and nodes are kept."""

    node_group_generations: Mapping[str, int] = field(default_factory=dict)
    """``agentgpu:nodeGroupGenerations``: by pool, 2 for new node groups in place of the first, then 3."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> ClusterSettings:
        """Read the settings of the selected Pulumi stack."""
        return cls(node_group_generations=config.get_object("nodeGroupGenerations") or {})

    def faults(self, grouped: tuple[NodePool, ...], source: str) -> Iterator[Fault]:
        """What is wrong with them beside the pools that become node groups."""
        yield from generation_faults(self.node_group_generations, grouped, source)
