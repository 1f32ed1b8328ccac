"""What is sized is what the engine is told: thinking on, off and auto, on every kind of model and engine."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
import yaml

from agentgpu_iac.catalog.model import LayerCounts, Model, RecurrentShape
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.planning.thinking import thinking_choice, told_to_engine
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text
from tests.planning.flags import split
from tests.planning.scenes import (
    ALWAYS_THINKS,
    CATALOG,
    MODELS,
    NEVER_THINKS,
    THINKS,
    WHEN_ASKED,
    codes,
    load,
    make_agent,
    make_catalog,
    make_model,
    plan,
    workload,
)

PROMPT = THINKS.model_copy(update={"switch": "system-prompt", "variable": None, "on": "/think", "off": "/no_think"})
KINDS: dict[str, Model] = {
    name: make_model(f"test/{name}", 8, thinking=thinking, reasoning_parser=None if name == "never" else "qwen3")
    for name, thinking in {
        "never": NEVER_THINKS,
        "default": THINKS,
        "asked": WHEN_ASKED,
        "always": ALWAYS_THINKS,
        "prompt": PROMPT,
        "unknown": None,
    }.items()
}
HYBRID = make_model(
    "test/hybrid",
    8,
    architecture="qwen3_5_text",
    layers=LayerCounts(full=8, recurrent=24),
    recurrent=RecurrentShape(state_elements=500_000, convolution_elements=30_000),
)
THINKERS = make_catalog(models=(*MODELS, *KINDS.values(), HYBRID))
FLAG = "--default-chat-template-kwargs"


def planned(kind: str, **changes: Any) -> Plan:
    budgets = {"ttftMs": 5000.0, "tpotMs": 200.0} if changes.get("latencyClass") != "background" else {}
    return plan(make_agent(model=f"test/{kind}", **{**budgets, **changes}), catalog=THINKERS)


def flags(one: Workload) -> dict[str, list[str]]:
    return split(one.engine.args)[1]


def told(one: Workload) -> Any:
    words = flags(one).get(FLAG)
    return None if words is None else json.loads(words[0])


def refused(kind: str, **changes: Any) -> list[str]:
    with pytest.raises(BadInput) as caught:
        planned(kind, **changes)
    return [f"{fault.line}: {fault.path}: {fault.message} ({fault.hint})" for fault in caught.value.faults]


ON, OFF = {"enable_thinking": True}, {"enable_thinking": False}
STATED = {"conversation": {"reasoningTokensPerTurn": 300}}
NONE = {"conversation": {"reasoningTokensPerTurn": 0}}
BACKGROUND = {"latencyClass": "background"}


@pytest.mark.parametrize(
    ("kind", "changes", "mode", "tokens", "engine"),
    [
        ("default", {}, "off", 0, OFF),
        ("default", BACKGROUND, "on", 1000, ON),
        ("default", {"thinking": "on"}, "on", 1000, ON),
        ("default", {"thinking": "off", **BACKGROUND}, "off", 0, OFF),
        ("default", STATED, "on", 300, ON),
        ("default", {**NONE, **BACKGROUND}, "off", 0, OFF),
        ("asked", {}, "off", 0, OFF),
        ("asked", BACKGROUND, "off", 0, OFF),
        ("asked", {"thinking": "on"}, "on", 1000, ON),
        ("asked", STATED, "on", 300, ON),
        ("always", {}, "on", 1000, None),
        ("always", {"thinking": "on"}, "on", 1000, None),
        ("always", STATED, "on", 300, None),
        ("prompt", {}, "on", 1000, None),
        ("prompt", {"thinking": "off"}, "off", 0, None),
        ("never", {}, "off", 0, None),
        ("never", {"thinking": "off"}, "off", 0, None),
        ("never", STATED, "on", 300, None),
        ("unknown", {}, "unknown", 0, None),
        ("unknown", STATED, "unknown", 300, None),
    ],
)
def test_what_is_sized_is_what_the_engine_is_told(
    kind: str, changes: dict[str, Any], mode: str, tokens: int, engine: object
) -> None:
    found = planned(kind, **changes)
    for one in found.workloads:
        assert one.thinking is not None
        assert (one.thinking.mode, one.thinking.tokens_per_turn, told(one)) == (mode, tokens, engine)
        assert one.memory.context_tokens == 500 + 5 * 300 + tokens
    line = next(entry for entry in found.ledger if entry.name == "tokensPerTurn")
    assert line.value == tokens


@pytest.mark.parametrize(
    ("kind", "changes", "fault"),
    [
        ("never", {"thinking": "on"}, "spec.agents[0].thinking: test/never has no mode that thinks"),
        ("always", {"thinking": "off"}, "spec.agents[0].thinking: test/always cannot be told not to think"),
        ("always", NONE, "spec.agents[0].conversation.reasoningTokensPerTurn: test/always cannot be told not to think"),
        ("unknown", {"thinking": "off"}, "spec.agents[0].thinking: how test/unknown is told not to think is not known"),
        ("unknown", {"thinking": "on"}, "spec.agents[0].thinking: how much test/unknown thinks is not known"),
        (
            "default",
            {"thinking": "on", "conversation": {"maxContextTokens": 1799}},
            (
                "spec.agents[0].conversation.maxContextTokens: 1,799 tokens cannot hold the system prompt and one turn, 800 "
                "tokens, and the 1,000 that test/default typically thinks"
            ),
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused_at_its_line(kind: str, changes: dict[str, Any], fault: str) -> None:
    (message,) = refused(kind, **changes)
    line, rest = message.split(": ", 1)
    assert int(line) > 1
    assert rest.startswith(fault)


def test_a_refusal_says_the_figure_and_how_wrong_it_may_be() -> None:
    (message,) = refused("always", thinking="off")
    assert "about 1,000 reasoning tokens, 4 times less or more" in message


def test_thinking_costs_throughput_and_the_time_of_the_whole_answer() -> None:
    without, thinks = workload(planned("default")), workload(planned("default", thinking="on"))
    assert thinks.latency.e2e_ms is not None
    assert without.latency.e2e_ms is not None
    assert thinks.latency.e2e_ms > without.latency.e2e_ms + 900 * (without.latency.tpot_ms or 0)
    assert thinks.throughput.required_output_tokens_per_s > without.throughput.required_output_tokens_per_s
    assert thinks.memory.kv_gib > without.memory.kv_gib


def test_each_request_of_a_turn_is_thought_about() -> None:
    one = workload(planned("default", thinking="on", conversation={"toolCalls": {"perTurn": 2, "resultTokens": 100}}))
    assert one.thinking is not None
    assert one.thinking.tokens_per_turn == 3000
    assert one.memory.context_tokens == 500 + 5 * (300 + 200) + 3000


class TestWarnings:
    OURS = frozenset(
        {"thinking-off", "thinking-estimated", "thinking-by-callers", "thinking-by-prompt", "thinking-unknown"}
    )

    @pytest.mark.parametrize(
        ("kind", "changes", "warned"),
        [
            ("default", {}, {"thinking-off"}),
            ("default", {"thinking": "off"}, set()),
            ("default", NONE, set()),
            ("default", STATED, set()),
            ("default", {"thinking": "on"}, {"thinking-estimated"}),
            ("default", {"engineVersion": "0.11.0"}, {"thinking-off", "thinking-by-callers"}),
            ("default", {"engineVersion": "0.11.0", **STATED}, set()),
            ("asked", {}, set()),
            ("asked", {"engineVersion": "0.11.0"}, set()),
            ("asked", {"engineVersion": "0.11.0", **STATED}, {"thinking-by-callers"}),
            ("always", {}, {"thinking-estimated"}),
            ("prompt", {"thinking": "off"}, {"thinking-by-callers"}),
            ("never", {}, set()),
            ("never", STATED, {"thinking-by-prompt"}),
            ("unknown", {}, {"thinking-unknown"}),
        ],
    )
    def test_what_was_taken_for_granted_is_said(self, kind: str, changes: dict[str, Any], warned: set[str]) -> None:
        assert codes(planned(kind, **changes)) & self.OURS == warned

    def test_the_price_of_switching_it_on_is_said(self) -> None:
        found = planned("default")
        tpot = workload(found).latency.tpot_ms
        assert tpot is not None
        (message,) = (one.message for one in found.warnings if one.code == "thinking-off")
        assert f"about 1,000 tokens more a turn, {tpot:,.0f} s before the first word" in message


class TestCallers:
    def test_requests_carry_what_an_older_engine_cannot_be_told(self) -> None:
        old = workload(planned("default", engineVersion="0.11.0"))
        assert FLAG not in flags(old)
        assert old.thinking is not None
        assert old.thinking.callers_send == '{"chat_template_kwargs":{"enable_thinking":false}}'
        new = workload(planned("default"))
        assert new.thinking is not None
        assert (new.thinking.callers_send, new.thinking.request_to_think) == (
            None,
            '{"chat_template_kwargs":{"enable_thinking":true}}',
        )

    def test_endpoints_hold_the_bodies(self) -> None:
        def endpoint(kind: str, **changes: Any) -> dict[str, Any]:
            tree = {file.path: file.content for file in render(planned(kind, **changes))}
            text = next(content for path, content in tree.items() if path.endswith("configmap-endpoints.yaml"))
            return json.loads(yaml.safe_load(text)["data"]["endpoints.json"])["support"]

        old = endpoint("default", engineVersion="0.11.0")
        assert old["thinking"] == "off"
        assert old["sendWithEachRequest"] == old["requestToAnswer"] == {"chat_template_kwargs": OFF}
        assert "sendWithEachRequest" not in endpoint("default")
        assert endpoint("prompt", thinking="off")["writeIntoSystemPrompt"] == "/no_think"
        assert "thinking" not in endpoint("never")


class TestEngines:
    def test_sglang_is_told_since_it_can_be(self) -> None:
        given = {"engine": "sglang", "overrides": {"ttftMs": 100.0, "tpotMs": 10.0}}
        assert told(workload(planned("default", **given))) == OFF
        old = workload(planned("default", engineVersion="0.5.9", **given))
        assert FLAG not in flags(old)
        assert old.thinking is not None
        assert old.thinking.callers_send is not None

    def test_tgi_passes_nothing_on_so_that_the_models_own_way_is_planned(self) -> None:
        given: dict[str, Any] = {
            "engine": "tgi",
            "overrides": {"ttftMs": 100.0, "tpotMs": 10.0, "outputTokensPerS": 900.0, "prefillTokensPerS": 9000.0},
        }
        pinned = {"pins": {"engineImage": f"example/tgi@sha256:{'1' * 64}"}}
        found = plan(make_agent(model="test/default", **given), catalog=THINKERS, **pinned)
        one = workload(found).thinking
        assert one is not None
        assert (one.mode, one.tokens_per_turn, one.request_to_answer, one.callers_send) == ("on", 1000, None, None)
        (message,) = refused("default", thinking="off", engine="tgi")
        assert "thinks unless told not to, and tgi passes no variables to its chat template" in message
        (message,) = refused("asked", engine="tgi", **STATED)
        assert "thinks only when told to" in message


def test_the_law_over_the_whole_catalog() -> None:
    """Whatever a model does unasked: what is counted for an agent is what its engine is told, where it can be."""
    agent = load(make_agent()).stack.spec.agents[0]
    for model in load_catalog().models:
        facts = model.thinking
        if model.pooling is not None:
            assert facts is None
            continue
        assert facts is not None
        for wish in ("auto", "on", "off"):
            asked = agent.model_copy(update={"thinking": wish})
            choice = thinking_choice(asked, model, switchable=facts.can_be_switched)
            said = told_to_engine(choice, model)
            assert (said is not None) is facts.can_be_switched, model.id
            assert (choice.tokens > 0) is (choice.mode == "on" and facts.thinks != "never"), model.id
            if said is not None:
                assert json.loads(said) == {facts.variable: facts.value(on=choice.tokens > 0)}
            elif wish == "auto":
                assert (choice.mode == "on") is (facts.thinks in ("always", "by-default")), model.id


BR_51 = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: hybrid}
spec:
  accelerators: {allow: [rtx-pro-6000-blackwell-server]}
  agents:
    - name: support
      model: Qwen/Qwen3.6-27B
      precision: fp8
      sessions: {concurrent: 8}
      conversation: {turns: 10, inputTokensPerTurn: 2000, outputTokensPerTurn: 300}
      ttftMs: 2000
      engineVersion: "0.22.0"
      tpotMs: 100
"""


def test_a_hybrid_model_of_the_catalog_on_an_engine_that_caches_only_when_told() -> None:
    """Field case br-51: a hit ratio needs the flag; without it every prompt is read whole, in 3,262 ms."""
    one = workload(make_plan(load_text(BR_51, "stack.yaml"), load_catalog()))
    assert "--enable-prefix-caching" in flags(one)
    assert one.routing.prefix_hit_ratio > 0.9
    assert told(one) == OFF


class TestParsers:
    def test_tools_are_a_capability_of_the_model_not_of_its_load(self) -> None:
        for calls in (0, 2):
            one = workload(planned("never", conversation={"toolCalls": {"perTurn": calls}}))
            assert flags(one)["--tool-call-parser"] == ["hermes"]
            assert "--enable-auto-tool-choice" in flags(one)

    def test_no_load_figure_gives_or_takes_a_flag(self) -> None:
        loads: tuple[dict[str, Any], ...] = (
            {},
            {"conversation": {"toolCalls": {"perTurn": 3}, "turns": 1}},
            {"conversation": {"prefixHitRatio": 0.0, "outputTokensPerTurn": 600}},
            {"sessions": {"concurrent": 1}, "traffic": {"conversationsPerDay": 5000}},
        )
        given = [set(flags(workload(planned("default", thinking="off", **load)))) for load in loads]
        assert given == [given[0]] * len(given)

    def test_none_switches_a_parser_off(self) -> None:
        found = planned("default", toolCallParser="none", reasoningParser="none")
        given = flags(workload(found))
        assert not {"--tool-call-parser", "--enable-auto-tool-choice", "--reasoning-parser"} & set(given)
        assert not {"no-tool-parser", "no-reasoning-parser"} & codes(found)

    def test_a_model_without_a_parser_is_said_to_refuse_tools(self) -> None:
        catalog = make_catalog(models=(make_model("test/plain", 8, tool_call_parser=None),))
        found = plan(make_agent(model="test/plain"), catalog=catalog)
        (message,) = (one.message for one in found.warnings if one.code == "no-tool-parser")
        assert "HTTP 400" in message

    def test_the_reasoning_parser_stays_where_thinking_is_off(self) -> None:
        assert flags(workload(planned("default", thinking="off")))["--reasoning-parser"] == ["qwen3"]


class TestHybridPrefixes:
    LONG: ClassVar = {"turns": 10, "inputTokensPerTurn": 2000}

    @pytest.mark.parametrize(
        ("version", "flag", "is_kept"), [("0.33.0", False, True), ("0.22.0", True, True), ("0.11.0", False, False)]
    )
    def test_a_hit_ratio_is_one_that_the_engine_is_asked_for(self, version: str, flag: bool, is_kept: bool) -> None:
        found = planned("hybrid", engineVersion=version, conversation=self.LONG)
        one = workload(found)
        assert ("--enable-prefix-caching" in flags(one), one.routing.prefix_hit_ratio > 0.9) == (flag, is_kept)
        assert ("hybrid-not-cached" in codes(found)) is not is_kept

    def test_a_stated_ratio_does_not_make_a_cache(self) -> None:
        found = planned("hybrid", engineVersion="0.11.0", conversation={**self.LONG, "prefixHitRatio": 0.9})
        assert workload(found).routing.prefix_hit_ratio == 0
        (message,) = (one.message for one in found.warnings if one.code == "hybrid-not-cached")
        assert "not the stated 0.9" in message

    @pytest.mark.parametrize(("version", "told_to"), [("0.22.0", ["align"]), ("0.33.0", None)])
    def test_states_are_kept_as_they_are_counted(self, version: str, told_to: list[str] | None) -> None:
        """Some architectures would keep a state for every page; two a request are counted."""
        state = RecurrentShape(state_elements=32 * 128 * 128, convolution_elements=3 * 8192)
        layers = LayerCounts(full=8, recurrent=24)
        mamba = make_model("test/mamba", 8, architecture="nemotron_h", layers=layers, recurrent=state)
        found = plan(make_agent(model="test/mamba", engineVersion=version), catalog=make_catalog(models=(mamba,)))
        assert flags(workload(found)).get("--mamba-cache-mode") == told_to

    def test_a_model_without_recurrent_layers_is_not_asked_for(self) -> None:
        one = workload(plan(make_agent(engineVersion="0.19.0"), catalog=CATALOG))
        assert "--enable-prefix-caching" not in flags(one)
