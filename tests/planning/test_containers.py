"""Providers that rent containers: left out, with the reason, wherever a target needs machines."""

from __future__ import annotations

import dataclasses

import pytest

from agentgpu_iac.catalog.model import Provider
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.spec.loader import load_text
from tests.planning.scenes import OFFERINGS, SOURCES, UNKNOWN, make_catalog, offerings, plan

PODS = offerings("pod-1", "small-40", on_demand="0.01", provider="pods") + offerings(
    "pod-2", "small-40", on_demand=UNKNOWN, provider="pods"
)
SELLER = Provider(id="pods", name="Pods", rents_containers=True, sources=SOURCES)
NONE_RUNS = "Pods rents out containers, in which neither systemd nor Docker runs: its 2 instance types are left out"


def catalog(seller: Provider = SELLER) -> Catalog:
    made = make_catalog(OFFERINGS + PODS)
    return dataclasses.replace(made, providers=(*made.providers, seller))


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
def test_a_container_is_no_machine_however_cheap_it_is(target: str) -> None:
    found = plan(catalog=catalog(), target=target)
    assert {pool.provider for pool in found.node_pools} == {"aws"}
    (said,) = (one for one in found.rejections if one.constraint == "container")
    assert f"its 2 instance types are left out for target {target}" in said.message
    assert not [one for one in found.rejections if one.instance_type == "pod-2"]


def test_machines_of_the_same_seller_are_used() -> None:
    found = plan(catalog=catalog(SELLER.model_copy(update={"rents_containers": False})), target="compose")
    assert {pool.provider for pool in found.node_pools} == {"pods"}
    assert not [one for one in found.rejections if one.constraint == "container"]


def test_a_stack_that_wants_containers_alone_is_told_why_it_has_no_plan() -> None:
    with pytest.raises(NoPlan, match=f"any: {NONE_RUNS} for target compose"):
        plan(catalog=catalog(), target="compose", providers=["pods"])


def test_whoever_names_a_seller_of_containers_is_told_who_sells_machines() -> None:
    """Once the refusal ended at what the named one does not sell."""
    text = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  target: compose
  providers: [vast]
  agents:
    - {name: support, model: Qwen/Qwen3-8B}
"""
    with pytest.raises(NoPlan, match=r"for target compose are sold by [a-z, ]*hyperstack[a-z, ]* in the") as said:
        make_plan(load_text(text, "x"), load_catalog())
    assert "runpod" not in str(said.value).splitlines()[-1]


def test_the_packaged_sellers_of_containers_have_a_source_for_it() -> None:
    sellers = {one.id: one for one in packaged_rows().providers if one.rents_containers}
    assert sorted(sellers) == ["runpod", "vast"]
    assert all(any("containers" in source for source in one.sources) for one in sellers.values())
