"""Weights streamed from a bucket to the accelerators: when, by what identity, and what is left out on the node."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.provisioning.aws.model_bucket import bucket_readers, planned_bucket
from agentgpu_iac.rendering.render import render
from agentgpu_iac.sizing import loading
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload
from tests.sizing.rows import make_instance

BUCKET = "s3://acme-models/agents"
CATALOG = make_catalog(
    (
        *offerings("s1", "small-40", on_demand="1.00", nvme_total_gb=500),
        *offerings("l4", "large-80", 4, on_demand="16.00", nvme_total_gb=2000),
    )
)
BURST = make_agent(sessions={"concurrent": 40, "peak": 1200}, traffic={"rampS": 1200.0})


def cache(stream: str, **more: Any) -> dict[str, Any]:
    return {"source": "s3", "bucket": BUCKET, "stream": stream, **more}


@pytest.fixture(scope="module")
def streamed() -> Plan:
    return plan(BURST, catalog=CATALOG, modelCache=cache("auto"))


@pytest.fixture(scope="module")
def filled() -> Plan:
    return plan(BURST, catalog=CATALOG, modelCache=cache("never"))


def objects(made: Plan) -> list[dict[str, Any]]:
    found = [
        document
        for file in render(made)
        if file.path.endswith(".yaml") and "/base/" in f"/{file.path}"
        for document in yaml.safe_load_all(file.content)
    ]
    return [each for each in found if isinstance(each, dict) and "kind" in each]


def test_a_first_start_is_planned_without_the_fill(streamed: Plan, filled: Plan) -> None:
    """25 Gbit/s give 2.2 GiB/s straight from the bucket; the cache is filled at 0.7 and read at 0.8."""
    now, before = workload(streamed).cold_start_s, workload(filled).cold_start_s
    assert workload(streamed).model_cache.streamed_from == BUCKET
    assert now.cache_fill == now.upper.cache_fill == 0.0
    assert now.weights == pytest.approx(workload(streamed).model_cache.model_gib / (25e9 / 8 / 2**30 * 0.75), abs=0.1)
    assert now.total < before.total - before.cache_fill
    assert now.upper.weights >= now.weights
    assert [pool.filler for pool in streamed.node_pools] == [None] * len(streamed.node_pools)
    assert all(pool.cached_models == () for pool in streamed.node_pools)
    alerts = [{alert.name for alert in made.watching.alerts} for made in (streamed, filled)]
    assert alerts[1] - alerts[0] == {"AgentModelCacheNotFilled"}


def test_by_default_the_cache_is_filled_and_what_streaming_saves_is_said(streamed: Plan, filled: Plan) -> None:
    default = plan(BURST, catalog=CATALOG, modelCache={"source": "s3", "bucket": BUCKET})
    assert default.workloads == filled.workloads
    (said,) = [each for each in filled.warnings if each.code == "bucket-not-streamed"]
    assert f"stream the weights in {workload(streamed).cold_start_s.weights:,.0f} s" in said.message
    assert not [
        each for each in streamed.warnings if each.code in ("bucket-not-streamed", "storage", "loader-unmeasured")
    ]


def test_the_engine_is_given_the_address_the_loader_and_the_region(streamed: Plan) -> None:
    found = workload(streamed)
    args, variables = found.engine.args, {each.name: each.value for each in found.engine.environment}
    assert args[0] == f"{BUCKET}/{found.model_cache.path}"
    assert args[args.index("--load-format") + 1] == "runai_streamer"
    assert "--model-loader-extra-config" not in args, "one rank reads by itself"
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == streamed.node_pools[0].region
    assert 0 < int(variables["RUNAI_STREAMER_MEMORY_LIMIT"]) <= found.pod.memory_mib * 2**20
    assert found.pod.streamer_mib > 0


def test_ranks_share_the_reading() -> None:
    """Each by itself fetches the whole checkpoint: four ranks would take four times as long."""
    found = workload(plan(make_agent(model="test/big"), catalog=CATALOG, modelCache=cache("always")))
    assert found.tensor_parallel_size * found.pipeline_parallel_size > 1
    args = found.engine.args
    assert json.loads(args[args.index("--model-loader-extra-config") + 1]) == {"distributed": True}


def test_engines_that_stream_reach_the_bucket_and_nobody_else_does(streamed: Plan, filled: Plan) -> None:
    found = objects(streamed)
    accounts = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceAccount"}
    pods = {
        each["spec"]["template"]["spec"]["serviceAccountName"]
        for each in found
        if each["kind"] == "Deployment" and each["metadata"]["name"] in {tier.name for tier in streamed.workloads}
    }
    assert pods == {"engine-streaming"} < accounts
    policies = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "NetworkPolicy"}
    for tier in streamed.workloads:
        policy = policies[f"stream-{tier.name}"]
        labels = {"agentgpu.dev/agent": tier.agent, "agentgpu.dev/tier": tier.tier}
        assert policy["podSelector"]["matchLabels"] == labels
        ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        assert ports == {80, 443}
    assert not [each for each in found if each["kind"] == "DaemonSet" and "model-cache" in each["metadata"]["name"]]
    assert bucket_readers(streamed) == ("engine-streaming",)
    assert planned_bucket(streamed) == planned_bucket(filled) == BUCKET
    assert bucket_readers(filled) == ("model-cache",)
    assert not [
        each
        for each in objects(filled)
        if each.get("metadata", {}).get("name", "").startswith(("stream-", "engine-streaming"))
    ]


def test_the_pods_wait_for_no_model(streamed: Plan) -> None:
    found = next(
        each for each in objects(streamed) if each["kind"] == "Deployment" and each["metadata"]["name"] == "support"
    )
    pod = found["spec"]["template"]["spec"]
    assert "--model" not in pod["initContainers"][0]["command"]
    assert "--model" not in pod["containers"][0]["command"]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ({"engineVersion": "0.19.0"}, "0.22 and newer can"),
        ({"engine": "sglang"}, "SGLang"),
        ({"loraAdapters": [{"name": "tone", "source": "acme/tone"}]}, "LoRA adapters are read from the node's cache"),
        ({"speculative": {"method": "draft-model", "model": "test/tiny"}}, "a draft model is read"),
    ],
)
def test_who_cannot_stream_is_told_so_or_filled(agent: dict[str, Any], said: str) -> None:
    with pytest.raises(NoPlan) as caught:
        plan(make_agent(**agent), catalog=CATALOG, modelCache=cache("always"))
    assert said in str(caught.value)
    auto = plan(make_agent(**agent), catalog=CATALOG, modelCache=cache("auto"))
    assert workload(auto).model_cache.streamed_from is None
    assert auto.node_pools[0].filler is not None


@pytest.mark.parametrize(("gbps", "streams"), [(2.0, False), (3.0, True)])
def test_the_first_start_decides(gbps: float, streams: bool) -> None:
    """A GiB at 2 Gbit/s: 5.7 s streamed; 4.3 s to the disk and 1.3 s off it. At 3: 3.8 s, or 2.9 and 1.3."""
    network = {"network_baseline_gbps": gbps, "network_peak_gbps": gbps}
    rows = make_catalog(offerings("s1", "small-40", on_demand="1.00", nvme_total_gb=500, **network))
    found = workload(plan(make_agent(), catalog=rows, modelCache=cache("auto")))
    assert (found.model_cache.streamed_from is not None) == streams


def test_at_worst_the_network_has_spent_its_credit() -> None:
    instance = make_instance(network_baseline_gbps=5.0, network_peak_gbps=20.0)
    assert loading.bucket_gib_per_s(instance) == pytest.approx(0.75 * 10e9 / 8 / 2**30)
    assert loading.bucket_gib_per_s(instance, at_worst=True) == pytest.approx(0.75 * 5e9 / 8 / 2**30)


def test_an_unknown_network_is_taken_as_slow_as_a_hub() -> None:
    instance = make_instance(network_baseline_gbps=None, network_peak_gbps=None)
    assert loading.bucket_gib_per_s(instance) == loading.HUB_GIB_PER_S
