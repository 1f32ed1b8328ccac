"""What is counted agrees with its number: ``1 replica``, ``2 replicas``; by one home, so that nobody writes ``1 folders``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgpu_iac.units import counted, plural
from tests.house.sources import in_modules

NOUNS = (
    *("accelerators", "adapters", "agents", "bytes", "candidates", "cards", "changes", "characters"),
    *("columns", "copies", "days", "deployments", "engines", "entries", "faults", "fields", "files", "folders"),
    *("groups", "inputs", "interfaces", "items", "keys", "layers", "machines", "minutes", "months", "nodes"),
    *("objects", "parts", "pools", "prices", "replicas", "requests", "resources", "seats"),
    *("sessions", "stages", "terms", "things", "tokens", "turns", "values", "versions", "warnings", "zones"),
)
"""What messages, plans and pages count."""
_ADJECTIVES = "attention|batched|burst|made|more|other|planned|pipeline|reasoning|streamed|used|warm"
_COUNTED = re.compile(rf" (?:(?:{_ADJECTIVES}) )?(?:{'|'.join(NOUNS)})\b(?!/)")
NAMES = {"' or '.join(pool.instance_types)", "pool.instance_types[0]", "quoted"}
"""What stands before such a noun and is no number."""


def by_hand(tree: ast.AST) -> Iterator[str]:
    """Numbers before a noun in the plural, and the s of one chosen on the spot. Constants are more than one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                    continue
                said = ast.unparse(value.value)
                number = not (said.isupper() or said in NAMES or value.conversion == ord("r"))
                plural_follows = isinstance(after.value, str) and _COUNTED.match(after.value)
                if number and plural_follows and not said.startswith("counted("):
                    yield f"{node.lineno}: {said}{after.value!r}"
            for value, words in zip(node.values, node.values[1:], strict=False):
                chosen = isinstance(value, ast.FormattedValue) and isinstance(value.value, ast.IfExp)
                if chosen and isinstance(words, ast.Constant) and _COUNTED.match(f" {words.value!s}"):
                    yield f"{node.lineno}: {ast.unparse(value)}{words.value!r}"
        elif isinstance(node, ast.IfExp) and {"", "s"} == {
            each.value for each in (node.body, node.orelse) if isinstance(each, ast.Constant)
        }:
            yield f"{node.lineno}: {ast.unparse(node)}"


def test_every_count_agrees_with_its_noun() -> None:
    assert in_modules(by_hand).keys() == {"units.py"}


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ('f"{len(a)} folders change"', 1),
        ('f"{n:,} warm replicas"', 1),
        ("f\"{n} node{'s' if n > 1 else ''}\"", 1),
        ("f\"{n} {'warm ' if a else ''}replicas\"", 1),
        ('f"{n:,.1f} tokens/s"', 0),
        ('f"{MOST_LAYERS:,} layers"', 0),
        ("f\"{counted(n, 'folder')} here\"", 0),
    ],
)
def test_every_way_to_count_by_hand_is_seen(code: str, seen: int) -> None:
    assert len(list(by_hand(ast.parse(code)))) == seen


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (counted(1, "folder"), "1 folder"),
        (counted(0, "folder"), "0 folders"),
        (counted(12_000, "warm replica"), "12,000 warm replicas"),
        (counted(1.04, "request", ",.0f"), "1 request"),
        (counted(1.5, "request", "g"), "1.5 requests"),
        (counted("1 to 2", "replica"), "1 to 2 replicas"),
        (counted(2, "copy"), "2 copies"),
        (counted(2, "key"), "2 keys"),
        (counted(2, "batch"), "2 batches"),
        (plural(1) + plural(2), "s"),
    ],
)
def test_a_number_and_what_it_counts(text: str, expected: str) -> None:
    assert text == expected


def test_no_plan_counts_one_of_many() -> None:
    wrong = re.compile(rf"(?<![\d.,x-])(?<!\d )\b1 (?:{'|'.join(NOUNS)})\b(?!/)")
    plans = sorted((Path(__file__).parents[1] / "outcomes" / "golden").glob("*/*/plan.json"))
    found = {path: wrong.findall(path.read_text(encoding="utf-8")) for path in plans}
    assert plans
    assert not {str(path): each for path, each in found.items() if each}
