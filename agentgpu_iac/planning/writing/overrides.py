"""Numbers set by hand, each beside the one that would have been computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agentgpu_iac.plan import Override, Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.demand import wanted_model_len
from agentgpu_iac.spec.document import camel
from agentgpu_iac.units import rounded


def of(candidate: Candidate, baseline: Workload) -> tuple[Override, ...]:
    """Every override of one agent, in the order of the spec's fields."""
    agent = candidate.demand.agent
    computed = dict(_computed(candidate, baseline))
    return tuple(
        Override(agent=agent.name, field=camel(field), computed=computed.get(field), value=float(value))
        for field in type(agent.overrides).model_fields
        if (value := getattr(agent.overrides, field)) is not None
    )


def _computed(candidate: Candidate, baseline: Workload) -> Iterator[tuple[str, float | None]]:
    """What would have been computed, by field; the parallelism has no figure of its own, since it was searched for."""
    demand, service = candidate.demand, candidate.computed_service
    agent = demand.agent
    without = agent.model_copy(update={"overrides": type(agent.overrides)()})
    plain = replace(demand, agent=without)
    yield "context_tokens", float(demand.computed_context_tokens)
    terms = candidate.memory
    yield "weights_gib", rounded(terms.computed_weights_gib)
    yield "kv_bytes_per_token", float(terms.computed_kv_bytes_per_token)
    yield "overhead_gib", rounded(terms.computed_overhead_gib(candidate.seats_per_group))
    yield "max_model_len", float(wanted_model_len(demand))
    yield "max_num_seqs", float(candidate.computed_max_num_seqs)
    yield "max_num_batched_tokens", float(candidate.computed_max_num_batched_tokens)
    yield "ttft_ms", service.ttft_ms
    yield "tpot_ms", service.tpot_ms
    yield "output_tokens_per_s", service.output_tokens_per_s
    yield "prefill_tokens_per_s", service.prefill_tokens_per_s
    yield "required_output_tokens_per_s", rounded(plain.output_tokens_per_s(peak=True), 1)
    yield "required_prefill_tokens_per_s", rounded(plain.prefill_tokens_per_s(candidate.prefix_hit_ratio, peak=True), 1)
    yield "baseline_replicas", float(candidate.computed_baseline_replicas)
    yield "burst_replicas", float(candidate.computed_burst_replicas)
    start = baseline.cold_start_s
    before = start.node + start.driver + start.image + start.cache_fill
    yield "cold_start_s", rounded(before + start.warm_node_total + start.first_answer, 1)
