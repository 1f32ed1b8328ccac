"""Warnings about what SkyServe does otherwise than a cluster would."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import SkyServicePlan, Warning
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.pricing import machines
from agentgpu_iac.planning.finishing import sky
from agentgpu_iac.units import counted

_DRAIN_S = 120
"""What SkyServe leaves a replica between its last request and its end (0.14.1: serve/replica_managers.py)."""


def skyserve_warnings(context: Context) -> Iterator[Warning]:
    """The warnings about services; none for other targets."""
    if not context.sky_services:
        return
    yield from _left_out(context)
    yield warning(
        "skyserve-controller",
        "SkyServe's controller and load balancer run on a machine of their own, 4 vCPUs and 8 GB or more, in a cloud that "
        "SkyPilot chooses; it is not in the cost",
    )
    if context.spec.security.api_key_secret is None:
        yield warning(
            "skyserve-endpoint",
            "whoever knows the address of a SkyServe endpoint can call it, over plain HTTP, and SkyServe has no list of "
            "callers: set security.apiKeySecret, or close the controller's ports 30001-30020 to others in its cloud",
        )
    else:
        yield warning(
            "skyserve-endpoint",
            "SkyServe's endpoint speaks plain HTTP unless you give the service a certificate, and passes every path: vLLM "
            "answers prompts under /invocations without the API key. Close the controller's ports 30001-30020 to others in its "
            "cloud",
        )
    for service in context.sky_services:
        yield from _service_warnings(context, service)


def _left_out(context: Context) -> Iterator[Warning]:
    unknown = sky.unknown_providers(machines(context.catalog.offerings, context.spec), context.catalog)
    if unknown:
        yield warning(
            "skyserve-clouds",
            f"SkyPilot knows no cloud {', '.join(unknown)}, or none of its accelerators: offerings there are left out",
        )


def _service_warnings(context: Context, service: SkyServicePlan) -> Iterator[Warning]:
    tiers = context.tiers[service.agent]
    baseline, most = tiers[0], sum(tier.replicas.max for tier in tiers)
    if most > 1:
        yield warning(
            "skyserve-routing",
            "SkyServe sends each request to the replica with the least to do and knows no sessions: over "
            f"{counted(most, 'replica')} the prefix hit ratio is counted as {baseline.routing.prefix_hit_ratio:.2f}. "
            "A target with the "
            "project's own router brings sessions back to their context",
            service.agent,
        )
    if len({(tier.engine.command, tier.engine.args) for tier in tiers}) > 1:
        yield warning(
            "skyserve-one-command",
            f"SkyServe starts all replicas in one way: those of {tiers[-1].name} run with the arguments of {baseline.name}",
            service.agent,
        )
    if service.max_replicas < most:
        extra = most - service.max_replicas
        yield warning(
            "skyserve-not-scaled",
            f"nothing raises the service from {counted(service.max_replicas, 'replica')} by the {extra} that "
            "the peak needs: SkyServe scales by requests a second, and no rate is known for the agent. State "
            "traffic.conversationsPerDay, or keep the peak warm (overrides.baselineReplicas)",
            service.agent,
        )
    if service.on_demand_fallback:
        spot = service.max_replicas - service.on_demand_replicas
        on_demand = service.places[0].on_demand_usd_per_hour
        price = "" if on_demand is None else f", up to USD {on_demand * spot:,.2f} an hour beside the spot price"
        yield warning(
            "skyserve-twice",
            f"while spot replicas start, as many on-demand ones run ({spot} at most{price}): SkyServe starts both at once and "
            "takes the on-demand ones down when spot is ready",
            service.agent,
        )
    if baseline.drain.grace_period_s > _DRAIN_S:
        yield warning(
            "skyserve-drain",
            f"a replica that goes is left {_DRAIN_S} s, and its longest answer takes {baseline.drain.shutdown_timeout_s} s: what "
            "is not said by then is lost",
            service.agent,
        )
