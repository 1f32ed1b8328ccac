"""What a target cannot do is said: a fault of the spec, a rejection or a warning, each with its reason; never nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import pytest

from agentgpu_iac.catalog.model import LayerCounts, Provider, SkyPilotName
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, Rejection
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.spec.abilities import Abilities
from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.targets import TARGETS
from tests.planning import scenes
from tests.planning.scenes import (
    MODELS,
    OFFERINGS,
    SOURCES,
    make_accelerator,
    make_agent,
    make_catalog,
    make_model,
    offerings,
)

NAMES: tuple[Target, ...] = get_args(Target)
SPHERON = {"security": {"apiKeySecret": "key"}, "hosts": {"callerRanges": ["10.0.0.0/8"]}}

HUGE = make_model("test/huge", 300, layers=LayerCounts(full=96), hidden_size=8192, attention_heads=64)
LOCAL = next(model for model in MODELS if model.id == "test/dense").model_copy(
    update={"id": "test/local", "is_local": True}
)
FABRIC = offerings("l8", "large-80", 8, on_demand="22.00", efa_interfaces=32, network_baseline_gbps=3200.0)
AWS = Provider(id="aws", name="AWS", skypilot_cloud="aws", skypilot_regions=True, sources=SOURCES)
ACCELERATORS = ("small-40", "large-80", "no-data-24")
CATALOG = dataclasses.replace(
    make_catalog(
        (*(row for row in OFFERINGS if row.instance_type.name != "l8"), *FABRIC), models=(*MODELS, HUGE, LOCAL)
    ),
    providers=(AWS,),
    skypilot_names=tuple(
        SkyPilotName(provider="aws", accelerator=name, name=name.upper(), sources=SOURCES) for name in ACCELERATORS
    ),
)


def planned(target: Target, *agents: dict[str, Any], **spec: Any) -> Plan:
    needed = SPHERON if target == "spheron" else {}
    return scenes.plan(*agents, catalog=CATALOG, target=target, providers=["aws"], **{**needed, **spec})


def faults(*agents: dict[str, Any], at: str, **spec: Any) -> Callable[[Target], list[str]]:
    """What the reader of the file says about a place."""

    def said(target: Target) -> list[str]:
        try:
            planned(target, *agents, **spec)
        except BadInput as bad:
            return [fault.message for fault in bad.faults if fault.path == at and fault.line]
        except NoPlan:  # read without a fault, and refused for another reason
            return []
        return []

    return said


def rejections(
    *agents: dict[str, Any], constraint: str, reason: str = "", **spec: Any
) -> Callable[[Target], list[str]]:
    """What the plan, or the answer that there is none, says of a constraint."""

    def said(target: Target) -> list[str]:
        found: tuple[Rejection, ...]
        try:
            found = planned(target, *agents, **spec).rejections
        except NoPlan as none:
            found = none.rejections
        return [one.message for one in found if one.constraint == constraint and reason in one.message]

    return said


def warnings(key: str, **spec: Any) -> Callable[[Target], list[str]]:
    """What the plan says of a key that changes nothing."""

    def said(target: Target) -> list[str]:
        found = planned(target, **spec).warnings
        return [one.message for one in found if one.code == "without-effect" and key in one.message]

    return said


SMALL = tuple(make_agent(name, model="test/tiny", latencyClass="background") for name in ("one", "two"))
ASKED: dict[str, Callable[[Target], list[str]]] = {
    "has_cluster": faults(
        at="spec.gitops", gitops={"tool": "flux", "repository": "https://example.org/r", "path": "p"}
    ),
    "keeps_sessions": faults(at="spec.network.routing", network={"routing": "session-affine"}),
    "scales_on_metrics": faults(at="spec.scaling.method", scaling={"method": "keda"}),
    "serves_one_developer": faults(make_agent(engine="ollama"), at="spec.agents[0].engine"),
    "shares_accelerators": rejections(*SMALL, constraint="sharing", reason="machine of its own"),
    "splits_baselines": faults(
        at="spec.capacity.beyondInventory",
        capacity={"inventory": [{"machine": "s1", "count": 1}], "beyondInventory": "rent"},
    ),
    "spans_nodes": rejections(make_agent(model="test/huge", ttftMs=5000), constraint="several-nodes"),
    "fills_cache_by_hand": rejections(make_agent(model="test/local"), constraint="weights"),
    "chooses_node_image": warnings("pins.amiAlias", pins={"amiAlias": "al2023@v20261105"}),
    "makes_cluster": faults(at="spec.capacity.systemNodes", capacity={"systemNodes": {"count": 2}}),
    "makes_nodes_on_demand": warnings("capacity.reservation", capacity={"reservation": "on-demand"}),
    "opens_buckets_to_pods": faults(
        at="spec.modelCache.stream", modelCache={"source": "s3", "bucket": "s3://acme-models", "stream": "auto"}
    ),
    "runs_proxy": faults(
        at="spec.teams",
        teams=[{"name": "desk", "keySecret": "desk-key"}],
        security={"apiKeySecret": "key"},
        hosts={"callerRanges": ["10.0.0.0/8"]},
    ),
    "runs_machines": warnings("hosts.callerRanges", hosts={"callerRanges": ["10.0.0.0/8"]}),
}
"""What asks for each ability."""
NOTHING_ASKS = {
    "serves_by_sky",
    "replica_fills_machine",
    "shares_among_replicas",
    "mixes_replicas",
    "one_region",
    "makes_machines",
}
"""How a target does it; no key of a spec is for one way or the other."""


def test_every_ability_is_asked_for_by_a_spec_or_by_none() -> None:
    names = {field.name for field in dataclasses.fields(Abilities) if field.type == "bool"}
    assert names == {*ASKED, *NOTHING_ASKS}
    assert not NOTHING_ASKS & set(ASKED)


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("ability", ASKED)
def test_what_is_asked_for_and_cannot_be_done_is_said(ability: str, target: Target) -> None:
    said = ASKED[ability](target)
    assert bool(said) is not getattr(TARGETS[target].can, ability), said


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize(
    ("key", "spec"),
    [
        ("schedule", {"schedule": [{"agent": "support", "start": "0 8 * * *", "end": "0 9 * * *", "replicas": 1}]}),
        ("method", {"method": "hpa"}),
    ],
)
def test_nothing_scales_where_no_cluster_does(target: Target, key: str, spec: dict[str, Any]) -> None:
    said = faults(at=f"spec.scaling.{key}", scaling=spec)(target)
    assert bool(said) is not TARGETS[target].can.scales_on_metrics


@pytest.mark.parametrize("target", NAMES)
def test_what_is_off_or_empty_or_unwritten_is_not_missed(target: Target) -> None:
    off = {"security": {**SPHERON["security"], "networkPolicies": False, "callers": []}, "scaling": {"method": "none"}}
    found = planned(target, **off, capacity={"reservation": "none"}, clusterObjects={"helmValues": False})
    said = [one.message for one in found.warnings if one.code == "without-effect"]
    assert said == []


def test_every_idle_key_is_one_of_the_spec() -> None:
    """A key that no spec has would be found by ``written`` for any spec at all."""
    spec = scenes.load().stack.spec
    for port in TARGETS.values():
        for idle in port.idle:
            assert list(idle.written(spec)) == []
            assert idle.reason


def test_a_machine_that_holds_the_model_is_taken_where_no_replica_goes_over_several() -> None:
    """The cheaper of two ways is over two machines; on virtual machines that is no way, and the other one is planned."""
    roomy = make_accelerator("roomy-160", 160.0, 2400.0, 900.0, nvlink_gb_per_s=900.0)
    rows = (*FABRIC, *offerings("r8", "roomy-160", 8, on_demand="90.00"))
    catalog = dataclasses.replace(CATALOG, accelerators=(*CATALOG.accelerators, roomy), offerings=rows)
    agent = make_agent(model="test/huge", ttftMs=5000)
    chosen = {}
    for target in ("kubernetes", "compose"):
        (pool,) = scenes.plan(agent, catalog=catalog, target=target, providers=["aws"]).node_pools
        chosen[target] = (*pool.instance_types, pool.nodes_per_replica)
    assert chosen == {"kubernetes": ("l8", 2), "compose": ("r8", 1)}


def test_what_skypilot_has_no_name_for_is_told_with_its_count() -> None:
    silent = Provider(id="silent", name="Silent", sources=SOURCES)
    rows = (*CATALOG.offerings, *offerings("x1", "small-40", on_demand="0.10", provider="silent", region="any"))
    names = tuple(name for name in CATALOG.skypilot_names if name.accelerator != "large-80")
    catalog = dataclasses.replace(CATALOG, offerings=rows, providers=(AWS, silent), skypilot_names=names)
    found = scenes.plan(catalog=catalog, target="skyserve")
    said = [one.message for one in found.rejections if one.constraint == "skypilot"]
    assert said == [
        "SkyPilot has no name for LARGE-80 of AWS: its 2 instance types are left out for target skyserve",
        "SkyPilot knows no cloud Silent: its 1 instance type is left out for target skyserve",
    ]
    assert {one.instance_type for one in found.rejections} & {"l1", "l8", "x1"} == set()


def test_a_stack_without_a_namespace_has_no_quota() -> None:
    for target in NAMES:
        assert (planned(target).quota is not None) is TARGETS[target].can.has_cluster
