"""SkyServe services: what is decided for them, and what is turned away because they cannot express it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings

from agentgpu_iac.catalog.model import Offering, Provider, SkyPilotName
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Plan, SkyServicePlan
from agentgpu_iac.planning.demand import demand
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.spec.model import Agent
from tests.planning import scenes
from tests.planning.scenes import BIG, DENSE, SOURCES, TINY, codes, constraints, make_agent, offerings, workload
from tests.planning.stacks import stacks, unreserved
from tests.thoroughness import examples

MODELS = {model.id: model for model in (TINY, DENSE, BIG)}
PROVIDERS = (
    Provider(
        id="aws",
        name="AWS",
        interruption_notice_s=120,
        skypilot_cloud="aws",
        skypilot_regions=True,
        sources=SOURCES,
    ),
    Provider(id="pods", name="Pods", rents_containers=True, skypilot_cloud="runpod", sources=SOURCES),
    Provider(id="silent", name="Silent", sources=SOURCES),
)
NAMES = tuple(
    SkyPilotName(provider=provider, accelerator=accelerator, name=name, sources=SOURCES)
    for provider in ("aws", "pods")
    for accelerator, name in (("small-40", "S40"), ("large-80", "L80"), ("no-data-24", "N24"))
)
SPOT = offerings("s1", "small-40", on_demand="1.00", spot="0.40")
BURSTY = make_agent(
    sessions={"concurrent": 20, "peak": 100},
    traffic={"rampS": 5000.0},
    conversation={"thinkTimeS": 60.0},
    pausedCache="keep",
)


def sky_catalog(*rows: Offering) -> Catalog:
    return dataclasses.replace(scenes.make_catalog(rows), providers=PROVIDERS, skypilot_names=NAMES)


def plan(*agents: dict[str, Any], catalog: Catalog, **spec: Any) -> Plan:
    return scenes.plan(*agents, catalog=catalog, target="skyserve", **spec)


def only(found: Plan) -> SkyServicePlan:
    (service,) = found.sky_services
    return service


def test_other_targets_have_no_services() -> None:
    assert scenes.plan().sky_services == ()


def test_a_burst_on_spot_stands_on_a_baseline_on_demand() -> None:
    found = plan(BURSTY, catalog=sky_catalog(*SPOT))
    service, warm, burst = only(found), workload(found), workload(found, tier="burst")
    assert (service.on_spot, service.on_demand_fallback) == (True, True)
    assert service.on_demand_replicas == service.min_replicas == warm.replicas.min
    assert service.max_replicas == warm.replicas.max + burst.replicas.max
    assert "skyserve-twice" in codes(found)


def test_a_background_agent_is_on_spot_altogether() -> None:
    service = only(plan(make_agent(latencyClass="background"), catalog=sky_catalog(*SPOT)))
    assert (service.on_spot, service.on_demand_replicas, service.on_demand_fallback) == (True, 0, True)


def test_without_spot_nothing_falls_back() -> None:
    service = only(plan(BURSTY, catalog=sky_catalog(*offerings("s1", "small-40", on_demand="1.00"))))
    assert (service.on_spot, service.on_demand_fallback) == (False, False)


def test_a_fixed_number_of_replicas_has_no_rate() -> None:
    service = only(plan(catalog=sky_catalog(*SPOT)))
    assert service.min_replicas == service.max_replicas
    assert service.requests_per_s_per_replica is None


def test_a_replica_may_take_as_long_as_a_start_at_worst() -> None:
    found = plan(BURSTY, catalog=sky_catalog(*SPOT))
    start, probes = found.workloads[0].cold_start_s, found.workloads[0].probes
    assert only(found).initial_delay_s == max(probes.startup_s, math.ceil(start.upper.total))
    assert start.upper.total > 1.5 * start.total


def test_an_agent_whose_rate_nobody_knows_is_not_scaled() -> None:
    agent = make_agent(model="test/tiny", latencyClass="background", overrides={"burstReplicas": 2})
    found = plan(agent, catalog=sky_catalog(*offerings("n1", "no-data-24", on_demand="1.00")))
    service = only(found)
    assert (service.requests_per_s_per_replica, service.max_replicas) == (None, service.min_replicas)
    assert "skyserve-not-scaled" in codes(found, "support")


def test_a_background_agent_without_a_volume_is_scaled_by_what_a_replica_generates() -> None:
    agent = make_agent(latencyClass="background", overrides={"burstReplicas": 2})
    service = only(plan(agent, catalog=sky_catalog(*SPOT)))
    assert service.max_replicas == service.min_replicas + 2
    assert (service.requests_per_s_per_replica or 0) > 0


def test_an_answer_that_takes_longer_than_skyserve_waits_is_said() -> None:
    long = make_agent(conversation={"outputTokensPerTurn": 3000})
    assert "skyserve-drain" in codes(plan(long, catalog=sky_catalog(*SPOT)), "support")
    assert "skyserve-drain" not in codes(plan(catalog=sky_catalog(*SPOT)), "support")


def test_places_are_where_the_same_machine_is_sold_the_same_ways_within_the_limit() -> None:
    rows = (
        *offerings("s1", "small-40", on_demand="1.00", region="us-east-1"),
        *offerings("s1", "small-40", on_demand="1.20", region="us-west-2"),
        *offerings("s1", "small-40", on_demand="1.26", region="eu-west-1"),
        *offerings("pod", "small-40", on_demand="1.10", provider="pods", region="any"),
        *offerings("pod-eu", "small-40", on_demand="1.15", provider="pods", region="EU"),
        *offerings("x1", "small-40", on_demand="0.50", provider="silent", region="any"),
        *offerings("l1", "large-80", on_demand="9.00"),
    )
    service = only(plan(BURSTY, catalog=sky_catalog(*rows)))
    assert [(one.cloud, one.region, one.accelerator) for one in service.places] == [
        ("aws", "us-east-1", "S40"),
        ("runpod", None, "S40"),
        ("aws", "us-west-2", "S40"),
    ]
    assert float(service.max_usd_per_hour) == 1.25


def test_a_user_facing_burst_does_not_go_where_spot_ends_without_notice() -> None:
    rows = (*SPOT, *offerings("pod", "small-40", on_demand="1.00", spot="0.41", provider="pods", region="any"))
    assert {one.cloud for one in only(plan(BURSTY, catalog=sky_catalog(*rows))).places} == {"aws"}
    accepted = plan(BURSTY, catalog=sky_catalog(*rows), capacity={"burstWithoutNotice": "accept"})
    assert {one.cloud for one in only(accepted).places} == {"aws", "runpod"}


def test_a_replica_fills_its_machine() -> None:
    alone = make_agent(overrides={"tensorParallelSize": 1, "pipelineParallelSize": 1})
    with pytest.raises(NoPlan) as refusal:
        plan(alone, catalog=sky_catalog(*offerings("s8", "small-40", 8, on_demand="9.00")))
    (found,) = refusal.value.rejections
    assert (found.constraint, found.need, found.limit) == ("whole-machine", 1.0, 8.0)


def test_a_larger_parallelism_fills_a_machine_that_a_smaller_one_would_not() -> None:
    rows = (*offerings("s8", "small-40", 8, on_demand="9.00"), *offerings("l1", "large-80", on_demand="99.00"))
    assert only(plan(catalog=sky_catalog(*rows))).accelerators == 8


def test_agents_share_no_accelerator() -> None:
    agents = [make_agent(name, "test/tiny") for name in ("one", "two")]
    rows = offerings("l1", "large-80", on_demand="3.00")
    assert scenes.plan(*agents, catalog=sky_catalog(*rows)).workloads[0].share_group is not None
    found = plan(*agents, catalog=sky_catalog(*rows))
    assert [one.share_group for one in found.workloads] == [None, None]
    assert constraints(found, "one") == constraints(found, "two") == {"large-80": "sharing"}


def test_no_replica_goes_over_several_machines() -> None:
    rows = offerings("big", "small-40", 8, on_demand="9.00", efa_interfaces=8, network_baseline_gbps=3200.0)
    huge = scenes.make_model("test/huge", 400, layers=BIG.layers)
    catalog = dataclasses.replace(sky_catalog(*rows), models=(*scenes.MODELS, huge))
    agent = make_agent(model="test/huge", latencyClass="background")
    assert scenes.plan(agent, catalog=catalog).workloads[0].nodes_per_replica > 1
    with pytest.raises(NoPlan) as refusal:
        plan(agent, catalog=catalog)
    assert "several-nodes" in {one.constraint for one in refusal.value.rejections}


def test_sessions_are_not_brought_back() -> None:
    """SkyServe's load balancer knows none, so the sums count prefix hits by chance and the reader is told."""
    found = plan(BURSTY, catalog=sky_catalog(*SPOT))
    one = workload(found)
    replicas = sum(tier.replicas.max for tier in found.workloads)
    assert (one.routing.policy, found.router) == ("round-robin", None)
    assert one.routing.prefix_hit_ratio == pytest.approx(1 / replicas, abs=1e-3)
    assert {"skyserve-routing", "skyserve-controller", "skyserve-endpoint"} <= codes(found)
    assert not {"burst-not-scaled", "router-needed"} & codes(found)


def test_sellers_that_skypilot_does_not_know_are_named() -> None:
    rows = (*SPOT, *offerings("x1", "small-40", on_demand="0.50", provider="silent", region="any"))
    found = plan(catalog=sky_catalog(*rows))
    (said,) = (one.message for one in found.warnings if one.code == "skyserve-clouds")
    assert "silent" in said
    assert {pool.provider for pool in found.node_pools} == {"aws"}


def test_secrets_are_variables_with_names_only() -> None:
    found = plan(catalog=sky_catalog(*SPOT), security={"apiKeySecret": "keys"}, modelCache={"tokenSecret": "hub"})
    assert [(one.variable, one.secret, one.key) for one in only(found).secrets] == [
        ("VLLM_API_KEY", "keys", "key"),
        ("HF_TOKEN", "hub", "token"),
    ]


ROWS = sky_catalog(
    *SPOT,
    *offerings("l1", "large-80", on_demand="3.00", spot="1.20"),
    *offerings("l8", "large-80", 8, on_demand="22.00", spot="8.00"),
    *offerings("pod", "large-80", on_demand="3.20", provider="pods", region="any"),
)


class TestLaws:
    @settings(derandomize=True, deadline=None, database=None, max_examples=examples(50))
    @given(stacks(), unreserved)
    def test_every_deployment_is_a_service_that_its_plan_carries(self, stack, spec):
        spec = {**spec, "network": {"routing": "round-robin"}}
        try:
            found = plan(*stack, catalog=ROWS, **spec)
        except NoPlan:
            assume(False)
        by_name = {agent["name"]: Agent.model_validate(agent, by_alias=True) for agent in stack}
        assert [agent.name for agent in found.agents] == list(by_name)
        assert [one.agent for one in found.sky_services] == list(dict.fromkeys(one.agent for one in found.workloads))
        assert {one.deployment for one in found.agents} == {one.agent for one in found.sky_services}
        for service in found.sky_services:
            tiers = [one for one in found.workloads if one.agent == service.agent]
            assert list(tiers[0].served) == [one.name for one in found.agents if one.deployment == service.agent]
            warm, most = tiers[0].replicas.min, sum(one.replicas.max for one in tiers)
            assert (service.min_replicas, service.workload) == (warm, tiers[0].name)
            assert service.max_replicas in (warm, most)
            assert service.accelerators == tiers[0].accelerators_per_replica
            assert service.places
            ways = found.pool(tiers[0].node_pool).capacity_types
            assert service.on_demand_replicas == (0 if "spot" in ways else warm)
            if tiers[0].user_facing:
                assert service.on_demand_replicas >= 1
            for place in service.places:
                assert place.on_demand_usd_per_hour is not None
                assert place.on_demand_usd_per_hour <= service.max_usd_per_hour
            rate = service.requests_per_s_per_replica
            served = [demand(by_name[name], MODELS[by_name[name].model]) for name in tiers[0].served]
            normal, peak = (sum(each.requests_per_s(peak=is_peak) for each in served) for is_peak in (False, True))
            if rate is not None and peak > 0:
                assert math.ceil(normal / rate) <= warm
                assert math.ceil(peak / rate) >= most


def test_agents_that_share_a_model_are_one_service() -> None:
    agents = [make_agent(name, isolation="shared") for name in ("one", "two")]
    found = plan(*agents, catalog=sky_catalog(*SPOT))
    assert (only(found).agent, found.workloads[0].served) == ("dense", ("one", "two"))
    assert [one.deployment for one in found.agents] == ["dense", "dense"]


def test_a_replica_waits_for_no_model_but_its_own() -> None:
    catalog = sky_catalog(*SPOT)
    agents = make_agent("one"), make_agent("two", "test/tiny")
    alone, together = plan(agents[0], catalog=catalog), plan(*agents, catalog=catalog)
    assert workload(together, "one").cold_start_s == workload(alone, "one").cold_start_s
