"""What a file, a folder's name or a site answers is not obeyed by the terminal: it is spelled out."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgpu_iac.characters import escaped_json, hidden_character, printable
from agentgpu_iac.cli import output
from agentgpu_iac.cli.files import write_answer
from agentgpu_iac.cli.saying import say, say_sentences, tell, tell_in_place
from agentgpu_iac.review.blocks import Heading, Paragraph, Table
from tests.cli.running import SMALL, agentgpu
from tests.review.screens import WIDTHS

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
    assert " ".join(said.err.split()).startswith(f"Wrote {tmp_path}") is is_terminal
    assert_quiet(said.err)


ANSWERING = {"levers", "plans", "report", "simulating"}
"""Modules whose commands take --output or --plot for an answer that is printed otherwise."""


def test_every_answer_in_a_file_is_told_of() -> None:
    folder = Path(output.__file__).parent
    assert {path.stem for path in folder.glob("*.py") if "write_answer(" in path.read_text()} - {"files"} == ANSWERING
    assert not [name for name in ANSWERING if "write_whole(" in (folder / f"{name}.py").read_text()]


SENTENCE = "stack.yaml:7:5: spec.agents[0].model: there is no model 'Qwen/Qwen3-14' (did you mean 'Qwen/Qwen3-14B' or another?)"
ADDRESS = f"https://git.example.com/{'acme/' * 40}pull/7"


@pytest.fixture(params=WIDTHS)
def terminal(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> int:
    width: int = request.param
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((width, 50)))
    return width


def test_sentences_break_between_words_where_a_terminal_ends(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Once a terminal cut messages wherever it ended: in the middle of a word."""
    say_sentences(f"{SENTENCE} {SENTENCE}")
    tell(f"  {SENTENCE}\n{SENTENCE}")
    said = capsys.readouterr()
    lines = [*said.out.splitlines(), *said.err.splitlines()]
    assert max(map(len, lines)) <= terminal
    assert said.out.split() == [*SENTENCE.split()] * 2
    assert said.err.split() == [*SENTENCE.split()] * 2
    assert all(line.startswith("  ") for line in said.out.splitlines()[1:])


def test_what_is_copied_stays_whole(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    data = output.json_text({"a": SENTENCE * 3})
    say(data, nl=False)
    say_sentences(f"Request 7 opened: {ADDRESS}")
    said = capsys.readouterr().out
    assert said.startswith(data)
    assert said.endswith(f"\n  {ADDRESS}\n")


def test_a_line_that_is_written_over_stays_one_line(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    tell_in_place(f"1/200 {'a-stack-' * 30}", last=False)
    assert len(capsys.readouterr().err.removeprefix("\r\x1b[K")) < terminal


def test_a_pipe_has_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    tell(SENTENCE * 3)
    say_sentences(SENTENCE * 3)
    assert capsys.readouterr() == (f"{SENTENCE * 3}\n",) * 2


LINES_FOR_PROGRAMS = {"callers": 3, "plans": 2, "pulumi_projects": 1}
"""What is said in lines that a program or a finger copies: variables, paths, a command."""


def sentences_as_data(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        said = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args
        if said and isinstance(said[0], ast.JoinedStr | ast.Constant):
            yield said[0].lineno


def test_no_sentence_is_said_as_if_it_were_data() -> None:
    folder = Path(output.__file__).parent
    found = {path.stem: len([*sentences_as_data(ast.parse(path.read_text()))]) for path in folder.glob("*.py")}
    assert {name: count for name, count in found.items() if count} == LINES_FOR_PROGRAMS
