"""Warnings about one agent, in the order in which they are read, and those about its weights and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import Warning, Workload
from agentgpu_iac.planning import gates
from agentgpu_iac.planning.advice import answering, engine, load
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.schedules import schedule_warnings
from agentgpu_iac.planning.advice.thinking import thinking_warnings
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing import caching, streaming
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.targets import target_of


def agent_warnings(context: Context, candidate: Candidate) -> Iterator[Warning]:
    """The warnings about one agent."""
    agent = candidate.demand.agent
    tiers = context.tiers[agent.name]
    baseline = tiers[0]
    pooled = candidate.demand.load is not None
    under_load = _of_requests(context, candidate, tiers) if pooled else _of_sessions(context, candidate, tiers)
    for found in (
        *under_load,
        load.spot_without_notice(tiers),
        engine.speculation_unmeasured(candidate),
        engine.weights_unpacked(candidate),
        _loader_unmeasured(baseline),
        engine.queue_without_limit(baseline),
        engine.image_without_fabric(baseline),
        engine.attention_groups(context, baseline),
        engine.image_size_unknown(context, baseline),
        _uncalibrated(candidate, baseline),
        _better_storage(baseline),
        _bucket_not_streamed(context, candidate, tiers),
        _calibrated_by_you(context, candidate),
        _model_unpinned(candidate, baseline),
        _beside_unpinned(candidate, baseline),
        _weights_not_filled(context, baseline),
        _gate_unknown(context, candidate),
    ):
        if found is not None:
            yield found
    yield from schedule_warnings(context, candidate)
    yield from engine.precision_warnings(candidate)
    if pooled:
        return
    yield from filter(None, (engine.other_engine(candidate),))
    yield from engine.parser_warnings(context, candidate)
    yield from thinking_warnings(candidate, baseline)


def _of_sessions(context: Context, candidate: Candidate, tiers: Sequence[Workload]) -> Iterator[Warning | None]:
    """What an agent meets that holds sessions."""
    baseline = tiers[0]
    yield load.too_few_seats(candidate)
    yield load.burst_outruns_cold_start(candidate, tiers)
    yield load.burst_shares_gateway(context, candidate, tiers)
    yield load.everyone_at_once(candidate, baseline)
    yield load.lone_replica(context, candidate, baseline)
    yield load.not_in_cache(baseline)
    yield load.never_in_cache(candidate, baseline)
    yield load.needs_router(context, candidate, baseline)
    yield load.latency_risk(candidate, baseline)
    yield load.slow_answer(candidate, baseline)


def _of_requests(context: Context, candidate: Candidate, tiers: Sequence[Workload]) -> Iterator[Warning | None]:
    """What an agent meets whose model generates nothing."""
    baseline = tiers[0]
    yield answering.burst_of_requests(candidate, baseline)
    yield load.lone_replica(context, candidate, baseline)
    yield answering.answer_risk(candidate, baseline)
    yield answering.unmeasured_answers(baseline)
    yield answering.pairs_without_template(candidate, baseline)


def _uncalibrated(candidate: Candidate, baseline: Workload) -> Warning | None:
    if baseline.latency.calibrated or baseline.latency.ttft_error_ratio is None:
        return None
    runs = candidate.accelerator.name if candidate.nodes == 1 else f"several nodes of {candidate.accelerator.name}"
    return warning(
        "uncalibrated",
        f"no measured run on {runs} backs its latency: TTFT may be off by "
        f"{baseline.latency.ttft_error_ratio:.0%} and TPOT by {baseline.latency.tpot_error_ratio:.0%}",
        baseline.agent,
    )


def _better_storage(baseline: Workload) -> Warning | None:
    cache = baseline.model_cache
    better = next((choice for choice in cache.choices if choice.recommended), None)
    if better is None or better.path == cache.storage or cache.streamed_from is not None:
        return None
    price = "" if better.usd_per_month is None else f" for USD {better.usd_per_month:,.2f} a month and node"
    return warning(
        "storage",
        f"weights load from {cache.storage} in {baseline.cold_start_s.weights:,.0f} s; {better.path} with the "
        f"{better.loader} loader would take {better.seconds:,.0f} s{price}",
        baseline.agent,
    )


def _bucket_not_streamed(context: Context, candidate: Candidate, tiers: Sequence[Workload]) -> Warning | None:
    """What streaming from the bucket would save the tier whose nodes come last, where it is left off."""
    tier, agent = tiers[-1], candidate.demand.agent
    cache, start = tier.model_cache, tier.cold_start_s
    wished = context.spec.model_cache
    if wished.source != "s3" or wished.stream != "never" or not target_of(context.spec).can.opens_buckets_to_pods:
        return None
    if wished.loader not in ("auto", "runai-streamer") or tier.nodes_per_replica > 1:
        return None
    streamed = next((choice for choice in cache.choices if choice.path == "s3"), None)
    release = context.catalog.release(tier.engine.name, tier.engine.version)
    now_s = start.cache_fill + start.weights
    if streamed is None or streaming.bar(agent, release) is not None or streamed.seconds >= now_s:
        return None
    return warning(
        "bucket-not-streamed",
        f"a first start on a fresh node takes {start.cache_fill:,.0f} s to fill the cache from the bucket and "
        f"{start.weights:,.0f} s to read it; the engine would stream the weights in {streamed.seconds:,.0f} s: modelCache: "
        "{stream: auto}; a restart on the same node would stream again",
        agent.name,
    )


def _calibrated_by_you(context: Context, candidate: Candidate) -> Warning | None:
    agent = candidate.demand.agent
    own = context.catalog.calibration(candidate.accelerator.id, candidate.demand.model.id, agent.engine)
    if own is None:
        return None
    return warning(
        "calibrated-by-you",
        f"figures on {candidate.accelerator.name} follow your measured run {own.source}: overhead "
        f"x {own.overhead_ratio or 1:g}, TTFT x {own.ttft_ratio or 1:g}, TPOT x {own.tpot_ratio or 1:g}",
        agent.name,
    )


def _model_unpinned(candidate: Candidate, baseline: Workload) -> Warning | None:
    if caching.revision(candidate.demand.agent) != "main" or baseline.model_source != "catalog":
        return None
    return warning(
        "unpinned", f"model {baseline.model} is taken at revision main; pin it with modelRevision", baseline.agent
    )


def _beside_unpinned(candidate: Candidate, baseline: Workload) -> Warning | None:
    agent = candidate.demand.agent
    loose = [f"adapter {adapter.source} (revision)" for adapter in agent.lora_adapters if adapter.revision is None]
    if agent.speculative is not None and agent.speculative.model and agent.speculative.model_revision is None:
        loose.append(f"draft {agent.speculative.model} (modelRevision)")
    if not loose:
        return None
    return warning("unpinned", f"taken at revision main: {', '.join(loose)}; pin what stands behind it", baseline.agent)


def _weights_not_filled(context: Context, baseline: Workload) -> Warning | None:
    if baseline.model_source != "config" or context.spec.model_cache.source == "s3":
        return None
    return warning(
        "weights-not-filled",
        f"{baseline.model} is known by its config.json only: put its weights under {baseline.model_cache.path} in the "
        "model cache of each node, then the marker",
        baseline.agent,
    )


def _gate_unknown(context: Context, candidate: Candidate) -> Warning | None:
    demand = candidate.demand
    repositories = gates.unknown_gates(demand.agent, demand.model, context.spec, context.catalog)
    if not repositories:
        return None
    return warning(
        "gate-unknown",
        f"whether the hub gives {', '.join(repositories)} without a token is not known, and no {gates.TOKEN_FIELD} is named: "
        "with a gate, nodes would be paid for and never start",
        demand.name,
    )


def _loader_unmeasured(baseline: Workload) -> Warning | None:
    """The time of a loader that no measured run covers on this storage is the default loader's."""
    cache = baseline.model_cache
    measured = cache.loader in ("default", "safetensors") or (
        cache.loader == "runai-streamer" and (cache.storage == "ebs-gp3" or cache.streamed_from is not None)
    )
    if measured:
        return None
    return warning(
        "loader-unmeasured",
        f"no measured run of {cache.loader} from {cache.storage} is known: the cold start counts the default loader's "
        f"{baseline.cold_start_s.weights:,.0f} s for the weights",
        baseline.agent,
    )
