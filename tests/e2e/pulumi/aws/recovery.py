"""The recovery of docs/deploy-aws.md, step by step, as a user does it: only the editing of the file is played."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from tests.e2e.pulumi.aws.account import Account
from tests.e2e.pulumi.aws.aws_command import answer
from tests.e2e.pulumi.cli import ROOT

SCRIPT = "stacks/pending_creates.py"
CLEAR = "refresh --clear-pending-creates"
IMPORT = ("import", "--file", "pending.json", "--protect=false", "--generate-code=false", "--yes", "--skip-preview")


def recover(account: Account) -> list[str]:
    """Bring the state to what is there after a kill, short of the ``up`` that follows. Answers the ids imported."""
    project = account.project
    project.cancel()
    file, instructions = _pending_file(account)
    resources = [
        {**entry, "id": found}
        for entry, instruction in zip(file["resources"], instructions, strict=True)
        if (found := _looked_up(account, entry["id"], instruction))
    ]
    project.run(*CLEAR.split(), "--yes", "--skip-preview")
    if resources:
        text = json.dumps({**file, "resources": resources})
        (project.folder / "pending.json").write_text(text, encoding="utf-8")
        project.run(*IMPORT)
    return [entry["id"] for entry in resources]


def _pending_file(account: Account) -> tuple[dict[str, list[dict[str, str]]], list[str]]:
    project = account.project
    shutil.copy2(ROOT / SCRIPT, project.folder / SCRIPT)
    exported = project.run("stack", "export").stdout
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=project.folder,
        env=project.environment,
        input=exported,
        capture_output=True,
        text=True,
        check=True,
    )
    commands = [line.strip() for line in done.stderr.splitlines() if line.startswith("  aws ")]
    return json.loads(done.stdout), commands


def _looked_up(account: Account, known: str, command: str) -> str:
    """The id of what is there; empty where nothing is."""
    found = answer(account.aws, command)
    if not found:
        return ""
    (one,) = found
    return known or one.rpartition("key/")[2]
