"""Laws over the whole command line: what a reader knows of one command holds for all of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from agentgpu_iac.cli import app as app_module
from agentgpu_iac.cli import completing
from agentgpu_iac.cli.app import DEFAULT_SPEC, app
from agentgpu_iac.cli.conventions import heading_of
from agentgpu_iac.cli.examples import EXAMPLES
from agentgpu_iac.spec.pages import page
from tests.cli.running import SMALL, agentgpu
from tests.pages.blocks import ROOT, anchors

PLANS = {"sources.py", "publishing.py"}
"""Modules of the command line that plan: one says how far it is, the other counts folders."""


def test_whoever_waits_for_a_plan_sees_how_far_it_is() -> None:
    """Every other command takes its plan from ``sources``."""
    folder = Path(app_module.__file__).parent
    assert {path.name for path in folder.glob("*.py") if "make_plan(" in path.read_text(encoding="utf-8")} == PLANS


PRINTS_NO_DATA = {"init", "pin", "pulumi", "report", "comment"}
"""Commands that write files and say so in a sentence."""


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())
HEADINGS = anchors(ROOT / page("cli"))
every_command = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.broad(every=7)
@every_command
def test_every_command_has_a_short_way_to_its_help_with_examples_and_a_link(path: tuple[str, ...]) -> None:
    answer = agentgpu(*path, "-h")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == agentgpu(*path, "--help").out
    heading = heading_of(" ".join(path))
    assert f"More: {page('cli', heading)}\n" in answer.out
    assert heading in HEADINGS
    assert f"Examples:\n    agentgpu {' '.join(path)}" in answer.out
    assert len(answer.out.partition("Arguments:")[0].partition("Options:")[0].split()) > 6


@pytest.mark.broad(every=7)
@pytest.mark.parametrize(
    ("path", "example"), [(path, example) for path in COMMANDS for example in EXAMPLES.get(" ".join(path), ())]
)
def test_every_example_is_a_command_line(path: tuple[str, ...], example: str) -> None:
    words = shlex.split(example.partition(">")[0].partition("<")[0])
    COMMANDS[path].make_context(path[-1], words)


@pytest.mark.broad(every=7)
@every_command
def test_every_value_is_one_word_in_capitals(path: tuple[str, ...]) -> None:
    shown = agentgpu(*path, "-h").out
    assert not re.search(r" (TEXT|PATH|INTEGER|FLOAT|INTEGER RANGE|FILENAME)\b", shown)
    assert not re.search(r"--[a-z-]+ \[", shown)
    for parameter in COMMANDS[path].params:
        word = getattr(parameter, "metavar", None)
        assert word is None or re.fullmatch("[A-Z]+", word), parameter.name


@every_command
def test_what_is_left_out_is_told_with_what_it_means(path: tuple[str, ...]) -> None:
    """Once ``frontier`` without --over named the option, and no field that it takes."""
    needed = [each for each in COMMANDS[path].params if each.required]
    if not needed:
        return
    answer = agentgpu(*path)
    assert answer.code == 2
    told = " ".join(re.sub("[│╭╮╰╯─]", " ", answer.err).split())
    assert "Missing" in told
    assert any(each.help and " ".join(each.help.split()) in told for each in needed), told


@every_command
def test_whatever_prints_data_has_json(path: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert ("--json" in options) is ("--format" in options)
    assert "--json" in options or path[0] in PRINTS_NO_DATA


NEEDED = {"frontier": ("--over", "ttftMs"), "render": ("-o", "out"), "check": ("-p", "policies.yaml")}
"""What else a command cannot do without."""


def specs() -> list[tuple[str, ...]]:
    return [path for path, command in COMMANDS.items() if any(each.name == "spec" for each in command.params)]


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", specs(), ids=" ".join)
def test_a_spec_that_nobody_names_is_the_one_that_init_writes(path: tuple[str, ...]) -> None:
    needed = NEEDED.get(path[0], ())
    answer = agentgpu(*path, *needed)
    assert answer.code == 2
    assert answer.err == (
        "agentstack.yaml: is not here, and no SPEC is given "
        "(name one, write one with agentgpu init, or hand one over with -)\n"
    )
    DEFAULT_SPEC.write_text("apiVersion: nothing\n")
    assert agentgpu(*path, *needed).err.startswith("agentstack.yaml:1:")


@pytest.mark.parametrize(
    ("words", "kind"), [(("check", "-p", "empty.yaml"), "Policies"), (("publish", "empty.yaml"), "Publishing")]
)
def test_an_empty_file_says_how_such_a_file_begins(words: tuple[str, ...], kind: str) -> None:
    """Once an empty file of policies was to start with ``agentgpu init``, which writes none."""
    DEFAULT_SPEC.write_text(SMALL)
    Path("empty.yaml").write_text("")
    answer = agentgpu(*words)
    assert answer.code == 2
    assert answer.err == f"empty.yaml: is empty (it begins with apiVersion: agentgpu.dev/v1alpha1 and kind: {kind})\n"


def test_policies_that_nobody_names_say_where_to_read_on() -> None:
    """Once it was ``No such file or directory`` of a name that nobody had written."""
    DEFAULT_SPEC.write_text(SMALL)
    answer = agentgpu("check")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "agentgpu-policies.yaml: is not here, and no POLICIES is given "
        "(name one with --policies; what stands in it: docs/pull-requests.md#policies)\n"
    )


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", specs(), ids=" ".join)
def test_every_spec_may_come_by_standard_input(path: tuple[str, ...]) -> None:
    needed = NEEDED.get(path[0], ())
    answer = agentgpu(*path, "-", *needed, stdin="apiVersion: nothing\n")
    assert answer.code == 2
    assert answer.err.startswith("standard input:1:")


def test_a_plan_of_standard_input_is_that_of_the_file() -> None:
    Path("stack.yaml").write_text(SMALL)
    assert agentgpu("validate", "-", "--json", stdin=SMALL).data == agentgpu("validate", "stack.yaml", "--json").data
    by_name, by_input = agentgpu("plan", "stack.yaml", "--json"), agentgpu("plan", "-", "--json", stdin=SMALL)
    assert (by_input.code, by_input.out) == (0, by_name.out)


def test_json_and_another_format_contradict_each_other() -> None:
    assert (
        agentgpu("catalog", "list", "providers", "--json").data
        == agentgpu("catalog", "list", "providers", "-f", "json").data
    )
    answer = agentgpu("schema", "--json", "--format", "markdown")
    assert (answer.code, answer.err) == (2, "--json: is not --format markdown (give one of them)\n")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(SMALL)
    return path


def test_the_name_of_a_file_says_what_is_written_into_it(saved: Path) -> None:
    for name in ("plan.json", "plan.yaml", "plan.md", "plan.txt", "table.json"):
        asked = ("-f", "table") if name == "table.json" else ()
        assert agentgpu("plan", saved, "-o", name, *asked).code == 0
    assert json.loads(Path("plan.json").read_text())["stack"] == "demo"
    assert Path("plan.yaml").read_text().startswith("apiVersion: agentgpu.dev/plan/v1alpha1\n")
    assert "\n| agent |" in Path("plan.md").read_text()
    assert Path("plan.txt").read_text() == Path("table.json").read_text() == agentgpu("plan", saved).out


class Context:
    """What Typer hands to a completion."""

    def __init__(self, **params: object) -> None:
        self.params = params


def test_shells_complete_models_cards_and_agents(saved: Path) -> None:
    assert "Qwen/Qwen3-14B" in completing.models("qwen/qwen3-1")
    assert completing.accelerators("l40") == ["l40s"]
    assert {"l40s", "g6e.xlarge", "aws", "Qwen/Qwen3-14B"} <= set(completing.rows(""))
    context: Any = Context(spec=saved)
    assert completing.agents(context, "su") == ["support"]
    agentgpu("plan", saved, "-o", "plan.json")
    context = Context(spec=Path("plan.json"))
    assert completing.agents(context, "") == ["support"]
    for unreadable in (Path("nothing.yaml"), Path("-"), None):
        context = Context(spec=unreadable)
        assert completing.agents(context, "") == []
