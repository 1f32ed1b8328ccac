"""What a plan makes of a checkpoint's quantisation: the cache's format, refusals by version, and what is assumed."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.model import CheckpointCache
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import codes, make_agent, make_catalog, make_model, plan, workload

ASKS = make_model(
    "test/asks",
    8,
    native_precision="fp8",
    quantisation="modelopt",
    checkpoint_cache=CheckpointCache(precision="fp8", method="modelopt"),
    unclear=("ignore of its quantisation names 'x', which is no part: up to 1.0 GiB",),
)
CATALOG = make_catalog(models=(ASKS, make_model("test/plain", 8, native_precision="fp8")))


def args_of(found):
    args = workload(found).engine.args
    return args[args.index("--kv-cache-dtype") + 1]


def test_the_plan_counts_and_says_the_cache_of_the_checkpoint() -> None:
    asked = plan(make_agent(model="test/asks"), catalog=CATALOG)
    plain = plan(make_agent(model="test/plain"), catalog=CATALOG)
    assert workload(asked).kv_cache_dtype == "fp8"
    assert workload(asked).memory.kv_bytes_per_token * 2 == workload(plain).memory.kv_bytes_per_token
    assert (args_of(asked), args_of(plain)) == ("fp8", "auto")
    assert "checkpoint-cache" in codes(asked)
    assert "checkpoint-cache" not in codes(plain)


def test_another_format_is_kept_where_the_spec_asks_for_it() -> None:
    found = plan(make_agent(model="test/asks", kvCacheDtype="bf16"), catalog=CATALOG)
    assert workload(found).kv_cache_dtype == "bf16"
    assert "checkpoint-cache" not in codes(found)


def test_an_older_engine_keeps_16_bit() -> None:
    found = plan(make_agent(model="test/asks", engineVersion="0.12.0"), catalog=CATALOG)
    assert workload(found).kv_cache_dtype == "auto"


def test_what_the_files_leave_open_is_said() -> None:
    found = plan(make_agent(model="test/asks"), catalog=CATALOG)
    (said,) = (one.message for one in found.warnings if one.code == "quantisation-unclear")
    assert "up to 1.0 GiB" in said


def test_a_version_that_dropped_the_method_is_refused() -> None:
    dropped = ASKS.model_copy(update={"quantisation": "bitsandbytes"})
    with pytest.raises(NoPlan) as refused:
        plan(make_agent(model="test/asks", engineVersion="0.33.0"), catalog=make_catalog(models=(dropped,)))
    (found,) = {
        (one.need_version, one.message) for one in refused.value.rejections if one.constraint == "engine-version"
    }
    assert found[0] == "0.27.0"
    assert "bitsandbytes" in found[1]


def test_a_precision_without_a_checkpoint_says_what_it_was_taken_for() -> None:
    found = plan(make_agent(model="test/plain", precision="nvfp4"), catalog=CATALOG)
    (said,) = (one.message for one in found.warnings if one.code == "other-checkpoint")
    assert "known ones weigh" in said
