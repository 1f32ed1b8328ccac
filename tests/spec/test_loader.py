"""Each kind of mistake gets one message, at its line and column, in words that say what to write instead."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
import yaml

from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec import yaml_tree
from agentgpu_iac.spec.loader import load, load_text
from agentgpu_iac.spec.model import AgentStack
from agentgpu_iac.spec.scalars import Refusal, read_plain
from agentgpu_iac.spec.schema import json_schema
from agentgpu_iac.spec.shape import fields_of, parts_of
from agentgpu_iac.spec.vocabulary import TARGET_MEANINGS, Target
from agentgpu_iac.spec.wording import NAME_KEYS, PATTERN_WORDS
from agentgpu_iac.spec.yaml_tree import spelled, steps_of
from tests.spec.files import LARGE, SMALLEST, faults_of, with_agent, with_name, with_spec

LEAST = "(1 is an agent that hardly anybody asks; what a burst brings stands in sessions.peak)"

ENGINES = "'vllm', 'sglang', 'tensorrt-llm', 'tgi', 'ollama'"
NAME_RULE = "a name is made of a-z, 0-9 and hyphens, and starts with a letter and ends with a letter or digit"


def test_the_smallest_stack_loads() -> None:
    loaded = load_text(SMALLEST, "stack.yaml")
    assert loaded.stack.metadata.name == "customer-service"
    assert loaded.stack.spec.agents[0].model == "Qwen/Qwen3-14B"
    assert loaded.sha256 == hashlib.sha256(SMALLEST.encode()).hexdigest()
    assert loaded.source == "stack.yaml"


def test_a_large_stack_loads() -> None:
    stack = load_text(LARGE, "stack.yaml").stack
    front, back = stack.spec.agents
    assert (front.e2e_ms, front.traffic.burst_factor, front.lora_adapters[0].rank) == (2000, 8, 32)
    assert back.conversation == front.conversation
    assert back.interruptible
    assert stack.spec.capacity.budget_usd_per_month == Decimal("12000.5")


def test_a_file_loads_and_its_raw_bytes_are_hashed(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    raw = b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode()
    path.write_bytes(raw)
    loaded = load(path)
    assert loaded.stack == load_text(SMALLEST, "other").stack
    assert loaded.sha256 == hashlib.sha256(raw).hexdigest()
    assert loaded.source == str(path)


def test_a_loaded_stack_places_faults_of_later_stages() -> None:
    loaded = load_text(LARGE, "stack.yaml")
    cases = {
        "spec.agents[0].model": "stack.yaml:20:14: spec.agents[0].model: no such model (try another)",
        "spec.agents[1].sessions.peak": "stack.yaml:35:7: spec.agents[1].sessions.peak: no such model (try another)",
        "spec.agents[7].model": "stack.yaml:18:5: spec.agents[7].model: no such model (try another)",
        "nowhere": "stack.yaml:2:1: nowhere: no such model (try another)",
        "": "stack.yaml:2:1: no such model (try another)",
    }
    assert {path: str(loaded.fault(path, "no such model", "try another")) for path in cases} == cases


@pytest.mark.parametrize("path", ["spec.agents[0].model", "a", "", "a[1][2].b-c"])
def test_paths_read_back_as_they_are_written(path: str) -> None:
    assert spelled(steps_of(path)) == path


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            ["latencyclass: chat"],
            "8:7: spec.agents[0]: unknown key 'latencyclass' (did you mean 'latencyClass'?)",
        ),
        (["latency_class: chat"], "8:7: spec.agents[0]: unknown key 'latency_class' (did you mean 'latencyClass'?)"),
        (["latencyClas: chat"], "8:7: spec.agents[0]: unknown key 'latencyClas' (did you mean 'latencyClass'?)"),
        (["burstFactor: 2"], "8:7: spec.agents[0]: unknown key 'burstFactor' ('burstFactor' belongs under 'traffic')"),
        (
            ["sessions: {qqq: 1}"],
            "8:18: spec.agents[0].sessions: unknown key 'qqq' (known keys: concurrent, peak)",
        ),
        (
            ["loraAdapters: [{name: a, source: o/b, ranks: 3}]"],
            "8:45: spec.agents[0].loraAdapters[0]: unknown key 'ranks' (did you mean 'rank'?)",
        ),
        (
            ["latencyClass: voise"],
            (
                "8:21: spec.agents[0].latencyClass: must be one of 'voice', 'chat', 'background', not 'voise' "
                "(did you mean 'voice'?)"
            ),
        ),
        (["engine: vLLM"], f"8:15: spec.agents[0].engine: must be one of {ENGINES}, not 'vLLM' (did you mean 'vllm'?)"),
        (["engine: zzz"], f"8:15: spec.agents[0].engine: must be one of {ENGINES}, not 'zzz'"),
        (["engine: on"], f"8:15: spec.agents[0].engine: expected one of {ENGINES}, but YAML reads on as true"),
        (["engine: [vllm]"], f"8:15: spec.agents[0].engine: expected one of {ENGINES}, not a list"),
        (
            ["sessions: {concurrent: '5'}"],
            "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not the text '5' (write 5, not '5')",
        ),
        (
            ["sessions: {concurrent: '1,000'}"],
            (
                "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not the text '1,000' "
                "(write 1000, not '1,000')"
            ),
        ),
        (
            ["sessions: {concurrent: many}"],
            "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not the text 'many'",
        ),
        (
            ["sessions: {concurrent: yes}"],
            "8:30: spec.agents[0].sessions.concurrent: expected a whole number, but YAML reads yes as true",
        ),
        (
            ["sessions: {concurrent: true}"],
            "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not true",
        ),
        (
            ["sessions: {concurrent: 5.0}"],
            "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not 5.0 (write 5, not '5.0')",
        ),
        (
            ["sessions: {concurrent: 2.5}"],
            "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not 2.5",
        ),
        (["sessions: {concurrent: 0}"], f"8:30: spec.agents[0].sessions.concurrent: must be at least 1, not 0 {LEAST}"),
        (
            ["sessions: {concurrent: -1}"],
            f"8:30: spec.agents[0].sessions.concurrent: must be at least 1, not -1 {LEAST}",
        ),
        (
            ["sessions: {concurrent: 1000000001}"],
            "8:30: spec.agents[0].sessions.concurrent: must be at most 1,000,000,000, not 1000000001",
        ),
        (["ttftMs: 0"], "8:15: spec.agents[0].ttftMs: must be more than 0 ms, not 0"),
        (["e2eMs: -3"], "8:14: spec.agents[0].e2eMs: must be more than 0 ms, not -3"),
        (
            ["traffic: {rampS: '5'}"],
            "8:24: spec.agents[0].traffic.rampS: expected a number, not the text '5' (write 5, not '5')",
        ),
        (
            ["traffic: {rampS: false}"],
            "8:24: spec.agents[0].traffic.rampS: expected a number, not false",
        ),
        *(
            (
                [f"{key}: {value}"],
                f"8:{len(key) + 9}: spec.agents[0].{key}: expected a number, not the text '{value}' ({hint})",
            )
            for key, value, hint in (
                ("ttftMs", "200ms", "write 200: ttftMs is a number of ms"),
                ("ttftMs", "0.3s", "write 300: ttftMs is a number of ms"),
                ("tpotMs", "2k", "write 2000: tpotMs is a number of ms"),
            )
        ),
        (
            ["sessions: 5"],
            "8:17: spec.agents[0].sessions: expected a mapping, not 5 (its keys are concurrent, peak)",
        ),
        (
            ["sessions: {concurrent: 5k}"],
            (
                "8:30: spec.agents[0].sessions.concurrent: expected a whole number, not the text '5k' "
                "(write 5000: concurrent is a number, without a unit)"
            ),
        ),
        (
            ["sessions: {concurrent: 10,000}"],
            (
                "8:33: spec.agents[0].sessions: the key '000' is not text: YAML reads 000 as the number 0 "
                "(a number has no commas: write 10000, not 10,000)"
            ),
        ),
        (
            ["ttftMs: 0.3"],
            (
                "8:15: spec.agents[0].ttftMs: 0.3 ms is less than any answer takes "
                "(budgets are in milliseconds: write 300 for 0.3 s)"
            ),
        ),
        (["traffic: {rampS: [1]}"], "8:24: spec.agents[0].traffic.rampS: expected a number, not a list"),
        (
            ["traffic: {rampS: 1e10}"],
            "8:24: spec.agents[0].traffic.rampS: must be at most 1,000,000,000 s, not 1e10",
        ),
        (
            ["overrides: {weightsGib: 0}"],
            "8:31: spec.agents[0].overrides.weightsGib: must be more than 0 GiB, not 0",
        ),
        (
            ["interruptible: 'true'"],
            "8:22: spec.agents[0].interruptible: expected true or false, not the text 'true' (write true, not 'true')",
        ),
        (["interruptible: 1"], "8:22: spec.agents[0].interruptible: expected true or false, not 1"),
        (
            ["sessions:"],
            (
                "8:16: spec.agents[0].sessions: expected a mapping, but there is no value "
                "(write one, or leave the key out)"
            ),
        ),
        (["sessions: 5"], "8:17: spec.agents[0].sessions: expected a mapping, not 5 (its keys are concurrent, peak)"),
        (
            ["loraAdapters: {name: a}"],
            "8:21: spec.agents[0].loraAdapters: expected a list, not a mapping (start each item with '- ')",
        ),
        (
            ["engineVersion: 0.11"],
            (
                "8:22: spec.agents[0].engineVersion: expected text, but YAML reads 0.11 as the number 0.11 "
                "(quote it: '0.11')"
            ),
        ),
        (
            ["engineVersion: latest"],
            (
                "8:22: spec.agents[0].engineVersion: must be a version such as 0.11.2: "
                "two or three numbers with dots between them; not 'latest'"
            ),
        ),
        (["role: ''"], "8:13: spec.agents[0].role: must not be empty"),
        ([f"role: {'x' * 254}"], "8:13: spec.agents[0].role: is 254 characters long; at most 253 fit"),
        (["name: other"], "8:7: spec.agents[0]: duplicate key 'name' (first on line 6)"),
        (["5: x"], "8:7: spec.agents[0]: a key must be text, but YAML reads 5 as the number 5 (quote it: '5')"),
        (["on: x"], "8:7: spec.agents[0]: a key must be text, but YAML reads on as true (quote it: 'on')"),
        (["? ", ": x"], "8:8: spec.agents[0]: a key must be text, but YAML reads an empty key as no value"),
        (["? [a]", ": x"], "8:9: spec.agents[0]: a key must be text, not a list"),
        (
            ["2026-11-23: x"],
            (
                "8:7: spec.agents[0]: the key '2026-11-23' is not text: YAML reads 2026-11-23 as a date "
                "(quote it: '2026-11-23')"
            ),
        ),
        (
            ["<<: {turns: 5}"],
            (
                "8:7: spec.agents[0]: merge keys (<<) are not supported "
                "(write the keys out, or alias a whole value: key: *name)"
            ),
        ),
        (
            ["traffic: {rampS: .nan}"],
            (
                "8:24: spec.agents[0].traffic.rampS: YAML reads .nan as not a number "
                "(write a finite number, or '.nan' for text)"
            ),
        ),
        (
            ["traffic: {rampS: -.inf}"],
            (
                "8:24: spec.agents[0].traffic.rampS: YAML reads -.inf as infinity "
                "(write a finite number, or '-.inf' for text)"
            ),
        ),
        (
            ["sessions: {concurrent: 010}"],
            "8:30: spec.agents[0].sessions.concurrent: YAML reads 010 as the number 8 (write 8, or '010' for text)",
        ),
        (
            ["fallback: *nobody"],
            "8:17: spec.agents[0].fallback: the alias *nobody has no anchor &nobody above it",
        ),
        (["role: !!str 5"], "8:13: spec.agents[0].role: the tag '!!str' is not accepted (leave the tag out)"),
    ],
)
def test_a_mistake_about_an_agent(lines: list[str], fault: str) -> None:
    assert faults_of(with_agent(*lines)) == [f"stack.yaml:{fault}"]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["regions: us-east-1"], "5:12: spec.regions: expected a list, not the text 'us-east-1' (write [us-east-1])"),
        (["regions: [5]"], "5:13: spec.regions[0]: expected text, but YAML reads 5 as the number 5 (quote it: '5')"),
        (
            ["pins: {kubernetesVersion: 1.34}"],
            (
                "5:29: spec.pins.kubernetesVersion: expected one of '1.34', '1.35', '1.36', "
                "but YAML reads 1.34 as the number 1.34 (quote it: '1.34')"
            ),
        ),
        (
            ["pins: {amiAlias: latest}"],
            "5:20: spec.pins.amiAlias: must be an Amazon Linux 2023 release such as al2023@v20261105; not 'latest'",
        ),
        (
            ["capacity: {budgetUsdPerMonth: '5000'}"],
            "5:33: spec.capacity.budgetUsdPerMonth: expected a number, not the text '5000' (write 5000, not '5000')",
        ),
        (
            ["capacity: {budgetUsdPerMonth: 0}"],
            "5:33: spec.capacity.budgetUsdPerMonth: must be more than 0 USD, not 0",
        ),
        (
            ["capacity: {burstHoursPerMonth: 721}"],
            "5:34: spec.capacity.burstHoursPerMonth: must be at most 720 h, not 721",
        ),
        (["capacity: {onDemandFloorRatio: 1.5}"], "5:34: spec.capacity.onDemandFloorRatio: must be at most 1, not 1.5"),
        (["target: !foo eks"], "5:11: spec.target: the tag '!foo' is not accepted (leave the tag out)"),
    ],
)
def test_a_mistake_about_the_stack(lines: list[str], fault: str) -> None:
    assert faults_of(with_spec(*lines)) == [f"stack.yaml:{fault}"]


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("on", "expected text, but YAML reads on as true (quote it: 'on')"),
        ("no", "expected text, but YAML reads no as false (quote it: 'no')"),
        ("null", "expected text, but YAML reads null as no value (quote it: 'null')"),
        ("~", "expected text, but YAML reads ~ as no value (quote it: '~')"),
        ("1e3", "expected text, but YAML reads 1e3 as the number 1000.0 (quote it: '1e3')"),
        ("0x10", "expected text, but YAML reads 0x10 as the number 16 (quote it: '0x10')"),
        ("1_000", "expected text, but YAML reads 1_000 as the number 1000 (quote it: '1_000')"),
        ("2026-11-23", "YAML reads 2026-11-23 as a date (quote it: '2026-11-23')"),
        ("010", "YAML reads 010 as the number 8 (write 8, or '010' for text)"),
        ("1:30", "YAML reads 1:30 as the number 90 (write 90, or '1:30' for text)"),
        ("Support", f"'Support' holds the capital 'S'; {NAME_RULE} (write 'support')"),
        ("my agent", f"'my agent' holds a space; {NAME_RULE} (write 'my-agent')"),
        ("my_agent", f"'my_agent' holds '_'; {NAME_RULE} (write 'my-agent')"),
        ("-a", f"'-a' starts with '-'; {NAME_RULE} (write 'a')"),
        ("a-", f"'a-' ends with a hyphen; {NAME_RULE} (write 'a')"),
        ("'😀'", f"'\\U0001f600' holds U+1F600 GRINNING FACE; {NAME_RULE}"),
        ('"a\\n"', f"'a\\n' holds '\\n'; {NAME_RULE} (write 'a')"),
        ("''", "must not be empty"),
        ("a" * 41, "is 41 characters long; at most 40 fit"),
        ("[a]", "expected text, not a list"),
    ],
)
def test_a_name_that_is_none(spelling: str, message: str) -> None:
    assert faults_of(with_name(spelling)) == [f"stack.yaml:6:13: spec.agents[0].name: {message}"]


@pytest.mark.parametrize("name", ["on", "null", "no", "y", "e3", "true", "a" * 40])
def test_a_quoted_name_is_text(name: str) -> None:
    assert load_text(with_name(f'"{name}"'), "s").stack.spec.agents[0].name == name


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", None),
        ("Null", None),
        ("YES", True),
        ("Off", False),
        ("y", "y"),
        ("12", 12),
        ("-0", 0),
        ("+7", 7),
        ("1_0", 10),
        ("0x1F", 31),
        ("0b11", 3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1.5e3", 1500.0),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("08", "08"),
        ("0o10", "0o10"),
        ("1.2.3", "1.2.3"),
        ("e3", "e3"),
        (".", "."),
        ("-", "-"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_what_a_plain_scalar_means(text: str, meaning: object) -> None:
    read = read_plain(text)
    assert (read, type(read)) == (meaning, type(meaning))


@pytest.mark.parametrize(
    "text",
    [
        "00",
        "-010",
        "1:30",
        "1:30.5",
        ".inf",
        "-.INF",
        ".NaN",
        "1e999",
        "2026-11-23",
        "0x_",
        "1" * 65,
        "1." * 1 + "1" * 64,
    ],
)
def test_scalars_that_nobody_should_guess(text: str) -> None:
    assert isinstance(read_plain(text), Refusal)


def test_the_wrong_kind_of_file() -> None:
    text = SMALLEST.replace("agentgpu.dev/v1alpha1", "apps/v1").replace("AgentStack", "Deployment")
    assert faults_of(text) == [
        "stack.yaml:1:13: apiVersion: must be 'agentgpu.dev/v1alpha1', not 'apps/v1'",
        "stack.yaml:2:7: kind: must be 'AgentStack', not 'Deployment'",
    ]


def test_missing_keys_stand_at_their_parent() -> None:
    assert faults_of("metadata: {}\nspec:\n  agents:\n    - role: x\n") == [
        "stack.yaml:1:1: the key 'apiVersion' is missing (write apiVersion: agentgpu.dev/v1alpha1)",
        "stack.yaml:1:1: the key 'kind' is missing (write kind: AgentStack)",
        "stack.yaml:1:11: metadata: the key 'name' is missing",
        "stack.yaml:4:7: spec.agents[0]: the key 'model' is missing",
        "stack.yaml:4:7: spec.agents[0]: the key 'name' is missing",
    ]


def test_an_empty_list_of_agents() -> None:
    text = SMALLEST[: SMALLEST.index("  agents")] + "  agents: []\n"
    assert faults_of(text) == ["stack.yaml:5:11: spec.agents: the list must not be empty"]


def test_all_faults_of_a_file_are_reported_in_file_order() -> None:
    text = """\
apiVersion: v1
kind: AgentStack
metadata: {nam: a}
spec:
  target: cluster
  observed: {days: 30}
  agents:
    - name: a
      model: 5
      sessions: {concurrent: 10, peak: 5}
      traffic: {rampS: "5"}
      fallback: c
    - name: a
      name: b
      engine: vlm
      loraAdapters: [{name: a, source: o/x}]
    - 7
"""
    faults = faults_of(text)
    assert [fault.split(": ")[0].removeprefix("stack.yaml:") + " " + fault.split(": ")[1] for fault in faults] == [
        "1:13 apiVersion",
        "3:11 metadata",
        "3:12 metadata",
        "5:11 spec.target",
        "6:20 spec.observed.days",
        "9:14 spec.agents[0].model",
        "10:40 spec.agents[0].sessions.peak",
        "11:24 spec.agents[0].traffic.rampS",
        "12:17 spec.agents[0].fallback",
        "13:7 spec.agents[1]",
        "13:13 spec.agents[1].name",
        "14:7 spec.agents[1]",
        "15:15 spec.agents[1].engine",
        "16:29 spec.agents[1].loraAdapters[0].name",
        "17:7 spec.agents[2]",
    ]


def test_an_alias_stands_where_it_is_used() -> None:
    text = SMALLEST + "      sessions: &s {concurrent: 3}\n    - {name: b, model: m, traffic: *s}\n"
    assert faults_of(text) == [
        (
            "stack.yaml:8:21: spec.agents[1].traffic: unknown key 'concurrent' "
            "(known keys: burstFactor, conversationsPerDay, rampS)"
        )
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "stack.yaml: is empty (start with: agentgpu init)"),
        ("# nothing\n", "stack.yaml: is empty (start with: agentgpu init)"),
        ("- a\n", "stack.yaml:1:1: the file must hold a mapping (apiVersion, kind, metadata, spec), not a list"),
        (
            "hello",
            "stack.yaml:1:1: the file must hold a mapping (apiVersion, kind, metadata, spec), not a single value",
        ),
        (
            SMALLEST + "---\nkind: b\n",
            "stack.yaml:8:1: a second document starts here (one file holds one agent stack)",
        ),
        ("kind: a\x00b", "stack.yaml:1:8: holds the control character U+0000 (take it out)"),
        ("a: 1\n# \x1b[31m", "stack.yaml:2:3: holds the control character U+001B (take it out)"),
        ("kind: \ud800", "stack.yaml:1:7: holds the control character U+D800 (take it out)"),
        (
            "kind:\n\t- a\n",
            (
                "stack.yaml:2:1: is not valid YAML: found character that cannot start any token, while scanning for "
                "the next token that starts on line 2 (indent with spaces, not tabs)"
            ),
        ),
        (
            "kind: @a\n",
            (
                "stack.yaml:1:7: is not valid YAML: found character that cannot start any token, while scanning for "
                "the next token that starts on line 1 (quote a text that starts with '@')"
            ),
        ),
        (
            "kind: a: b\n",
            (
                "stack.yaml:1:8: is not valid YAML: mapping values are not allowed in this context "
                "(check the indentation, and quote a text that holds ': ')"
            ),
        ),
        (
            "kind: [a, b",
            (
                "stack.yaml:1:12: is not valid YAML: did not find expected ',' or ']', "
                "while parsing a flow sequence that starts on line 1"
            ),
        ),
    ],
)
def test_a_file_that_is_no_agent_stack_gets_one_fault(text: str, fault: str) -> None:
    assert faults_of(text) == [fault]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("kind: a\nmetadata: {name: é}\n".encode("latin-1"))
    wide = tmp_path / "wide.yaml"
    wide.write_bytes(SMALLEST.encode("utf-16"))
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 5000)
    cases = {
        tmp_path / "none.yaml": "cannot be read: No such file or directory",
        tmp_path: "cannot be read: Is a directory",
        latin: "2:18: is not UTF-8 text: the byte 0xe9 does not belong here",
        wide: "1:1: is not UTF-8 text: the byte 0xff does not belong here (save it as UTF-8)",
        large: "is larger than 4,096 bytes, the most that is read",
    }
    for path, message in cases.items():
        with pytest.raises(BadInput) as caught:
            load(path, max_bytes=4096)
        assert str(caught.value).removeprefix(f"{path}:").strip() == message
    with pytest.raises(BadInput, match="is no name of a file"):
        load(Path("a\0b"))


def test_the_pure_python_parser_serves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = load_text(LARGE, "s").stack
    monkeypatch.setattr(yaml_tree, "_FastestLoader", yaml.SafeLoader)
    assert load_text(LARGE, "s").stack == fast
    assert faults_of('kind: "\\UFFFFFFFF"') == ["stack.yaml: holds a character that YAML forbids"]
    assert any("hidden character U+D800" in fault for fault in faults_of('kind: "\\ud800"'))


def test_every_pattern_of_the_model_has_words() -> None:
    patterned = {
        key
        for definition in json_schema()["$defs"].values()
        for key, field in definition["properties"].items()
        if "'pattern'" in repr(field)
    }
    assert patterned <= NAME_KEYS | set(PATTERN_WORDS)


def test_shape_knows_every_part_of_the_stack() -> None:
    assert set(parts_of(AgentStack)) == {"metadata", "spec"}
    assert math.isclose(fields_of(parts_of(parts_of(AgentStack)["spec"])["network"])["roundTripMs"].default, 20)


@pytest.mark.parametrize("key", ["callerRanges", "adminRanges"])
def test_a_misspelt_address_range_is_told_in_words(key: str) -> None:
    (fault,) = faults_of(f"{SMALLEST}  hosts: {{{key}: [203.0.113.7]}}\n")
    assert "must be an address range such as 203.0.113.0/24; not '203.0.113.7'" in fault


def test_a_plan_is_named_as_one() -> None:
    with pytest.raises(BadInput) as refused:
        load_text('{"apiVersion": "agentgpu.dev/plan/v1alpha1", "stack": "demo", "workloads": []}', "plan.json")
    assert [str(fault) for fault in refused.value.faults] == [
        (
            "plan.json: is a plan, which is made already, and an agent stack is asked for "
            "(explain, diff, render and report take a plan)"
        )
    ]


def test_every_target_says_what_it_runs_on() -> None:
    assert tuple(TARGET_MEANINGS) == get_args(Target)


@pytest.mark.parametrize("key", ["gpu", "gpus", "GPU_type"])
def test_a_key_of_other_tools_is_told_where_cards_stand(key: str) -> None:
    with pytest.raises(BadInput) as refusal:
        load_text(
            f"apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {{name: x}}\nspec: {{{key}: 2}}\n", "x"
        )
    assert any("spec.accelerators.allow" in fault.hint for fault in refusal.value.faults)
