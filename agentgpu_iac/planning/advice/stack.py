"""Warnings about the stack as a whole: pins, prices, pools, what scales and what routes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentgpu_iac.catalog.days import days_between
from agentgpu_iac.catalog.join import ANY_REGION
from agentgpu_iac.catalog.live import LIVE_PROVIDERS
from agentgpu_iac.catalog.model import ServiceSoftware
from agentgpu_iac.plan import NodePool, Warning, Workload
from agentgpu_iac.plan.nodes import KARPENTER_DISCOVERY_TAG
from agentgpu_iac.planning.advice.capacity import capacity_warnings
from agentgpu_iac.planning.advice.commitments import commitment_warnings
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.proxying import proxy_warnings
from agentgpu_iac.planning.advice.skyserve import skyserve_warnings
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.finishing import gitops
from agentgpu_iac.targets import target_of
from agentgpu_iac.targets.port import HOSTS_IDLE
from agentgpu_iac.units import HOURS_PER_MONTH, counted, plural


def stack_warnings(context: Context) -> Iterator[Warning]:
    """The warnings about the stack as a whole."""
    spec = context.spec
    if spec.pins.engine_image is None:
        images = sorted({workload.engine.image for workload in context.workloads})
        yield warning("unpinned", f"image {', '.join(images)} is named by tag; pin its digest with pins.engineImage")
        yield from _image_registries(context)
    if target_of(spec).can.chooses_node_image and spec.pins.ami_alias is None:
        yield warning(
            "unpinned", "the nodes' AMI is not pinned; set pins.amiAlias to a release such as al2023@vYYYYMMDD"
        )
    yield from _without_effect(context)
    yield from _kubernetes_support(context)
    yield from _router_warnings(context)
    yield from proxy_warnings(context)
    yield from _unpriced(context)
    yield from _old_prices(context)
    for pool in context.node_pools:
        if not pool.price_date and not pool.owned:
            yield warning(
                "undated-price", f"the price of {pool.instance_types[0]} ({pool.provider}) has no date in its source"
            )
        if pool.fixed_size and target_of(spec).can.has_cluster:
            yield warning(
                "fixed-size-pool",
                f"pool {pool.name} shares each accelerator by device-plugin time-slicing, which autoscalers do not see: "
                "it has a fixed size, is made as a managed node group, and is not given to Karpenter",
            )
    yield from capacity_warnings(context)
    yield from commitment_warnings(context)
    yield from _held_capacity(context)
    if spec.gitops is not None and (applied := gitops.overlay(spec, context.node_pools)) != spec.gitops.overlay:
        yield warning(
            "gitops-overlay",
            f"Karpenter makes none of the nodes, so {spec.gitops.tool} is told to apply the overlay {applied}, not "
            f"{spec.gitops.overlay}",
        )
    yield from skyserve_warnings(context) if context.sky_services else _scaling_warnings(context)
    yield from _machine_warnings(context)
    for engine, version in sorted({(workload.engine.name, workload.engine.version) for workload in context.workloads}):
        if version not in {release.version for release in context.catalog.releases if release.engine == engine}:
            yield warning(
                "unknown-engine-version",
                f"{engine} {version} is not in the catalog: it is accounted for as the nearest earlier release, and nobody "
                "has checked that an image of that version exists",
            )
    if not context.groups_complete:
        yield warning(
            "sharing-not-exhaustive",
            "too many small agents to try every group of them on one accelerator; first-fit groups were considered, "
            "so the optimality gap holds over those",
        )


def _without_effect(context: Context) -> Iterator[Warning]:
    """What the spec asks for and its target has no place for."""
    joins = bool(target_of(context.spec).joined(context.spec))
    for idle in target_of(context.spec).idle:
        written = () if joins and idle is HOSTS_IDLE else tuple(idle.written(context.spec))
        if written:
            yield warning(
                "without-effect",
                f"{', '.join(written)} {'changes' if len(written) == 1 else 'change'} nothing for target {context.spec.target}: "
                f"{idle.reason}",
            )


SUPPORT_NOTICE_MONTHS = 3
"""An upgrade takes a rollout of every node: months before the end of support in which a plan says so."""


def _kubernetes_support(context: Context) -> Iterator[Warning]:
    """A version that leaves standard support soon, or has, as far as the newest date of the catalog tells."""
    today, version = context.catalog.day, context.node_pools[0].kubernetes_version
    release = context.catalog.kubernetes_release(context.spec.target, version)
    if release is None or not today:
        return
    ends = release.standard_support_ends
    if _months_between(today, ends) > SUPPORT_NOTICE_MONTHS:
        return
    longer = [
        f"{row.version} until {row.standard_support_ends}"
        for row in context.catalog.kubernetes_releases(context.spec.target)
        if row.standard_support_ends > max(today, ends)
    ]
    has = "had" if ends < today else "has"
    instead = f". pins.kubernetesVersion takes longer ones: {', '.join(longer)}" if longer else ""
    yield warning(
        "kubernetes-support-ends",
        f"Kubernetes {version} {has} standard support until {ends}, and {_that_day(context)} is {today}. "
        f"Extended support costs more for each cluster hour{instead}",
    )


def _that_day(context: Context) -> str:
    """What the day is that ages count to."""
    return "today" if context.catalog.asked_on else "the catalog's newest date"


def _old_prices(context: Context) -> Iterator[Warning]:
    """Prices that are older than they may be, oldest first, on the day that ages count to."""
    age = context.cost.price_age
    if age is None or not age.is_over:
        return
    old = {
        (pool.provider, item.instance_type, pool.region, item.capacity_type): item.price_date
        for item in context.cost.line_items
        for pool in (context.pools[item.node_pool],)
        if item.price_date and days_between(item.price_date, age.day) > age.limit_days
    }
    parts = [
        f"{machine} ({provider}, {region}, {way}) of {date}"
        for (provider, machine, region, way), date in sorted(old.items(), key=lambda each: (each[1], each[0]))
    ]
    live = sorted({provider for provider, *_ in old} & set(LIVE_PROVIDERS))
    fresh = " or ".join(f"agentgpu catalog update --provider {provider} -o prices.yaml" for provider in live)
    yield warning(
        "old-prices",
        f"the cost counts prices that are up to {counted(age.days or 0, 'day')} old, {age.limit_days} at most are wanted "
        f"(capacity.maxPriceAgeDays), and {_that_day(context)} is {age.day}: {'; '.join(parts)}. "
        + (
            f"{fresh} asks for those of today, for --catalog"
            if live
            else "Put those that you pay into a catalog overlay"
        ),
    )


def _months_between(first: str, second: str) -> int:
    """Calendar months from one date, YYYY-MM-DD, to another."""
    (year, month), (later_year, later_month) = (tuple(map(int, day.split("-")[:2])) for day in (first, second))
    return (later_year - year) * 12 + later_month - month


def _unpriced(context: Context) -> Iterator[Warning]:
    """Nodes whose price nobody knows, and what was counted instead."""
    preferred = {item.node_pool: item for item in context.cost.line_items if not item.price_known}
    for pool in context.node_pools:
        if pool.price_known:
            continue
        item = preferred.get(pool.name)
        way = pool.capacity_types[-1] if item is None else item.capacity_type
        price = pool.fallback_usd_per_hour if item is None else item.usd_per_hour
        yield warning(
            "unpriced",
            f"nobody's price for {pool.instance_types[0]} ({pool.provider}, {way}) is known: pool {pool.name} counts it at "
            f"USD {price:,.4f} an hour, the dearest known price of {pool.accelerators_per_node} x {pool.accelerator}. The bill "
            "may be higher or lower; a price of your own in an overlay settles it",
        )


def _machine_warnings(context: Context) -> Iterator[Warning]:
    """What virtual machines leave open."""
    spec = context.spec
    target = target_of(spec)
    if not target.can.runs_machines:
        return
    wanted = spec.observability
    services: tuple[tuple[ServiceSoftware, str | None, str, bool], ...] = (
        ("prometheus", spec.pins.prometheus_image, "prometheusImage", True),
        ("dcgm-exporter", spec.pins.dcgm_exporter_image, "dcgmExporterImage", wanted.accelerators != "none"),
        ("grafana", spec.pins.grafana_image, "grafanaImage", wanted.grafana),
    )
    for service, pinned, pin, runs in services if wanted.monitors != "none" else ():
        if runs and pinned is None:
            image = context.catalog.service(service).image
            yield warning("unpinned", f"image {image} is named by tag; pin its digest with pins.{pin}")
    machines = sum(pool.max for pool in context.node_pools)
    if not target.can.makes_machines and machines > 1:
        yield warning(
            "several-machines",
            f"the plan is {counted(machines, 'machine')}, each with an address and an NGINX of its own: nothing here "
            "spreads callers over "
            "them, and burst machines are yours to start and end",
        )
    if spec.hosts.caller_ranges and spec.security.api_key_secret is None:
        yield warning(
            "callers-not-asked",
            f"whoever calls from {', '.join(spec.hosts.caller_ranges)} is served, and nobody is asked for a key; "
            "name one with security.apiKeySecret",
        )
    if not spec.hosts.caller_ranges:
        yield warning(
            "callers-on-the-machine",
            "only programs on the machine itself, or through SSH, can call the agents; name others in hosts.callerRanges",
        )
    if not spec.hosts.admin_ranges:
        yield warning(
            "nobody-logs-in", "once a machine is set up, nobody can log in by SSH; name who may in hosts.adminRanges"
        )


def _scaling_warnings(context: Context) -> Iterator[Warning]:
    """What the burst tiers lack to be scaled as the spec says."""
    wanted = context.spec.scaling
    bursts = [workload for workload in context.workloads if workload.tier == "burst"]
    beside = [burst for burst in bursts if context.pools[burst.node_pool].beside_cluster]
    unscaled = [burst.name for burst in bursts if burst.scaling is None and burst not in beside]
    if unscaled:
        why = (
            target_of(context.spec).why_not_scaled
            if not target_of(context.spec).can.scales_on_metrics
            else "scaling.method is none"
            if wanted.method == "none"
            else "no source names the engine's series for running and waiting requests"
        )
        yield warning(
            "burst-not-scaled",
            f"nothing raises {', '.join(unscaled)} from 0 replicas when the burst comes ({why}): scale it yourself, "
            "or keep the peak warm (overrides.baselineReplicas)",
        )
    yield from _beside_the_cluster(context, beside)
    scaled = [burst for burst in bursts if burst.scaling is not None]
    hpa = wanted.method == "hpa"
    if scaled and context.spec.observability.monitors == "none":
        yield warning(
            "metrics-not-scraped",
            "nothing rendered scrapes the engines (observability.monitors is none), but "
            f"{', '.join(burst.name for burst in scaled)} scale on their series: scrape port http of the engine pods, and copy "
            "the pods' labels agentgpu.dev/agent and agentgpu.dev/tier to the series"
            + (
                "; the HPA also asks for the series that docs/scaling.md names, which are then yours to record"
                if hpa
                else ""
            ),
        )
    for burst in scaled:
        if burst.scaling is not None and burst.scaling.min_replicas:
            extra = burst.replica_usd_per_hour * Decimal(
                str(HOURS_PER_MONTH - context.spec.capacity.burst_hours_per_month)
            )
            yield warning(
                "hpa-keeps-one",
                f"an HPA cannot scale to 0: one replica of {burst.name} always runs, up to USD {extra:,.2f} a month beyond the "
                "plan's cost; scaling.method keda scales to 0",
                burst.agent,
            )
    yield from _schedule_warnings(context, bursts)


def _beside_the_cluster(context: Context, bursts: Sequence[Workload]) -> Iterator[Warning]:
    """What machines beside the cluster leave to whoever runs the stack."""
    spec = context.spec
    if bursts:
        machines = sum(context.pools[burst.node_pool].max for burst in bursts)
        slowest = max(burst.cold_start_s.upper.total for burst in bursts)
        follows = spec.scaling.machines
        names = ", ".join(burst.name for burst in bursts)
        who = (
            f"burst-scaler looks at the load every {follows.every_minutes} min and has Pulumi start or end"
            if follows is not None
            else "agentgpu scale, run every minute wherever Pulumi runs, follows the load; else nothing does: it starts and ends"
        )
        yield warning(
            "burst-beside-cluster",
            f"{names}: {who} up to {counted(machines, 'machine')} beside the cluster, each up to {slowest:,.0f} s before "
            "it serves. A schedule (scaling.schedule) starts them before the hours in which the burst comes; the expected "
            f"{spec.capacity.burst_hours_per_month:g} h a month (capacity.burstHoursPerMonth) are what is counted",
        )
        if not spec.hosts.admin_ranges:
            yield warning(
                "nobody-logs-in",
                "once a machine is set up, nobody can log in by SSH; name who may in hosts.adminRanges",
            )
    joined = target_of(spec).joined(spec)
    sold = (
        {offering.region for offering in context.catalog.offerings if offering.provider in joined} if joined else set()
    )
    if joined and spec.regions and sold.isdisjoint(spec.regions):
        yield warning(
            "beside-not-in-regions",
            f"{' and '.join(sorted(joined))} sells nothing in {', '.join(spec.regions)}, so no machine of it may be used "
            f"(regions): name regions of it too, such as {', '.join(sorted(sold - {ANY_REGION})[:3])}",
        )


def _schedule_warnings(context: Context, bursts: Sequence[Workload]) -> Iterator[Warning]:
    """Schedules that cannot be kept as they stand."""
    by_agent = {agent: workload for workload in bursts for agent in workload.served}
    wanted = context.spec.scaling
    for peak in wanted.schedule:
        burst = by_agent.get(peak.agent)
        if burst is None:
            yield warning(
                "schedule-ignored",
                f"the schedule from {peak.start!r} asks for {counted(peak.replicas, 'burst replica')}, but "
                f"{peak.agent} has no burst tier: "
                "its warm replicas carry the peak",
                peak.agent,
            )
        elif wanted.method != "keda" or burst.scaling is None:
            yield warning(
                "schedule-ignored",
                f"the schedule from {peak.start!r} is not kept: only scaling.method keda scales by the clock",
                peak.agent,
            )
        elif peak.replicas > burst.replicas.max:
            yield warning(
                "schedule-capped",
                f"the schedule from {peak.start!r} asks for {counted(peak.replicas, 'burst replica')}; the plan has nodes for "
                f"{burst.replicas.max}",
                peak.agent,
            )


def _image_registries(context: Context) -> Iterator[Warning]:
    """Images that the cluster's default registry does not hold."""
    used = sorted(
        {(workload.engine.name, workload.engine.version, workload.engine.image) for workload in context.workloads}
    )
    for engine, version, image in used:
        if context.catalog.release(engine, version).needs_registry:
            yield warning(
                "image-registry",
                f"{PORTS[engine].title} publishes {image} in a registry of its own, which the name lacks: set pins.engineImage "
                "to the full reference with its digest, or let the nodes mirror it",
            )


def _held_capacity(context: Context) -> Iterator[Warning]:
    """The documentation of Karpenter, EKS and EC2 says when a Capacity Block ends."""
    pools = [pool for pool in context.node_pools if pool.reservation != "none"]
    if not pools:
        return
    names = ", ".join(pool.name for pool in pools)
    first = (
        f"pool{plural(len(pools))} {names} use held capacity first: with Karpenter what carries the tag "
        f"{KARPENTER_DISCOVERY_TAG}: {context.stack}, with node groups what agentgpu:capacityReservationIds names"
    )
    if pools[0].reservation == "on-demand":
        rest = f"{_counted(context, pools)}, and a reservation is billed on demand whether it is used or not"
    else:
        rest = (
            "the cost counts its nodes at the price that they have without it, since a block was paid when it was bought. "
            "EC2 begins to end its instances 30 minutes before the block does, and Karpenter or EKS drains them 10 minutes "
            "earlier"
        )
    yield warning("held-capacity", f"{first}; {rest}")


def _counted(context: Context, pools: Sequence[NodePool]) -> str:
    """By which prices the cost counts the nodes of these pools: as the line items have it."""
    names = {pool.name for pool in pools}
    ways: dict[str, dict[str, None]] = {}
    for item in context.cost.line_items:
        if item.node_pool in names:
            ways.setdefault(item.capacity_type, {})[item.tier] = None
    parts = [f"those of the {' and '.join(tiers)} at the {way} price" for way, tiers in ways.items()]
    return f"the cost counts {', '.join(parts)}"


def _router_warnings(context: Context) -> Iterator[Warning]:
    router = context.router
    if context.sky_services:
        return
    if context.spec.security.api_key_secret is not None and (router is None or router.kind != "nginx"):
        yield warning(
            "key-not-everywhere",
            "engines ask for the API key under /v1 only: vLLM also answers prompts under /invocations, without a key. "
            "network.router: nginx lets nothing but /v1 through; else security.callers says who may reach the engines",
        )
    if router is None:
        return
    if context.spec.pins.router_image is None:
        yield warning("unpinned", f"image {router.image} is named by tag; pin its digest with pins.routerImage")
    if router.exporter is not None and context.spec.pins.router_exporter_image is None:
        yield warning(
            "unpinned", f"image {router.exporter.image} is named by tag; pin its digest with pins.routerExporterImage"
        )
    if router.gateway is not None and router.gateway.hostname is None:
        yield warning(
            "gateway-address",
            f"callers reach an agent through Gateway {router.gateway.namespace}/{router.gateway.name} under "
            f"/{context.stack}/<agent>/v1; the Services in the endpoints ConfigMap pass by the picker, so that sessions spread "
            "by chance; with network.gateway.hostname the ConfigMap holds the Gateway's addresses",
        )
