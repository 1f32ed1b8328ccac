"""Small hand-made plans for tests of the rooms behind the plan. They are not results of the planner."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.finishing.front import front_plan, joined_plan
from agentgpu_iac.planning.running.machines import host_plans
from agentgpu_iac.planning.running.scaling import scaled
from agentgpu_iac.planning.running.watching import watching_plan
from agentgpu_iac.spec.model import Agent, Hosts, Observability, Scaling, ScheduledScale, StackSpec
from agentgpu_iac.spec.vocabulary import Target


def make_pool(**changes: Any) -> p.NodePool:
    fields: dict[str, Any] = dict(
        name="demo-baseline-g6e-xlarge",
        tier="baseline",
        capacity_types=("on-demand",),
        instance_types=("g6e.xlarge",),
        provider="aws",
        region="us-east-1",
        accelerator="l40s",
        accelerators_per_node=1,
        min=1,
        max=1,
        termination_grace_s=1500,
        usd_per_hour=Decimal("1.861"),
        fallback_usd_per_hour=None,
        price_date="2026-07-20",
        price_source="test",
        sharing="none",
        slots_per_accelerator=1,
        fixed_size=False,
        autoscaler=None if changes.get("fixed_size") or changes.get("provider", "aws") != "aws" else "karpenter",
        kubernetes_version="1.34",
        ami_alias="al2023@v20261105",
        architecture="x86_64",
        nvme_gb=250,
        efa_interfaces=0,
        root_volume_gib=100,
        root_volume_mib_per_s=600,
        root_volume_iops=3000,
        cache_capacity_gib=200,
        cache_path="/mnt/k8s-disks/0/models",
        cached_models=(
            p.CachedModel(
                model="Qwen/Qwen3-8B",
                path="qwen--qwen3-8b--main",
                revision="main",
                gib=15.26,
                fill=True,
                token_secret=None,
            ),
        ),
        filler=p.FillerPlan(cpu_milli=100, memory_mib=512, memory_limit_mib=4096, priority="user-facing", bucket=None),
    )
    return p.NodePool(**{**fields, **changes})


def make_metrics(**changes: Any) -> p.MetricsPlan:
    fields: dict[str, Any] = dict(
        path="/metrics",
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        kv_usage="vllm:kv_cache_usage_perc",
        ttft="vllm:time_to_first_token_seconds",
        tpot="vllm:request_time_per_output_token_seconds",
        preemptions="vllm:num_preemptions_total",
        rejections="vllm:admission_rejections_total",
        prefix_cache_hits="vllm:prefix_cache_hits_total",
        prefix_cache_queries="vllm:prefix_cache_queries_total",
        generation_tokens="vllm:generation_tokens_total",
        prompt_tokens="vllm:prompt_tokens_total",
        success="vllm:request_success_total",
        answers="http_requests_total",
        failures='status="5xx"',
        ttft_edge_s=0.48,
        tpot_edge_s=0.05,
        ttft_edges_s=(0.25, 0.48, 0.5, 1.0),
        tpot_edges_s=(),
    )
    return p.MetricsPlan(**{**fields, **changes})


def make_workload(**changes: Any) -> p.Workload:
    fields: dict[str, Any] = dict(
        agent="support",
        role=None,
        tier="baseline",
        name="support",
        node_pool="demo-baseline-g6e-xlarge",
        share_group=None,
        latency_class="chat",
        user_facing=True,
        model="Qwen/Qwen3-8B",
        model_source="catalog",
        served_model_name="support",
        engine=p.EnginePlan(
            name="vllm",
            version="0.33.0",
            image="vllm/vllm-openai:v0.33.0",
            command=("vllm", "serve"),
            args=(
                "/models/qwen--qwen3-8b--main",
                "--served-model-name",
                "support",
                "--max-num-seqs",
                "12",
                "--max-model-len",
                "4096",
            ),
            environment=(
                p.EnvironmentVariable(name="VLLM_NO_USAGE_STATS", value="1"),
                p.EnvironmentVariable(name="VLLM_CACHE_ROOT", value="/var/cache/engine/vllm"),
            ),
            secret_environment=(),
            files=(),
            health_path="/health",
            ready_path="/health",
        ),
        accelerator="l40s",
        accelerators_per_replica=1,
        tensor_parallel_size=1,
        pipeline_parallel_size=1,
        precision="bf16",
        kv_cache_dtype="auto",
        max_model_len=4096,
        max_num_seqs=12,
        max_num_batched_tokens=8192,
        gpu_memory_utilization=0.92,
        kv_cache_memory_bytes=None,
        port=8000,
        memory=p.MemoryPlan(
            weights_gib=15.26,
            draft_weights_gib=0.0,
            kv_bytes_per_token=147456,
            draft_kv_bytes_per_token=0,
            kv_per_session_gib=0.5,
            kv_gib=6.0,
            activation_gib=0.7,
            non_torch_gib=0.25,
            cuda_graph_gib=1.05,
            overhead_gib=2.0,
            total_gib=23.26,
            capacity_gib=44.39,
            capacity_basis="measured",
            utilization_ratio=0.524,
            engine_budget_gib=40.84,
            headroom_gib=17.58,
            context_tokens=3640,
            expected_context_tokens=2000,
            error_ratio=0.08,
        ),
        latency=p.LatencyPlan(
            ttft_ms=120.0,
            tpot_ms=35.0,
            percentile=95.0,
            ttft_at_percentile_ms=130.0,
            tpot_at_percentile_ms=36.0,
            ttft_miss_ratio=0.01,
            tpot_miss_ratio=0.1,
            e2e_ms=5370.0,
            budget_ttft_ms=500.0,
            budget_tpot_ms=50.0,
            budget_e2e_ms=None,
            ttft_error_ratio=0.6,
            tpot_error_ratio=0.3,
            network_ms=20.0,
            queue_ms=5.0,
            prefill_ms=80.0,
            decode_ms=15.0,
            prompt_work_ms=20.0,
            uncached_ttft_ms=300.0,
            calibrated=True,
        ),
        throughput=p.ThroughputPlan(
            output_tokens_per_s=340.0,
            required_output_tokens_per_s=90.0,
            prefill_tokens_per_s=9000.0,
            required_prefill_tokens_per_s=100.0,
        ),
        replicas=p.ReplicaRange(min=1, max=1),
        cold_start_s=p.ColdStartPlan(
            node=53.0,
            driver=36.0,
            image=131.0,
            cache_fill=22.0,
            weights=22.0,
            compile=20.0,
            warm_up=14.0,
            imports=40.0,
            first_answer=10.0,
            total=348.0,
            warm_node_total=96.0,
            error_ratio=0.5,
            image_pull="default",
            upper=p.ColdStartUpper(
                node=85.0,
                driver=58.0,
                image=327.0,
                cache_fill=45.0,
                imports=78.0,
                weights=37.0,
                compile=39.0,
                warm_up=27.0,
                first_answer=20.0,
                total=522.0,
                warm_node_total=170.0,
            ),
        ),
        probes=p.ProbePlan(
            startup_period_s=10,
            startup_failure_threshold=60,
            readiness_period_s=5,
            liveness_period_s=10,
            liveness_failure_threshold=3,
        ),
        drain=p.DrainPlan(pre_stop_s=15, shutdown_timeout_s=30, grace_period_s=60, answer_s=30, notice_s=None),
        rollout=p.RolloutPlan(max_surge=0, max_unavailable=1, outage_s=56.0, progress_deadline_s=1122),
        admission=p.AdmissionPlan(max_queued_requests=8, max_queued_tokens=4000),
        routing=p.RoutingPlan(policy="session-affine", prefix_hit_ratio=1.0),
        model_cache=p.ModelCachePlan(
            storage="nvme",
            source="huggingface",
            path="qwen--qwen3-8b--main",
            revision="main",
            token_secret=None,
            adapters=(),
            draft=None,
            loader="default",
            choices=(),
            model_gib=15.26,
        ),
        pod=p.PodPlan(
            cpu_milli=3000,
            memory_mib=24576,
            shm_mib=1024,
            kv_offload_mib=0,
            accelerators=1,
            priority="user-facing",
            spread=(),
        ),
        sessions_concurrent=12,
        sessions_peak=12,
        fallback=None,
        chosen_because="cheapest that fits",
        metrics=make_metrics(),
        scaling=None,
        replica_usd_per_hour=Decimal("1.861"),
        requests_per_session=5.0,
    )
    return p.Workload(**{**fields, **changes})


def make_priority_class(level: p.PriorityLevel, value: int = 100_000) -> p.PriorityClassPlan:
    return p.PriorityClassPlan(
        level=level, value=value, preempts=level != "background", description=f"The {level} pods."
    )


def make_security(**changes: Any) -> p.SecurityPlan:
    fields: dict[str, Any] = dict(
        network_policies=True,
        callers=(),
        monitoring_namespace="monitoring",
        secrets=(),
        secret_store=None,
        api_key_secret=None,
    )
    return p.SecurityPlan(**{**fields, **changes})


def make_system_nodes(**changes: Any) -> p.SystemNodesPlan:
    fields: dict[str, Any] = dict(
        instance_type="m7i.large",
        instance_types=("m7i.large", "m6i.large"),
        count=2,
        allocatable_cpu_milli=1930,
        allocatable_memory_mib=6903,
        pods=(p.SystemPod(name="karpenter", pods=2, placed="anywhere", cpu_milli=500, memory_mib=1024),),
        root_volume_gib=30,
        usd_per_hour=Decimal("0.1008"),
        usd_per_month=Decimal("145.15"),
        formula="2 x USD 0.1008 an hour x 720 h",
        price_date="2026-07-20",
        price_source="test",
    )
    return p.SystemNodesPlan(**{**fields, **changes})


def make_plan(**changes: Any) -> p.Plan:
    fields: dict[str, Any] = dict(
        api_version=p.PLAN_VERSION,
        stack="demo",
        target="eks",
        pattern="single-agent",
        architecture="single-node",
        headline="1 x L40S keeps the 12 sessions resident.",
        workloads=(make_workload(),),
        node_pools=(make_pool(),),
        system_nodes=make_system_nodes(),
        priority_classes=(make_priority_class("user-facing"),),
        cluster_objects=p.ClusterObjectsPlan(disruption_budgets=True, helm_values=True),
        security=make_security(),
        quota=p.QuotaPlan(pods=4, cpu_milli=6200, memory_mib=50176, memory_limit_mib=57344, accelerators=2),
        gitops=None,
        router=None,
        cost=p.Cost(
            baseline_usd_per_month=Decimal("1339.92"),
            peak_usd_per_hour=Decimal("1.861"),
            expected_usd_per_month=Decimal("1339.92"),
            line_items=(
                p.LineItem(
                    node_pool="demo-baseline-g6e-xlarge",
                    tier="baseline",
                    capacity_type="on-demand",
                    instance_type="g6e.xlarge",
                    nodes=1,
                    usd_per_hour=Decimal("1.861"),
                    usd_per_month=Decimal("1339.92"),
                    price_date="2026-07-20",
                    price_source="test",
                ),
            ),
            alternatives=(),
            optimality_gap_ratio=0.0,
        ),
        overrides=(),
        rejections=(),
        warnings=(),
        watching=p.WatchingPlan(
            monitors="none",
            scrape_interval_s=15,
            alerts=(),
            dashboard=False,
            labels={},
            runbook_base_url=None,
            cluster=None,
            accelerators="dcgm-exporter",
            node_health="none",
            percentile=95.0,
        ),
        provenance=p.Provenance(spec_sha256="0" * 64, catalog_version="0" * 12, tool_version="0.1.0"),
    )
    made = p.Plan(**{**fields, **changes})
    if made.target == "eks":
        return made
    grown_by_nobody = tuple(pool.model_copy(update={"autoscaler": None}) for pool in made.node_pools)
    return made.model_copy(update={"node_pools": grown_by_nobody})


def make_tiered_plan() -> p.Plan:
    """A baseline on demand and a burst on spot with on-demand behind it, on different pools."""
    burst_pool = make_pool(
        name="demo-burst-g6e-xlarge",
        tier="burst",
        capacity_types=("spot", "on-demand"),
        min=0,
        max=3,
        usd_per_hour=Decimal("0.9516"),
        fallback_usd_per_hour=Decimal("1.861"),
    )
    burst = make_workload(
        tier="burst",
        name="support-burst",
        node_pool=burst_pool.name,
        replicas=p.ReplicaRange(min=0, max=3),
        drain=p.DrainPlan(pre_stop_s=15, shutdown_timeout_s=30, grace_period_s=60, answer_s=30, notice_s=120),
        pod=make_workload().pod.model_copy(update={"priority": "burst", "spread": ("zone", "host")}),
    )
    return make_plan(
        workloads=(make_workload(), burst),
        node_pools=(make_pool(), burst_pool),
        priority_classes=(make_priority_class("user-facing"), make_priority_class("burst", 50_000)),
    )


def make_route(**changes: Any) -> p.RoutePlan:
    fields: dict[str, Any] = dict(
        agent="support",
        port=10_000,
        policy="session-affine",
        max_connections=24,
        max_tries=2,
        connect_timeout_ms=1_000,
        retry_window_ms=1_500,
        answer_timeout_s=205,
    )
    return p.RoutePlan(**{**fields, **changes})


def make_router(**changes: Any) -> p.RouterPlan:
    fields: dict[str, Any] = dict(
        kind="nginx",
        version="1.30.4",
        image="nginxinc/nginx-unprivileged:1.30.4",
        replicas=2,
        spread=("host", "zone"),
        priority="user-facing",
        cpu_milli=250,
        memory_mib=128,
        worker_connections=1024,
        body_buffer_kib=64,
        header_buffer_kib=8,
        scratch_mib=48,
        session_header="x-session-id",
        max_request_mib=8,
        drain=p.DrainPlan(pre_stop_s=15, shutdown_timeout_s=30, grace_period_s=50, answer_s=30, notice_s=None),
        gateway=None,
        exporter=p.ExporterPlan(
            version="1.5.1", image="nginx/nginx-prometheus-exporter:1.5.1", port=9113, cpu_milli=25, memory_mib=64
        ),
        routes=(make_route(),),
    )
    return p.RouterPlan(**{**fields, **changes})


def make_routed_plan(**changes: Any) -> p.Plan:
    """A tiered agent behind NGINX, and one whose requests go round."""
    tiered = make_tiered_plan()
    batch = make_workload(agent="batch", name="batch", served_model_name="batch", latency_class="background")
    routes = (make_route(), make_route(agent="batch", port=10_001, policy="round-robin", max_connections=None))
    return make_plan(
        workloads=(*tiered.workloads, batch),
        node_pools=tiered.node_pools,
        priority_classes=tiered.priority_classes,
        router=make_router(**{"routes": routes, **changes}),
    )


def make_market(**changes: Any) -> p.MarketPlan:
    """A card on spot."""
    way = p.MarketWay(
        instance_type="SPOT",
        capacity_type="spot",
        usd_per_hour=Decimal("0.8"),
        price_cap_usd_per_hour=Decimal("1"),
    )
    fields: dict[str, Any] = dict(
        ways=(way,),
        accelerators=("l40s",),
        regions=(),
        gpu_memory_gb=48.0,
        vcpus=8,
        host_memory_gib=32,
        disk_gib=120,
        start_timeout_s=1_800,
    )
    return p.MarketPlan(**{**fields, **changes})


def make_joined_plan(machines: int = 3) -> p.Plan:
    """A tiered agent in a cluster whose burst is on machines beside it, and one that is in the cluster alone."""
    routed = make_routed_plan()
    baseline, burst, batch = routed.workloads
    pool = make_pool(
        name="demo-burst",
        tier="burst",
        capacity_types=("spot",),
        provider="spheron",
        region="Finland 3",
        min=0,
        max=machines,
        cache_path="/var/lib/agentgpu/models",
        beside_cluster=True,
        market=make_market(),
    )
    key = p.SecretVariable(variable="VLLM_API_KEY", secret="agents-api-key", key="key")
    away = burst.model_copy(
        update={
            "node_pool": pool.name,
            "replicas": p.ReplicaRange(min=0, max=machines),
            "scaling": None,
            "engine": burst.engine.model_copy(update={"secret_environment": (key,)}),
        }
    )
    assert routed.router is not None
    spec = StackSpec(agents=(Agent(name="support", model="Qwen/Qwen3-8B"),))
    workloads, pools = (baseline, away, batch), (routed.node_pools[0], pool)
    routes = tuple(
        route.model_copy(
            update={"max_tries": 2 + machines, "retry_window_ms": route.retry_window_ms + machines * 1_000}
        )
        if route.agent == "support"
        else route
        for route in routed.router.routes
    )
    router = routed.router.model_copy(update={"routes": routes})
    hosts = host_plans(spec, load_catalog(), workloads, pools, router, routed.served_agents)
    return routed.model_copy(
        update={
            "target": "eks",
            "workloads": workloads,
            "node_pools": pools,
            "router": router,
            "hosts": hosts,
            "joined": joined_plan(routed.stack, workloads, pools, hosts, router),
        }
    )


def make_gateway_plan(**changes: Any) -> p.Plan:
    """An agent behind a Gateway with an endpoint picker."""
    gateway = p.GatewayPlan(name="agents", namespace="gateways", hostname="agents.example.org", scheme="https")
    router = make_router(
        kind="gateway",
        version="0.10.0",
        image="example/endpoint-picker:v0.10.0",
        replicas=1,
        worker_connections=0,
        body_buffer_kib=64,
        header_buffer_kib=8,
        scratch_mib=0,
        gateway=gateway,
        routes=(make_route(port=None),),
    )
    return make_plan(router=router.model_copy(update=changes))


def make_machines_plan(
    target: Target = "compose",
    *,
    callers: tuple[str, ...] = ("10.0.0.0/8", "2001:db8::/32"),
    admins: tuple[str, ...] = ("203.0.113.7/32",),
    api_key: str | None = None,
    observability: dict[str, Any] | None = None,
    **changes: Any,
) -> p.Plan:
    """Machines of two accelerators: two warm replicas that have one each, and a burst on machines of their own."""
    key = () if api_key is None else (p.SecretVariable(variable="VLLM_API_KEY", secret=api_key, key="key"),)
    engine = make_workload().engine.model_copy(update={"secret_environment": key})
    pools = (
        make_pool(
            name="demo-baseline", provider="spheron", accelerators_per_node=2, cache_path="/var/lib/agentgpu/models"
        ),
        make_pool(
            name="demo-burst",
            tier="burst",
            provider="spheron",
            accelerators_per_node=2,
            min=0,
            max=2,
            cache_path="/var/lib/agentgpu/models",
        ),
    )
    workloads = (
        make_workload(node_pool="demo-baseline", engine=engine, replicas=p.ReplicaRange(min=2, max=2)),
        make_workload(
            tier="burst", name="support-burst", node_pool="demo-burst", engine=engine,
            replicas=p.ReplicaRange(min=0, max=3),
        ),
    )  # fmt: skip
    router = make_router(replicas=1, spread=(), routes=(make_route(max_connections=40, max_tries=3),))
    plan = make_plan(target=target, workloads=workloads, node_pools=pools, router=router, **changes)
    spec = StackSpec(
        target=target,
        hosts=Hosts(caller_ranges=callers, admin_ranges=admins),
        observability=Observability(**(observability or {})),
        agents=(Agent(name="support", model="Qwen/Qwen3-8B"),),
    )
    hosts = host_plans(spec, load_catalog(), plan.workloads, plan.node_pools, plan.router, plan.served_agents)
    watching = watching_plan(spec, plan.workloads, plan.node_pools, plan.router)
    if observability is None:
        watching = watching.model_copy(update={"alerts": (), "dashboard": False})
    front = front_plan(spec, plan.stack, plan.workloads, plan.node_pools, hosts, plan.router)
    return plan.model_copy(update={"hosts": hosts, "front": front, "watching": watching})


def make_watched_plan(method: str = "keda", *, router: p.RouterPlan | None = None, **observability: Any) -> p.Plan:
    """The tiered plan with 48 sessions at the peak, scaled and watched as the spec's defaults have it."""
    plan = make_tiered_plan()
    agent = Agent(name="support", model="Qwen/Qwen3-8B")
    schedule = ScheduledScale(agent="support", start="45 7 * * 1-5", end="0 18 * * 1-5", replicas=2)
    spec = StackSpec(
        agents=(agent,),
        scaling=Scaling(method=method, schedule=(schedule,)),
        observability=Observability(**observability),
    )
    peak = tuple(one.model_copy(update={"sessions_peak": 48}) for one in plan.workloads)
    workloads = scaled(peak, plan.stack, spec)
    watching = watching_plan(spec, workloads, plan.node_pools, router)
    return plan.model_copy(update={"workloads": workloads, "watching": watching, "router": router})


def make_grouped_plan() -> p.Plan:
    """One replica over two whole nodes of eight accelerators."""
    pool = make_pool(
        name="demo-baseline-groups-p5-48xlarge",
        instance_types=("p5.48xlarge",),
        accelerator="h100-sxm",
        accelerators_per_node=8,
        min=2,
        max=2,
        nvme_gb=30400,
        efa_interfaces=32,
        nodes_per_replica=2,
    )
    words = ("/models/qwen--qwen3-8b--main", "--nnodes", "2", "--node-rank")
    workload = make_workload(
        node_pool=pool.name,
        engine=make_workload().engine.model_copy(
            update={"args": (*words, "0"), "worker_args": (*words, "$(LWS_WORKER_INDEX)", "--headless")}
        ),
        accelerator="h100-sxm",
        accelerators_per_replica=16,
        tensor_parallel_size=8,
        pipeline_parallel_size=2,
        nodes_per_replica=2,
        gbps_between_nodes=100.0,
        pod=make_workload().pod.model_copy(update={"shm_mib": 8192, "accelerators": 8, "efa_interfaces": 32}),
    )
    return make_plan(workloads=(workload,), node_pools=(pool,))
