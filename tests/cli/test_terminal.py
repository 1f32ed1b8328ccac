"""What a file, a folder's name or a site answers is not obeyed by the terminal: it is spelled out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentgpu_iac.characters import escaped_json, hidden_character, printable
from agentgpu_iac.cli import output
from agentgpu_iac.cli.files import write_answer
from agentgpu_iac.review.blocks import Heading, Paragraph, Table
from tests.cli.running import SMALL, agentgpu

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\r"


def assert_quiet(text: str) -> None:
    assert hidden_character(text) == ""


def test_a_name_of_a_file_is_spelled_out(tmp_path: Path) -> None:
    path = tmp_path / f"a{EVIL}\nb.yaml"
    answer = agentgpu("plan", path)
    assert answer.code == 2
    assert_quiet(answer.err)
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("words", [("--format", EVIL), ("--nothing" + EVIL,), ("--today", EVIL)])
def test_words_of_the_command_line_are_spelled_out(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "s.yaml").write_text(SMALL, encoding="utf-8")
    answer = agentgpu("plan", tmp_path / "s.yaml", *words)
    assert answer.code == 2
    assert_quiet(answer.err)


def test_a_model_in_a_question_is_spelled_out() -> None:
    answer = agentgpu("size", "--model", EVIL, "--accelerator", "l4")
    assert answer.code == 2
    assert_quiet(answer.err)


def test_answers_hold_nothing_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_blocks((Heading(text=EVIL), Paragraph(text=EVIL), Table(columns=(EVIL,), rows=((EVIL,),))))
    output.write_json({EVIL: EVIL})
    output.write_json_line([EVIL])
    output.write_markdown((Paragraph(text=EVIL),))
    assert_quiet(capsys.readouterr().out)


def test_what_is_meant_stays() -> None:
    assert printable("a\tb\r\nc\u00a0é\n") == "a\tb\r\nc\u00a0é\n"
    assert escaped_json('"\u202e\U000e0041"') == '"\\u202e\\udb40\\udc41"'


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_file_that_was_asked_for_is_told_of_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    """Once ``report -o page.html`` ended without a word."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    path = tmp_path / f"a{EVIL[:4]}.html"
    write_answer(path, "page")
    said = capsys.readouterr()
    assert path.read_text() == "page"
    assert said.out == ""
    assert said.err.startswith(f"Wrote {tmp_path}") is is_terminal
    assert_quiet(said.err)


ANSWERING = {"levers", "plans", "report", "simulating"}
"""Modules whose commands take --output or --plot for an answer that is printed otherwise."""


def test_every_answer_in_a_file_is_told_of() -> None:
    folder = Path(output.__file__).parent
    assert {path.stem for path in folder.glob("*.py") if "write_answer(" in path.read_text()} - {"files"} == ANSWERING
    assert not [name for name in ANSWERING if "write_whole(" in (folder / f"{name}.py").read_text()]
