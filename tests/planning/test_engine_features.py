"""Speculative decoding, KV cache in host memory and streaming loaders: what the sizing and the plan count of them."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac.catalog.model import LayerCounts
from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.units import GIB
from tests.planning.scenes import (
    CATALOG,
    DENSE,
    MODELS,
    codes,
    load,
    make_agent,
    make_catalog,
    make_model,
    offerings,
    only,
    plan,
    workload,
)

DRAFT: dict[str, Any] = {"method": "draft-model", "model": "test/tiny", "tokens": 3}
EAGLE: dict[str, Any] = {"method": "eagle3", "model": "org/eagle", "weightsGib": 0.75}


def planned(speculative: dict[str, Any] | None, **changes: Any):
    wanted = {} if speculative is None else {"speculative": speculative}
    return workload(plan(make_agent(**wanted, **changes), accelerators=only("small-40")))


class TestSpeculation:
    def test_a_draft_model_s_weights_and_cache_are_counted(self):
        without, one = planned(None), planned(DRAFT)
        assert one.memory.draft_weights_gib == pytest.approx(1.5e9 * 2 / GIB, abs=0.1)
        assert one.memory.draft_kv_bytes_per_token == without.memory.kv_bytes_per_token  # the same 32 layers of 8 heads
        assert (one.max_num_seqs, without.max_num_seqs) == (4, 4)
        drafted_gib = 4 * one.memory.draft_kv_bytes_per_token * one.memory.context_tokens / GIB
        assert one.memory.kv_gib == pytest.approx(without.memory.kv_gib + drafted_gib, abs=2e-4)
        assert one.memory.total_gib > without.memory.total_gib + one.memory.draft_weights_gib + drafted_gib
        parts = (one.memory.weights_gib, one.memory.draft_weights_gib, one.memory.kv_gib, one.memory.overhead_gib)
        assert one.memory.total_gib == pytest.approx(sum(parts), abs=1e-3)

    def test_a_head_has_one_layer_of_the_model_s_own_kind(self):
        one = planned(EAGLE)
        assert one.memory.draft_weights_gib == 0.75
        assert one.memory.draft_kv_bytes_per_token == one.memory.kv_bytes_per_token / 32

    def test_n_grams_have_no_draft_but_more_rows(self):
        one = planned({"method": "ngram", "tokens": 7})
        assert (one.memory.draft_weights_gib, one.memory.draft_kv_bytes_per_token) == (0.0, 0)
        assert one.model_cache.draft is None
        assert one.max_num_batched_tokens >= 8 * one.max_num_seqs

    def test_tensor_parallelism_divides_the_draft(self):
        alone = planned(EAGLE)
        halved = planned(EAGLE, overrides={"tensorParallelSize": 2})
        assert halved.memory.draft_weights_gib == pytest.approx(alone.memory.draft_weights_gib / 2)

    def test_a_draft_whose_heads_do_not_divide_keeps_the_parallelism_small(self):
        odd = make_model("test/odd", 1, attention_heads=3, kv_heads=3)
        catalog = make_catalog(models=(*MODELS, odd))
        with pytest.raises(NoPlan):
            plan(
                make_agent(speculative={**DRAFT, "model": "test/odd"}, overrides={"tensorParallelSize": 2}),
                catalog=catalog,
            )

    def test_the_model_s_own_head_counts_where_the_checkpoint_ships_one(self):
        head = make_model("test/head", 8, architecture="deepseek_v3", layers=LayerCounts(full=32))
        mtp = {"speculative": {"method": "mtp"}}
        one = workload(plan(make_agent(model="test/head", **mtp), catalog=make_catalog(models=(head,))))
        assert one.memory.draft_weights_gib > 0.4
        assert one.model_cache.draft is None
        with pytest.raises(NoPlan) as caught:
            plan(make_agent(**mtp))
        assert {rejection.constraint for rejection in caught.value.rejections} == {"speculative"}

    def test_the_draft_lies_in_the_cache_and_is_read_at_start(self):
        found = plan(make_agent(speculative=DRAFT), accelerators=only("small-40"))
        one = workload(found)
        assert one.model_cache.draft is not None
        cached = {model.path: model for model in found.pool(one.node_pool).cached_models}
        draft = cached[one.model_cache.draft.path]
        assert (draft.model, draft.revision, draft.fill) == ("test/tiny", "main", True)
        plain = planned(None)
        assert one.model_cache.model_gib == pytest.approx(plain.model_cache.model_gib + draft.gib, abs=0.01)
        assert one.cold_start_s.weights > plain.cold_start_s.weights

    def test_a_speed_up_counts_only_as_measured(self):
        plain, unmeasured = planned(None), planned(DRAFT)
        assert unmeasured.latency.tpot_ms == pytest.approx(plain.latency.tpot_ms, rel=0.02)
        measured = planned({**DRAFT, "acceptedTokens": 2.0})
        assert measured.latency.tpot_ms is not None
        assert unmeasured.latency.tpot_ms is not None
        assert measured.latency.tpot_ms < 0.6 * unmeasured.latency.tpot_ms
        assert "speculative-unmeasured" in codes(plan(make_agent(speculative=DRAFT)))
        assert "speculative-unmeasured" not in codes(plan(make_agent(speculative={**DRAFT, "acceptedTokens": 2.0})))

    @pytest.mark.parametrize(
        ("speculative", "line", "message"),
        [
            ({"method": "draft-model"}, "method", "'model' is missing"),
            ({"method": "eagle3"}, "method", "'model' is missing"),
            ({"method": "ngram", "model": "test/tiny"}, "model", "no draft of its own"),
            ({"method": "mtp", "weightsGib": 1.0}, "weightsGib", "no draft of its own"),
            ({"method": "ngram", "tokens": 2, "acceptedTokens": 3.5}, "acceptedTokens", "3 at most"),
        ],
    )
    def test_faults_of_the_file(self, speculative, line, message):
        with pytest.raises(BadInput) as caught:
            load(make_agent(speculative=speculative))
        (fault,) = caught.value.faults
        assert message in fault.message
        assert fault.path.endswith(line)
        assert fault.line

    def test_a_draft_that_nobody_knows(self):
        with pytest.raises(BadInput, match=r"speculative\.model: the draft 'test/tinny' is not in the catalog"):
            plan(make_agent(speculative={**DRAFT, "model": "test/tinny"}))
        with pytest.raises(BadInput, match="weightsGib"):
            plan(make_agent(speculative={"method": "eagle3", "model": "org/eagle"}))

    def test_one_pinned_image_is_that_of_one_engine(self):
        image = {"engineImage": "own/engine@sha256:" + "0" * 64}
        with pytest.raises(BadInput, match="one image cannot be that of sglang and vllm"):
            load(make_agent(), make_agent("other", engine="sglang"), pins=image)


class TestHostMemory:
    def test_the_pod_s_memory_holds_it(self):
        one = workload(plan(make_agent(kvOffloadGib=40)))
        assert one.pod.kv_offload_mib == 40 * 1024
        assert one.pod.memory_mib >= one.pod.kv_offload_mib + 8 * 1024

    def test_a_machine_that_cannot_hold_it_is_rejected_with_its_numbers(self):
        rows = (*offerings("narrow", "small-40", on_demand="0.50"), *offerings("wide", "small-40", 2, on_demand="3.00"))
        with pytest.raises(NoPlan) as caught:
            plan(make_agent(kvOffloadGib=120), catalog=make_catalog(rows[:1]))
        (rejection,) = caught.value.rejections
        assert (rejection.constraint, rejection.instance_type, rejection.unit) == ("host-memory", "narrow", "GiB")
        assert rejection.need == pytest.approx(120 + 8 + 1)
        assert rejection.limit == pytest.approx(0.85 * 128, abs=0.3)

    def test_engines_that_share_a_card_share_its_host_too(self):
        card = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
        relaxed = {"ttftMs": 5000.0, "tpotMs": 300.0}

        def shared(offload_gib: float) -> bool:
            agents = (make_agent(name, "test/tiny", kvOffloadGib=offload_gib, **relaxed) for name in ("one", "two"))
            return plan(*agents, catalog=card).workloads[0].share_group is not None

        assert shared(30)
        assert not shared(60)


class TestLoader:
    def test_a_network_volume_is_streamed_and_the_cold_start_says_so(self):
        bare = make_catalog(offerings("e1", "small-40", on_demand="1.00", nvme_count=0, nvme_total_gb=0))
        streamed = workload(plan(catalog=bare))
        default = workload(plan(catalog=bare, modelCache={"loader": "safetensors"}))
        assert (streamed.model_cache.storage, streamed.model_cache.loader) == ("ebs-gp3", "runai-streamer")
        assert streamed.cold_start_s.weights == pytest.approx(
            default.cold_start_s.weights * 0.34 / (600 / 1024), rel=0.01
        )

    def test_a_local_disk_is_not(self):
        one = workload(plan())
        assert (one.model_cache.storage, one.model_cache.loader) == ("nvme", "default")

    @pytest.mark.parametrize("loader", ["fastsafetensors", "runai-streamer"])
    def test_what_nobody_measured_counts_as_the_default_loader(self, loader):
        found = plan(modelCache={"loader": loader})
        assert workload(found).cold_start_s == workload(plan()).cold_start_s
        assert "loader-unmeasured" in codes(found)


def test_a_plain_agent_is_planned_as_before():
    one = workload(plan(catalog=CATALOG))
    assert (one.memory.draft_weights_gib, one.pod.kv_offload_mib, one.model_cache.draft) == (0.0, 0, None)
    assert one.model == DENSE.id
