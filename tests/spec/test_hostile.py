"""Whatever a file holds, the answer is an agent stack or faults that can be read: no traceback, no waiting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.loader import load, load_text
from agentgpu_iac.spec.model import AgentStack
from tests.spec.files import LARGE, SMALLEST, faults_of, with_agent, with_name, with_spec
from tests.thoroughness import examples

QUIET = settings(derandomize=True, deadline=None, database=None)
LINE_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def assert_stack_or_faults(text: str) -> list[str]:
    """The one promise of this file: a text loads, or raises ``BadInput`` with faults that lie within it. Returns them."""
    try:
        loaded = load_text(text, "stack.yaml")
    except BadInput as error:
        lines = len(LINE_BREAKS.split(text))
        assert error.faults
        for fault in error.faults:
            assert fault.source == "stack.yaml"
            assert fault.message
            assert 0 <= fault.line <= lines
            assert str(fault).isprintable()
            assert "pydantic" not in str(fault)
            assert "does not fit here" not in fault.message
        return [str(fault) for fault in error.faults]
    assert isinstance(loaded.stack, AgentStack)
    return []


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LADDER = "a0: &a0 x\n" + "".join(f"a{step + 1}: &a{step + 1} [*a{step}]\n" for step in range(5000))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "holds more than 200,000 values, counting what aliases repeat"),
        (LADDER, "nested more than 32 levels deep"),
        ("[" * 1_000_000, "nested more than 32 levels deep"),
        ("{" * 1_000_000, "nested more than 32 levels deep"),
        ("- " * 500_000, "nested more than 32 levels deep"),
        ("? " * 500_000, "nested more than 32 levels deep"),
        ("{a: " * 250_000, "nested more than 32 levels deep"),
        ("a: &a [*a]", "the alias *a refers to a value that it is a part of"),
        ("&a {b: {c: *a}}", "the alias *a refers to a value that it is a part of"),
        (with_name("1" * 1_000_000), "a number of 1,000,000 characters; at most 64 are read"),
        (with_name("1" + ":1" * 100_000), "a number of 200,001 characters; at most 64 are read"),
        (with_name("a" * 1_000_000), "is 1,000,000 characters long; at most 40 fit"),
        (with_agent("sessions: {concurrent: " + "9" * 60 + "}"), "must be at most 1,000,000,000, not " + "9" * 60),
        (with_agent("traffic: {rampS: " + "9" * 60 + "}"), "must be at most 1,000,000,000 s, not " + "9" * 60),
        (with_agent("traffic: {rampS: 1e400}"), "YAML reads 1e400 as infinity"),
        ("- " + "[], " * 10, "is not valid YAML"),
        ("#" * 5_000_000, "is larger than 4,194,304 bytes"),
        ("--- a\n" * 10_000, "a second document starts here"),
        ("a: !!python/object/apply:os.system [ls]", "the tag '!!python/object/apply:os.system' is not accepted"),
        ("a: !!binary aGVsbG8=", "the tag '!!binary' is not accepted"),
        ("a: !!set {x, y}", "the tag '!!set' is not accepted"),
        ("!!map {a: b}", "the tag '!!map' is not accepted"),
        ("a: !<tag:yaml.org,2002:int> 5", "the tag '!!int' is not accepted"),
        ("!foo a: b", "the tag '!foo' is not accepted"),
        ("a: ! b", "the tag '!' is not accepted"),
        (with_name('"a\\0b"'), "holds the hidden character U+0000"),
        (with_name('"a\\eb"'), "holds the hidden character U+001B"),
        (with_name("'a\u202eb'"), "holds the hidden character U+202E RIGHT-TO-LEFT OVERRIDE"),
        (with_name("supp\u043ert"), "holds U+043E CYRILLIC SMALL LETTER O"),
        (with_name("Supp\u043ert"), "holds U+043E CYRILLIC SMALL LETTER O"),
        (with_name("a\u200bb"), "holds the hidden character U+200B ZERO WIDTH SPACE"),
        (with_name("\u05d0\u05d1"), "holds U+05D0 HEBREW LETTER ALEF"),
        (with_name("\uff53upport"), "holds U+FF53 FULLWIDTH LATIN SMALL LETTER S"),
        (with_name("\u0663"), "holds U+0663 ARABIC-INDIC DIGIT THREE"),
        (with_name("'{{ name }}'"), "holds '{'"),
        (with_name("'../../etc'"), "holds '.'"),
        (with_name("'a: b'"), "holds ':'"),
        (with_name("'- a'"), "holds a space"),
        (with_name("'#a'"), "holds '#'"),
        (with_name("'*a'"), "holds '*'"),
        (with_name('"a\\nb: c"'), "holds '\\n'"),
        (with_spec("'a\u202eb': 1"), "holds the hidden character U+202E"),
        (with_agent("sessions: {concurrent: 5, concurrent: 5}"), "duplicate key 'concurrent' (first on line 8)"),
    ],
)
def test_hostile_texts(text: str, message: str) -> None:
    faults = assert_stack_or_faults(text)
    assert any(message in fault for fault in faults), faults[:3]


@pytest.mark.broad(every=3)
@pytest.mark.parametrize(
    "text",
    [
        "".join(f"k{index}: 1\n" for index in range(20_000)),
        "a: 1\n" * 20_000,
        "<<: 1\n" * 20_000,
        "- !x a\n" * 5_000,
        with_spec("agents: [" + "[], " * 8_000 + "]"),
        with_spec("agents: [" + "{}, " * 8_000 + "]"),
        SMALLEST + "".join(f"    - {{name: a{index}, model: m, fallback: b{index}}}\n" for index in range(3_000)),
        SMALLEST + "    - &a {name: A, model: 5, traffic: {rampS: x}}\n" + "    - *a\n" * 5_000,
    ],
)
def test_a_flood_of_faults_is_cut_and_counted(text: str) -> None:
    faults = assert_stack_or_faults(text)
    assert 1 <= len(faults) <= 2_002


WORDS = (
    *(
        "",
        "null",
        "~",
        "on",
        "5",
        "-1",
        "0",
        "1e3",
        "1e999",
        ".nan",
        "0x10",
        "010",
        "2026-11-23",
        "'5'",
        "x",
        "[]",
        "{}",
    ),
    *("[1, a]", "{a: 1}", "&a b", "*a", "*talk", "!!str x", "!x", "<<", '"\\0"', "9" * 70, "| \n", "\t", "é", "\u2028"),
    *("name", "Support", "chat", "eks", "compose", "ollama", "front", "back", "- ", "? ", ": ", "{", "]", "#", "---\n"),
)
TOKENS = [match.span() for match in re.finditer(r"[\w./@\"-]+", LARGE)]


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A good stack with a few of its words replaced, dropped or moved."""
    text = LARGE
    for start, end in sorted(draw(st.sets(st.sampled_from(TOKENS), min_size=1, max_size=4)), reverse=True):
        text = text[:start] + draw(st.sampled_from(WORDS)) + text[end:]
    lines = text.split("\n")
    for index in draw(st.sets(st.integers(0, len(lines) - 1), max_size=2)):
        lines[index] = draw(st.sampled_from(["", f"  {lines[index]}", lines[index].strip(), lines[index - 1]]))
    return "\n".join(lines)


@settings(QUIET, max_examples=examples(1000))
@given(mutations())
def test_broken_stacks_load_or_fail_clearly(text: str) -> None:
    assert_stack_or_faults(text)


@settings(QUIET, max_examples=examples(700))
@given(st.one_of(st.text(), st.lists(st.sampled_from((*WORDS, *":-[]{},&*!|>'\"%@`\n "))).map("".join)))
def test_random_texts_fail_clearly(text: str) -> None:
    assert_stack_or_faults(text)


@settings(QUIET, max_examples=examples(500))
@given(raw=st.one_of(st.binary(), st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=3))))
def test_random_bytes_fail_clearly(raw: bytes | tuple[int, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    good = LARGE.encode()
    path.write_bytes(raw if isinstance(raw, bytes) else good[: raw[0]] + raw[1] + good[raw[0] + 1 :])
    try:
        load(Path(path))
    except BadInput as error:
        assert all(fault.source == str(path) and fault.message for fault in error.faults)


NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True) | st.sampled_from(
    ["on", "no", "null", "true", "y", "off", "e3"]
)
VISIBLE = st.characters(
    exclude_categories=("Cc", "Cs", "Cn"),
    exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
)
TEXTS = st.text(VISIBLE, min_size=1, max_size=40) | st.sampled_from(
    ["a: b", "- x", "null", "1:30", "'", '"', "#", "=", "<<"]
)
COUNTS = st.integers(1, 1000)
NUMBERS = st.floats(0, 10**9) | st.integers(0, 10**9)
POSITIVE = st.floats(0, 10**9, exclude_min=True)


def some(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A mapping that holds any of these keys."""
    return st.fixed_dictionaries({}, optional=dict(fields))


AGENT_PARTS = {
    "role": st.none() | TEXTS,
    "engineVersion": st.sampled_from(["0.11", "1.2.3"]),
    "modelRevision": st.from_regex(r"[0-9a-zA-Z._-]{1,64}", fullmatch=True),
    "precision": st.none() | st.sampled_from(["bf16", "fp8"]),
    "latencyClass": st.sampled_from(["voice", "chat", "background"]),
    "e2eMs": st.none() | st.floats(1, 10**9),
    "sessions": COUNTS.flatmap(lambda count: some(concurrent=st.just(count), peak=st.integers(count * 2, 10**9))),
    "conversation": some(
        turns=COUNTS,
        thinkTimeS=NUMBERS,
        prefixHitRatio=st.floats(0, 1),
        maxContextTokens=st.integers(800, 10**9),
        toolCalls=some(perTurn=st.floats(0, 1000), seconds=NUMBERS),
    ),
    "traffic": some(conversationsPerDay=st.none() | COUNTS, burstFactor=st.floats(1, 100_000), rampS=NUMBERS),
    "interruptible": st.booleans(),
    "loraAdapters": st.just(())
    | st.tuples(st.fixed_dictionaries({"name": st.just("adapter-x"), "source": st.just("o/x")})),
    "overrides": some(ttftMs=POSITIVE, tensorParallelSize=st.integers(1, 64), burstReplicas=st.integers(0, 9)),
}


@st.composite
def stacks(draw: st.DrawFn) -> AgentStack:
    """Any good agent stack."""
    names = draw(st.lists(NAMES.filter(lambda name: name != "adapter-x"), min_size=1, max_size=3, unique=True))
    agents = tuple({"name": name, "model": draw(TEXTS), **draw(some(**AGENT_PARTS))} for name in names)
    parts = some(
        regions=st.lists(TEXTS, max_size=2).map(tuple),
        capacity=some(budgetUsdPerMonth=st.integers(1, 10**9).map(lambda cents: cents / 100)),
        observed=some(baselineRatio=st.floats(0, 1)),
        pins=some(kubernetesVersion=st.sampled_from(["1.34", "1.36"])),
    )
    head = {"apiVersion": "agentgpu.dev/v1alpha1", "kind": "AgentStack", "metadata": {"name": draw(NAMES)}}
    return AgentStack.model_validate({**head, "spec": {**draw(parts), "agents": agents}})


class CarefulDumper(yaml.CSafeDumper):
    """Quotes ``1e3`` as well, which YAML 1.2 reads as a number."""


CarefulDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)


@settings(QUIET, max_examples=examples(200))
@given(stack=stacks(), style=st.sampled_from(["block", "flow", "json"]), short=st.booleans())
def test_what_is_printed_loads_back_equal(stack: AgentStack, style: str, short: bool) -> None:
    data = stack.model_dump(mode="json", by_alias=True, exclude_defaults=short)
    text = (
        json.dumps(data, ensure_ascii=False)
        if style == "json"
        else yaml.dump(data, Dumper=CarefulDumper, default_flow_style=style == "flow")
    )
    assert load_text(text, "printed.yaml").stack == stack


def test_a_reader_that_gives_up_earlier_is_told_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """From PyYAML 6.0.4 the reader stops at 1,000 levels, before it hands out the first of them."""

    def parse(*_: Any, **__: Any) -> Iterator[Any]:
        start, end = (yaml.Mark("stack.yaml", at, 0, at, None, None) for at in (0, 1000))
        yield yaml.StreamStartEvent(start, start)
        raise yaml.scanner.ScannerError("while increasing flow level", start, "exceeded maximum nesting depth", end)

    monkeypatch.setattr(yaml, "parse", parse)
    assert faults_of("[" * 2000) == ["stack.yaml:1:1001: nested more than 32 levels deep"]
