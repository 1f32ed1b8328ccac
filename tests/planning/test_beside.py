"""Machines of another provider beside a cluster: when they carry the burst, what that costs, and what a plan says of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from agentgpu_iac.catalog.model import Provider
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning import planner, settling
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.mixes import Parts, mixed_options
from agentgpu_iac.planning.choosing.option import Option
from tests.planning.scenes import (
    OFFERINGS,
    PROVIDERS,
    SOURCES,
    codes,
    make_agent,
    make_catalog,
    offerings,
    plan,
    workload,
)

SELLER = Provider(id="spheron", name="Spheron", interruption_notice_s=0, sources=SOURCES)
AGENT = make_agent(sessions={"concurrent": 8, "peak": 400}, traffic={"rampS": 3600})
MIXED: dict[str, Any] = dict(
    providers=["aws", "spheron"],
    security={"apiKeySecret": "agents-api-key"},
    capacity={"burstWithoutNotice": "accept", "spot": "auto"},
)
CHEAP = (
    *offerings("away-s1", "small-40", provider="spheron", region="far-1", on_demand="0.30", spot="0.10"),
    *offerings("away-l2", "large-80", 2, provider="spheron", region="far-2", on_demand="1.50", spot="0.50"),
)


def catalog_with(*sold: Any) -> Catalog:
    return replace(make_catalog((*OFFERINGS, *sold)), providers=(*PROVIDERS, SELLER))


@cache
def mixed(**network: Any) -> Plan:
    return plan(AGENT, catalog=catalog_with(*CHEAP), **MIXED, network=dict(network))


def test_the_burst_goes_where_it_is_cheaper_and_the_baseline_stays_in_the_cluster() -> None:
    alone, found = plan(AGENT, catalog=catalog_with(*CHEAP), **{**MIXED, "providers": ["aws"]}), mixed()
    baseline, burst = found.node_pools
    assert (baseline.provider, baseline.beside_cluster) == ("aws", False)
    assert (burst.provider, burst.tier, burst.min, burst.beside_cluster) == ("spheron", "burst", 0, True)
    assert found.cost.expected_usd_per_month < alone.cost.expected_usd_per_month
    assert found.architecture == "multi-provider-burst"


def test_a_burst_elsewhere_renames_no_pool_of_the_cluster() -> None:
    """A pool of another name is another pool: its nodes would be made anew."""
    alone = plan(AGENT, catalog=catalog_with(*CHEAP), **{**MIXED, "providers": ["aws"]})
    assert mixed().node_pools[0].name in {pool.name for pool in alone.node_pools}


def test_dearer_machines_elsewhere_change_nothing() -> None:
    dear = offerings("away-s1", "small-40", provider="spheron", region="far-1", on_demand="9.00", spot="8.00")
    alone, found = (
        plan(AGENT, catalog=catalog_with(*dear), **{**MIXED, "providers": wanted})
        for wanted in (["aws"], ["aws", "spheron"])
    )
    assert found.node_pools == alone.node_pools
    assert found.cost == alone.cost
    assert found.joined is None
    assert found.hosts == ()


def test_the_way_there_is_a_term_of_the_ttft_and_its_line_says_so() -> None:
    here, away = workload(mixed()), workload(mixed(), tier="burst")
    assert here.latency.wide_area_ms == 0.0
    assert away.latency.wide_area_ms == 300.0
    assert away.latency.network_ms == here.latency.network_ms + 300.0
    (line,) = (entry for entry in mixed().ledger if entry.name == "wideAreaMs")
    assert line.value == 300.0


def test_a_way_that_takes_too_long_for_the_budget_keeps_the_burst_in_the_cluster() -> None:
    assert {pool.provider for pool in mixed(burstRttMs=200).node_pools} == {"aws"}


def test_nginx_may_try_each_machine_that_could_be_away() -> None:
    found = mixed()
    assert found.router is not None and found.joined is not None
    (route,) = found.router.routes
    machines = len(found.joined.machines)
    assert machines == found.node_pools[1].max
    assert route.max_tries == min(3, sum(tier.replicas.max for tier in found.workloads)) + machines
    budget_ms = workload(found).latency.budget_ttft_ms
    assert route.retry_window_ms == 1_000 * (1 + machines) + budget_ms


def test_a_machine_weighs_as_much_as_its_engines_beside_the_pods_of_the_cluster() -> None:
    found = mixed()
    assert found.joined is not None
    pods = workload(found).replicas.max
    assert {way.weight for machine in found.joined.machines for way in machine.routes} == {100 // pods}


def test_nothing_scales_it_and_the_plan_says_who_starts_it() -> None:
    found = mixed()
    assert workload(found, tier="burst").scaling is None
    assert {"burst-beside-cluster", "spot-without-notice"} <= codes(found)
    assert "burst-not-scaled" not in codes(found)


@pytest.mark.parametrize("ranges", [[], ["203.0.113.7/32"]])
def test_its_scaler_logs_in_to_machines_that_somebody_may_log_in_to(ranges: list[str]) -> None:
    machines = {"image": "registry.example/agents:1", "secret": "pulumi", "pulumiStack": "burst"}
    asked = {**MIXED, "scaling": {"machines": machines}, "hosts": {"adminRanges": ranges}}
    joined = plan(AGENT, catalog=catalog_with(*CHEAP), **asked).joined
    assert joined is not None
    assert joined.scaling is not None
    assert joined.scaling.scaler is not None
    assert joined.scaling.scaler.logs_in is bool(ranges)


def test_what_is_about_the_cluster_leaves_the_machines_out() -> None:
    found = mixed()
    cluster = found.in_cluster
    assert [pool.provider for pool in cluster.node_pools] == ["aws"]
    assert [tier.tier for tier in cluster.workloads] == ["baseline"]
    assert cluster.hosts == ()
    (host,) = found.hosts
    assert host.tls and host.listen == ("0.0.0.0",), "whoever may call is told when the machine is made"
    assert {secret.secret for secret in host.secrets} == {"agents-api-key"}
    assert found.quota is not None and found.quota.accelerators < sum(
        tier.replicas.max * tier.accelerators_per_replica for tier in found.workloads
    )


@pytest.mark.parametrize(
    ("regions", "sellers"),
    [(["us-east-1"], {"aws"}), (["us-east-1", "far-1"], {"aws", "spheron"}), ([], {"aws", "spheron"})],
)
def test_machines_are_where_data_may_be(regions: list[str], sellers: set[str]) -> None:
    found = plan(AGENT, catalog=catalog_with(*CHEAP), **MIXED, regions=regions)
    assert {pool.provider for pool in found.node_pools} == sellers
    if regions:
        assert {pool.region for pool in found.node_pools} <= set(regions)
    assert ("beside-not-in-regions" in codes(found)) is (sellers == {"aws"})


def test_a_price_for_any_region_is_none_where_regions_are_named() -> None:
    anywhere = offerings("away-s1", "small-40", provider="spheron", region="any", on_demand="0.30", spot="0.10")
    sold = catalog_with(*anywhere)
    assert {pool.provider for pool in plan(AGENT, catalog=sold, **MIXED, regions=["us-east-1"]).node_pools} == {"aws"}
    assert len({pool.provider for pool in plan(AGENT, catalog=sold, **MIXED).node_pools}) == 2


def test_regions_without_one_for_the_cluster_are_a_fault() -> None:
    with pytest.raises(BadInput, match="the cluster stands in a region of aws, and none of these is one"):
        plan(AGENT, catalog=catalog_with(*CHEAP), **MIXED, regions=["far-1"])


def test_spot_elsewhere_keeps_no_share_of_a_pool_in_a_zone() -> None:
    spread = {**MIXED, "capacity": {**MIXED["capacity"], "maxSharePerPool": 0.5}}
    found = plan(AGENT, catalog=catalog_with(*CHEAP), **spread)
    assert all("spot" not in pool.capacity_types for pool in found.node_pools if pool.beside_cluster)


def test_on_a_cluster_of_yours_machines_stand_beside_it_where_you_say_so() -> None:
    own = dict(target="kubernetes", security=MIXED["security"])
    joined = {**MIXED["capacity"], "machinesFrom": ["spheron"]}
    nodes = plan(AGENT, catalog=catalog_with(*CHEAP), **own, capacity=MIXED["capacity"])
    beside = plan(AGENT, catalog=catalog_with(*CHEAP), **own, providers=["aws"], capacity=joined)
    assert not any(pool.beside_cluster for pool in nodes.node_pools)
    assert [pool.beside_cluster for pool in beside.node_pools] == [False, True]


CARDS = (("small-40", 1), ("large-80", 1), ("large-80", 2))
PRICES = ("0.05", "0.45", "1.10")


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("prices", list(itertools.product(PRICES, repeat=3)))
def test_the_cheapest_of_all_pairs_is_chosen_to_the_cent(
    prices: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every baseline beside every burst, counted one by one, against what the program keeps of them."""
    sold = [
        offering
        for number, ((card, count), price) in enumerate(zip(CARDS, prices, strict=True))
        for offering in offerings(
            f"away-{number}", card, count, provider="spheron", region=f"far-{number}", on_demand=price, spot=price
        )
    ]
    seen: list[tuple[Sequence[Parts], Terms]] = []
    known: list[Sequence[Option]] = []

    def mixing(parts: Sequence[Parts], terms: Terms, *rest: Any) -> list[list[Option]]:
        seen.append((parts, terms))
        return mixed_options(parts, terms, *rest)

    def placing(options: Sequence[Sequence[Option]], *rest: Any) -> Any:
        known.append([option for option in options[0] if option.elsewhere is None])
        return real(options, *rest)

    real = settling.place
    monkeypatch.setattr(settling, "mixed_options", mixing)
    monkeypatch.setattr(settling, "place", placing)
    monkeypatch.setattr(planner, "_second_replicas", lambda *_: {})  # which places anew
    rows = tuple(row for row in OFFERINGS if row.instance_type.name in ("s1", "l1"))
    found = plan(AGENT, catalog=replace(make_catalog((*rows, *sold)), providers=(*PROVIDERS, SELLER)), **MIXED)
    (parts,), terms = seen[-1]
    costs = [option.usd_per_month_alone(terms) for option in known[-1]]
    for baseline, burst in itertools.product(parts.baselines, parts.bursts):
        if baseline.candidate.prefix_hit_ratio != burst.candidate.prefix_hit_ratio:
            continue  # a session would lose its context on the way from one to the other
        peak = max(baseline.candidate.peak_replicas, burst.candidate.peak_replicas)
        warm = parts.warm(baseline, burst, peak)
        kept = warm * baseline.purchase.usd_per_hour * 720
        costs.append(kept + (peak - warm) * burst.purchase.usd_per_hour * terms.burst_hours)
    assert found.cost.expected_usd_per_month == min(costs).quantize(Decimal("0.01"))
