"""The installed command as a shell meets it, away from the checkout, and the extras that are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("agentgpu")

EXTRAS = frozenset(os.environ.get("AGENTGPU_SMOKE_EXTRAS", "cluster pulumi report spheron validate").split())
"""Extras of this environment, as the one who built it says; all of them where nobody does."""

_ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "KUBECONFIG")},
    "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
}
"""Typer takes the shell from the command line, not from the processes above: where none of them is a shell it finds none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def content(self, form: str) -> Any:
        """Standard output, read as the format that was asked for. Raises ValueError where it is something else."""
        match form:
            case "json":
                return json.loads(self.out)
            case "lines":
                return [json.loads(line) for line in self.out.splitlines()]
            case "yaml":
                return yaml.safe_load(self.out)
            case "html":
                if not (self.out.startswith("<!DOCTYPE html>") and self.out.endswith("</html>\n")):
                    raise ValueError(self.out[:200])
                return self.out
            case _:
                return self.out


def agentgpu(*arguments: object, cwd: Path, stdin: str = "") -> Answer:
    """Run the command."""
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        env={**_ENVIRONMENT, "HOME": str(cwd)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)
