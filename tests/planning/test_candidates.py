"""Which parallelism, precision and memory a candidate may have, why others are rejected, and overrides."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.parallelism import Sizes, legal_parallelism
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.demand import demand
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.sizing.parallelism import tensor_parallel_is_legal
from agentgpu_iac.sizing.speed import Serving, speed_of
from tests.planning.scenes import (
    BIG,
    CATALOG,
    NO_DATA,
    TINY,
    constraints,
    load,
    make_accelerator,
    make_agent,
    make_catalog,
    make_model,
    offerings,
    only,
    plan,
    workload,
)

REAL = load_catalog()


def refused(*agents: dict[str, Any], **spec: Any) -> NoPlan:
    with pytest.raises(NoPlan) as caught:
        plan(*agents, **spec)
    return caught.value


class TestParallelism:
    @pytest.mark.parametrize(
        ("heads", "kv_heads", "tensor", "legal"),
        [
            (32, 8, 1, True),
            (32, 8, 8, True),
            (32, 8, 16, True),  # KV heads replicated
            (32, 8, 3, False),
            (64, 8, 6, False),
            (40, 8, 5, False),  # divides the query heads, but neither divides nor is a multiple of the KV heads
            (28, 4, 8, False),
            (28, 4, 4, True),
            (14, 2, 2, True),
            (14, 2, 4, False),
        ],
    )
    def test_heads_are_split_evenly(self, heads, kv_heads, tensor, legal):
        assert tensor_parallel_is_legal(heads, kv_heads, tensor) is legal

    def test_pairs_from_the_smallest(self):
        one = demand(load(make_agent(model="test/big")).stack.spec.agents[0], BIG)
        tried = legal_parallelism(one)
        assert tried[0] == Sizes(tensor=1, pipeline=1)
        assert Sizes(tensor=1, pipeline=3) in tried
        assert not [each for each in tried if each.tensor == 3]
        sizes = [each.accelerators for each in tried]
        assert sizes == sorted(sizes)
        assert max(sizes) <= 16

    def test_no_more_stages_than_layers(self):
        model = make_model("test/flat", 1, layers={"full": 2})
        one = demand(load().stack.spec.agents[0], model)
        assert max(each.pipeline for each in legal_parallelism(one)) == 2

    @pytest.mark.parametrize("count", [3])
    def test_three_h200_only_as_pipeline_stages(self, count):
        """The mission's reasoning case on 3 x H200: not as TP=3; PP=3 is what is left."""
        model = REAL.model("meta-llama/Llama-3.1-70B-Instruct")
        agent = {"name": "reasoner", "model": model.id, "latencyClass": "background"}

        def tried(**overrides: int) -> tuple[Sizes, ...]:
            return legal_parallelism(demand(load({**agent, "overrides": overrides}).stack.spec.agents[0], model))

        assert [each for each in tried() if each.accelerators == count] == [Sizes(tensor=1, pipeline=count)]
        assert tried(tensorParallelSize=count) == ()
        error = refused(
            {**agent, "overrides": {"tensorParallelSize": count}},
            catalog=REAL,
            accelerators=only("h200-sxm"),
            modelCache={"tokenSecret": "hf-token"},
        )
        assert error.rejections[0].constraint == "parallelism"

    def test_a_model_larger_than_one_card_is_split(self):
        found = plan(make_agent(model="test/big", latencyClass="background"))
        one = workload(found)
        assert one.accelerators_per_replica == one.tensor_parallel_size * one.pipeline_parallel_size > 1
        assert found.pool(one.node_pool).accelerators_per_node >= one.accelerators_per_replica
        assert one.pod.accelerators == one.accelerators_per_replica

    def test_no_machine_is_large_enough(self):
        catalog = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
        error = refused(make_agent(model="test/big", overrides={"tensorParallelSize": 2}), catalog=catalog)
        assert error.rejections[0].constraint == "parallelism"


class TestPrecision:
    @pytest.mark.parametrize(
        ("capability", "native", "unpacked"),
        [
            ("7.0", {"fp16", "int8", "int4", "mxfp4"}, set()),  # no such card is in the catalog
            ("7.5", {"fp16", "int8", "int4", "mxfp4"}, {"fp8", "nvfp4"}),  # nor such a one
            ("8.0", {"bf16", "fp16", "int8", "int4", "mxfp4"}, {"fp8", "nvfp4"}),
            ("8.6", {"bf16", "fp16", "int8", "int4", "mxfp4"}, {"fp8", "nvfp4"}),
            ("8.9", {"bf16", "fp16", "fp8", "int8", "int4", "mxfp4"}, {"nvfp4"}),
            ("9.0", {"bf16", "fp16", "fp8", "int8", "int4", "mxfp4"}, {"nvfp4"}),
            ("10.0", {"bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4"}, set()),
            ("12.0", {"bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4"}, set()),
            ("gfx942", {"bf16", "fp16", "fp8"}, set()),
        ],
    )
    def test_by_compute_capability(self, capability, native, unpacked):
        card = make_accelerator("card", 80, 1000, 100, compute_capability=capability)
        facts = REAL.facts("vllm", "0.33.0")
        found = {one: facts.execution(card, one) for one in ("bf16", "fp16", "fp8", "int8", "int4", "mxfp4", "nvfp4")}
        assert {one for one, how in found.items() if how == "native"} == native
        assert {one for one, how in found.items() if how == "weight-only"} == unpacked

    def test_each_engine_and_version_has_kernels_of_its_own(self):
        turing, ampere = (make_accelerator("card", 80, 1000, 100, compute_capability=one) for one in ("7.5", "8.0"))
        assert REAL.facts("vllm", "0.19.0").execution(turing, "fp8") is None
        assert REAL.facts("vllm", "0.19.0").execution(ampere, "fp8") == "weight-only"
        assert REAL.facts("sglang").execution(ampere, "fp8") == "weight-only"
        assert REAL.facts("tensorrt-llm").execution(ampere, "fp8") is None

    def test_amd_parts_of_the_catalog(self):
        facts = REAL.facts("vllm")
        for card in REAL.accelerators:
            if card.compute_capability.startswith("gfx"):
                assert [one for one in ("int8", "int4", "mxfp4", "nvfp4") if facts.execution(card, one)] == []

    def test_the_rejection(self):
        rows = (*offerings("o1", "old-40", on_demand="0.10"), *offerings("s1", "small-40", on_demand="1.00"))
        older = make_accelerator("old-40", 40, 1500, 300, compute_capability="7.0")
        cards = tuple(older if card.id == older.id else card for card in CATALOG.accelerators)
        found = plan(make_agent(precision="fp8"), catalog=make_catalog(rows, accelerators=cards))
        assert constraints(found)["old-40"] == "precision"
        assert workload(found).accelerator == "small-40"

    @pytest.mark.parametrize("card", ["a100-80gb-sxm", "a10g"])
    def test_a_card_without_units_unpacks_the_weights(self, card):
        """A100 and A10G have no FP8 units: vLLM runs W8A16 there, which predict answered and the planner refused."""
        agent = {"name": "writer", "model": "Qwen/Qwen3-8B", "precision": "fp8", "latencyClass": "background"}
        found = plan(agent, catalog=REAL, accelerators=only(card))
        assert workload(found, "writer").precision == "fp8"
        (warning,) = (one for one in found.warnings if one.code == "weight-only-precision")
        assert "unpacked" in warning.message

    def test_and_is_as_slow_as_that(self):
        """They compute in 16 bit, as the bits of 16-bit weights are read, and launch nothing that quantises activations."""
        card = REAL.accelerator("a100-80gb-sxm")
        model = REAL.model("meta-llama/Llama-3.1-8B-Instruct")
        shape = {"kv_dtype": "auto", "tensor_parallel": 1, "pipeline_parallel": 1, "max_batched_tokens": 8192}
        unpacked = speed_of(model, card, precision="fp8", serving=Serving(weight_only=True), **shape)
        wide = speed_of(model, card, precision="bf16", **shape)
        assert unpacked.dense_ms_per_token == pytest.approx(wide.dense_ms_per_token)
        assert unpacked.launches_ms == wide.launches_ms
        assert unpacked.dense_weights_ms < 0.6 * wide.dense_weights_ms
        one = demand(load(make_agent(model=model.id, precision="fp8")).stack.spec.agents[0], model)
        rules = Rules(
            release=REAL.release("vllm"),
            facts=REAL.facts("vllm"),
            accounted_as="0.33.0",
            round_trip_ms=20.0,
            session_affine=True,
        )
        (planned,) = Evaluator(one, rules).evaluate(card, 1)
        assert planned.speed.dense_ms_per_token == pytest.approx(unpacked.dense_ms_per_token)

    def test_quantised_weights_fit_where_16_bit_do_not(self):
        rows = offerings("s1", "small-40", on_demand="1.00")
        model = make_model("test/mid", 20)
        catalog = make_catalog(rows, models=(model,))
        assert refused(make_agent(model="test/mid"), catalog=catalog).rejections[0].constraint == "memory"
        assert workload(plan(make_agent(model="test/mid", precision="int4"), catalog=catalog)).precision == "int4"


class TestRejections:
    def test_a_context_longer_than_the_model_s(self):
        error = refused(make_agent(conversation={"maxContextTokens": 200_000}))
        first = error.rejections[0]
        assert (first.constraint, first.need, first.limit, first.unit) == ("context-length", 200_000, 131_072, "tokens")

    def test_no_latency_data(self):
        rows = (*offerings("n1", "no-data-24", on_demand="0.10"), *offerings("s1", "small-40", on_demand="1.00"))
        found = plan(catalog=make_catalog(rows))
        assert constraints(found)["no-data-24"] == "no-latency-data"

    def test_an_agent_without_budgets_may_use_it(self):
        catalog = make_catalog(offerings("n1", "no-data-24", on_demand="0.10"))
        one = workload(plan(make_agent(latencyClass="background", model="test/tiny"), catalog=catalog))
        assert one.accelerator == "no-data-24"
        assert one.latency.ttft_ms is None
        assert one.throughput.output_tokens_per_s is None

    def test_unless_it_needs_a_throughput_that_nobody_knows(self):
        catalog = make_catalog(offerings("n1", "no-data-24", on_demand="0.10"))
        agent = make_agent(latencyClass="background", model="test/tiny", traffic={"conversationsPerDay": 10_000})
        assert refused(agent, catalog=catalog).rejections[0].constraint == "no-latency-data"

    MEASURED: ClassVar = {"ttftMs": 300.0, "tpotMs": 20.0, "outputTokensPerS": 500.0, "prefillTokensPerS": 5000.0}

    def test_or_somebody_measured_it(self):
        catalog = make_catalog(offerings("n1", "no-data-24", on_demand="0.10"))
        one = workload(plan(make_agent(model="test/tiny", overrides=self.MEASURED), catalog=catalog))
        assert (one.latency.ttft_ms, one.latency.tpot_ms) == (300.0, 20.0)

    def test_what_was_measured_is_held_against_the_budget(self):
        agent = make_agent(model="test/tiny", overrides={**self.MEASURED, "ttftMs": 900.0})
        one = demand(load(agent).stack.spec.agents[0], TINY)
        rules = Rules(
            release=CATALOG.release("vllm"),
            facts=CATALOG.facts("vllm"),
            accounted_as="0.33.0",
            round_trip_ms=20.0,
            session_affine=True,
        )
        (found,) = Evaluator(one, rules).evaluate(NO_DATA, 1)
        assert isinstance(found, Rejection)
        assert found.constraint == "ttft"

    def test_a_budget_that_no_session_meets(self):
        error = refused(make_agent(ttftMs=5.0))
        assert {one.constraint for one in error.rejections} == {"ttft"}
        assert all(one.need > one.limit == 5.0 for one in error.rejections)
        assert {one.constraint for one in refused(make_agent(tpotMs=1.0)).rejections} == {"tpot"}
        assert {one.constraint for one in refused(make_agent(e2eMs=100.0)).rejections} == {"e2e"}

    def test_the_memory_rejection_adds_up(self):
        catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        (one,) = refused(make_agent(model="test/big"), catalog=catalog).rejections
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", one.message)]
        weights, kv, overhead, need, capacity, limit = numbers
        assert weights + kv + overhead == pytest.approx(need, abs=0.02)
        assert limit == pytest.approx(0.8 * capacity, abs=0.01)
        assert one.need == pytest.approx(need, abs=0.01)
        assert one.limit == pytest.approx(limit, abs=0.01)
        assert need > limit
        assert one.unit == "GiB"

    def test_seats_set_by_hand_that_do_not_fit(self):
        catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        agent = make_agent(sessions={"concurrent": 500}, overrides={"maxNumSeqs": 300})
        (one,) = refused(agent, catalog=catalog).rejections
        assert one.constraint == "memory"
        assert "300 sessions" in one.message

    def test_an_engine_for_local_development(self):
        error = refused(make_agent(engine="ollama"), target="compose")
        assert error.rejections[0].constraint == "engine"

    def test_a_budget_that_is_too_small(self):
        error = refused(capacity={"budgetUsdPerMonth": 100.0})
        assert "over the budget of USD 100.00" in str(error)

    def test_unknown_names_are_bad_input(self):
        with pytest.raises(BadInput, match="test/dens"):
            plan(make_agent(model="test/dens"))
        with pytest.raises(BadInput, match="unknown accelerator 'smal-40'"):
            plan(accelerators=only("smal-40"))

    def test_allowed_and_denied_accelerators(self):
        assert workload(plan(accelerators=only("large-80"))).accelerator == "large-80"
        assert workload(plan(accelerators={"deny": ["small-40"]})).accelerator == "large-80"

    def test_the_message_of_no_plan_names_agent_and_nearest_miss(self):
        error = refused(
            make_agent("reasoner", "test/big"), catalog=make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        )
        assert "agent 'reasoner' (test/big, bf16) fits nothing on offer:" in str(error)
        assert "small-40: " in str(error)


OVERRIDES: dict[str, tuple[float, Any]] = {
    # field: (value, where the plan shows that it took effect)
    "contextTokens": (3000, lambda one: one.memory.context_tokens),
    "weightsGib": (12.0, lambda one: one.memory.weights_gib),
    "kvBytesPerToken": (100_000, lambda one: one.memory.kv_bytes_per_token),
    "overheadGib": (5.0, lambda one: one.memory.overhead_gib),
    "tensorParallelSize": (2, lambda one: one.tensor_parallel_size),
    "pipelineParallelSize": (2, lambda one: one.pipeline_parallel_size),
    "maxModelLen": (10_000, lambda one: one.max_model_len),
    "maxNumSeqs": (3, lambda one: one.max_num_seqs),
    "maxNumBatchedTokens": (4096, lambda one: one.max_num_batched_tokens),
    "ttftMs": (123.0, lambda one: one.latency.ttft_ms),
    "tpotMs": (12.0, lambda one: one.latency.tpot_ms),
    "outputTokensPerS": (400.0, lambda one: one.throughput.output_tokens_per_s / one.replicas.max),
    "prefillTokensPerS": (4000.0, lambda one: one.throughput.prefill_tokens_per_s / one.replicas.max),
    "requiredOutputTokensPerS": (50.0, lambda one: one.throughput.required_output_tokens_per_s),
    "requiredPrefillTokensPerS": (60.0, lambda one: one.throughput.required_prefill_tokens_per_s),
    "baselineReplicas": (4, lambda one: one.replicas.min),
    "maxWaitingRequests": (7, lambda one: one.admission.max_waiting_requests),
    "coldStartS": (1234.0, lambda one: one.cold_start_s.total),
}
COMPUTED = {
    "contextTokens": lambda one: one.memory.context_tokens,
    "weightsGib": lambda one: one.memory.weights_gib,
    "kvBytesPerToken": lambda one: one.memory.kv_bytes_per_token,
    "overheadGib": lambda one: one.memory.overhead_gib,
    "maxNumSeqs": lambda one: one.max_num_seqs,
    "maxNumBatchedTokens": lambda one: one.max_num_batched_tokens,
    "requiredOutputTokensPerS": lambda one: one.throughput.required_output_tokens_per_s,
    "requiredPrefillTokensPerS": lambda one: one.throughput.required_prefill_tokens_per_s,
    "baselineReplicas": lambda one: one.replicas.min,
    "coldStartS": lambda one: one.cold_start_s.total,
    "ttftMs": lambda one: one.latency.ttft_ms,
    "tpotMs": lambda one: one.latency.tpot_ms,
    "outputTokensPerS": lambda one: one.throughput.output_tokens_per_s,
    "prefillTokensPerS": lambda one: one.throughput.prefill_tokens_per_s,
}
"""Where a plan without overrides shows the figure that is computed."""


class TestOverrides:
    @pytest.mark.parametrize("field", OVERRIDES)
    def test_each_takes_effect_and_is_shown(self, field):
        value, shown = OVERRIDES[field]
        found = plan(make_agent(overrides={field: value}))
        assert shown(workload(found)) == pytest.approx(value, rel=1e-4)
        (override,) = found.overrides
        assert (override.agent, override.field, override.value) == ("support", field, value)

    @pytest.mark.parametrize("field", COMPUTED)
    def test_beside_what_would_have_been_computed(self, field):
        """On the same accelerator and machine, so that the figure stands in the plan without the override."""
        catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        plain = COMPUTED[field](workload(plan(catalog=catalog)))
        value = OVERRIDES[field][0]
        (override,) = plan(make_agent(overrides={field: value}), catalog=catalog).overrides
        assert override.computed == pytest.approx(plain, rel=1e-3)

    def test_burst_replicas(self):
        found = plan(make_agent(overrides={"burstReplicas": 3}))
        assert workload(found, tier="burst").replicas.max == 3
        (override,) = found.overrides
        assert (override.computed, override.value) == (0.0, 3.0)
        bursty = make_agent(
            sessions={"concurrent": 20, "peak": 100}, traffic={"rampS": 5000.0}, overrides={"burstReplicas": 0}
        )
        assert [one.tier for one in plan(bursty).workloads] == ["baseline"]

    def test_every_override_of_the_spec_is_tried_here(self):
        fields = load(make_agent(overrides={})).stack.spec.agents[0].overrides.model_dump(by_alias=True)
        of_mixtures = {"attentionDataParallelSize", "expertParallelSize"}  # tried in test_attention_groups.py
        assert set(fields) == {*OVERRIDES, "burstReplicas", *of_mixtures}

    def test_all_at_once_keep_the_order_of_the_spec(self):
        chosen = {"ttftMs": 100.0, "contextTokens": 3000, "overheadGib": 2.0}
        assert [one.field for one in plan(make_agent(overrides=chosen)).overrides] == [
            "contextTokens",
            "overheadGib",
            "ttftMs",
        ]

    def test_a_measured_time_over_the_budget_is_refused(self):
        assert {one.constraint for one in refused(make_agent(overrides={"tpotMs": 80.0})).rejections} == {"tpot"}

    def test_fewer_batched_tokens_than_seats(self):
        agent = make_agent(overrides={"maxNumBatchedTokens": 8, "maxNumSeqs": 16}, sessions={"concurrent": 16})
        rejections = refused(agent).rejections
        assert {(one.constraint, one.need, one.limit) for one in rejections} == {("batched-tokens", 16, 8)}


def test_the_hit_ratio_of_round_robin_falls_with_the_replicas():
    agent = make_agent(sessions={"concurrent": 60}, conversation={"thinkTimeS": 30.0})
    catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
    affine = workload(plan(agent, catalog=catalog))
    spread = workload(plan(agent, catalog=catalog, network={"routing": "round-robin"}))
    assert affine.routing.prefix_hit_ratio == 1.0
    assert spread.routing.prefix_hit_ratio <= 1 / spread.replicas.max + 1e-4
    assert spread.replicas.max >= affine.replicas.max


def test_a_session_whose_cache_is_lost_is_warned_of():
    agent = make_agent(conversation={"turns": 60, "inputTokensPerTurn": 600, "outputTokensPerTurn": 50})
    found = plan(agent)
    one = workload(found)
    assert one.latency.uncached_ttft_ms > one.latency.budget_ttft_ms >= one.latency.ttft_ms
    assert "cache-miss" in {warning.code for warning in found.warnings}
