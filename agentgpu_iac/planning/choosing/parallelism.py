"""Which parallelism an agent's model may have, on one node and over several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.parallelism import (
    Fault,
    attention_groups_fault,
    expert_parallel_fault,
    tensor_parallel_is_legal,
)

TENSOR_PARALLEL_SIZES = (1, 2, 4, 8)
PIPELINE_PARALLEL_SIZES = (1, 2, 3, 4)
ATTENTION_GROUPS = (2, 4, 8)
MOST_NODES_PER_REPLICA = 4
"""A replica over more nodes is not tried: it is lost with any one of them."""
_MOST_ACCELERATORS = 16
"""Of a replica that is tried on one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How one replica spreads over its accelerators."""

    tensor: int
    """Accelerators that share the heads of one request."""
    pipeline: int
    attention_dp: int = 1
    """Attention groups of that many accelerators."""
    expert: int = 1
    """Parts into which the experts of a stage are dealt out whole; 1: each accelerator has a slice of every expert."""

    @property
    def accelerators(self) -> int:
        """Of one replica."""
        return self.tensor * self.pipeline * self.attention_dp


def legal_parallelism(demand: Demand, *, groups_are_run: bool = False) -> tuple[Sizes, ...]:
    """The sizes that the engine accepts for the model, smallest first, or those set by hand.

    TP must divide the query heads, and the KV heads or be a multiple of them; an odd number of accelerators is
    therefore reached by PP only. PP may not exceed the layers. Attention groups are tried where they can win:
    see ``_with_groups``. Of as many accelerators those in fewer stages come first: a stage works only while another waits.
    """
    sizes = (*_without_groups(demand), *(_with_groups(demand) if groups_are_run else ()))
    return tuple(
        sorted(sizes, key=lambda each: (each.accelerators, each.pipeline, each.attention_dp > 1, each.attention_dp))
    )


def set_by_hand_fault(demand: Demand, *, groups_are_run: bool) -> Fault | None:
    """What is impossible about attention groups and expert parallelism set by hand, whatever the accelerators."""
    overrides, port, model = demand.agent.overrides, PORTS[demand.agent.engine], demand.model
    groups, experts = overrides.attention_data_parallel_size or 1, overrides.expert_parallel_size or 1
    if groups > 1 and (fault := attention_groups_fault(model, groups)):
        return fault
    if groups > 1 and port.groups_of_one and (overrides.tensor_parallel_size or 1) > 1:
        message = f"{port.title} has an attention group on each accelerator: tensorParallelSize is 1 beside them"
        return message, overrides.tensor_parallel_size or 1, 1, "accelerators"
    if groups > 1 and not groups_are_run:
        message = (
            f"no release of {port.title} as it is started here is known to run attention groups that share experts"
        )
        return message, groups, 1, "groups"
    if overrides.tensor_parallel_size is None or experts == 1:
        return expert_parallel_fault(demand.agent.engine, model, experts, experts, experts)
    stage = overrides.tensor_parallel_size * groups
    return expert_parallel_fault(demand.agent.engine, model, stage, experts, stage)


def _without_groups(demand: Demand) -> Iterator[Sizes]:
    """TP and PP alone. Experts are dealt out only where the spec says so: without attention groups, slices of every expert do
    the same work on each accelerator, however unevenly tokens choose.
    """
    model, overrides, draft = demand.model, demand.agent.overrides, demand.draft
    if (overrides.attention_data_parallel_size or 1) > 1:
        return
    if not model.keeps_kv and not overrides.tensor_parallel_size and not overrides.pipeline_parallel_size:
        yield Sizes(tensor=1, pipeline=1)  # encoders are small, have no pipeline stages, and more replicas carry more
        return
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else TENSOR_PARALLEL_SIZES
    pipeline = (overrides.pipeline_parallel_size,) if overrides.pipeline_parallel_size else PIPELINE_PARALLEL_SIZES
    one_stage_only = not PORTS[demand.agent.engine].pipeline_parallel
    for tp in tensor:
        for pp in pipeline:
            if (
                tp * pp <= _MOST_ACCELERATORS
                and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
                and pp <= memory.layer_count(model)
                and (pp == 1 or tp in (1, 2, 4) or overrides.pipeline_parallel_size)
                and (pp == 1 or not one_stage_only)
                and (draft is None or tensor_parallel_is_legal(draft.attention_heads, draft.kv_heads, tp))
                and overrides.expert_parallel_size in (None, 1, tp)
            ):
                yield Sizes(tensor=tp, pipeline=pp, expert=overrides.expert_parallel_size or 1)


def _with_groups(demand: Demand) -> Iterator[Sizes]:
    """Attention data parallelism with the experts dealt out over all its accelerators, in one stage.

    It can win only where tensor parallelism over as many accelerators would hold the same KV more than once: compressed
    attention, whose KV no accelerator shares, and fewer KV heads than accelerators. Elsewhere TP holds the same KV on each
    accelerator with less of the weights.
    """
    model, overrides, agent = demand.model, demand.agent.overrides, demand.agent
    asked = overrides.attention_data_parallel_size
    by_itself = asked is None and overrides.expert_parallel_size is None
    if not model.experts or asked == 1:
        return
    if overrides.pipeline_parallel_size not in (None, 1) or (by_itself and _does_not_fit_groups(demand)):
        return
    sizes = (1,) if PORTS[agent.engine].groups_of_one else TENSOR_PARALLEL_SIZES
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else sizes
    for groups in (asked,) if asked else ATTENTION_GROUPS:
        for tp in tensor:
            stage = tp * groups
            if (
                stage <= _MOST_ACCELERATORS
                and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
                and (asked or kv_heads_that_share(model) < stage)
                and overrides.expert_parallel_size in (None, stage)
                and expert_parallel_fault(agent.engine, model, stage, stage, stage) is None
            ):
                yield Sizes(tensor=tp, pipeline=1, attention_dp=groups, expert=stage)


def _does_not_fit_groups(demand: Demand) -> bool:
    """What no release was read for together with attention groups: drafts, and KV cache on the host."""
    return demand.agent.speculative is not None or demand.agent.kv_offload_gib is not None


def kv_heads_that_share(model: Model) -> int:
    """Accelerators up to which tensor parallelism divides the KV of a request: one with compressed attention."""
    return 1 if model.kv_lora_rank is not None else model.kv_heads


def parallelism_over_nodes(demand: Demand, accelerators_per_node: int) -> tuple[tuple[int, Sizes], ...]:
    """The (nodes, sizes) that the engine accepts over whole nodes, fewest nodes first.

    Tensor parallelism stays within a node, where its all-reduces have NVLink; each node holds the same number of
    pipeline stages, so a node boundary is crossed once by each token. Attention groups stay within a node too: see
    ``several_nodes.wide_experts``.
    """
    model, overrides = demand.model, demand.agent.overrides
    if (overrides.attention_data_parallel_size or 1) > 1:
        return ()
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else TENSOR_PARALLEL_SIZES[::-1]
    return tuple(
        (nodes, Sizes(tensor=tp, pipeline=stages, expert=overrides.expert_parallel_size or 1))
        for nodes in range(2, MOST_NODES_PER_REPLICA + 1)
        for tp in tensor
        if accelerators_per_node % tp == 0
        and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
        and (stages := nodes * (accelerators_per_node // tp)) <= memory.layer_count(model)
        and overrides.pipeline_parallel_size in (None, stages)
        and overrides.expert_parallel_size in (None, 1, tp)
    )
