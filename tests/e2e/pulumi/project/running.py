"""What the tests of a repository of a user's do with it."""

from __future__ import annotations

import subprocess

from tests.e2e.pulumi.cli import Repository

ENGINE_REFUSED = 1
"""The engine's own code for a program that ends with an error."""


def agentgpu(repository: Repository, *words: str) -> None:
    """Run our command as the repository's environment has it."""
    command = repository.folder / ".venv" / "bin" / "agentgpu"
    subprocess.run([command, *words], cwd=repository.folder, env=repository.environment, check=True)


def refused(repository: Repository, *sentences: str) -> None:
    """An up that says one sentence, ends with the engine's code, and makes nothing."""
    before = repository.resources()
    said = repository.up(expect=None)
    told = said.text.partition("Diagnostics:")[2]
    assert said.code == ENGINE_REFUSED
    assert "Traceback" not in said.text
    for sentence in sentences:
        assert told.count(sentence) == 1, told
    assert {each["urn"] for each in repository.resources()} <= {
        *(each["urn"] for each in before),
        "urn:pulumi:dev::desk::pulumi:pulumi:Stack::desk-dev",
    }
