"""Replicas over several nodes: when they are needed, and what a machine and an engine must have for them.

A replica over several nodes is lost with any one of them, starts when the slowest is ready, and no measured run backs
its latency. So it is planned only where one node does not hold the model, on machines with a fast fabric between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import demand_rejection
from agentgpu_iac.planning.choosing.zones import baseline_zones
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.spec.model import Capacity
from agentgpu_iac.units import counted

LEAST_ACCELERATORS = 8
"""Smaller machines have larger ones of the same accelerator beside them, which keep a replica in one piece."""
LEAST_FABRIC_GBPS = 400.0
"""EFA rate of the slowest machine that AWS sells for work over several nodes (p4d.24xlarge). A judgement."""

_A_NODE_IS_TOO_SMALL = frozenset({"memory", "parallelism"})


def are_needed(on_one: Sequence[Candidate | Rejection], machine: Machine) -> bool:
    """Whether one such machine is too small for the model, whatever its parallelism.

    A model that is too slow on one machine is no faster on two: pipeline stages work one after another.
    """
    fitting = [result for result in on_one if _size(result) <= machine.accelerators]
    return all(isinstance(result, Rejection) and result.constraint in _A_NODE_IS_TOO_SMALL for result in fitting)


def _size(result: Candidate | Rejection) -> int:
    if isinstance(result, Candidate):
        return result.accelerators_per_replica
    groups = result.attention_data_parallel_size or 1
    return (result.tensor_parallel_size or 1) * (result.pipeline_parallel_size or 1) * groups


def gbps_between(machine: Machine) -> float:
    """The rate that a hand-over between two such machines is counted with: that of one interface.

    An image without the EFA plugin for NCCL uses TCP on one interface; with it, there is more.
    """
    return machine.fabric_gbps / max(1, machine.instance.efa_interfaces)


def wide_experts(demand: Demand, most_accelerators: int) -> tuple[str, float, float] | None:
    """Why no attention groups go over several machines, where the spec asks for more than the largest one holds.

    Each layer exchanges tokens between all of them, twice. The engines' own exchanges for that (DeepEP) want InfiniBand's
    GPU-initiated sends, which EFA does not have; builds that do it over EFA exist outside the engines' images (vllm-project/vllm
    issues 27898 and 27633, PR 41183; aws/deep-learning-containers PR 6730, a draft in 2026-09). Over TCP the exchange works and
    is slower than one machine.
    """
    overrides = demand.agent.overrides
    groups = overrides.attention_data_parallel_size or 1
    asked = groups * (overrides.tensor_parallel_size or 1)
    if groups == 1 or asked <= most_accelerators:
        return None
    message = (
        f"{counted(asked, 'accelerator')} of attention groups that share experts do not fit one machine of "
        f"{most_accelerators}, and no "
        "engine's image exchanges tokens of experts between machines over EFA: that takes an image of your own, which is not "
        "planned"
    )
    return message, float(asked), float(most_accelerators)


def bar(demand: Demand, machine: Machine, release: EngineRelease) -> Rejection | None:
    """Why no replica may go over several such machines, if it may not."""
    port = PORTS[release.engine]
    if port.nodes_since is None:
        message = (
            f"one {machine.instance.name} does not hold the model, and {port.title} is not run over several nodes here"
        )
        return demand_rejection(demand, machine, "engine", message)
    if not at_least(release.version, port.nodes_since):
        message = (
            f"one {machine.instance.name} does not hold the model, and {port.title} {release.version} cannot go over "
            f"several: {port.nodes_since} and newer can"
        )
        return demand_rejection(demand, machine, "engine-version", message)
    if machine.fabric_gbps < LEAST_FABRIC_GBPS:
        interfaces = machine.instance.efa_interfaces
        has = f"{machine.fabric_gbps:,.0f} Gbps on {counted(interfaces, 'EFA interface')}"
        message = (
            f"one {machine.instance.name} does not hold the model, and a replica over several needs a fabric of "
            f"{LEAST_FABRIC_GBPS:,.0f} Gbps between them: it has {has if interfaces else 'no EFA interface'}"
        )
        return demand_rejection(
            demand, machine, "no-fabric", message, need=LEAST_FABRIC_GBPS, limit=machine.fabric_gbps, unit="Gbps"
        )
    return None


def bar_in_zones(demand: Demand, machine: Machine, capacity: Capacity) -> Rejection | None:
    """Why no replica goes over several machines where replicas are spread over zones."""
    zones = baseline_zones(demand, capacity)
    if zones == 1:
        return None
    message = (
        f"one {machine.instance.name} does not hold the model, and replicas over several machines, which keep to one zone, are "
        f"not spread over {counted(zones, 'zone')} (capacity.survive)"
    )
    return demand_rejection(demand, machine, "several-nodes", message)
