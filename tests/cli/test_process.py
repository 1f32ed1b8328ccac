"""The installed command as a shell meets it: exit codes, pipes, terminals, and what it imports."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentgpu_iac import __version__
from agentgpu_iac.cli import waiting
from tests.cli.running import (
    COMMAND,
    FAULTY,
    SMALL,
    TOO_LARGE,
    agentgpu,
    installed,
    on_a_terminal,
)
from tests.examples import CUSTOMER_SERVICE, STACKS

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_the_entry_point_prints_its_version() -> None:
    answer = installed("--version")
    assert (answer.code, answer.out, answer.err) == (0, f"{__version__}\n", "")


def test_the_package_can_be_run_and_bears_the_name_of_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentgpu_iac", "frontier"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: agentgpu frontier ")


@pytest.mark.broad(every=0)
def test_the_same_stack_gives_the_same_bytes() -> None:
    five = STACKS / "examples" / "five-agents.yaml"
    assert installed("plan", five, "-f", "json").out == agentgpu("plan", five, "-f", "json").out


@pytest.mark.broad(every=0)
@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (TOO_LARGE, 1, "agent 'big' (meta-llama/Llama-3.3-70B-Instruct, bf16) fits nothing on offer:\n  l4: "),
        (FAULTY, 2, "stack.yaml:7:21: spec.agents[0].latencyClass: must be one of"),
    ],
)
def test_a_refusal_is_a_message_and_an_exit_code(tmp_path: Path, text: str, code: int, message: str) -> None:
    (tmp_path / "stack.yaml").write_text(text)
    answer = installed("plan", "stack.yaml", cwd=tmp_path)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(message)
    assert "Traceback" not in answer.err


@pytest.mark.broad(every=0)
def test_a_reader_may_close_the_pipe() -> None:
    with subprocess.Popen(
        [COMMAND, "catalog", "list", "offerings", "-f", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"[\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_a_failure_outside() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([COMMAND, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "standard output: No space left on device\n")


# ---- imports of a command


def imported_by(*arguments: object) -> tuple[str, set[str]]:
    """What a command prints into a pipe, and the top-level packages that it has loaded by its end."""
    code = (
        "import sys\n"
        "from agentgpu_iac.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout, set(done.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    heavy = {"pulumi", "kubernetes", "numpy", "highspy", "jinja2", "yaml", "pydantic"}
    assert not imported_by("--help")[1] & heavy


def test_a_plan_in_a_pipe_is_plain_text_and_imports_no_provider_and_no_template() -> None:
    printed, loaded = imported_by("plan", CUSTOMER_SERVICE)
    assert printed.startswith("customer-service: ")
    assert "\x1b" not in printed
    assert printed == agentgpu("plan", CUSTOMER_SERVICE).out
    assert {"pydantic", "yaml"} <= loaded
    assert not loaded & {"pulumi", "pulumi_aws", "pulumi_kubernetes", "kubernetes", "jinja2", "httpx", "rich"}


# ---- terminals


def test_a_terminal_gets_colour_and_the_same_words() -> None:
    shown = on_a_terminal("plan", CUSTOMER_SERVICE, "--all", columns=500)
    assert "\x1b[1mAgents\x1b[0m" in shown
    assert "\x1b[36m  $ agentgpu explain " in shown
    bare = COLOUR.sub("", shown)
    piped = agentgpu("plan", CUSTOMER_SERVICE, "--all").out
    decoration = {"•", "-"}
    words = [word for word in bare.split() if word not in decoration]
    assert words == [word for word in piped.split() if word.strip("-")]


@pytest.mark.broad(every=0)
@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(variable: tuple[str, str]) -> None:
    shown = on_a_terminal("plan", CUSTOMER_SERVICE, columns=100, set_to=dict([variable]))
    assert "\x1b" not in shown
    assert "\nAgents\n" in shown


@pytest.mark.broad(every=0)
@pytest.mark.parametrize("columns", [60, 100])
def test_a_narrow_terminal_shows_whole_rows(columns: int) -> None:
    """Once a table without room became a list of names and values, eleven lines for each row."""
    shown = COLOUR.sub("", on_a_terminal("plan", CUSTOMER_SERVICE, columns=columns)).splitlines()
    (row,) = (line for line in shown if line.startswith("support "))
    assert all(word in row for word in ("Qwen3-14B", "####......", "102/500", "26/50"))
    commands = [line for line in shown if line.startswith("  $ ")]
    assert [each for each in commands if not each.endswith(" warnings")] == [  # which is there where they are cut
        f"  $ agentgpu explain {CUSTOMER_SERVICE} support",
        f"  $ agentgpu plan {CUSTOMER_SERVICE} --all",
        f"  $ agentgpu render {CUSTOMER_SERVICE} -o build/customer-service",
    ]
    assert max(len(line) for line in shown if line not in commands) <= columns


@pytest.mark.broad(every=0)
def test_a_terminal_reads_brackets_and_colons_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "[bold]:warning:.yaml"
    path.write_text(SMALL)
    shown = on_a_terminal("plan", path, columns=250)
    assert "[bold]:warning:.yaml" in COLOUR.sub("", shown)
    assert "[unpinned x3] " in COLOUR.sub("", shown)


@pytest.mark.broad(every=0)
def test_json_on_a_terminal_is_json() -> None:
    assert json.loads(on_a_terminal("plan", CUSTOMER_SERVICE, "-f", "json"))["stack"] == "customer-service"


def test_a_credential_in_an_option_is_not_repeated() -> None:
    secret = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567"
    done = subprocess.run(
        [sys.executable, "-m", "agentgpu_iac", "catalog", "list", secret], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "AbCdEf" not in done.stdout + done.stderr
    assert "not one of 'accelerators'" in done.stderr


class Terminal(io.StringIO):
    """Standard error where somebody looks."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "term", "is_told"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_who_waits_at_a_terminal_is_told_for_what(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, is_told: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.0)
    with waiting.waiting("planning"):
        end = threading.Event()
        while is_told and not stream.getvalue():
            end.wait(0.01)
    assert ("planning ..." in stream.getvalue()) is is_told


def test_what_is_done_soon_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with waiting.waiting("planning"):
        pass
    assert stream.getvalue() == ""
