"""Workloads: one deployment in one tier, as the plan writes it down. What was chosen is spelled out; how a pod starts, stops,
rolls out and turns requests away follows from it.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from agentgpu_iac.catalog.model import EngineLimit
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import (
    AdmissionPlan,
    ColdStartPlan,
    EnginePlan,
    EnvironmentVariable,
    LatencyPlan,
    MemoryPlan,
    ModelCachePlan,
    NodePool,
    PodPlan,
    ProbePlan,
    ReplicaRange,
    RolloutOutages,
    RolloutPlan,
    RolloutSteps,
    RoutingPlan,
    StepTimesPlan,
    ThroughputPlan,
    Topology,
    WeightLoader,
    Workload,
)
from agentgpu_iac.plan.names import workload_name
from agentgpu_iac.planning import priorities
from agentgpu_iac.planning.choosing import caching, host_memory, joined, leaving
from agentgpu_iac.planning.choosing.candidates import Candidate, max_model_len, replica_service
from agentgpu_iac.planning.engines import PORT, PORTS, EngineSettings, parsers_in
from agentgpu_iac.planning.engines.limits import limit_arguments
from agentgpu_iac.planning.pools import Placed, Pool, replacement
from agentgpu_iac.planning.running import security, shared_memory, watching
from agentgpu_iac.planning.running.answering import pooling_plan
from agentgpu_iac.planning.running.answering import waiting_room as room_of_requests
from agentgpu_iac.planning.running.generating import generating_plan
from agentgpu_iac.planning.running.pace import pace_plan
from agentgpu_iac.planning.running.served import served_names
from agentgpu_iac.planning.running.why import chosen_because
from agentgpu_iac.planning.thinking import thinking_plan, told_to_engine
from agentgpu_iac.sizing import memory, starting, tails
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import GIB, MIB, rounded, usd_per_hour

_CENT: Final = Decimal("0.01")
_PROBE_PERIOD_S = 10
_STREAMER_LIMIT = "RUNAI_STREAMER_MEMORY_LIMIT"
"""What the Run:ai streamer reads ahead at most, in bytes; without it 40 GB in each process."""


def workload_plan(
    member: Placed, pool: Pool, node_pool: NodePool, start: ColdStartPlan, spec: StackSpec, catalog: Catalog
) -> Workload:
    """The deployment in the tier of that pool, whose replicas start there as ``start`` says."""
    candidate, release = member.candidate, member.release
    demand, agent = candidate.demand, candidate.demand.agent
    storage = caching.storage(pool.machine, caching.models_gib(node_pool.cached_models), spec)
    utilization = _memory_share(member)
    memory_plan, kv_budget_bytes = _memory_plan(member, pool, utilization)
    model_len, _ = max_model_len(candidate, release, memory_plan.engine_budget_gib)
    can_be_interrupted = "spot" in pool.purchase.capacity_types
    notice = catalog.provider(pool.machine.instance.provider).interruption_notice_s if can_be_interrupted else None
    port = PORTS[agent.engine]
    least_patience_s = starting.least_patience_s(
        caching.started_engine(candidate, release), demand.precision, candidate.nodes
    )
    probes = _probes(start, least_patience_s)
    leaves = member.drain if notice is None else leaving.on_spot(member.drain, notice)
    replicas = member.replicas(pool.tier)
    most = candidate.service.most_generating
    wide_area_ms, round_trip_ms = joined.wide_area_ms(pool.machine, spec), joined.round_trip_ms(pool.machine, spec)
    given = agent.overrides.max_waiting_requests
    waiting_room = _waiting_room(candidate, round_trip_ms) if given is None else given
    admission = _admission(candidate, most, waiting_room, spec, catalog.queue_limit(agent.engine, release.version))
    metrics = watching.metrics_plan(catalog.engine_metrics(agent.engine, release.version), demand, round_trip_ms)
    engines = pool.engines_per_accelerator
    loader = caching.loader(candidate, pool.machine, release, storage, spec, engines)
    streamer_mib = _streamer_mib(candidate, pool, loader)
    path = caching.directory(demand.model.id, caching.revision(agent))
    streams = caching.streams(candidate, pool.machine, release, spec, engines)
    bucket = spec.model_cache.bucket if streams else None
    variables = None
    if catalog.engine_can(agent.engine, release.version, "template-variables"):
        variables = told_to_engine(demand.thinking, demand.model)
    if member.share_group is not None:
        own_part = math.ceil(memory_plan.engine_budget_gib / memory_plan.capacity_gib * 100) / 100
        utilization = port.shared_memory_share or own_part
    image = spec.pins.engine_image or release.image
    settings = EngineSettings(
        agent=agent.model_copy(update={"kv_offload_gib": candidate.kv_offload_gib or None}),
        served_names=served_names(demand),
        model=demand.model,
        version=release.version,
        image=image,
        parsers=parsers_in(catalog, agent.engine, release.version),
        model_path=path,
        bucket_address=None if bucket is None else f"{bucket}/{path}",
        draft_path=None if (draft := caching.draft(candidate)) is None else draft.path,
        adapter_paths=tuple(caching.adapter(adapter).path for adapter in agent.lora_adapters),
        lora_ranks=candidate.memory.replica.lora_ranks,
        tensor_parallel=candidate.sizes.tensor,
        pipeline_parallel=candidate.sizes.pipeline,
        attention_dp=candidate.sizes.attention_dp,
        expert_parallel=candidate.sizes.expert,
        nodes=candidate.nodes,
        join_timeout_s=max(least_patience_s, math.ceil(start.upper.total)),
        precision=demand.precision,
        max_model_len=model_len,
        max_num_seqs=candidate.seats_per_group,
        max_num_batched_tokens=candidate.max_num_batched_tokens,
        gpu_memory_utilization=utilization,
        kv_cache_memory_bytes=kv_budget_bytes,
        kv_bytes_per_token=candidate.memory.kv_bytes_per_token + candidate.memory.draft_kv_bytes_per_token,
        loader=loader,
        template_variables=variables,
        asks_for_prefix_cache=candidate.prefix_cache == "when-told",
        shutdown_timeout_s=leaves.shutdown_timeout_s,
        limit_arguments=limit_arguments(catalog.engine_limits(agent.engine, release.version), most, admission),
        ttft_edges_s=() if metrics is None else metrics.ttft_edges_s,
        tpot_edges_s=() if metrics is None else metrics.tpot_edges_s,
    )
    return Workload(
        agent=agent.name,
        agents=served_names(demand),
        role=agent.role,
        tier=pool.tier,
        name=workload_name(agent.name, pool.tier, is_rest=member.first is not None),
        node_pool=pool.name,
        share_group=member.share_group,
        latency_class=agent.latency_class,
        user_facing=demand.user_facing,
        interruptible=demand.agent.interruptible,
        model=demand.model.id,
        model_source="config" if demand.model.is_local else "catalog",
        pooling=pooling_plan(candidate),
        served_model_name=port.served_model_name(settings),
        engine=EnginePlan(
            name=port.name,
            version=release.version,
            image=image,
            command=port.command,
            args=(*port.arguments(settings), *(port.api_key_args if spec.security.api_key_secret else ())),
            worker_args=port.worker_arguments(settings),
            environment=(*port.environment(), *_streamer_environment(streamer_mib), *_bucket_environment(bucket, pool)),
            secret_environment=security.engine_variables(port, spec),
            files=port.files(settings),
            health_path=port.health_path,
            ready_path=port.ready_path,
        ),
        accelerator=candidate.accelerator.id,
        accelerators_per_replica=candidate.accelerators_per_replica,
        tensor_parallel_size=candidate.sizes.tensor,
        pipeline_parallel_size=candidate.sizes.pipeline,
        attention_data_parallel_size=candidate.sizes.attention_dp,
        expert_parallel_size=candidate.sizes.expert,
        group_choice=candidate.groups.choice if candidate.groups.count > 1 else None,
        nodes_per_replica=candidate.nodes,
        gbps_between_nodes=rounded(candidate.gbps_between_nodes, 3),
        precision=demand.precision,
        kv_cache_dtype=agent.kv_cache_dtype,
        max_model_len=model_len,
        max_num_seqs=candidate.max_num_seqs,
        max_num_seqs_per_group=candidate.seats_per_group,
        max_num_batched_tokens=candidate.max_num_batched_tokens,
        gpu_memory_utilization=utilization,
        kv_cache_memory_bytes=kv_budget_bytes,
        port=PORT,
        generating=generating_plan(candidate, pool.tier),
        paused_cache="keep" if candidate.away is None else candidate.away.to,
        paused_found_ratio=1.0 if candidate.away is None else candidate.away.found,
        resident_sessions=candidate.resident_sessions if demand.load is None else None,
        memory=memory_plan,
        latency=_latency_plan(candidate, round_trip_ms, wide_area_ms),
        throughput=_throughput_plan(member, pool.tier, replicas),
        replicas=ReplicaRange(min=replicas if pool.tier == "baseline" else 0, max=replicas),
        cold_start_s=start,
        probes=probes,
        drain=leaves,
        rollout=_rollout(member, pool, node_pool, replicas, start, probes, spec),
        admission=admission,
        waiting_room=waiting_room,
        routing=RoutingPlan(
            policy="round-robin" if demand.load is not None else spec.network.routing,
            prefix_hit_ratio=rounded(candidate.prefix_hit_ratio),
        ),
        thinking=None
        if demand.load is not None
        else thinking_plan(
            demand.thinking,
            demand.model,
            engine_is_told=variables is not None,
            requests_tell=catalog.engine_can(agent.engine, release.version, "request-template-variables"),
        ),
        model_cache=ModelCachePlan(
            storage=storage,
            source=spec.model_cache.source,
            path=path,
            revision=caching.revision(agent),
            token_secret=spec.model_cache.token_secret,
            adapters=tuple(caching.adapter(adapter) for adapter in agent.lora_adapters),
            draft=draft,
            streamed_from=bucket,
            loader=settings.loader,
            choices=caching.storage_choices(candidate, pool.machine, catalog),
            model_gib=rounded(caching.loaded_gib(candidate), 3),
        ),
        pod=_pod(candidate, pool, replicas, streamer_mib, spread=spec.cluster_objects.topology_spread),
        sessions_concurrent=demand.concurrent,
        sessions_peak=demand.peak,
        burst_ramp_s=demand.ramp_s,
        fallback=agent.fallback,
        chosen_because=chosen_because(member),
        metrics=metrics,
        step_times=None if candidate.full_speed is None else StepTimesPlan.of(candidate.full_speed),
        pace=pace_plan(candidate),
        scaling=None,
        replica_usd_per_hour=_replica_usd_per_hour(candidate, pool),
        requests_per_session=1.0 if demand.load is not None else rounded(demand.requests_per_conversation),
    )


def _replica_usd_per_hour(candidate: Candidate, pool: Pool) -> Decimal:
    """The part of a node's price that falls on one replica; of the nodes' mean, where reserved capacity carries some."""
    taken = pool.machine.accelerators_taken(candidate.accelerators_per_replica)
    engines = pool.engines_per_accelerator
    return usd_per_hour(pool.usd_per_hour / pool.nodes * taken / pool.machine.accelerators / engines)


def _memory_share(member: Placed) -> float:
    """The engine's own default share of an accelerator that it has alone; more where its planned sessions need it."""
    candidate, terms = member.candidate, member.candidate.memory
    port = SIZING_PORTS[candidate.demand.agent.engine]
    share = port.default_share(candidate.accelerator, member.release)
    if not port.share_grows_with_need:
        return share
    static_gib = terms.loaded_gib + terms.kv_gib(candidate.seats_per_group)
    return max(share, math.ceil(static_gib / terms.capacity.capacity_gib * 1000) / 1000)


def _memory_plan(member: Placed, pool: Pool, share: float) -> tuple[MemoryPlan, int | None]:
    """Memory of one accelerator, and the fixed KV budget where engines share it.

    An engine alone takes its default share of the accelerator; for those that share one, see ``shared_memory``.
    """
    candidate, terms = member.candidate, member.candidate.memory
    seats = candidate.seats_per_group
    kv_gib = terms.kv_gib(seats)
    total = terms.need_gib(seats)
    budget = SIZING_PORTS[candidate.demand.agent.engine].planned_budget_gib(
        terms.capacity.capacity_gib,
        share,
        weights_gib=terms.loaded_gib,
        before_graphs_gib=max(0.0, terms.overhead_gib(seats) - terms.cuda_graph_gib(seats)),
    )
    kv_bytes = None
    if member.share_group is not None and not candidate.demand.model.keeps_kv:
        budget = total + terms.cold_start_gib
    elif member.share_group is not None:
        kv_bytes = shared_memory.kv_bytes(member, pool)
        budget = total + terms.cold_start_gib - kv_gib + kv_bytes / GIB
    plan = MemoryPlan(
        weights_gib=rounded(terms.weights_gib),
        draft_weights_gib=rounded(terms.draft_weights_gib),
        kv_bytes_per_token=terms.kv_bytes_per_token,
        draft_kv_bytes_per_token=terms.draft_kv_bytes_per_token,
        kv_per_session_gib=rounded(terms.kv_per_session_gib, 6),
        shared_kv_gib=rounded(terms.shared_kv_gib, 6),
        kv_gib=rounded(kv_gib),
        activation_gib=rounded(terms.activation_gib(seats)),
        non_torch_gib=rounded(terms.non_torch_gib),
        cuda_graph_gib=rounded(terms.cuda_graph_gib(seats)),
        cold_start_gib=rounded(terms.cold_start_gib),
        overhead_gib=rounded(terms.overhead_gib(seats)),
        total_gib=rounded(total),
        capacity_gib=rounded(terms.capacity.capacity_gib),
        capacity_basis=terms.capacity.basis,
        utilization_ratio=rounded(total / terms.capacity.capacity_gib),
        engine_budget_gib=rounded(budget),
        headroom_gib=rounded(budget - terms.cold_start_gib - total),
        context_tokens=candidate.demand.context_tokens,
        expected_context_tokens=round(min(candidate.demand.shape.expected_tokens, candidate.demand.context_tokens)),
        error_ratio=memory.kv_error_ratio(candidate.demand.agent.engine),
        reserve_ratio=rounded(terms.reserve_ratio),
    )
    return plan, kv_bytes


def _optional(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else rounded(value, digits)


def _latency_plan(candidate: Candidate, round_trip_ms: float, wide_area_ms: float) -> LatencyPlan:
    demand, service = candidate.demand, candidate.service
    return LatencyPlan(
        ttft_ms=_optional(service.ttft_ms),
        tpot_ms=_optional(service.tpot_ms, 2),
        e2e_ms=_optional(service.e2e_ms),
        percentile=demand.percentile,
        ttft_at_percentile_ms=_optional(service.ttft_at_ms),
        tpot_at_percentile_ms=_optional(service.tpot_at_ms, 2),
        ttft_miss_ratio=_miss_ratio(
            demand.agent.overrides.ttft_ms, service.ttft_at_ms, demand.budget_ttft_ms, service.ttft_error_ratio
        ),
        tpot_miss_ratio=_miss_ratio(
            demand.agent.overrides.tpot_ms, service.tpot_at_ms, demand.budget_tpot_ms, service.tpot_error_ratio
        ),
        e2e_at_percentile_ms=_optional(service.e2e_at_ms),
        e2e_miss_ratio=_miss_ratio(None, service.e2e_at_ms, demand.budget_e2e_ms, service.e2e_error_ratio),
        e2e_error_ratio=service.e2e_error_ratio,
        budget_ttft_ms=demand.budget_ttft_ms,
        budget_tpot_ms=demand.budget_tpot_ms,
        budget_e2e_ms=demand.budget_e2e_ms,
        ttft_error_ratio=service.ttft_error_ratio,
        tpot_error_ratio=service.tpot_error_ratio,
        network_ms=round_trip_ms,
        wide_area_ms=wide_area_ms,
        queue_ms=_optional(service.queue_ms),
        reload_ms=rounded(service.reload_ms, 1),
        prefill_ms=_optional(service.prefill_ms),
        decode_ms=_optional(service.decode_ms),
        prompt_work_ms=_optional(service.prompt_work_ms, 3),
        uncached_ttft_ms=_optional(service.uncached_ttft_ms),
        calibrated=service.calibrated,
    )


def _miss_ratio(
    by_hand: float | None, predicted_ms: float | None, budget_ms: float | None, error_ratio: float | None
) -> float | None:
    """How likely a miss is; nothing of what was measured and set by hand."""
    if by_hand is not None or predicted_ms is None or budget_ms is None or error_ratio is None:
        return None
    return rounded(tails.miss_ratio(predicted_ms, budget_ms, error_ratio), 3)


def _throughput_plan(member: Placed, tier: Tier, replicas: int) -> ThroughputPlan:
    """Both tiers together meet the peak; the baseline alone meets normal load.

    Beside a baseline on other machines the burst has its even part of the peak, and so has each part of a divided baseline of
    what that carries.
    """
    candidate, demand, service = member.candidate, member.candidate.demand, member.candidate.service

    def needed(normal: float, peak: float, each: float | None) -> float:
        if tier == "baseline":
            whole = peak if candidate.burst_replicas == 0 else normal
            return whole * replicas / candidate.baseline_replicas if member.option.is_divided else whole
        if member.beside is not None:
            return peak * candidate.burst_replicas / candidate.peak_replicas
        return max(0.0, peak - candidate.baseline_replicas * (each or 0.0))

    hit = candidate.prefix_hit_ratio
    out, read = service.output_tokens_per_s, service.prefill_tokens_per_s
    return ThroughputPlan(
        output_tokens_per_s=_optional(None if out is None else out * replicas),
        required_output_tokens_per_s=rounded(
            needed(demand.output_tokens_per_s(peak=False), demand.output_tokens_per_s(peak=True), out), 1
        ),
        prefill_tokens_per_s=_optional(None if read is None else read * replicas),
        required_prefill_tokens_per_s=rounded(
            needed(demand.prefill_tokens_per_s(hit, peak=False), demand.prefill_tokens_per_s(hit, peak=True), read), 1
        ),
    )


def _probes(start: ColdStartPlan, least_patience_s: int) -> ProbePlan:
    """An engine that is killed while it starts begins anew, and never ends if nothing of the start was kept: the probe waits
    for a start at worst.
    """
    patience_s = max(least_patience_s, start.upper.warm_node_total)
    return ProbePlan(
        startup_period_s=_PROBE_PERIOD_S,
        startup_failure_threshold=math.ceil(patience_s / _PROBE_PERIOD_S),
        readiness_period_s=5,
        liveness_period_s=_PROBE_PERIOD_S,
        liveness_failure_threshold=3,
    )


def _rollout(
    member: Placed,
    pool: Pool,
    node_pool: NodePool,
    replicas: int,
    start: ColdStartPlan,
    probes: ProbePlan,
    spec: StackSpec,
) -> RolloutPlan:
    """Surge into accelerators that are free, or onto a node that comes for it; else a lone replica leaves a gap.

    Machines that stay replace all their engines at once, however many there are.
    Where nodes come on demand, the overlay for node groups still has none to spare, so there it goes in place.
    """
    way = replacement(member, pool, spec)
    first = way != "in-place"
    several = replicas > 1 or member.option.is_divided
    leaves_no_gap = (several and not target_of(spec).can.changes_machines_in_place) or pool.tier != "baseline"
    elsewhere = way == "surge-node" and node_pool.autoscaler is not None
    away = RolloutOutages(
        same_weights_s=start.warm_node_total,
        new_revision_s=rounded(start.cache_fill + start.warm_node_total, 1),
        new_pool_s=start.total,
    )
    none = RolloutOutages(same_weights_s=0.0, new_revision_s=0.0, new_pool_s=0.0)
    here = none if first or leaves_no_gap else away
    return RolloutPlan(
        max_surge=1 if first else 0,
        max_unavailable=0 if first else 1,
        fixed_nodes=RolloutSteps(max_surge=0, max_unavailable=1) if elsewhere else None,
        outage_s=here.same_weights_s,
        outages=here,
        fixed_nodes_outages=none if (first and not elsewhere) or leaves_no_gap else away,
        surge_usd=surge_cost(pool.purchase.next_usd_per_hour, member, replicas, start, node_pool.idle_s)
        if way == "surge-node"
        else Decimal(0),
        progress_deadline_s=_progress_deadline_s(start, probes),
    )


def surge_seconds(replicas: int, start: ColdStartPlan, drain_s: int, idle_s: int) -> float:
    """How long a rollout has nodes beyond those of normal service.

    The first new replica takes a cold start on them, and each further one a warm start on the nodes that the one before
    has left; then the last nodes drain, and stay idle for a while.
    """
    return start.total + drain_s + (replicas - 1) * (start.warm_node_total + drain_s) + idle_s


def surge_cost(node_usd: Decimal, member: Placed, replicas: int, start: ColdStartPlan, idle_s: int) -> Decimal:
    """What those nodes cost, at the planned price."""
    hours = surge_seconds(replicas, start, member.drain.grace_period_s, idle_s) / 3600
    return (node_usd * member.candidate.nodes * Decimal(str(rounded(hours, 6)))).quantize(_CENT)


def _progress_deadline_s(start: ColdStartPlan, probes: ProbePlan) -> int:
    """A whole start at worst, and all that the startup probe allows."""
    return math.ceil(start.upper.total) + probes.startup_s


def _waiting_room(candidate: Candidate, round_trip_ms: float) -> int | None:
    """Requests that may wait behind the most that are computed at once and still meet the TTFT budget; None: there is none.

    Behind those one ends every (time of one answer) / requests; what is left of the TTFT budget after this request's own
    TTFT, divided by that, is how many may stand in line.
    """
    demand, most = candidate.demand, candidate.service.most_generating
    if demand.load is not None:
        return room_of_requests(candidate, demand)
    service = replica_service(candidate, round_trip_ms).computing(most)
    if demand.budget_ttft_ms is None or service.ttft_ms is None or service.tpot_ms is None:
        return None
    per_answer_ms = service.ttft_ms + demand.shape.output_tokens_per_request * service.tpot_ms
    spare_ms = max(0.0, demand.budget_ttft_ms - service.ttft_ms)
    return math.floor(spare_ms * most / per_answer_ms)


def _admission(
    candidate: Candidate, most: int, waiting: int | None, spec: StackSpec, limit: EngineLimit | None
) -> AdmissionPlan:
    """Requests that the engine may hold at once: the ``most`` that it computes within its budgets, and those that can wait.

    Behind a Gateway nobody asks a second replica, so that an engine must not refuse: the picker holds what the engines
    have no room for.

    Tokens are counted by the engine as whole prompts, cached parts included, until the first token comes. So budget x
    prefill speed would turn away sessions whose context is cached; the limit is what that many planned prompts hold.
    """
    if waiting is None or spec.network.router == "gateway":
        return AdmissionPlan(max_waiting_requests=None, max_queued_requests=None, max_queued_tokens=None)
    requests = most + waiting
    return AdmissionPlan(
        max_waiting_requests=waiting,
        max_queued_requests=requests,
        max_queued_tokens=requests
        * max(candidate.demand.longest_context_tokens, candidate.demand.longest_input_tokens),
        refusal_status=None if limit is None else limit.status,
    )


def _streamer_mib(candidate: Candidate, pool: Pool, loader: WeightLoader) -> int:
    """What each rank's streaming loader may read ahead; 0 where another loader reads."""
    if loader != "runai-streamer":
        return 0
    machine, engines = pool.machine, pool.engines_per_accelerator
    room_mib = host_memory.streamer_mib(candidate, machine, caching.loaded_gib(candidate), engines)
    return host_memory.least_streamer_mib(candidate) if room_mib is None else room_mib


def _bucket_environment(bucket: str | None, pool: Pool) -> tuple[EnvironmentVariable, ...]:
    """Where the streamer asks for the bucket. EKS gives the pod its keys.

    Files are listed by boto3, which reads the one variable, and weights by the SDK for C++, which reads both.
    """
    if bucket is None:
        return ()
    return tuple(
        EnvironmentVariable(name=name, value=pool.machine.region) for name in ("AWS_DEFAULT_REGION", "AWS_REGION")
    )


def _streamer_environment(streamer_mib: int) -> tuple[EnvironmentVariable, ...]:
    """The streamer's own variable: each process that loads keeps to it."""
    if not streamer_mib:
        return ()
    return (EnvironmentVariable(name=_STREAMER_LIMIT, value=str(streamer_mib * MIB)),)


def _pod(candidate: Candidate, pool: Pool, replicas: int, streamer_mib: int, *, spread: bool) -> PodPlan:
    """The pod's part of a node: CPU and host memory in proportion to the accelerators that it takes."""
    instance, machine = pool.machine.instance, pool.machine
    engines = pool.engines_per_accelerator
    memory_mib = host_memory.memory_mib(machine, candidate.accelerators_per_pod, engines)
    kept = host_memory.host_memory(candidate, memory_mib, streamer_mib * candidate.accelerators_per_pod)
    return PodPlan(
        cpu_milli=host_memory.cpu_milli(machine, candidate.accelerators_per_pod, engines),
        memory_mib=memory_mib,
        shm_mib=kept.shm_mib,
        kv_offload_mib=kept.kv_mib,
        streamer_mib=kept.streamer_mib,
        accelerators=candidate.accelerators_per_pod,
        efa_interfaces=instance.efa_interfaces if candidate.nodes > 1 else 0,
        priority=priorities.level(candidate.demand, pool.tier),
        zones=pool.zones,
        spread=_spread(candidate, pool, replicas) if spread else (),
    )


def _spread(candidate: Candidate, pool: Pool, replicas: int) -> tuple[Topology, ...]:
    """Zones and hosts, where several replicas have several nodes to be on.

    Karpenter makes nodes for a wish to spread as it does for a need, so replicas of a burst that could share a node are
    not spread: at half a burst they would take twice the nodes. A replica over several nodes keeps to one zone and has
    its nodes for itself.
    """
    if candidate.nodes > 1:
        return ()
    taken = pool.machine.accelerators_taken(candidate.accelerators_per_replica)
    alone_on_node = 2 * taken > pool.machine.accelerators
    spreads = replicas > 1 and pool.nodes > 1 and (pool.tier == "baseline" or alone_on_node)
    if not spreads:
        return ()
    return ("zone", "host") if pool.zones == 1 else ("host",)
