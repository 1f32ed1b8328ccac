"""Every sum that ``explain`` prints is worked out again from the printed inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import LedgerEntry, Workload
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table, plain_text
from agentgpu_iac.review.explain import explain, explain_view
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.model import Agent, StackSpec
from tests.examples import EXAMPLES
from tests.review.arithmetic import first_number, worked_out
from tests.review.stacks import Planned, apart, example, stack

# A step whose inputs are a sum, and how far its printed inputs, being rounded, may lead from its printed result.
TOLERANCES = {
    "expectedContextTokens": 0.5,
    "weightsGib": 0.0001,
    "kvBytesPerToken": 0.0,
    "kvPerSessionGib": 0.000001,
    "kvGib": 0.0002,
    "overheadGib": 0.0002,
    "activationGib": 0.0001,
    "totalGib": 0.0002,
    "headroomGib": 0.0002,
    "ttftMs": 0.26,
    "queueMs": 0.06,
    "prefillMs": 0.06,
    "decodeMs": 0.06,
    "tpotMs": 0.006,
    "ttftAtPercentileMs": 0.26,
    "tpotAtPercentileMs": 0.006,
    "e2eMs": 1.0,
}
RELATIVE = 1e-3

SHAPES = {
    "sliding windows": ("model: google/gemma-3-27b-it", "conversation: {maxContextTokens: 16384}"),
    "sliding and experts": ("model: openai/gpt-oss-20b", "sessions: {concurrent: 10}"),
    "recurrent layers": ("model: Qwen/Qwen3-Next-80B-A3B-Instruct", "latencyClass: background"),
    "compressed KV cache": (
        "model: deepseek-ai/DeepSeek-V2-Lite-Chat",
        "kvCacheDtype: fp8",
        "latencyClass: background",
    ),
    "experts": ("model: mistralai/Mixtral-8x7B-Instruct-v0.1", "ttftMs: 3000"),
    "pipeline": (
        "model: meta-llama/Llama-3.3-70B-Instruct",
        "latencyClass: background",
        "overrides: {tensorParallelSize: 2, pipelineParallelSize: 2}",
    ),
    "attention groups": (
        "model: deepseek-ai/DeepSeek-V3",
        "ttftMs: 3000",
        "sessions: {concurrent: 40}",
        "overrides: {tensorParallelSize: 2, attentionDataParallelSize: 4}",
    ),
    "dealt-out experts": (
        "model: deepseek-ai/DeepSeek-V2-Lite-Chat",
        "ttftMs: 3000",
        "engine: sglang",
        "overrides: {tensorParallelSize: 2, expertParallelSize: 2}",
    ),
    "quantised": ("model: Qwen/Qwen3-14B", "precision: fp8"),
    "four bits": ("model: Qwen/Qwen3-14B", "precision: int4"),
    "adapters": ("model: Qwen/Qwen3-8B", "loraAdapters: [{name: polite, source: acme/polite, rank: 32}]"),
    "a context cut short": ("model: Qwen/Qwen3-8B", "conversation: {turns: 50, maxContextTokens: 4096}"),
    "tools": ("model: Qwen/Qwen3-8B", "conversation: {toolCalls: {perTurn: 1.5, resultTokens: 333}}"),
    "a draft model": (
        "model: Qwen/Qwen3-8B",
        "speculative: {method: draft-model, model: Qwen/Qwen3-0.6B, tokens: 4, acceptedTokens: 2.5}",
    ),
    "a draft head": ("model: Qwen/Qwen3-14B", "speculative: {method: eagle3, model: acme/eagle, weightsGib: 0.8}"),
    "its own draft layer": (
        "model: deepseek-ai/DeepSeek-V3-0324",
        "latencyClass: background",
        "speculative: {method: mtp, tokens: 1}",
    ),
    "a draft with windows": (
        "model: google/gemma-3-27b-it",
        "latencyClass: background",
        "speculative: {method: draft-model, model: google/gemma-3-4b-it}",
    ),
    "n-grams": ("model: Qwen/Qwen3-8B", "speculative: {method: ngram, tokens: 5}"),
    "another engine": ("model: Qwen/Qwen3-8B", "engine: sglang", "kvOffloadGib: 16"),
    "a share of what is free": ("model: Qwen/Qwen3-8B", "engine: tensorrt-llm", "latencyClass: background"),
    "burst on spot": (
        "model: Qwen/Qwen3-8B",
        "sessions: {concurrent: 20}",
        "traffic: {burstFactor: 40, rampS: 3600}",
    ),
}

every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
every_shape = pytest.mark.parametrize("lines", SHAPES.values(), ids=SHAPES.keys())


def by_hand(step: LedgerEntry) -> bool:
    return step.formula == "set by hand"


def baseline(planned: Planned, agent: str) -> Workload:
    return next(one for one in planned.plan.workloads if agent in one.served and one.tier == "baseline")


def assert_sums_add_up(planned: Planned) -> None:
    for agent in planned.loaded.stack.spec.agents:
        steps = planned.steps(agent.name)
        for step in steps:
            if step.name not in TOLERANCES or by_hand(step):
                continue
            allowed = TOLERANCES[step.name] + RELATIVE * (step.name == "e2eMs") * first_number(step.result)
            assert worked_out(step.inputs) == pytest.approx(first_number(step.result), abs=allowed, rel=0), step
        present = {step.name for step in steps}
        latency = (
            set()
            if baseline(planned, agent.name).latency.ttft_ms is not None
            else {"ttftMs", "queueMs", "prefillMs", "decodeMs", "tpotMs", "e2eMs"}
        )
        if agent.requests is not None:
            whole = next(step for step in steps if step.name == "e2eAtPercentileMs")
            assert worked_out(whole.inputs) == pytest.approx(first_number(whole.result), abs=0.2)
            latency = (latency - {"prefillMs"}) | {"expectedContextTokens"}
        given = agent.overrides
        at_percentile = {"ttftAtPercentileMs": given.ttft_ms, "tpotAtPercentileMs": given.tpot_ms}
        set_by_hand = {name for name, value in at_percentile.items() if value is not None or latency}
        assert set(TOLERANCES) - present == latency | set_by_hand


@pytest.mark.broad(every=5)
@every_example
def test_the_sums_of_an_example_add_up(path: Path) -> None:
    assert_sums_add_up(example(path))


@pytest.mark.broad(every=5)
@every_shape
def test_the_sums_of_every_kind_of_model_add_up(lines: tuple[str, ...]) -> None:
    assert_sums_add_up(stack(*lines))


@every_example
def test_the_context_is_the_sum_of_the_turns_or_the_stated_limit(path: Path) -> None:
    for agent in example(path).loaded.stack.spec.agents:
        sections = ("Context", f"Context of {agent.name}")
        *together, step = (
            one for one in example(path).steps(agent.name) if one.name == "contextTokens" and one.section in sections
        )
        assert all(worked_out(one.inputs) == pytest.approx(first_number(one.result), abs=1) for one in together)
        limit = agent.conversation.max_context_tokens
        if agent.requests is not None:
            assert step.inputs == "requests.inputTokens"
            assert first_number(step.result) == agent.requests.input_tokens
        elif limit is None:
            assert worked_out(step.inputs) == first_number(step.result)
        else:
            assert step.inputs == "conversation.maxContextTokens"
            assert first_number(step.result) == limit


@every_example
def test_the_phases_of_a_cold_start_add_up(path: Path) -> None:
    for agent in example(path).loaded.stack.spec.agents:
        steps = [step for step in example(path).steps(agent.name) if step.section == "Cold start"]
        *phases, total, upper, restart = steps
        assert (total.name, upper.name, restart.name) == ("total", "upper", "restart")
        assert worked_out(upper.inputs) == pytest.approx(first_number(upper.result), abs=0.4)
        assert first_number(upper.result) > first_number(total.result)
        assert [first_number(step.result) for step in phases] == [float(each) for each in total.inputs.split(" + ")]
        assert worked_out(total.inputs) == pytest.approx(first_number(total.result), abs=0.4)


def assert_costs_add_up(planned: Planned) -> None:
    shown: dict[str, float] = {}
    for step in planned.steps():
        if step.section == "Cost" and "USD" in step.result:
            assert worked_out(step.inputs) == pytest.approx(first_number(step.result), abs=0.006)
            shown[step.name] = first_number(step.result)
    items = {f"{one.node_pool} ({one.capacity_type})": float(one.usd_per_month) for one in planned.plan.cost.line_items}
    assert shown == items
    assert sum(shown.values()) == pytest.approx(float(planned.plan.cost.expected_usd_per_month), abs=0.01)


@every_example
def test_the_costs_add_up(path: Path) -> None:
    assert_costs_add_up(example(path))


def test_the_cost_of_a_burst_tier_adds_up() -> None:
    planned = stack(*SHAPES["burst on spot"])
    assert any(one.tier == "burst" for one in planned.plan.cost.line_items)
    assert_costs_add_up(planned)


def test_the_ttft_of_engines_that_share_adds_up() -> None:
    planned = apart(next(path for path in EXAMPLES if path.stem == "trio"))
    sharing = [one.agent for one in planned.plan.workloads if one.share_group is not None]
    assert sharing
    for agent in sharing:
        step = next(one for one in planned.steps(agent) if one.name == "ttftMs")
        assert worked_out(step.inputs) == pytest.approx(first_number(step.result), abs=TOLERANCES["ttftMs"])


@every_example
def test_what_is_explained_is_what_the_plan_says(path: Path) -> None:
    planned = example(path)
    for agent in planned.loaded.stack.spec.agents:
        one = baseline(planned, agent.name)
        results = {step.name: step.result for step in planned.steps(agent.name)}
        memory = one.memory
        figures = {
            "contextTokens": memory.context_tokens,
            "expectedContextTokens": memory.expected_context_tokens,
            "weightsGib": memory.weights_gib,
            "kvBytesPerToken": memory.kv_bytes_per_token,
            "kvPerSessionGib": memory.kv_per_session_gib,
            "kvGib": memory.kv_gib,
            "overheadGib": memory.overhead_gib,
            "activationGib": memory.activation_gib,
            "nonTorchGib": memory.non_torch_gib,
            "cudaGraphGib": memory.cuda_graph_gib,
            "totalGib": memory.total_gib,
            "coldStartGib": memory.cold_start_gib,
            "reserveRatio": memory.reserve_ratio,
            "headroomGib": memory.headroom_gib,
            "capacityGib": memory.capacity_gib,
            "ttftMs": one.latency.ttft_ms,
            "tpotMs": one.latency.tpot_ms,
            "ttftAtPercentileMs": one.latency.ttft_at_percentile_ms,
            "tpotAtPercentileMs": one.latency.tpot_at_percentile_ms,
            "requiredOutputTokensPerS": one.throughput.required_output_tokens_per_s,
            "requiredPrefillTokensPerS": one.throughput.required_prefill_tokens_per_s,
            "replicas": one.replicas.min if one.open_hours is None else one.replicas.max,
            "total": one.cold_start_s.total,
        }
        if one.pooling is not None:
            of_sessions = {
                "expectedContextTokens",
                "requiredOutputTokensPerS",
                *(name for name in figures if name.startswith("t")),
            }
            assert not (of_sessions - {"total", "totalGib"}) & set(results)
            figures = {name: figures[name] for name in figures if name in results}
            figures |= {"e2eAtPercentileMs": one.latency.e2e_at_percentile_ms, "prefillMs": one.latency.prefill_ms}
        for name, figure in figures.items():
            assert first_number(results[name]) == pytest.approx(figure, abs=0.005), name
        assert all(step.source for step in planned.steps(agent.name))


# ---- set by hand

OVERRIDES = {
    "contextTokens": 3000,
    "weightsGib": 30,
    "kvBytesPerToken": 200_000,
    "overheadGib": 3,
    "tensorParallelSize": 2,
    "pipelineParallelSize": 1,
    "maxModelLen": 5000,
    "maxNumSeqs": 20,
    "maxNumBatchedTokens": 4096,
    "ttftMs": 300,
    "tpotMs": 33,
    "outputTokensPerS": 900,
    "prefillTokensPerS": 5000,
    "requiredOutputTokensPerS": 500,
    "requiredPrefillTokensPerS": 600,
    "baselineReplicas": 2,
    "burstReplicas": 3,
    "coldStartS": 200,
}


def overridden(**overrides: float) -> Planned:
    flow = ", ".join(f"{name}: {value}" for name, value in overrides.items())
    return stack("model: Qwen/Qwen3-14B", "sessions: {concurrent: 5, peak: 50}", f"overrides: {{{flow}}}")


def test_every_override_is_shown_beside_the_computed_figure() -> None:
    planned = overridden(**OVERRIDES)
    said = [f"{step.name} {step.inputs} {step.result}" for step in planned.steps() if by_hand(step)]
    for name, value in OVERRIDES.items():
        assert any(name in one and f"{value:,}" in one and "computed: " in one for one in said), name
    assert_sums_add_up(overridden(**OVERRIDES))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", sorted(OVERRIDES))
def test_a_figure_set_by_hand_has_no_formula(name: str) -> None:
    planned = overridden(**{name: OVERRIDES[name]})
    (said,) = (step for step in planned.steps() if by_hand(step))
    override = planned.plan.overrides[0]
    assert said.source == "spec: overrides"
    if override.computed is None:
        assert "computed: searched for" in said.inputs
    else:
        shown = first_number(said.inputs[said.inputs.index("computed: ") :])
        assert shown == pytest.approx(override.computed, abs=0.0001)


def test_a_session_at_kv_bytes_set_by_hand_takes_whole_blocks() -> None:
    step = next(one for one in overridden(**OVERRIDES).steps() if one.name == "kvPerSessionGib")
    assert worked_out(step.inputs) == pytest.approx(first_number(step.result), abs=0.000001)


# ---- the view


def text_of(blocks: tuple[Block, ...]) -> str:
    return plain_text(blocks)


def view(planned: Planned, agent: str | None = None) -> tuple[Block, ...]:
    return explain_view(planned.plan, planned.loaded.source, agent)


def listed(blocks: tuple[Block, ...]) -> dict[str, str]:
    """The assumptions by the part of the spec that they stand in."""
    items = [item for block in blocks if isinstance(block, Listing) for item in block.items]
    return dict(item.split(": ", 1) for item in items)


def test_what_the_spec_leaves_out_is_listed() -> None:
    said = listed(view(stack("model: Qwen/Qwen3-14B", "conversation: {turns: 3}", "ttftMs: 400")))
    assert said == {
        "agent": (
            "engine vllm, kvCacheDtype auto, latencyClass chat, isolation shared, interruptible false, pausedCache auto, "
            "thinking off, textOnly false, trustRemoteCode false"
        ),
        "sessions": "concurrent 1",
        "conversation": (
            "inputTokensPerTurn 150, outputTokensPerTurn 150, systemPromptTokens 500, reasoningTokensPerTurn 0, thinkTimeS 10"
        ),
        "conversation.toolCalls": "perTurn 0, seconds 2, resultTokens 200",
        "traffic": "burstFactor 1, rampS 60",
        "stack": "target eks",
        "stack capacity": (
            "spot auto, onDemandFloorRatio 0, burstWithoutNotice reject, fastBurst absorb, burstHoursPerMonth 72, "
            "reservation none, priceCapRatio 2, nodeUpdates minimal, imagePull parallel, quantile 0.99, maxPriceAgeDays 90, "
            "memoryReserveRatio 0.2, survive nothing, zones 2, shareAccelerators auto"
        ),
        "stack observed": "days 0, baselineRatio 0, baselineSessions 0",
        "stack network": (
            "roundTripMs 20, burstRttMs 100, routing session-affine, router auto, sessionHeader x-session-id, maxRequestMib 8"
        ),
        "stack latency": "percentile 95",
        "stack proxy": "use auto",
        "stack modelCache": "storage nvme, source huggingface, loader auto, stream never",
        "stack scaling": (
            "method keda, prometheusUrl http://prometheus-operated.monitoring.svc.cluster.local:9090, utilizationRatio 0.8"
        ),
        "stack observability": (
            "monitors prometheus-operator, alerts true, dashboard true, grafana false, accelerators dcgm-exporter, "
            "nodeHealth none"
        ),
        "stack security": "networkPolicies true, callersNeedLabel false, monitoringNamespace monitoring, resourceQuota true",
        "stack clusterObjects": (
            "disruptionBudgets true, priorityClasses true, topologySpread true, cacheFillers true, helmValues true"
        ),
        "stack policy": "allowUnpriced false",
        "stack pins": "kubernetesVersion 1.36",
    }


def test_an_item_of_a_list_has_its_assumptions_too() -> None:
    adapters = "loraAdapters: [{name: polite, source: acme/polite}]"
    said = listed(view(stack("model: Qwen/Qwen3-8B", adapters)))
    assert said["loraAdapters[0]"] == "rank 16"


def default_fields(part: type[Document], path: str = "") -> set[tuple[str, str]]:
    """(part, field) of every field of a spec that has a default which says something."""
    found: set[tuple[str, str]] = set()
    for name, field in part.model_fields.items():
        default = field.default
        if isinstance(default, Document):
            found |= default_fields(type(default), f"{path}.{camel(name)}" if path else camel(name))
        elif isinstance(default, (bool, int, float, str)):
            found.add((path, camel(name)))
    return found


def test_no_part_of_the_spec_is_left_out_of_the_assumptions() -> None:
    planned = stack("model: Qwen/Qwen3-14B")
    shown = planned.plan.assumptions
    assert {(one.part, one.field) for one in shown if one.agent is None} == default_fields(StackSpec) | {
        ("pins", "kubernetesVersion"),  # the catalog fills it in
        ("capacity", "priceCapRatio"),  # the target does
    }
    own = {(one.part, one.field) for one in shown if one.agent == "support"}
    assert own == default_fields(Agent) | {
        ("conversation", "reasoningTokensPerTurn")  # as the model thinks
    }


@every_example
def test_the_value_of_every_line_is_its_result(path: Path) -> None:
    for entry in example(path).plan.ledger:
        assert first_number(entry.result) == pytest.approx(entry.value, rel=0.02, abs=0.51), entry


def test_a_plan_without_sums_says_who_made_it() -> None:
    planned = example(EXAMPLES[0])
    old = planned.plan.model_copy(update={"ledger": ()})
    with pytest.raises(BadInput, match=r"holds no sums: agentgpu .* made it"):
        explain(old, "plan.json")


def test_what_the_spec_says_is_not_listed() -> None:
    said = listed(
        view(
            stack(
                "model: Qwen/Qwen3-14B",
                "latencyClass: chat",
                "sessions: {concurrent: 1}",
                "conversation: {toolCalls: {perTurn: 0, seconds: 2, resultTokens: 200}, thinkTimeS: 10}",
                "traffic: {burstFactor: 1, rampS: 60}",
            )
        )
    )
    assert "latencyClass" not in said["agent"]
    assert "thinkTimeS" not in said["conversation"]
    assert not {"sessions", "traffic", "conversation.toolCalls"} & set(said)


@every_example
def test_the_view_holds_every_step_once_for_each_agent(path: Path) -> None:
    planned = example(path)
    for agent in planned.loaded.stack.spec.agents:
        tables = [block for block in view(planned, agent.name) if isinstance(block, Table)]
        shown = [row for table in tables if table.columns[0] == "number" for row in table.rows]
        assert shown == [
            (step.name, step.formula, step.inputs, step.result, step.source) for step in planned.steps(agent.name)
        ]


@every_example
def test_the_view_names_runners_up_and_every_rejection(path: Path) -> None:
    planned = example(path)
    plan = planned.plan
    whole = text_of(view(planned))
    for alternative in plan.cost.alternatives:
        if alternative.agent is not None:
            assert alternative.description in whole
            assert f"{alternative.delta_usd_per_month:+,.2f}" in whole
    for rejection in plan.rejections:
        assert rejection.message in whole
    assert f"optimality gap {plan.cost.optimality_gap_ratio:.2%}" in whole
    for left_out in ("a burst on several kinds of machine", "spill from a card", "several types of machine"):
        assert left_out in whole


def test_all_agents_come_in_the_order_of_the_spec() -> None:
    planned = example(next(path for path in EXAMPLES if path.stem == "five-agents"))
    names = [agent.name for agent in planned.loaded.stack.spec.agents]
    headings = [block.text for block in view(planned) if isinstance(block, Heading)]
    assert [heading.split(":")[0] for heading in headings] == names
    assert view(planned) == tuple(block for name in names for block in view(planned, name))


def test_an_agent_that_is_not_there() -> None:
    planned = example(EXAMPLES[0])
    with pytest.raises(BadInput, match=r"there is no agent 'suport' in the stack \(did you mean 'support'\?\)"):
        explain(planned.plan, planned.loaded.source, "suport")
    with pytest.raises(BadInput, match="there is no agent"):
        explain_view(planned.plan, planned.loaded.source, "suport")


def test_sections_come_in_reading_order() -> None:
    paragraphs = [block.text for block in view(example(EXAMPLES[0])) if isinstance(block, Paragraph)]
    assert paragraphs[:6] == [
        "Context:",
        "Memory of one accelerator:",
        "Latency with as many requests as are planned to generate:",
        "Throughput and replicas:",
        "Cold start:",
        "Cost:",
    ]
