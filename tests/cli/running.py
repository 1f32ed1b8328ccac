"""Run ``agentgpu``: through its entry point in this process, or as the installed command."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main

from agentgpu_iac.cli.main import run

_COMMANDS = cache(typer.main.get_command)
"""The tree of commands, which each run would build anew."""

COMMAND = Path(sys.executable).with_name("agentgpu")

SMALL = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  agents:
    - name: support
      model: Qwen/Qwen3-14B
"""
TOO_LARGE = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: too-large}
spec:
  accelerators: {allow: [l4]}
  modelCache: {tokenSecret: hf-token}
  agents:
    - name: big
      model: meta-llama/Llama-3.3-70B-Instruct
"""
FAULTY = SMALL.replace("14B", "14").replace("name: support", "name: support\n      latencyClass: chatt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def agentgpu(*arguments: object, stdin: str | bytes = "") -> Answer:
    """The command in this process."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        patch.object(typer.main, "get_command", _COMMANDS),
        patch.object(sys, "argv", ["agentgpu", *map(str, arguments)]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            run()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err) if isinstance(stream.buffer, io.BytesIO)]
    return Answer(code=code, out=texts[0], err=texts[1])


def installed(*arguments: object, cwd: Path | None = None, stdin: str = "") -> Answer:
    """The installed command, in a process of its own."""
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)


def on_a_terminal(*arguments: object, columns: int = 200, set_to: Mapping[str, str] | None = None) -> str:
    """What the installed command prints on a terminal of so many columns, with these variables set."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    with subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,  # where progress goes
        env={**environment, "TERM": "xterm-256color", **(set_to or {})},
    ) as process:
        os.close(theirs)
        printed = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not piece:
                break
            printed += piece
        os.close(ours)
        assert process.wait(60) == 0
    return printed.decode().replace("\r\n", "\n")
