"""``preview``, ``up`` and ``destroy`` before Pulumi has begun: each refusal is a sentence. Their work: tests/e2e/pulumi."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.running import agentgpu

VERBS = (("preview",), ("up", "--yes"), ("destroy", "--yes"))
NOWHERE = "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and on the path nothing but a script that stands in for Pulumi where a test writes it."""
    (tmp_path / "Pulumi.yaml").write_text("{name: desk, runtime: python}")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


def stand_in(project: Path, *lines: str) -> None:
    script = project / "bin" / "pulumi"
    script.write_text("\n".join(("#!/bin/sh", '[ "$1" = version ] && { echo v3.900.0; exit; }', *lines)))
    script.chmod(0o755)


@pytest.mark.parametrize("words", VERBS)
def test_a_folder_without_a_project_names_the_command_that_makes_one(words: tuple[str, ...], tmp_path: Path) -> None:
    answer = agentgpu(*words, "--project", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"{tmp_path}: holds no Pulumi.yaml "
        "(agentgpu init --pulumi DIR makes a project; or name its folder with --project)\n"
    )


@pytest.mark.parametrize("words", [("up",), ("destroy",)])
def test_nobody_is_asked_where_nobody_answers(words: tuple[str, ...], project: Path) -> None:
    answer = agentgpu(*words, "--project", project)
    assert (answer.code, answer.err.partition(" (")[0]) == (2, "--yes: is needed where nobody can be asked")


@pytest.mark.parametrize("words", VERBS)
def test_without_pulumi(words: tuple[str, ...], project: Path) -> None:
    answer = agentgpu(*words, "--project", project)
    assert answer.code == 3
    assert answer.err.startswith("pulumi is not there: install it")


@pytest.mark.parametrize("words", VERBS)
def test_logged_in_nowhere(words: tuple[str, ...], project: Path) -> None:
    stand_in(project, f"echo '{NOWHERE}' >&2", "exit 255")
    answer = agentgpu(*words, "--project", project)
    assert answer.code == 3
    assert answer.err == (
        "pulumi: Pulumi is logged in nowhere, so it has no place for its state "
        "(pulumi login; or pulumi login --local to keep it on this machine)\n"
    )


@pytest.mark.parametrize(
    ("listed", "words", "says"),
    [
        (
            "[]",
            (),
            "--stack: is needed: no Pulumi stack of this project is selected (pulumi stack init NAME makes one)",
        ),
        ('[{"name": "dev", "current": false}, {"name": "prod", "current": false}]', (), "(there are dev, prod)"),
        ('[{"name": "prod", "current": true}]', ("--stack", "prd"), "prd: is no Pulumi stack of the project in"),
        ('[{"name": "prod", "current": true}]', ("--stack", "prd"), "(did you mean 'prod'?)"),
        (
            '[{"name": "prod", "current": true}]',
            ("--stack", "acme/shop/prod"),
            "acme/shop/prod: is a Pulumi stack of the project 'shop', and ",
        ),
        (
            '[{"name": "prod", "current": true}]',
            ("--stack", "acme/desk/prod"),
            "Pulumi.prod.yaml: agentgpu:spec: names no",
        ),
    ],
)
def test_which_stack(listed: str, words: tuple[str, ...], says: str, project: Path) -> None:
    stand_in(project, f"echo '{listed}'")
    answer = agentgpu("preview", "--project", project, *words)
    assert answer.code == 2
    assert says in answer.err


def test_a_stack_that_names_no_agents(project: Path) -> None:
    stand_in(project, """echo '[{"name": "dev", "current": true}]'""")
    answer = agentgpu("preview", "--project", project)
    assert answer.code == 2
    assert "Pulumi.dev.yaml: agentgpu:spec: names no agent stack (name a SPEC, or pulumi config set" in answer.err


def test_standard_input_is_no_file_that_the_program_reads(project: Path) -> None:
    stand_in(project, """echo '[{"name": "dev", "current": true}]'""")
    answer = agentgpu("preview", "-", "--project", project, stdin="{}")
    assert (answer.code, answer.err.partition(" (")[0]) == (
        2,
        "standard input: cannot be what Pulumi's program reads",
    )
