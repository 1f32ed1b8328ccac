"""Attention data parallelism with the experts dealt out: where it is planned, what it holds, and what is said of it."""

from __future__ import annotations

import math
import re
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.model import LayerCounts
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.latency import Request, steady
from agentgpu_iac.sizing.speed import Serving, speed_of
from tests.planning.flags import FlagList, split
from tests.planning.scenes import (
    codes,
    make_accelerator,
    make_agent,
    make_catalog,
    make_model,
    offerings,
    only,
    plan,
    workload,
)
from tests.thoroughness import examples

LATENT: dict[str, Any] = {
    "params_active": 10_300_000_000,
    "layers": LayerCounts(full=48),
    "hidden_size": 4096,
    "attention_heads": 32,
    "kv_heads": 32,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "head_dim": 192,
    "experts": 128,
    "experts_per_token": 8,
    "moe_intermediate_size": 1408,
    "intermediate_size": 0,
}
EXPERTS = make_model("test/experts", 110, **LATENT)
"""220 GB in 16 bit: four cards of 80 GiB at least, and 54 KiB of KV a token on each card of a tensor-parallel group."""
GROUPED = make_model("test/grouped", 110, **{**LATENT, "kv_lora_rank": None, "qk_rope_head_dim": None, "kv_heads": 8})
"""The same with KV heads for eight cards."""
FLAT = make_model("test/flat", 30)
MACHINES = offerings("l8", "large-80", 8, on_demand="22.00")
FEW: dict[str, Any] = {"tensorParallelSize": 1, "attentionDataParallelSize": 8}
HEADER = "X-data-parallel-rank"
V0_33 = FlagList.read("vllm_0_33_0_flags.json")


def catalog(*rows: Any) -> Catalog:
    return make_catalog(rows or MACHINES, models=(EXPERTS, GROUPED, FLAT))


def agent(model: str = "test/experts", concurrent: int = 80, **changes: Any) -> dict[str, Any]:
    """In one pipeline stage, where nothing else is said: stages divide the KV as well. Host memory relieves the accelerators of
    sessions that pause, which would leave groups nothing to gain.
    """
    fields: dict[str, Any] = {
        "pausedCache": "keep",
        "ttftMs": 3000,
        "tpotMs": 150,
        "conversation": {"maxContextTokens": 16384, "turns": 8},
        "sessions": {"concurrent": concurrent},
    }
    overrides = {"pipelineParallelSize": 1, **changes.pop("overrides", {})}
    return make_agent(model=model, **{**fields, **changes}, overrides=overrides)


def planned(*, rows: tuple[Any, ...] = MACHINES, spec: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return plan(agent(**changes), catalog=catalog(*rows), **(spec or {}))


def refusal(**changes: Any) -> Any:
    with pytest.raises(NoPlan) as caught:
        planned(**changes)
    return caught.value.rejections[0]


@pytest.fixture(scope="module")
def grouped() -> Plan:
    return planned()


class TestSeats:
    @pytest.mark.parametrize("choice", ["balanced", "by-session"])
    @pytest.mark.parametrize("count", [2, 4, 8, 16])
    def test_no_group_is_short_and_more_sessions_never_need_less(self, count, choice):
        groups = Groups(count=count, choice=choice)
        for sessions in range(1, 400):
            seats = groups.seats(sessions)
            assert seats * count >= sessions
            assert seats <= sessions
            assert groups.seats(sessions + 1) >= seats
            assert groups.fullness(sessions) * sessions == pytest.approx(count * seats if sessions > 1 else 1)
            assert groups.fullness(sessions) >= 1
            most = groups.sessions(seats)
            assert groups.seats(most) <= seats < groups.seats(most + 1)

    def test_one_group_is_as_if_there_were_none(self):
        for sessions in (1, 7, 500):
            assert Groups().seats(sessions) == Groups().sessions(sessions) == sessions
            assert Groups().fullness(sessions) == 1

    def test_a_hash_spreads_worse_than_the_least_loaded(self):
        assert Groups(count=8, choice="by-session").seats(100) > Groups(count=8).seats(100) == 15

    def test_the_fullest_of_groups_by_a_hash_has_a_seat_for_each_in_19_of_20_spreads(self):
        """Binomial spreads of 96 sessions over 8 groups, exactly enumerated by a fixed generator of numbers."""
        seats, number, within = Groups(count=8, choice="by-session").seats(96), 1, 0
        for _ in range(2000):
            filled = [0] * 8
            for _ in range(96):
                number = number * 6364136223846793005 % 2**64 + 1442695040888963407
                filled[(number >> 33) % 8] += 1
            within += max(filled) <= seats
        assert 0.93 <= within / 2000 <= 0.99


class TestPlanned:
    def test_where_tensor_parallelism_would_hold_the_same_kv_on_every_card(self, grouped):
        one = workload(grouped)
        without = workload(planned(overrides={"attentionDataParallelSize": 1}))
        assert one.attention_data_parallel_size > 1
        assert without.attention_data_parallel_size == 1
        assert without.replicas.max > one.replicas.max == 1
        assert one.accelerators_per_replica == one.tensor_parallel_size * one.attention_data_parallel_size == 8
        assert one.expert_parallel_size == 8
        assert one.pod.accelerators == 8

    def test_not_where_it_divides_the_kv_heads(self):
        assert workload(planned(model="test/grouped")).attention_data_parallel_size == 1

    def test_a_group_holds_its_part_of_the_sessions(self, grouped):
        one = workload(grouped)
        memory, groups = one.memory, Groups(count=one.attention_data_parallel_size, choice="by-session")
        assert one.group_choice == "by-session"
        assert one.max_num_seqs_per_group == one.seats_per_group == groups.seats(one.max_num_seqs) < one.max_num_seqs
        assert memory.kv_gib == pytest.approx(memory.kv_per_session_gib * one.seats_per_group, abs=1e-3)
        assert memory.total_gib <= 0.8 * memory.capacity_gib

    def test_all_wait_for_the_fullest_group_but_nobody_asks_more_often(self):
        """Of 96 sessions by a hash over eight groups the fullest has 21: a step reads the cache of 21 on each card, the experts
        and the prompts of 96."""
        engine = speed_of(
            GROUPED,
            make_accelerator("large-80", 80.0, 2400.0, 900.0, nvlink_gb_per_s=900.0),
            precision="bf16",
            kv_dtype="auto",
            tensor_parallel=8,
            pipeline_parallel=1,
            max_batched_tokens=2048,
            serving=Serving(attention_dp=8, expert_parallel=8),
        )
        assert engine is not None
        groups = Groups(count=8, choice="by-session")
        full = engine.with_fullest_group(groups.fullness(96))
        more = groups.seats(96) - 12
        assert more > 0
        arithmetic = [
            math.hypot(engine.dense_weights_ms, seats * engine.dense_ms_per_token) for seats in (12, 12 + more)
        ]
        attended = more * (engine.kv_ms(8000) + engine.sequence_ms)
        expected = attended + arithmetic[1] - arithmetic[0]
        assert full.decode_ms(96, 8000) - engine.decode_ms(96, 8000) == pytest.approx(expected)
        request = Request(prompt_tokens=300, context_tokens=8000, output_tokens=150)
        others = [steady(each, request, 96).others for each in (engine, full)]
        assert others == [95, 95]

    def test_the_arguments_are_the_engines(self, grouped):
        one = workload(grouped)
        assert V0_33.faults(one.engine.args) == []
        flags = split(one.engine.args)[1]
        assert flags["--data-parallel-size"] == [str(one.attention_data_parallel_size)]
        assert flags["--enable-expert-parallel"] == []
        assert flags["--api-server-count"] == ["1"], "several do not finish their answers after SIGTERM"
        assert flags["--max-num-seqs"] == [str(one.seats_per_group)]
        assert flags["--max-num-queued-reqs"] == [str(one.admission.max_queued_requests)]
        assert int(flags["--max-num-batched-tokens"][0]) >= one.seats_per_group

    @pytest.mark.parametrize(
        ("engine", "version", "expected"),
        [
            ("sglang", "0.5.23", {"--tp-size": 8, "--attn-dp-size": 4, "--ep-size": 8}),
            ("sglang", "0.5.9", {"--tp-size": 8, "--dp-size": 4, "--ep-size": 8}),
        ],
    )
    def test_sglang_counts_all_groups_together(self, engine, version, expected):
        overrides = {"tensorParallelSize": 2, "attentionDataParallelSize": 4}
        one = workload(planned(engine=engine, engineVersion=version, overrides=overrides))
        flags = split(one.engine.args)[1]
        assert {name: int(flags[name][0]) for name in expected} == expected
        assert int(flags["--max-running-requests"][0]) == 4 * one.seats_per_group
        assert int(flags["--chunked-prefill-size"][0]) == 4 * one.max_num_batched_tokens
        assert ("--enable-dp-attention" in flags) is (version == "0.5.9")

    def test_tensorrt_llm_is_told_in_its_file(self):
        one = workload(planned(engine="tensorrt-llm", overrides=FEW))
        flags = split(one.engine.args)[1]
        assert (flags["--tp_size"], flags["--ep_size"]) == (["8"], ["8"])
        assert "enable_attention_dp: true" in one.engine.files[0].content
        assert int(flags["--max_batch_size"][0]) == one.seats_per_group

    def test_a_version_that_was_not_read_with_it_has_none(self):
        older = planned(engineVersion="0.10.2")
        assert workload(older).attention_data_parallel_size == 1


class TestContext:
    """Who brings a session back to its group, and what is counted where nobody does."""

    def test_nginx_tells_the_engine_the_group_of_a_session(self, grouped):
        assert grouped.router is not None
        (route,) = grouped.router.routes
        groups = workload(grouped).attention_data_parallel_size
        assert (route.attention_groups, route.group_header) == (groups, HEADER)
        config = next(text for file in render(grouped) if "split_clients" in (text := file.content.decode()))
        assert f'split_clients "$session" $group_of_{groups}' in config
        assert f"proxy_set_header {HEADER} $attention_group;" in config
        shares = re.search(r"\$group_of_\d+ \{ (.*?) \}", config)
        assert shares is not None
        assert [part.split()[-1] for part in shares[1].rstrip(";").split("; ")] == [str(n) for n in range(groups)]
        assert workload(grouped).routing.prefix_hit_ratio == 1.0
        assert "attention-groups" in codes(grouped)

    @pytest.mark.parametrize("network", [{"router": "none"}, {"routing": "round-robin"}])
    def test_else_context_is_found_by_chance(self, network):
        one = workload(planned(concurrent=8, ttftMs=30000, overrides=FEW, spec={"network": network}))
        assert one.group_choice == "balanced"
        assert one.routing.prefix_hit_ratio == pytest.approx(1 / 8)

    def test_without_groups_the_router_says_nothing_of_them(self):
        found = plan(agent(model="test/flat", concurrent=400), catalog=catalog())
        assert all("attention_group" not in file.content.decode() for file in render(found))

    def test_a_gateways_picker_reads_one_series_of_a_pod(self):
        gateway = {"router": "gateway", "gateway": {"name": "g", "namespace": "n"}}
        assert workload(planned(spec={"network": gateway})).attention_data_parallel_size == 1

    def test_each_group_has_series_of_its_own(self):
        burst = planned(
            concurrent=80,
            sessions={"concurrent": 80, "peak": 400},
            traffic={"rampS": 86_400},
            spec={"capacity": {"fastBurst": "turn-away"}},
        )
        one = workload(burst, tier="burst")
        groups = one.attention_data_parallel_size
        assert groups > 1
        assert one.scaling is not None
        queries = {trigger.name: trigger.query for trigger in one.scaling.triggers}
        assert f") / {groups}" in queries["kv-cache"]
        assert all(f"count({one.metrics.running}" not in query or f" / {groups}" in query for query in queries.values())


def forced(tensor: int, groups: int, model: str = "test/experts") -> Workload | None:
    overrides = {"tensorParallelSize": tensor, "attentionDataParallelSize": groups, "pipelineParallelSize": 1}
    try:
        return workload(planned(model=model, concurrent=20, overrides=overrides))
    except NoPlan:
        return None


class TestOneSum:
    @pytest.mark.parametrize(("tensor", "groups"), [(1, 4), (1, 8), (2, 2), (2, 4), (4, 2), (8, 1)])
    def test_size_asked_with_the_plans_flags_counts_the_plans_memory(self, tensor, groups):
        one = forced(tensor, groups)
        assert one is not None
        question = {
            "model": one.model,
            "accelerator": one.accelerator,
            "count": one.accelerators_per_replica,
            "tp": one.tensor_parallel_size,
            "attention-dp": one.attention_data_parallel_size,
            "ep": one.expert_parallel_size,
            "engine-version": one.engine.version,
            "max-model-len": one.max_model_len,
            "max-num-seqs": one.seats_per_group,
            "max-num-batched-tokens": one.max_num_batched_tokens,
            "gpu-memory-utilization": 1.0,
        }
        answer = SIZE.answer(question, catalog())
        for name, value in (
            ("weightsGib", one.memory.weights_gib),
            ("samplerStageActivationGib", one.memory.activation_gib),
            ("nonTorchGib", one.memory.non_torch_gib),
            ("kvBytesPerToken", one.memory.kv_bytes_per_token),
        ):
            assert answer[name] == pytest.approx(value, abs=2e-4), name

    def test_attention_is_whole_in_each_group_and_experts_are_shared(self):
        cards = {each: forced(*each) for each in ((8, 1), (4, 2), (2, 4), (1, 8))}
        weights = [one.memory.weights_gib for one in cards.values() if one is not None]
        assert len(weights) == 4
        assert weights == sorted(weights)
        rest_gib = (EXPERTS.params_total - (EXPERTS.params_total - EXPERTS.params_active) * 128 / 120) * 2 / 2**30
        assert weights[-1] - weights[0] == pytest.approx(rest_gib * 7 / 8, rel=0.15), (
            "routers are whole on each card anyway"
        )

    def test_deepseek_v3_on_one_node(self):
        """16.6 B of its 671 B parameters are no routed experts (1 + 9 of 256 x 58 layers stay with the rest): 15.4 GiB in
        8 bit and more, whole on each of eight cards beside an eighth of 609.5 GiB."""
        real = load_catalog()
        asked = {"model": "deepseek-ai/DeepSeek-V3", "accelerator": "h200-sxm", "count": 8, "max-model-len": 8192}
        grouped = SIZE.answer({**asked, "attention-dp": 8, "ep": 8}, real)
        plain = SIZE.answer({**asked, "tp": 8}, real)
        assert 91 <= grouped["weightsGib"] <= 96
        assert 79 <= plain["weightsGib"] <= 81
        assert grouped["kvBytesPerToken"] == plain["kvBytesPerToken"]


class TestImpossible:
    @pytest.mark.parametrize(
        ("more", "need", "limit"),
        [
            ({"tp": 2, "ep": 2, "model": "Qwen/Qwen3-14B"}, 2, 1),
            ({"tp": 8, "attention-dp": 8, "ep": 8, "count": 4}, 8, 4),
            ({"tp": 8, "ep": 16}, 16, 8),
            ({"tp": 8, "ep": 4}, 4, 8),
            ({"tp": 8, "ep": 3, "engine": "sglang"}, 3, 8),
            ({"tp": 3}, 3, None),
            ({"tp": 1, "pp": 500}, 500, 61),
        ],
    )
    @pytest.mark.parametrize("calculator", [SIZE, PREDICT])
    def test_sizes_are_one_rejection_with_both_figures(self, calculator, more, need, limit):
        load: dict[str, Any] = {"input-tokens": 100, "output-tokens": 10, "concurrency": 1}
        question = {"model": "deepseek-ai/DeepSeek-V3", "accelerator": "h200-sxm", **more}
        answer = calculator.answer(
            question | (load if calculator is PREDICT else {"max-model-len": 4096}), load_catalog()
        )
        found = answer["rejection"]
        assert (found["constraint"], found["need"], found["limit"]) == ("parallelism", need, limit)
        assert found["message"]

    @pytest.mark.parametrize(
        ("changes", "constraint", "need", "limit"),
        [
            ({"model": "test/flat", "overrides": FEW}, "parallelism", 8, 1),
            ({"model": "test/flat", "overrides": {"expertParallelSize": 2}}, "parallelism", 2, 1),
            ({"overrides": {"tensorParallelSize": 4, "expertParallelSize": 2}}, "parallelism", 2, 4),
            ({"overrides": {"tensorParallelSize": 2, "attentionDataParallelSize": 8}}, "wide-experts", 16, 8),
            ({"engineVersion": "0.10.2", "overrides": FEW}, "parallelism", 8, 1),
            (
                {"engine": "tensorrt-llm", "overrides": {"tensorParallelSize": 2, "attentionDataParallelSize": 4}},
                "parallelism",
                2,
                1,
            ),
        ],
    )
    def test_overrides_are_refused_with_the_true_reason(self, changes, constraint, need, limit):
        found = refusal(**changes)
        assert (found.constraint, found.need, found.limit) == (constraint, need, limit)

    def test_experts_are_not_shared_between_machines(self):
        found = refusal(overrides={"tensorParallelSize": 2, "attentionDataParallelSize": 8})
        assert "EFA" in found.message


CARDS = st.sampled_from(
    [offerings("l8", "large-80", 8, on_demand="22.00"), offerings("s8", "small-40", 8, on_demand="9.00")]
)


@st.composite
def mixtures(draw: st.DrawFn) -> Any:
    experts = draw(st.sampled_from([16, 60, 128]))
    total = draw(st.sampled_from([20, 60, 110]))
    latent = draw(st.booleans())
    return make_model(
        "test/drawn",
        total,
        **{
            **LATENT,
            "params_active": int(total * draw(st.sampled_from([0.05, 0.2])) * 1e9),
            "experts": experts,
            "experts_per_token": draw(st.sampled_from([2, 8])),
            "kv_heads": 32 if latent else draw(st.sampled_from([1, 2, 4, 8])),
            "kv_lora_rank": 512 if latent else None,
            "qk_rope_head_dim": 64 if latent else None,
        },
    )


def cheapest(model: Any, rows: Any, fields: dict[str, Any], **overrides: int) -> Plan | None:
    try:
        return plan(
            make_agent(model="test/drawn", **fields, overrides=overrides), catalog=make_catalog(rows, models=(model,))
        )
    except NoPlan:
        return None


class TestLaws:
    @settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))
    @given(mixtures(), CARDS, st.integers(1, 300), st.sampled_from([2048, 16384, 65536]), st.floats(40, 400))
    def test_groups_never_cost_more_and_a_plan_is_the_least_of_all_sizes(self, model, rows, sessions, context, tpot):
        fields = {
            "sessions": {"concurrent": sessions},
            "ttftMs": 5000,
            "tpotMs": tpot,
            "conversation": {"maxContextTokens": context},
        }
        found = cheapest(model, rows, fields)
        without = cheapest(model, rows, fields, attentionDataParallelSize=1)
        assume(found is not None)
        cost = found.cost.expected_usd_per_month
        assert without is None or cost <= without.cost.expected_usd_per_month
        one = workload(found)
        assert one.memory.total_gib <= 0.8 * one.memory.capacity_gib + 1e-3
        assert one.seats_per_group * one.attention_data_parallel_size >= one.resident_sessions
        stricter = cheapest(model, rows, {**fields, "tpotMs": tpot * 0.8})
        assert stricter is None or stricter.cost.expected_usd_per_month >= cost

    def test_brute_force_over_all_sizes_finds_nothing_cheaper(self):
        fields: dict[str, Any] = {"ttftMs": 3000, "tpotMs": 150, "conversation": {"maxContextTokens": 16384}}
        for sessions in (20, 90):
            found = cheapest(
                EXPERTS.model_copy(update={"id": "test/drawn"}),
                MACHINES,
                fields | {"sessions": {"concurrent": sessions}},
            )
            assert found is not None
            for tensor, groups in product((1, 2, 4, 8), (2, 4, 8)):
                if tensor * groups > 8:
                    continue
                other = cheapest(
                    EXPERTS.model_copy(update={"id": "test/drawn"}),
                    MACHINES,
                    fields | {"sessions": {"concurrent": sessions}},
                    tensorParallelSize=tensor,
                    attentionDataParallelSize=groups,
                )
                assert other is None or other.cost.expected_usd_per_month >= found.cost.expected_usd_per_month


def test_deepseek_v3_at_100_sessions_of_8k_takes_one_node():
    """Two nodes of 8 x H200 and USD 91,146.24 a month without attention groups, where all of them generate at once."""
    document: dict[str, Any] = {
        "name": "support",
        "model": "deepseek-ai/DeepSeek-V3",
        "latencyClass": "chat",
        "sessions": {"concurrent": 100},
        "conversation": {"maxContextTokens": 8192, "thinkTimeS": 0},
    }
    real = load_catalog()
    found = plan(document, catalog=real, accelerators=only("h200-sxm"))
    one = workload(found)
    assert (one.replicas.max, one.accelerators_per_replica, one.expert_parallel_size) == (1, 8, 8)
    assert one.attention_data_parallel_size > 1
    without = plan(
        {**document, "overrides": {"attentionDataParallelSize": 1}}, catalog=real, accelerators=only("h200-sxm")
    )
    assert without.cost.baseline_usd_per_month == 2 * found.cost.baseline_usd_per_month
