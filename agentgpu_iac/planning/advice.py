"""What the plan says about itself: its pattern and architecture, the headline, and warnings with their numbers.

Every sentence is made from figures of the plan; none of them changes a decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.planning import delivery
from agentgpu_iac.planning.caching import UNKNOWN_IMAGE_GB
from agentgpu_iac.planning.candidates import Candidate
from agentgpu_iac.planning.engines import PORTS, calls_tools, needs_other_checkpoint, quantises_at_load
from agentgpu_iac.planning.plan import Architecture, Cost, NodePool, Pattern, Rejection, RouterPlan, Warning, Workload
from agentgpu_iac.planning.tiers import Refusal, reserved_ratio, reserved_refusal, sessions_before_ready, spot_refusal
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.units import HOURS_PER_MONTH

HIGH_CONCURRENCY_SESSIONS = 1_000
"""Sessions at the peak from which a stack is a high-concurrency API."""
RULING_SHARE = 0.9
"""Share of a stack's sessions from which one agent's traffic is the stack's."""
REASONING_TOKENS_PER_TURN = 1_000
REASONING_KV_GIB = 4.0
"""KV cache per session from which memory for long contexts rules the choice (a 70B model with GQA at 16K)."""
SINGLE_NODE_SESSIONS = 100
"""Up to about this many sessions a single node with replicas behind a round robin is enough."""
SMALL_MODEL_PARAMS = 10_000_000_000
LARGE_MODEL_PARAMS = 30_000_000_000
COMPLETE_ANSWER_MS = 2_000.0
"""A chat user expects a complete answer within 2 s."""

_ORCHESTRATOR_ROLES = frozenset({"orchestrator"})
_ROUTER_ROLES = frozenset({"router", "classifier"})
_REASONER_ROLES = frozenset({"reasoner"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What there is to say something about."""

    spec: StackSpec
    catalog: Catalog
    stack: str
    candidates: tuple[Candidate, ...]
    workloads: tuple[Workload, ...]
    node_pools: tuple[NodePool, ...]
    router: RouterPlan | None
    cost: Cost
    groups_complete: bool

    def baseline(self, agent: str) -> Workload:
        """The baseline workload of an agent."""
        return next(one for one in self.workloads if one.agent == agent and one.tier == "baseline")

    def pool(self, name: str) -> NodePool:
        """The node pool of that name."""
        return next(one for one in self.node_pools if one.name == name)


def _has_role(candidate: Candidate, roles: frozenset[str]) -> bool:
    return (candidate.demand.agent.role or "").casefold() in roles


def is_reasoning_heavy(candidate: Candidate) -> bool:
    """Long reasoning or long contexts: the KV cache rules the choice of accelerator."""
    conversation = candidate.demand.agent.conversation
    accelerators = candidate.accelerators_per_replica
    return (
        _has_role(candidate, _REASONER_ROLES)
        or conversation.reasoning_tokens_per_turn >= REASONING_TOKENS_PER_TURN
        or candidate.memory.kv_per_session_gib * accelerators >= REASONING_KV_GIB
    )


def pattern(context: Context) -> Pattern:
    """The mission's pattern that the stack follows."""
    candidates = context.candidates
    peaks = [one.demand.peak for one in candidates]
    if max(peaks) >= max(HIGH_CONCURRENCY_SESSIONS, RULING_SHARE * sum(peaks)):
        return "high-concurrency-api"
    if len(candidates) > 1:
        return "multi-agent-orchestration"
    return "reasoning-heavy" if is_reasoning_heavy(candidates[0]) else "single-agent"


def architecture(context: Context) -> Architecture:
    """The mission's architecture that the placement amounts to."""
    baseline_providers = {pool.provider for pool in context.node_pools if pool.tier == "baseline"}
    burst_providers = {pool.provider for pool in context.node_pools if pool.tier == "burst"}
    if burst_providers and burst_providers != baseline_providers:
        return "multi-provider-burst"
    params = [one.demand.model.params_total for one in context.candidates]
    classes = {one.accelerator.id for one in context.candidates}
    has_router = any(_has_role(one, _ROUTER_ROLES) for one in context.candidates)
    spread = min(params) <= SMALL_MODEL_PARAMS and max(params) >= LARGE_MODEL_PARAMS
    if len(classes) > 1 and (has_router or spread):
        return "tiered-by-complexity"
    if sum(pool.max for pool in context.node_pools) == 1:
        return "single-node"
    return "baseline-and-burst"


def headline(context: Context) -> str:
    """The plan in one or two sentences."""
    counted: dict[str, int] = {}
    for pool in context.node_pools:
        if pool.tier == "baseline":
            bought = "" if pool.capacity_types[0] == "on-demand" else f", {pool.capacity_types[0]}"
            accelerator = context.catalog.accelerator(pool.accelerator).name
            kind = f"{pool.instance_types[0]} ({pool.accelerators_per_node} x {accelerator}{bought})"
            counted[kind] = counted.get(kind, 0) + pool.min
    nodes = [f"{count} x {kind}" for kind, count in counted.items()]
    keep = "keeps" if sum(counted.values()) == 1 else "keep"
    burst = sum(pool.max for pool in context.node_pools if pool.tier == "burst")
    sessions = sum(min(one.demand.concurrent, one.baseline_replicas * one.max_num_seqs) for one in context.candidates)
    peak = sum(min(one.demand.peak, one.peak_replicas * one.max_num_seqs) for one in context.candidates)
    fullest = max(context.workloads, key=lambda one: one.memory.utilization_ratio)
    headroom = 1 - fullest.memory.utilization_ratio
    if any(one.share_group for one in context.workloads):
        headroom = 1 - max(_group_ratios(context).values())
    if burst:
        grown = f"{burst} node{_plural(burst)}"
        carries = f"{keep} {sessions:,} session{_plural(sessions)} warm, and {grown} more carry {peak:,} at the peak"
    else:
        carries = f"{keep} the {peak:,} session{_plural(peak)} of the peak resident"
    cost = context.cost
    return (
        f"{' + '.join(nodes)} {carries}, with at least {headroom:.0%} of each accelerator free. "
        f"USD {cost.baseline_usd_per_month:,.2f} a month warm, USD {cost.peak_usd_per_hour:,.2f} an hour at the peak."
    )


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def _group_ratios(context: Context) -> dict[str, float]:
    ratios: dict[str, float] = {}
    for one in context.workloads:
        key = one.share_group or one.name
        ratios[key] = ratios.get(key, 0.0) + one.memory.utilization_ratio
    return ratios


def warnings(context: Context) -> tuple[Warning, ...]:
    """All warnings: those of the stack first, then agent by agent."""
    found = [*_stack_warnings(context)]
    for candidate in context.candidates:
        found.extend(_agent_warnings(context, candidate))
    return tuple(found)


def _warn(code: str, message: str, agent: str | None = None) -> Warning:
    return Warning(code=code, agent=agent, message=message)


def _stack_warnings(context: Context) -> Iterator[Warning]:
    spec = context.spec
    if spec.pins.engine_image is None:
        images = sorted({one.engine.image for one in context.workloads})
        yield _warn("unpinned", f"image {', '.join(images)} is named by tag; pin its digest with pins.engineImage")
        yield from _image_registries(context)
    if spec.target == "eks" and spec.pins.ami_alias is None:
        yield _warn("unpinned", "the nodes' AMI is not pinned; set pins.amiAlias to a release such as al2023@vYYYYMMDD")
    yield from _router_warnings(context)
    for pool in context.node_pools:
        if not pool.price_date:
            yield _warn(
                "undated-price", f"the price of {pool.instance_types[0]} ({pool.provider}) has no date in its source"
            )
        if pool.fixed_size:
            yield _warn(
                "fixed-size-pool",
                f"pool {pool.name} shares each accelerator by device-plugin time-slicing, which autoscalers do not see: "
                "it has a fixed size, is made as a managed node group, and is not given to Karpenter",
            )
    yield from _held_capacity(context)
    if spec.gitops is not None and (applied := delivery.overlay(spec, context.node_pools)) != spec.gitops.overlay:
        yield _warn(
            "gitops-overlay",
            f"Karpenter makes none of the nodes, so {spec.gitops.tool} is told to apply the overlay {applied}, not "
            f"{spec.gitops.overlay}",
        )
    yield from _scaling_warnings(context)
    for engine, version in sorted({(one.engine.name, one.engine.version) for one in context.workloads}):
        if version not in {release.version for release in context.catalog.releases if release.engine == engine}:
            yield _warn(
                "unknown-engine-version",
                f"{engine} {version} is not in the catalog: it is accounted for as the nearest earlier release, and nobody "
                "has checked that an image of that version exists",
            )
    if not context.groups_complete:
        yield _warn(
            "sharing-not-exhaustive",
            "too many small agents to try every group of them on one accelerator; first-fit groups were considered, "
            "so the optimality gap holds over those",
        )


def _scaling_warnings(context: Context) -> Iterator[Warning]:
    """What the burst tiers lack to be scaled as the spec says."""
    wanted = context.spec.scaling
    bursts = [one for one in context.workloads if one.tier == "burst"]
    unscaled = [one.name for one in bursts if one.scaling is None]
    if unscaled:
        why = (
            "scaling.method is none"
            if wanted.method == "none"
            else "no source names the engine's series for running and waiting requests"
        )
        yield _warn(
            "burst-not-scaled",
            f"nothing raises {', '.join(unscaled)} from 0 replicas when the burst comes ({why}): scale it yourself, "
            "or keep the peak warm (overrides.baselineReplicas)",
        )
    scaled = [one for one in bursts if one.scaling is not None]
    if scaled and context.spec.observability.monitors == "none":
        yield _warn(
            "metrics-not-scraped",
            f"nothing rendered scrapes the engines (observability.monitors is none), but {', '.join(one.name for one in scaled)} "
            "scale on their series: scrape port http of the engine pods, and copy the pods' labels agentgpu.dev/agent and "
            "agentgpu.dev/tier to the series",
        )
    for one in scaled:
        if one.scaling is not None and one.scaling.min_replicas:
            extra = one.replica_usd_per_hour * Decimal(
                str(HOURS_PER_MONTH - context.spec.capacity.burst_hours_per_month)
            )
            yield _warn(
                "hpa-keeps-one",
                f"an HPA cannot scale to 0: one replica of {one.name} always runs, up to USD {extra:,.2f} a month beyond the "
                "plan's cost; scaling.method keda scales to 0",
                one.agent,
            )
    yield from _schedule_warnings(context, bursts)


def _schedule_warnings(context: Context, bursts: Sequence[Workload]) -> Iterator[Warning]:
    """Schedules that cannot be kept as they stand."""
    by_agent = {one.agent: one for one in bursts}
    wanted = context.spec.scaling
    for one in wanted.schedule:
        burst = by_agent.get(one.agent)
        if burst is None:
            yield _warn(
                "schedule-ignored",
                f"the schedule from {one.start!r} asks for {one.replicas} burst replicas, but {one.agent} has no burst tier: "
                "its warm replicas carry the peak",
                one.agent,
            )
        elif wanted.method != "keda" or burst.scaling is None:
            yield _warn(
                "schedule-ignored",
                f"the schedule from {one.start!r} is not kept: only scaling.method keda scales by the clock",
                one.agent,
            )
        elif one.replicas > burst.replicas.max:
            yield _warn(
                "schedule-capped",
                f"the schedule from {one.start!r} asks for {one.replicas} burst replicas; the plan has nodes for "
                f"{burst.replicas.max}",
                one.agent,
            )


def _image_registries(context: Context) -> Iterator[Warning]:
    """Images that the cluster's default registry does not hold."""
    used = sorted({(one.engine.name, one.engine.version, one.engine.image) for one in context.workloads})
    for engine, version, image in used:
        if context.catalog.release(engine, version).needs_registry:
            yield _warn(
                "image-registry",
                f"{PORTS[engine].title} publishes {image} in a registry of its own, which the name lacks: set pins.engineImage "
                "to the full reference with its digest, or let the nodes mirror it",
            )


def _held_capacity(context: Context) -> Iterator[Warning]:
    """Karpenter's documentation and EC2's say when a Capacity Block ends."""
    pools = [pool for pool in context.node_pools if pool.reservation != "none"]
    if not pools:
        return
    names = ", ".join(pool.name for pool in pools)
    first = f"pool{_plural(len(pools))} {names} use held capacity first, if it carries the tag karpenter.sh/discovery: "
    if pools[0].reservation == "on-demand":
        rest = "the cost counts its nodes at the on-demand price, at which a reservation is billed whether it is used or not"
    else:
        rest = (
            "the cost counts its nodes at the price that they have without it, since a block was paid when it was bought. "
            "EC2 begins to end its instances 30 minutes before the block does, and Karpenter drains them 10 minutes earlier"
        )
    yield _warn("held-capacity", f"{first}{context.stack}; {rest}")


def _agent_warnings(context: Context, candidate: Candidate) -> Iterator[Warning]:
    agent = candidate.demand.agent
    baseline = context.baseline(agent.name)
    for found in (
        _too_few_seats(candidate),
        _burst_outruns_cold_start(candidate, baseline),
        _everyone_at_once(candidate, baseline),
        _lone_replica(context, candidate, baseline),
        _not_in_cache(baseline),
        _needs_router(context, candidate, baseline),
        _slow_answer(candidate, baseline),
        _spot_without_notice(context, candidate),
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
        yield _warn(
            "uncalibrated",
            f"no measured run on {runs} backs its latency: TTFT may be off by "
            f"{baseline.latency.ttft_error_ratio:.0%} and TPOT by {baseline.latency.tpot_error_ratio:.0%}",
            agent.name,
        )
    cache = baseline.model_cache
    better = next((one for one in cache.choices if one.recommended), None)
    if better is not None and better.path != cache.storage:
        yield _warn(
            "storage",
            f"weights load from {cache.storage} in {baseline.cold_start_s.weights:,.0f} s; {better.path} with the "
            f"{better.loader} loader would take {better.seconds:,.0f} s"
            + ("" if better.usd_per_month is None else f" for USD {better.usd_per_month:,.2f} a month and node"),
            agent.name,
        )
    own = context.catalog.calibration(candidate.accelerator.id, candidate.demand.model.id, agent.engine)
    if own is not None:
        yield _warn(
            "calibrated-by-you",
            f"figures on {candidate.accelerator.name} follow your measured run {own.source}: overhead "
            f"x {own.overhead_ratio or 1:g}, TTFT x {own.ttft_ratio or 1:g}, TPOT x {own.tpot_ratio or 1:g}",
            agent.name,
        )
    if agent.model_revision is None and baseline.model_source == "catalog":
        yield _warn(
            "unpinned", f"model {baseline.model} is taken at revision main; pin it with modelRevision", agent.name
        )
    if baseline.model_source == "config" and context.spec.model_cache.source != "s3":
        yield _warn(
            "weights-not-filled",
            f"{baseline.model} is known by its config.json only: put its weights under {baseline.model_cache.path} in the "
            "model cache of each node, then the marker",
            agent.name,
        )
    yield from _precision_warnings(candidate)
    calls = agent.conversation.tool_calls.per_turn
    if agent.engine == "vllm" and (calls >= 1 or _has_role(candidate, _ORCHESTRATOR_ROLES)):
        yield _warn(
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
    return _warn(
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
        yield _warn("no-tool-parser", f"{known}: the engine will return tool calls as text", agent.name)
    reasoning = port.reasoning_parsers.named(agent.reasoning_parser, model.reasoning_parser)
    if model.reasoning_parser is not None and reasoning is None:
        yield _warn(
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
    return _warn(
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
        return _warn("burst-absorbed", f"{outruns}: {warm} warm replica{plural} it{fewer}", baseline.agent)
    away = 1 - warm * seats / early
    return _warn(
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
    return _warn(
        "prompts-queue",
        f"if all {candidate.max_num_seqs} sessions of a replica send at once, reading their prompts takes "
        f"{all_read_ms / 1000:,.1f} s: about {in_time:.0%} get their first token within {latency.budget_ttft_ms:,.0f} ms",
        baseline.agent,
    )


def _lone_replica(context: Context, candidate: Candidate, baseline: Workload) -> Warning | None:
    outage = baseline.rollout.outage_s
    if not candidate.demand.user_facing or outage == 0:
        return None
    second = next(
        (
            one
            for one in context.cost.alternatives
            if one.agent == baseline.agent and one.replicas == 2 and "second" in one.description
        ),
        None,
    )
    price = f"; a second warm replica costs USD {second.delta_usd_per_month:,.2f} a month more" if second else ""
    return _warn(
        "single-replica",
        f"one replica and no spare accelerator: every rollout is an outage of about {outage:,.0f} s, and a lost node one "
        f"of about {baseline.cold_start_s.total:,.0f} s{price}",
        baseline.agent,
    )


def _not_in_cache(baseline: Workload) -> Warning | None:
    uncached, budget = baseline.latency.uncached_ttft_ms, baseline.latency.budget_ttft_ms
    if uncached is None or budget is None or uncached <= budget:
        return None
    return _warn(
        "cache-miss",
        f"TTFT holds while a session's context stays in the prefix cache (hit ratio {baseline.routing.prefix_hit_ratio:.2f} "
        f"assumed); a session whose cache was lost waits {uncached:,.0f} ms, over the budget of {budget:,.0f} ms",
        baseline.agent,
    )


def _needs_router(context: Context, candidate: Candidate, baseline: Workload) -> Warning | None:
    """A router left out by the spec, while the sums still count on a session's way back to its context."""
    routed = context.router is not None and context.router.route(baseline.agent) is not None
    if routed or candidate.peak_replicas == 1 or baseline.routing.policy == "round-robin":
        return None
    return _warn(
        "router-needed",
        f"the plan counts on sessions returning to the one of {candidate.peak_replicas} replicas that holds their context, "
        f"and network.router is none: unless a router of yours hashes {context.spec.network.session_header}, the Service "
        f"spreads connections and the prefix hit ratio falls to about {1 / candidate.peak_replicas:.2f}. Set router: auto, or "
        "routing: round-robin to have the misses counted",
        baseline.agent,
    )


def _router_warnings(context: Context) -> Iterator[Warning]:
    router = context.router
    if context.spec.security.api_key_secret is not None and (router is None or router.kind != "nginx"):
        yield _warn(
            "key-not-everywhere",
            "engines ask for the API key under /v1 only: vLLM also answers prompts under /invocations, without a key. "
            "network.router: nginx lets nothing but /v1 through; else security.callers says who may reach the engines",
        )
    if router is None:
        return
    if context.spec.pins.router_image is None:
        yield _warn("unpinned", f"image {router.image} is named by tag; pin its digest with pins.routerImage")
    if router.gateway is not None:
        yield _warn(
            "gateway-address",
            f"callers reach an agent through Gateway {router.gateway.namespace}/{router.gateway.name} under "
            f"/{context.stack}/<agent>/v1; the Services in the endpoints ConfigMap pass by the endpoint picker",
        )


def _slow_answer(candidate: Candidate, baseline: Workload) -> Warning | None:
    latency = baseline.latency
    if candidate.demand.agent.latency_class != "chat" or latency.e2e_ms is None or latency.e2e_ms <= COMPLETE_ANSWER_MS:
        return None
    if candidate.demand.budget_e2e_ms is not None or latency.ttft_ms is None or not latency.tpot_ms:
        return None
    fitting = max(0, math.floor((COMPLETE_ANSWER_MS - latency.ttft_ms) / latency.tpot_ms))
    wanted = candidate.demand.shape.output_tokens_per_turn
    return _warn(
        "answer-over-2s",
        f"a complete answer of {wanted:,} tokens takes {latency.e2e_ms / 1000:,.1f} s with every session generating; "
        f"{fitting:,} tokens fit into 2 s. Set e2eMs to make it a budget",
        baseline.agent,
    )


def _spot_without_notice(context: Context, candidate: Candidate) -> Warning | None:
    for one in context.workloads:
        if one.agent != candidate.demand.agent.name or not one.user_facing or one.drain.notice_s != 0:
            continue
        return _warn(
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
    return _warn(
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
    return _warn(
        "loader-unmeasured",
        f"no measured run of {cache.loader} from {cache.storage} is known: the cold start counts the default loader's "
        f"{baseline.cold_start_s.weights:,.0f} s for the weights",
        baseline.agent,
    )


def _queue_without_limit(baseline: Workload) -> Warning | None:
    limit, engine = baseline.admission.max_queued_requests, baseline.engine
    if limit is None or PORTS[engine.name].limits_queue(engine.version):
        return None
    return _warn(
        "queue-not-limited",
        f"{PORTS[engine.name].title} {engine.version} cannot limit its queue: the planned {limit} requests of a replica are "
        "not enforced by it",
        baseline.agent,
    )


def _image_without_fabric(baseline: Workload) -> Warning | None:
    """The public vLLM image has no EFA libraries (vllm-project/vllm issue 55635, open in September 2026)."""
    if not baseline.pod.efa_interfaces:
        return None
    return _warn(
        "efa-image",
        f"the {baseline.nodes_per_replica} nodes of a replica reach one another by EFA only if the engine image has libfabric "
        f"and the aws-ofi-nccl plugin; {baseline.engine.image} is not known to: without them NCCL uses TCP, which the "
        "latency counts with. Name an image that has them with pins.engineImage",
        baseline.agent,
    )


def _precision_warnings(candidate: Candidate) -> Iterator[Warning]:
    one = candidate.demand
    if quantises_at_load(one.model, one.precision):
        yield _warn(
            "quantised-at-load",
            f"the engine makes FP8 weights from the {one.model.native_precision} checkpoint at load: check answer quality, "
            "or name a published FP8 checkpoint",
            one.agent.name,
        )
    elif needs_other_checkpoint(one.model, one.precision):
        yield _warn(
            "other-checkpoint",
            f"{one.model.id} is published in {one.model.native_precision}: {one.precision} needs a checkpoint quantised that "
            "way; name it as the model",
            one.agent.name,
        )


def purchase_rejections(context: Context) -> tuple[Rejection, ...]:
    """Cheaper ways to buy the chosen nodes that were refused: spot and reserved capacity."""
    found: list[Rejection] = []
    spec = context.spec
    user_sessions = sum(one.demand.concurrent for one in context.candidates if one.demand.user_facing)
    may_reserve = reserved_ratio(spec.observed, user_sessions) > 0
    for candidate in context.candidates:
        for workload in context.workloads:
            if workload.agent != candidate.demand.agent.name:
                continue
            pool = context.pool(workload.node_pool)
            for refusal in _refusals(context, candidate, workload, pool, may_reserve):
                found.append(
                    Rejection(
                        agent=workload.agent,
                        accelerator=workload.accelerator,
                        instance_type=pool.instance_types[0],
                        tensor_parallel_size=workload.tensor_parallel_size,
                        pipeline_parallel_size=workload.pipeline_parallel_size,
                        precision=workload.precision,
                        constraint=refusal.constraint,
                        need=refusal.need,
                        limit=refusal.limit,
                        unit=refusal.unit,
                        message=refusal.message,
                    )
                )
    return tuple(found)


def _refusals(
    context: Context, candidate: Candidate, workload: Workload, pool: NodePool, may_reserve: bool
) -> Iterator[Refusal]:
    if not candidate.demand.user_facing:
        return
    capacity, catalog = context.spec.capacity, context.catalog
    ways = {
        offering.capacity_type
        for offering in catalog.offerings
        if (offering.provider, offering.instance_type.name, offering.region)
        == (pool.provider, pool.instance_types[0], pool.region)
    }
    if workload.tier == "baseline":
        if "spot" in ways and "spot" not in pool.capacity_types:
            yield Refusal(
                constraint="spot-baseline",
                need=1.0,
                limit=0.0,
                unit="nodes on spot",
                message="a user-facing baseline is never on spot: a reclaimed node would drop live sessions",
            )
        if "reserved" in ways and not may_reserve:
            yield reserved_refusal(context.spec.observed)
    elif "spot" in ways and "spot" not in pool.capacity_types:
        notice = catalog.provider(pool.provider).interruption_notice_s
        refusal = spot_refusal(candidate.demand, capacity, notice, workload.drain.grace_period_s)
        if refusal is not None:
            yield refusal
