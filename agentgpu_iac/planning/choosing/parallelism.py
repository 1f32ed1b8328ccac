"""Which parallelism an agent's model may have, on one node and over several."""

from __future__ import annotations

from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.parallelism import tensor_parallel_is_legal

TENSOR_PARALLEL_SIZES = (1, 2, 4, 8)
PIPELINE_PARALLEL_SIZES = (1, 2, 3, 4)
MOST_NODES_PER_REPLICA = 4
"""A replica over more nodes is not tried: it is lost with any one of them."""


def legal_parallelism(demand: Demand) -> tuple[tuple[int, int], ...]:
    """The (TP, PP) pairs that the engine accepts for the model, smallest first, or the one set by hand.

    TP must divide the query heads, and the KV heads or be a multiple of them; an odd number of accelerators is
    therefore reached by PP only. PP may not exceed the layers.
    """
    model, overrides, draft = demand.model, demand.agent.overrides, demand.draft
    if not model.keeps_kv and not overrides.tensor_parallel_size and not overrides.pipeline_parallel_size:
        return ((1, 1),)  # encoders are small, have no pipeline stages, and more replicas carry more
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else TENSOR_PARALLEL_SIZES
    pipeline = (overrides.pipeline_parallel_size,) if overrides.pipeline_parallel_size else PIPELINE_PARALLEL_SIZES
    one_stage_only = not PORTS[demand.agent.engine].pipeline_parallel
    pairs = [
        (tp, pp)
        for tp in tensor
        for pp in pipeline
        if tp * pp <= 16
        and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
        and pp <= memory.layer_count(model)
        and (pp == 1 or tp in (1, 2, 4) or overrides.pipeline_parallel_size)
        and (pp == 1 or not one_stage_only)
        and (draft is None or tensor_parallel_is_legal(draft.attention_heads, draft.kv_heads, tp))
    ]
    return tuple(sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1])))


def parallelism_over_nodes(demand: Demand, accelerators_per_node: int) -> tuple[tuple[int, int, int], ...]:
    """The (nodes, TP, PP) that the engine accepts over whole nodes, fewest nodes first.

    Tensor parallelism stays within a node, where its all-reduces have NVLink; each node holds the same number of
    pipeline stages, so a node boundary is crossed once by each token.
    """
    model, overrides = demand.model, demand.agent.overrides
    tensor = (overrides.tensor_parallel_size,) if overrides.tensor_parallel_size else TENSOR_PARALLEL_SIZES[::-1]
    return tuple(
        (nodes, tp, stages)
        for nodes in range(2, MOST_NODES_PER_REPLICA + 1)
        for tp in tensor
        if accelerators_per_node % tp == 0
        and tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tp)
        and (stages := nodes * (accelerators_per_node // tp)) <= memory.layer_count(model)
        and overrides.pipeline_parallel_size in (None, stages)
    )
