"""Warnings about one agent: what it may miss, and what its figures rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.summary import has_role
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.caching import UNKNOWN_IMAGE_GB
from agentgpu_iac.planning.candidates import Candidate
from agentgpu_iac.planning.engines import PORTS, calls_tools, needs_other_checkpoint, quantises_at_load
from agentgpu_iac.planning.plan import Warning, Workload
from agentgpu_iac.planning.tiers import sessions_before_ready

COMPLETE_ANSWER_MS = 2_000.0
"""A chat user expects a complete answer within 2 s."""
_ORCHESTRATOR_ROLES = frozenset({"orchestrator"})


def agent_warnings(context: Context, candidate: Candidate) -> Iterator[Warning]:
    """The warnings about one agent."""
    agent = candidate.demand.agent
    tiers = context.tiers[agent.name]
    baseline = tiers[0]
    for found in (
        _too_few_seats(candidate),
        _burst_outruns_cold_start(candidate, baseline),
        _everyone_at_once(candidate, baseline),
        _lone_replica(context, candidate, baseline),
        _not_in_cache(baseline),
        _needs_router(context, candidate, baseline),
        _slow_answer(candidate, baseline),
        _spot_without_notice(tiers),
        _speculation_unmeasured(candidate),
        _loader_unmeasured(baseline),
        _queue_without_limit(baseline),
        _image_without_fabric(baseline),
        _image_size_unknown(context, baseline),
    ):
        if found is not None:
            yield found
    if not baseline.latency.calibrated and baseline.latency.ttft_error_ratio is not None:
        runs = candidate.accelerator.name if candidate.nodes == 1 else f"several nodes of {candidate.accelerator.name}"
        yield warning(
            "uncalibrated",
            f"no measured run on {runs} backs its latency: TTFT may be off by "
            f"{baseline.latency.ttft_error_ratio:.0%} and TPOT by {baseline.latency.tpot_error_ratio:.0%}",
            agent.name,
        )
    cache = baseline.model_cache
    better = next((one for one in cache.choices if one.recommended), None)
    if better is not None and better.path != cache.storage:
        yield warning(
            "storage",
            f"weights load from {cache.storage} in {baseline.cold_start_s.weights:,.0f} s; {better.path} with the "
            f"{better.loader} loader would take {better.seconds:,.0f} s"
            + ("" if better.usd_per_month is None else f" for USD {better.usd_per_month:,.2f} a month and node"),
            agent.name,
        )
    own = context.catalog.calibration(candidate.accelerator.id, candidate.demand.model.id, agent.engine)
    if own is not None:
        yield warning(
            "calibrated-by-you",
            f"figures on {candidate.accelerator.name} follow your measured run {own.source}: overhead "
            f"x {own.overhead_ratio or 1:g}, TTFT x {own.ttft_ratio or 1:g}, TPOT x {own.tpot_ratio or 1:g}",
            agent.name,
        )
    if agent.model_revision is None and baseline.model_source == "catalog":
        yield warning(
            "unpinned", f"model {baseline.model} is taken at revision main; pin it with modelRevision", agent.name
        )
    if baseline.model_source == "config" and context.spec.model_cache.source != "s3":
        yield warning(
            "weights-not-filled",
            f"{baseline.model} is known by its config.json only: put its weights under {baseline.model_cache.path} in the "
            "model cache of each node, then the marker",
            agent.name,
        )
    yield from _precision_warnings(candidate)
    calls = agent.conversation.tool_calls.per_turn
    if agent.engine == "vllm" and (calls >= 1 or has_role(candidate, _ORCHESTRATOR_ROLES)):
        yield warning(
            "engine-suggestion",
            "a multi-step agent re-sends a growing prefix with each step: SGLang's prefix sharing and structured output "
            "may serve it better; try engine: sglang and compare",
            agent.name,
        )
    yield from _parser_warnings(candidate)


def _image_size_unknown(context: Context, baseline: Workload) -> Warning | None:
    """The pull of an image whose size nobody found is a stand-in."""
    engine = baseline.engine
    if context.catalog.release(engine.name, engine.version).image_gb is not None:
        return None
    return warning(
        "image-size-unknown",
        f"the size of the {PORTS[engine.name].title} image is not known: the cold start counts {UNKNOWN_IMAGE_GB:g} GB, that "
        f"of vLLM's, in {baseline.cold_start_s.image:,.0f} s",
        baseline.agent,
    )


def _parser_warnings(candidate: Candidate) -> Iterator[Warning]:
    """Tool calls and reasoning that the engine returns as text, since no parser of it is known for the model."""
    agent, model, port = candidate.demand.agent, candidate.demand.model, PORTS[candidate.demand.agent.engine]
    tools = port.tool_parsers.named(agent.tool_call_parser, model.tool_call_parser)
    if calls_tools(agent) and port.tool_parsers.names and tools is None:
        known = f"no tool-call parser is known for {model.id}"
        if model.tool_call_parser is not None:
            known = (
                f"{port.title} has no counterpart of vLLM's tool-call parser {model.tool_call_parser} for {model.id}"
            )
        yield warning("no-tool-parser", f"{known}: the engine will return tool calls as text", agent.name)
    reasoning = port.reasoning_parsers.named(agent.reasoning_parser, model.reasoning_parser)
    if model.reasoning_parser is not None and reasoning is None:
        yield warning(
            "no-reasoning-parser",
            f"{port.title} has no counterpart of vLLM's reasoning parser {model.reasoning_parser} for {model.id}: the engine "
            "will return the reasoning inside the answer",
            agent.name,
        )


def _too_few_seats(candidate: Candidate) -> Warning | None:
    """Numbers set by hand can leave sessions without a seat."""
    one = candidate.demand
    warm, all_seats = (
        replicas * candidate.max_num_seqs for replicas in (candidate.baseline_replicas, candidate.peak_replicas)
    )
    if warm >= one.concurrent and all_seats >= one.peak:
        return None
    return warning(
        "too-few-seats",
        f"as set by hand, {warm:,} sessions have a seat at normal load ({one.concurrent:,} are expected) and {all_seats:,} at "
        f"the peak ({one.peak:,} are expected): the rest wait or are turned away",
        one.agent.name,
    )


def _burst_outruns_cold_start(candidate: Candidate, baseline: Workload) -> Warning | None:
    """Who carries the sessions that arrive before burst replicas could be ready, and who would not be carried."""
    one, ramp_s = candidate.demand, candidate.demand.agent.traffic.ramp_s
    cold_s = baseline.cold_start_s.total
    if not one.user_facing or one.peak == one.concurrent or ramp_s >= cold_s:
        return None
    warm, seats = candidate.baseline_replicas, candidate.max_num_seqs
    outruns = f"the burst to {one.peak:,} sessions in {ramp_s:,.0f} s outruns the {cold_s:,.0f} s cold start"
    early = sessions_before_ready(one, cold_s)
    if warm * seats >= early:
        lost = max(0.0, 1 - candidate.normal_replicas * seats / early)
        fewer = f"; {candidate.normal_replicas} would turn away {lost:.0%}" if lost > 0 else ""
        plural = "s absorb" if warm > 1 else " absorbs"
        return warning("burst-absorbed", f"{outruns}: {warm} warm replica{plural} it{fewer}", baseline.agent)
    away = 1 - warm * seats / early
    return warning(
        "burst-outruns-cold-start",
        f"{outruns}: the {warm} warm replica{'s hold' if warm > 1 else ' holds'} {warm * seats:,} sessions, so until the burst "
        f"tier is ready about {away:.0%} are turned away (503) by admission control; {candidate.peak_replicas} warm "
        "replicas would take them all",
        baseline.agent,
    )


def _everyone_at_once(candidate: Candidate, baseline: Workload) -> Warning | None:
    """When all sessions of a replica send their prompt in the same moment, the prompts queue for the prefill."""
    latency, ramp_s = baseline.latency, candidate.demand.agent.traffic.ramp_s
    if latency.budget_ttft_ms is None or latency.prefill_ms is None or candidate.speed is None:
        return None
    prefill_ms = max(latency.prefill_ms, 0.001)
    all_read_ms = candidate.max_num_seqs * prefill_ms
    if (
        all_read_ms <= max(latency.budget_ttft_ms, ramp_s * 1000)
        or candidate.demand.peak == candidate.demand.concurrent
    ):
        return None
    in_time = min(1.0, max(0.0, latency.budget_ttft_ms - latency.network_ms) / all_read_ms)
    return warning(
        "prompts-queue",
        f"if all {candidate.max_num_seqs} sessions of a replica send at once, reading their prompts takes "
        f"{all_read_ms / 1000:,.1f} s: about {in_time:.0%} get their first token within {latency.budget_ttft_ms:,.0f} ms",
        baseline.agent,
    )


def _lone_replica(context: Context, candidate: Candidate, baseline: Workload) -> Warning | None:
    outage = baseline.rollout.outage_s
    if not candidate.demand.user_facing or outage == 0:
        return None
    second = context.second_replicas.get(baseline.agent)
    price = f"; a second warm replica costs USD {second.delta_usd_per_month:,.2f} a month more" if second else ""
    return warning(
        "single-replica",
        f"one replica and no spare accelerator: every rollout is an outage of about {outage:,.0f} s, and a lost node one "
        f"of about {baseline.cold_start_s.total:,.0f} s{price}",
        baseline.agent,
    )


def _not_in_cache(baseline: Workload) -> Warning | None:
    uncached, budget = baseline.latency.uncached_ttft_ms, baseline.latency.budget_ttft_ms
    if uncached is None or budget is None or uncached <= budget:
        return None
    return warning(
        "cache-miss",
        f"TTFT holds while a session's context stays in the prefix cache (hit ratio {baseline.routing.prefix_hit_ratio:.2f} "
        f"assumed); a session whose cache was lost waits {uncached:,.0f} ms, over the budget of {budget:,.0f} ms",
        baseline.agent,
    )


def _needs_router(context: Context, candidate: Candidate, baseline: Workload) -> Warning | None:
    """A router left out by the spec, while the sums still count on a session's way back to its context."""
    if baseline.agent in context.routed or candidate.peak_replicas == 1 or baseline.routing.policy == "round-robin":
        return None
    return warning(
        "router-needed",
        f"the plan counts on sessions returning to the one of {candidate.peak_replicas} replicas that holds their context, "
        f"and network.router is none: unless a router of yours hashes {context.spec.network.session_header}, the Service "
        f"spreads connections and the prefix hit ratio falls to about {1 / candidate.peak_replicas:.2f}. Set router: auto, or "
        "routing: round-robin to have the misses counted",
        baseline.agent,
    )


def _slow_answer(candidate: Candidate, baseline: Workload) -> Warning | None:
    latency = baseline.latency
    if candidate.demand.agent.latency_class != "chat" or latency.e2e_ms is None or latency.e2e_ms <= COMPLETE_ANSWER_MS:
        return None
    if candidate.demand.budget_e2e_ms is not None or latency.ttft_ms is None or not latency.tpot_ms:
        return None
    fitting = max(0, math.floor((COMPLETE_ANSWER_MS - latency.ttft_ms) / latency.tpot_ms))
    wanted = candidate.demand.shape.output_tokens_per_turn
    return warning(
        "answer-over-2s",
        f"a complete answer of {wanted:,} tokens takes {latency.e2e_ms / 1000:,.1f} s with every session generating; "
        f"{fitting:,} tokens fit into 2 s. Set e2eMs to make it a budget",
        baseline.agent,
    )


def _spot_without_notice(tiers: Sequence[Workload]) -> Warning | None:
    for one in tiers:
        if not one.user_facing or one.drain.notice_s != 0:
            continue
        return warning(
            "spot-without-notice",
            f"tier {one.tier} runs on spot of a provider that gives no notice: a reclaimed node loses up to "
            f"{one.max_num_seqs} answers per replica at once",
            one.agent,
        )
    return None


def _speculation_unmeasured(candidate: Candidate) -> Warning | None:
    """Speculation helps or hurts by how many tokens are accepted, which only a run shows."""
    speculative = candidate.demand.agent.speculative
    if speculative is None or speculative.accepted_tokens is not None:
        return None
    return warning(
        "speculative-unmeasured",
        f"speculative decoding ({speculative.method}, {speculative.tokens} tokens a step) is counted in memory only: it may "
        "speed up or slow down, and TPOT is predicted as if it did neither; set speculative.acceptedTokens once measured",
        candidate.demand.agent.name,
    )


def _loader_unmeasured(baseline: Workload) -> Warning | None:
    """The time of a loader that no measured run covers on this storage is the default loader's."""
    cache = baseline.model_cache
    measured = cache.loader in ("default", "safetensors") or (
        cache.loader == "runai-streamer" and cache.storage == "ebs-gp3"
    )
    if measured:
        return None
    return warning(
        "loader-unmeasured",
        f"no measured run of {cache.loader} from {cache.storage} is known: the cold start counts the default loader's "
        f"{baseline.cold_start_s.weights:,.0f} s for the weights",
        baseline.agent,
    )


def _queue_without_limit(baseline: Workload) -> Warning | None:
    limit, engine = baseline.admission.max_queued_requests, baseline.engine
    if limit is None or PORTS[engine.name].limits_queue(engine.version):
        return None
    return warning(
        "queue-not-limited",
        f"{PORTS[engine.name].title} {engine.version} cannot limit its queue: the planned {limit} requests of a replica are "
        "not enforced by it",
        baseline.agent,
    )


def _image_without_fabric(baseline: Workload) -> Warning | None:
    """The public vLLM image has no EFA libraries (vllm-project/vllm issue 55635, open in September 2026)."""
    if not baseline.pod.efa_interfaces:
        return None
    return warning(
        "efa-image",
        f"the {baseline.nodes_per_replica} nodes of a replica reach one another by EFA only if the engine image has libfabric "
        f"and the aws-ofi-nccl plugin; {baseline.engine.image} is not known to: without them NCCL uses TCP, which the "
        "latency counts with. Name an image that has them with pins.engineImage",
        baseline.agent,
    )


def _precision_warnings(candidate: Candidate) -> Iterator[Warning]:
    one = candidate.demand
    if quantises_at_load(one.model, one.precision):
        yield warning(
            "quantised-at-load",
            f"the engine makes FP8 weights from the {one.model.native_precision} checkpoint at load: check answer quality, "
            "or name a published FP8 checkpoint",
            one.agent.name,
        )
    elif needs_other_checkpoint(one.model, one.precision):
        yield warning(
            "other-checkpoint",
            f"{one.model.id} is published in {one.model.native_precision}: {one.precision} needs a checkpoint quantised that "
            "way; name it as the model",
            one.agent.name,
        )
