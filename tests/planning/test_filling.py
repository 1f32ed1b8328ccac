"""How model caches are filled: what is pinned, what many nodes do to one gateway, and how long a filler may take."""

from __future__ import annotations

import json
import math

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.sizing import loading
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload
from tests.review.arithmetic import worked_out
from tests.sizing.rows import make_instance

COMMIT, DRAFT_COMMIT = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def pinned() -> Plan:
    """An agent with two adapters, one of them pinned, and a pinned draft; more nodes than one."""
    agent = make_agent(
        loraAdapters=[
            {"name": "tone", "source": "acme/tone", "revision": COMMIT},
            {"name": "style", "source": "acme/style"},
        ],
        speculative={"method": "draft-model", "model": "test/tiny", "modelRevision": DRAFT_COMMIT},
        trustRemoteCode=True,
        sessions={"concurrent": 400},
    )
    return plan(agent, catalog=make_catalog(offerings("s1", "small-40", on_demand="1.00", nvme_total_gb=500)))


def test_adapters_and_drafts_are_taken_at_their_revision(pinned: Plan) -> None:
    cache = workload(pinned).model_cache
    assert [(each.path, each.revision, each.served_as) for each in cache.adapters] == [
        (f"acme--tone--{COMMIT}", COMMIT, "tone"),
        ("acme--style--main", "main", "style"),
    ]
    assert cache.draft is not None
    assert (cache.draft.path, cache.draft.revision) == (f"test--tiny--{DRAFT_COMMIT}", DRAFT_COMMIT)
    args = workload(pinned).engine.args
    assert f"tone=/models/acme--tone--{COMMIT}" in args
    assert any(f"test--tiny--{DRAFT_COMMIT}" in word for word in args)
    (pool,) = pinned.node_pools
    kinds = {model.path: (model.kind, model.runs_code) for model in pool.cached_models}
    assert kinds[f"acme--tone--{COMMIT}"] == ("adapter", True)
    assert kinds[f"test--tiny--{DRAFT_COMMIT}"] == ("model", True)


def test_what_is_not_pinned_beside_the_model_is_said(pinned: Plan) -> None:
    said = [each.message for each in pinned.warnings if "taken at revision main: " in each.message]
    assert said == ["taken at revision main: adapter acme/style (revision); pin what stands behind it"]


def test_programs_are_told_the_adapters(pinned: Plan) -> None:
    (text,) = (file.content.decode() for file in render(pinned) if file.path.endswith("configmap-endpoints.yaml"))
    document = text.split("endpoints.json: |\n")[1].split("\n  ")
    assert '"adapters": [' in text
    assert '"tone"' in "".join(document)


def test_nodes_that_fill_at_once_share_the_gateway_and_begin_apart(pinned: Plan) -> None:
    (pool,) = pinned.node_pools
    filler = pool.filler
    assert filler is not None
    assert filler.nodes_at_once == pool.max > 4
    assert 0 < filler.start_delay_s <= 60
    assert 4 <= filler.connections <= 16
    gib = sum(model.gib for model in pool.cached_models)
    share_gib_per_s = loading.GATEWAY_GBPS * 1e9 / 8 / 2**30 / pool.max
    assert filler.fill_s == pytest.approx(filler.start_delay_s + gib / share_gib_per_s, rel=0.01)
    assert filler.fill_s > workload(pinned).cold_start_s.cache_fill
    assert workload(pinned).cold_start_s.upper.cache_fill == filler.fill_s
    assert filler.timeout_s >= filler.fill_s * (1 + workload(pinned).cold_start_s.error_ratio)
    alerts = {alert.name: alert.for_s for alert in pinned.watching.alerts}
    assert alerts["AgentModelCacheNotFilled"] >= 2 * filler.fill_s - 1
    words = json.dumps([file.content.decode() for file in render(pinned) if "daemonset-model-cache" in file.path])
    for number, flag in (
        (filler.start_delay_s, "--start-delay-s"),
        (filler.timeout_s, "--timeout-s"),
        (filler.connections, "--connections"),
    ):
        assert f"{flag}={number}" in words


@pytest.mark.parametrize(("nodes", "shared", "gib_per_s"), [(1, True, 0.582), (25, True, 0.0233), (25, False, 0.7)])
def test_the_share_of_a_node(nodes: int, shared: bool, gib_per_s: float) -> None:
    """25 nodes behind one gateway of 5 Gbit/s get a thirtieth of what the hub gives to one."""
    found = loading.slowest_fill_gib_per_s(make_instance(), "nvme", 600, nodes_at_once=nodes, share_gateway=shared)
    assert found == pytest.approx(gib_per_s, rel=0.01)


def test_what_waits_for_a_start_waits_for_the_shared_fill(pinned: Plan) -> None:
    """25 nodes behind one gateway fill in half an hour what one fills in a minute: no deadline may end that."""
    found, (pool,) = workload(pinned), pinned.node_pools
    start, late = found.cold_start_s, found.cold_start_s.upper
    assert pool.filler is not None
    assert late.total >= start.total - start.cache_fill + pool.filler.fill_s > late.alone_total > start.total
    assert late.alone_total > start.total + start.cache_fill
    assert found.rollout.progress_deadline_s >= late.total
    assert start.error_ratio == pytest.approx(late.total / start.total - 1, abs=0.01)


def test_a_start_set_by_hand_is_not_lengthened() -> None:
    agent = make_agent(sessions={"concurrent": 400}, overrides={"coldStartS": 200.0})
    (found,) = plan(agent).workloads
    assert found.cold_start_s.upper.total == 200.0


def test_the_sums_of_a_fill_are_written_down(pinned: Plan) -> None:
    (pool,) = pinned.node_pools
    assert pool.filler is not None
    fill, timeout = (
        next(entry for entry in pinned.ledger if entry.name == name and entry.workload == workload(pinned).name)
        for name in ("fillS", "timeoutS")
    )
    assert fill.section == timeout.section == "Filling the model cache"
    assert worked_out(fill.inputs) == pytest.approx(pool.filler.fill_s, abs=0.06)
    assert timeout.value == pool.filler.timeout_s == max(1800, 60 * math.ceil(worked_out(timeout.inputs) / 60))


def test_a_burst_whose_nodes_share_the_gateway_is_said() -> None:
    """Warm replicas were counted by a node that fills alone."""
    burst = make_agent(
        sessions={"concurrent": 40, "peak": 2400}, traffic={"rampS": 1200.0}, conversation={"thinkTimeS": 0}
    )
    found = plan(burst)
    (tier,) = (each for each in found.workloads if each.tier == "burst")
    late = tier.cold_start_s.upper
    said = [each for each in found.warnings if each.code == "burst-shares-gateway"]
    assert late.total > late.alone_total
    assert [each.agent for each in said] == [tier.agent]
    assert f"{late.total:,.0f} s" in said[0].message
    from_bucket = plan(burst, modelCache={"source": "s3", "bucket": "s3://acme-models/agents"})
    assert not [each for each in from_bucket.warnings if each.code == "burst-shares-gateway"]
