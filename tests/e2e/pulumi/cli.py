"""The real Pulumi CLI, with its engine and Python host, on a project like a user's: file backend, passphrase, no network."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.processes import PATIENCE_S, Process, end, start
from tools.install import path as tool

ROOT = Path(__file__).parents[3]
STACK = "test"
PASSPHRASE = "correct horse battery staple"
_TRIES, _PAUSE_S = 200, 0.05


class PulumiFailed(AssertionError):
    """A command ended with another code than was expected; the message holds all that it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both streams: the CLI shows diagnostics now on the one, now on the other."""
        return f"{self.stdout}\n{self.stderr}"


def surroundings(
    home: Path, backend: Path, plugins: Path | None, python: Path = Path(sys.executable)
) -> dict[str, str]:
    """The environment of a user who runs Pulumi: our tools and nothing of the machine's own, no network."""
    before = [str(plugins)] if plugins is not None else []
    path = (*before, str(tool("pulumi").parent), str(python.parent), os.environ["PATH"])
    return {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PULUMI_HOME": str(home / ".pulumi"),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "false",
        "NO_COLOR": "1",
    }


class Project:
    """A checkout with the project's own ``Pulumi.yaml`` and ``stacks/__main__.py``, one spec, and one Pulumi stack.

    ``plugins`` is a folder of provider plugins (``pulumi-resource-NAME``) that stand before the user's on the path.
    """

    def __init__(
        self,
        folder: Path,
        spec: str,
        *,
        plugins: Path | None = None,
        environment: Mapping[str, str] | None = None,
        project: str | None = None,
    ) -> None:
        self.folder = folder / "project"
        self.backend = folder / "backend"
        self.home = folder / "home"
        for each in (self.folder / "stacks", self.backend, self.home):
            each.mkdir(parents=True)
        (self.folder / "Pulumi.yaml").write_text(project or (ROOT / "Pulumi.yaml").read_text("utf-8"), "utf-8")
        shutil.copy2(ROOT / "stacks" / "__main__.py", self.folder / "stacks")
        self.write_spec(spec)
        self.environment = surroundings(self.home, self.backend, plugins) | {
            "PYTHONPATH": str(ROOT),
            **(environment or {}),
        }
        self._cli = tool("pulumi")
        self.run("stack", "init", STACK)
        self.config("agentgpu:spec", "stacks/stack.yaml")

    def write_spec(self, spec: str) -> None:
        """Change the spec; the next command sees it."""
        (self.folder / "stacks" / "stack.yaml").write_text(spec, encoding="utf-8")

    def config(self, key: str, value: str, *, secret: bool = False) -> None:
        """Set a value of the stack's configuration. A secret goes in through standard input, as a careful user's would."""
        self.run("config", "set", key, *(("--secret",) if secret else ("--", value)), given=value if secret else None)

    def run(self, *words: str, expect: int | None = 0, given: str | None = None) -> Said:
        """Run a command to its end. ``expect`` None takes any exit code."""
        done = subprocess.run(
            [self._cli, "--non-interactive", *words],
            cwd=self.folder,
            env=self.environment,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        said = Said(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
        if expect is not None and said.code != expect:
            raise PulumiFailed(f"pulumi {' '.join(words)} exited {said.code}:\n{said.text}")
        return said

    def start(self, *words: str, log: Path) -> Process:
        """Start a command that the test cuts off (``kill``), with what it says in a file."""
        with log.open("w", encoding="utf-8") as file:
            command = [self._cli, "--non-interactive", *words]
            return start(command, cwd=self.folder, env=self.environment, stdout=file, stderr=file)

    def kill(self, process: Process) -> None:
        """SIGKILL to the CLI and all that it started: engine, host, providers. Plugins lead process groups of their own.

        Not in the middle of a write: Pulumi's file backend writes its state in place, and a half-written one is Pulumi's to mend.
        """
        for _ in range(_TRIES):
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(_PAUSE_S)  # until all of its threads stand
            if self._state_is_whole():
                break
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(_PAUSE_S)
        family = _descendants(process.pid)
        end(process)
        for each in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    def _state_is_whole(self) -> bool:
        """Whether no file of the backend is half written: states, their copies, what it notes of them, locks."""
        files = (each for each in (self.backend / ".pulumi").rglob("*") if each.suffix in (".json", ".attrs", ".bak"))
        try:
            return all(json.loads(file.read_bytes()) for file in files)
        except (ValueError, FileNotFoundError):
            return False

    def preview(self, *words: str) -> dict[str, Any]:
        """What an ``up`` would do, as Pulumi says it in JSON."""
        answer: dict[str, Any] = json.loads(self.run("preview", "--json", *words).stdout)
        return answer

    def planned(self) -> dict[str, list[str]]:
        """URNs by what an ``up`` would do with them, what stays the same left out."""
        found: dict[str, list[str]] = {}
        for step in self.preview()["steps"]:
            if step["op"] != "same":
                found.setdefault(step["op"], []).append(step["urn"])
        return found

    def up(self, *words: str, expect: int | None = 0) -> Said:
        """Carry the plan out."""
        return self.run("up", "--yes", "--skip-preview", *words, expect=expect)

    def refresh(self, *words: str, expect: int | None = 0) -> Said:
        """Look at what is there."""
        return self.run("refresh", "--yes", "--skip-preview", *words, expect=expect)

    def destroy(self, *words: str, expect: int | None = 0) -> Said:
        """Remove everything."""
        return self.run("destroy", "--yes", "--skip-preview", *words, expect=expect)

    def cancel(self) -> Said:
        """Give up the lock that a killed command left."""
        return self.run("cancel", "--yes")

    def resources(self) -> list[dict[str, Any]]:
        """The resources of the state, secrets as ciphertext."""
        state = json.loads(self.run("stack", "export").stdout)
        found: list[dict[str, Any]] = state["deployment"].get("resources") or []
        return found

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        answer: dict[str, Any] = json.loads(self.run("stack", "output", "--json", "--show-secrets").stdout)
        return answer

    def stored(self) -> bytes:
        """Every byte that the backend and the project's configuration hold: the state, its history and its backups."""
        places = (self.backend, self.folder)
        return b"\n".join(file.read_bytes() for place in places for file in sorted(place.rglob("*")) if file.is_file())


class Repository(Project):
    """A repository of a user's with a Pulumi project of its own, as ``agentgpu init --pulumi`` writes it."""

    def __init__(self, folder: Path, home: Path, *, python: Path, plugins: Path | None = None) -> None:
        """``folder`` holds Pulumi.yaml; ``python`` is the interpreter of the environment that holds the wheel."""
        self.folder = folder
        self.home = home
        self.backend = home / "backend"
        self.backend.mkdir(parents=True)
        self.environment = surroundings(home, self.backend, plugins, python)
        del self.environment[
            "PYTHONDONTWRITEBYTECODE"
        ]  # else each program compiles the wheel and the providers' libraries anew
        self._cli = tool("pulumi")


def _descendants(ancestor: int) -> list[int]:
    """All that a process started and that still runs, as Linux tells it."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
    found = [ancestor]
    for each in found:
        found.extend(pid for pid, parent in parents.items() if parent == each)
    return found[1:]
