"""SkyServe: each agent as one service on the clouds that SkyPilot knows.

What such a service cannot express stands in ``targets/skyserve.py``. Prefix hits are counted as they come by chance. Facts
about SkyServe were read in SkyPilot 0.14.1: sky/serve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from agentgpu_iac.catalog.join import ANY_REGION
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import SkyPlace, SkySecret, SkyServicePlan, Workload
from agentgpu_iac.planning.choosing import caching, host_memory
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.siblings import price_cap_ratio
from agentgpu_iac.planning.pools import ROOT_VOLUME_GIB, Placed
from agentgpu_iac.planning.running import security
from agentgpu_iac.planning.running.routing import answer_timeout_s
from agentgpu_iac.planning.running.scaling import stay_s
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.targets.skyserve import names
from agentgpu_iac.units import ceil_div, usd_per_hour

TOKEN_VARIABLE: Final = "HF_TOKEN"  # noqa: S105 - the name of a variable
"""What Hugging Face's library reads a token from."""

DECISION_INTERVAL_S = 20
"""SkyServe's autoscaler decides this often, on the requests of the last 60 s. A longer delay only adds to the cold start."""
PROBE_TIMEOUT_S = 15
"""SkyServe's default."""
LEAST_FAILURE_S = 180
"""SkyServe's default: a replica that fails its probes for so long is thrown away, and another one takes a cold start."""


def unknown_providers(machines: Sequence[Machine], catalog: Catalog) -> tuple[str, ...]:
    """Sellers that the spec allows and SkyPilot cannot ask for any accelerator, in the order of their names."""
    known = {provider for provider, _ in names(catalog)}
    return tuple(sorted({machine.instance.provider for machine in machines} - known))


def services(
    placed: Sequence[Placed],
    options: Sequence[Sequence[Option]],
    tiers: dict[str, tuple[Workload, ...]],
    spec: StackSpec,
    catalog: Catalog,
    stack: str,
) -> tuple[SkyServicePlan, ...]:
    """One service for each agent, in their order; none for other targets."""
    if not target_of(spec).can.serves_by_sky:
        return ()
    return tuple(
        _service(member, options[member.position], tiers[member.candidate.demand.name], spec, catalog, stack)
        for member in placed
    )


def _service(
    member: Placed,
    options: Sequence[Option],
    tiers: Sequence[Workload],
    spec: StackSpec,
    catalog: Catalog,
    stack: str,
) -> SkyServicePlan:
    candidate, option, baseline = member.candidate, member.option, tiers[0]
    warm, most = baseline.replicas.min, sum(tier.replicas.max for tier in tiers)
    target = None if most == warm else _requests_per_s(candidate, warm, most, spec)
    if target is None:
        most = warm
    bought = option.baseline if option.burst is None else option.burst
    on_spot = "spot" in bought.capacity_types and (most > warm or "spot" in option.baseline.capacity_types)
    models = caching.cached_models([candidate], spec)
    cold, probes = baseline.cold_start_s, baseline.probes
    need_mib = host_memory.need_mib(candidate)
    limit = _planned_usd(option.machine) * Decimal(str(price_cap_ratio(spec)))
    return SkyServicePlan(
        agent=baseline.agent,
        workload=baseline.name,
        name=f"{stack}-{baseline.agent}",
        accelerators=candidate.accelerators_per_replica,
        places=_places(option, options, limit, catalog),
        max_usd_per_hour=usd_per_hour(limit),
        on_spot=on_spot,
        on_demand_replicas=0 if "spot" in option.baseline.capacity_types else warm,
        on_demand_fallback=on_spot and "on-demand" in bought.capacity_types,
        min_replicas=warm,
        max_replicas=most,
        requests_per_s_per_replica=target,
        upscale_delay_s=DECISION_INTERVAL_S,
        downscale_delay_s=stay_s(cold.total, baseline.pace),
        initial_delay_s=max(probes.startup_s, math.ceil(cold.upper.total)),
        probe_timeout_s=PROBE_TIMEOUT_S,
        probe_interval_s=probes.readiness_period_s,
        failure_threshold_s=max(LEAST_FAILURE_S, probes.liveness_period_s * probes.liveness_failure_threshold),
        stream_timeout_s=answer_timeout_s(baseline),
        disk_gib=ROOT_VOLUME_GIB + caching.volume_gib(caching.models_gib(models), step=10),
        memory_gib=ceil_div(need_mib, 1024) if need_mib else None,
        models=models,
        bucket=spec.model_cache.bucket if spec.model_cache.source == "s3" else None,
        secrets=tuple(_secrets(baseline, spec)),
    )


def _planned_usd(machine: Machine) -> Decimal:
    """What the machine costs when it is not on spot, since one limit holds for both; its spot price where nothing else is."""
    on_demand, spot = machine.usd_per_hour("on-demand"), machine.usd_per_hour("spot")
    return on_demand or spot or Decimal(0)


def _places(chosen: Option, options: Sequence[Option], limit: Decimal, catalog: Catalog) -> tuple[SkyPlace, ...]:
    """Where such a machine is on offer, bought the same ways within the limit: the planned place first, then by price."""
    known = names(catalog)
    found: dict[tuple[str, str | None, str], SkyPlace] = {}
    alike = (option for option in options if _is_alike(option, chosen) and _planned_usd(option.machine) <= limit)
    for option in (chosen, *sorted(alike, key=lambda other: (_planned_usd(other.machine), other.machine.id))):
        provider = catalog.provider(option.machine.instance.provider)
        accelerator = known[provider.id, option.machine.accelerator]
        named = provider.skypilot_regions and option.machine.region != ANY_REGION
        region = option.machine.region if named else None
        on_demand, spot = (option.machine.usd_per_hour(way) for way in ("on-demand", "spot"))
        place = SkyPlace(
            cloud=provider.skypilot_cloud or provider.id,
            region=region,
            accelerator=accelerator,
            on_demand_usd_per_hour=None if on_demand is None else usd_per_hour(on_demand),
            spot_usd_per_hour=None if spot is None else usd_per_hour(spot),
        )
        found.setdefault((place.cloud, region, accelerator), place)
    return tuple(found.values())


def _is_alike(option: Option, chosen: Option) -> bool:
    """Whether the option's machine runs the very engine that was planned, bought in the very ways."""
    candidate, planned = option.candidates[0], chosen.candidates[0]
    ways = [
        (each.baseline.capacity_types, None if each.burst is None else each.burst.capacity_types)
        for each in (option, chosen)
    ]
    return (
        candidate.accelerator.id == planned.accelerator.id and candidate.sizes == planned.sizes and ways[0] == ways[1]
    )


def _requests_per_s(candidate: Candidate, warm: int, most: int, spec: StackSpec) -> float | None:
    """Requests a second on one replica from which another is wanted; None where no rate of requests is known.

    SkyServe wants (requests a second / this, rounded up) replicas. So it must be no lower than what a warm replica gets at
    normal load, else the burst would never end; and low enough to have the peak's replicas before the peak fills them.
    An agent without a pace of its own is counted by what a replica can generate.
    """
    demand, theta = candidate.demand, spec.scaling.utilization_ratio
    peak = demand.requests_per_s(peak=True)
    generated = candidate.service.output_tokens_per_s
    if peak > 0:
        wanted = max(demand.requests_per_s(peak=False) / warm, theta * peak / most)
    elif generated is not None:
        wanted = theta * generated / demand.shape.output_tokens_per_request
    else:
        return None
    return math.ceil(wanted * 10_000) / 10_000


def _secrets(workload: Workload, spec: StackSpec) -> Iterator[SkySecret]:
    """Variables whose values are given to SkyPilot when the service is started, and never written down."""
    for variable in workload.engine.secret_environment:
        yield SkySecret(variable=variable.variable, secret=variable.secret, key=variable.key)
    token = spec.model_cache.token_secret
    if token is not None:
        yield SkySecret(variable=TOKEN_VARIABLE, secret=token, key=security.TOKEN)
