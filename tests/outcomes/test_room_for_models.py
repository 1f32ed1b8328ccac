"""Whatever keeps models holds them: every volume and disk of a plan, over random stacks on every target."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.spec.loader import load_text
from tests.outcomes.scenes import catalog
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload
from tests.thoroughness import examples

LAW = settings(derandomize=True, deadline=None, database=None, max_examples=examples(25), phases=[Phase.generate])
ROOT_GIB, SYSTEM_GIB = 100, 60
"""What a node's image, its logs and container images need beside the models: 100 GiB of a root volume; 60 on a marketplace."""
ROOT_VOLUME = "ebs-gp3"

MODELS = (
    "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-14B",
    "meta-llama/Llama-3.3-70B-Instruct",
    "openai/gpt-oss-20b",
)

agents = st.builds(
    lambda model, concurrent, adapter, precision: {
        "model": model,
        "latencyClass": "background",
        "sessions": {"concurrent": concurrent},
        **({"loraAdapters": [{"name": "tone", "source": "acme/tone", "rank": 64}]} if adapter else {}),
        **({"precision": precision} if precision and "gpt-oss" not in model else {}),
    },
    st.sampled_from(MODELS),
    st.sampled_from([1, 4, 40]),
    st.booleans(),
    st.sampled_from([None, None, "fp8"]),
)
specs = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["eks", "eks", "kubernetes", "spheron", "skyserve"]),
        "modelCache": st.fixed_dictionaries(
            {"storage": st.sampled_from(["nvme", ROOT_VOLUME]), "tokenSecret": st.just("hf-token")}
        ),
        "agents": st.lists(agents, min_size=1, max_size=3),
    }
)


def planned(spec: dict[str, Any]) -> Plan | None:
    named = [{**agent, "name": f"agent-{number}"} for number, agent in enumerate(spec["agents"])]
    public = {"security": {"apiKeySecret": "k"}, "hosts": {"callerRanges": ["10.0.0.0/8"]}}
    document = {
        "apiVersion": "agentgpu.dev/v1alpha1",
        "kind": "AgentStack",
        "metadata": {"name": "demo"},
        "spec": {**spec, **(public if spec["target"] == "spheron" else {}), "agents": named},
    }
    try:
        return make_plan(load_text(json.dumps(document), "stack.yaml"), catalog())
    except NoPlan:
        return None


def rooms(plan: Plan) -> Iterator[tuple[str, float, float]]:
    """(What keeps models, the GiB that it has for them, the GiB of models that it keeps)."""
    for pool in plan.node_pools:
        kept = sum(model.gib for model in pool.cached_models)
        storage = {one.model_cache.storage for one in plan.workloads if one.node_pool == pool.name}
        yield f"the cache volume of {pool.name}", pool.cache_capacity_gib, kept
        if storage == {ROOT_VOLUME}:
            yield f"the root volume of {pool.name}", pool.root_volume_gib - ROOT_GIB, kept
        if pool.market is not None:
            yield f"the disk of {pool.name}", pool.market.disk_gib - SYSTEM_GIB, kept
    for service in plan.sky_services:
        kept = sum(model.gib for model in service.models)
        yield f"the disk of {service.name}", service.disk_gib - ROOT_GIB, kept


@LAW
@given(specs)
def test_everything_that_keeps_models_holds_them_with_a_fifth_to_spare(spec: dict[str, Any]) -> None:
    """A fifth is for the files beside the weights, and for what a download keeps until it is whole."""
    plan = planned(spec)
    assume(plan is not None)
    for what, room_gib, kept_gib in rooms(plan):
        spare = 1.0 if "cache volume" in what else 1.2
        assert room_gib >= spare * kept_gib > 0, what


@LAW
@given(specs)
def test_an_instance_store_keeps_a_fifth_for_everything_else(spec: dict[str, Any]) -> None:
    """Images, logs and emptyDirs lie beside the models: a cache that takes it all evicts the pods that it serves."""
    plan = planned(spec)
    assume(plan is not None)
    for pool in plan.node_pools:
        on_disk = {one.model_cache.storage for one in plan.workloads if one.node_pool == pool.name}
        if on_disk == {"nvme"}:
            usable_gib = pool.nvme_gb * 1e9 / 2**30
            assert pool.cache_capacity_gib <= 0.8 * usable_gib, pool.name
            assert pool.cache_capacity_gib >= math.floor(0.8 * usable_gib) - 1, pool.name


@LAW
@given(specs)
def test_everything_that_keeps_models_has_room_for_a_second_revision(spec: dict[str, Any]) -> None:
    plan = planned(spec)
    assume(plan is not None)
    for what, room_gib, kept_gib in rooms(plan):
        assert room_gib >= 2 * kept_gib, what


@pytest.mark.parametrize(
    ("nvme_gb", "storage"), [(0, "ebs-gp3"), (21, "ebs-gp3"), (43, "ebs-gp3"), (45, "nvme"), (250, "nvme")]
)
def test_an_instance_store_that_is_too_small_is_not_used(nvme_gb: int, storage: str) -> None:
    """The model is 14.97 GiB, twice and a fifth of it 33 GiB; four fifths of 43 GB are 32.0 GiB, of 45 GB 33.5."""
    rows = offerings("s1", "small-40", on_demand="1.00", nvme_total_gb=nvme_gb)
    found = plan(make_agent(), catalog=make_catalog(rows))
    (pool,) = found.node_pools
    assert workload(found).model_cache.storage == storage
    assert pool.cache_capacity_gib >= sum(model.gib for model in pool.cached_models) > 14.9
