"""The action, the GitLab template and the hooks: their steps are scripts, and the scripts are run."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

AGENTGPU = """\
#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$ASKED"
case "$1" in
  diff) echo '## the difference' ;;
  plan) echo '## the plan' ;;
  check) echo 'a policy'; exit "${CHECK:-0}" ;;
  render) echo 'would change x'; exit "${RENDER:-0}" ;;
  comment) cat "$4" >"$ASKED.comment"; exit "${COMMENT:-0}" ;;
  validate) exit "${VALIDATE:-0}" ;;
esac
"""


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """A repository with one stack, an ``agentgpu`` that writes down what it is asked, and the variables of the script."""
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "agentgpu"
    program.write_text(AGENTGPU)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    there = tmp_path / "there"
    there.mkdir()
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "x")):
        (there / "a.yaml").write_text("kind: AgentStack\n")
        subprocess.run(("git", "-c", "user.name=a", "-c", "user.email=a@b", *words), cwd=there, check=True)
    return {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "ASKED": str(tmp_path / "asked"),
        "SPEC": "a.yaml",
        "BASE": "HEAD",
        "PROJECT": "acme/x",
        "API": "https://api.example.org",
        "KIND": "github",
        "TOKEN_VARIABLE": "GITHUB_TOKEN",
        "THERE": str(there),
    }


def review(world: dict[str, str], **more: str) -> tuple[int, list[str], str]:
    environment = {**world, **more}
    script = (shutil.which("bash"), str(ROOT / "ci" / "review.sh"))
    done = subprocess.run(script, cwd=world["THERE"], env=environment, capture_output=True, text=True, check=False)
    asked = Path(world["ASKED"])
    return done.returncode, asked.read_text().splitlines() if asked.exists() else [], done.stdout


def test_a_change_is_compared_with_its_base(world: dict[str, str]) -> None:
    code, asked, out = review(world)
    assert (code, asked, out) == (0, ["diff HEAD:a.yaml a.yaml --format markdown"], "## the difference\n")


def test_a_new_stack_is_planned(world: dict[str, str]) -> None:
    code, asked, out = review(world, BASE="nope")
    assert (code, asked, out) == (0, ["plan a.yaml --format markdown"], "## the plan\n")


def test_policies_and_the_folder_are_in_the_comment_and_in_the_exit_code(world: dict[str, str]) -> None:
    code, asked, _ = review(world, POLICIES="p.yaml", RENDERED="out", NUMBER="7", CHECK="1", RENDER="1")
    assert code == 1
    assert asked[1:3] == [
        "check a.yaml --policies p.yaml --against HEAD:a.yaml --format markdown",
        "render a.yaml --check out",
    ]
    assert asked[3].startswith("comment 7 --text ")
    assert asked[3].endswith(
        "--project acme/x --kind github --api https://api.example.org --token-variable GITHUB_TOKEN"
    )
    said = Path(f"{world['ASKED']}.comment").read_text()
    assert said.startswith("## the difference\n") and "a policy" in said and "is not as this stack renders it" in said


@pytest.mark.parametrize(("which", "code"), [("CHECK", 2), ("RENDER", 2), ("COMMENT", 3)])
def test_what_cannot_be_done_ends_it(world: dict[str, str], which: str, code: int) -> None:
    more = {"POLICIES": "p.yaml", "RENDERED": "out", "NUMBER": "7", which: str(code)}
    assert review(world, **more)[0] == code


def test_names_are_no_code(world: dict[str, str]) -> None:
    name = "$(touch owned) `touch owned`; touch owned.yaml"
    _, asked, _ = review(world, SPEC=name, BASE="-x; touch owned")
    assert asked == [f"plan {name} --format markdown"]
    assert {path.name for path in Path(world["THERE"]).iterdir()} == {".git", "a.yaml"}


def test_the_steps_of_the_action_take_nothing_of_a_user_into_a_script() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"], step
    assert set(ACTION["inputs"]) == {"spec", "base", "policies", "rendered", "number", "token", "install"}


def variables(given: dict[str, Any]) -> set[str]:
    return {name for name in given if name.isupper()}


def test_the_action_and_the_template_give_the_script_what_it_reads() -> None:
    needs = {"SPEC", "BASE", "POLICIES", "RENDERED", "NUMBER", "PROJECT", "API", "KIND", "TOKEN_VARIABLE"}
    assert needs <= variables(ACTION["runs"]["steps"][1]["env"])
    assert needs <= variables(GITLAB["agentgpu-review"]["variables"])
    assert GITLAB["agentgpu-review"]["script"] == ["bash ci/review.sh"]


def test_the_hook_validates_each_file(world: dict[str, str]) -> None:
    words = ("bash", "-c", f"{HOOK['entry']} one.yaml 'two words.yaml'")
    done = subprocess.run(words, cwd=world["THERE"], env={**world, "VALIDATE": "2"}, check=False)
    assert done.returncode == 2
    assert Path(world["ASKED"]).read_text().splitlines() == ["validate one.yaml", "validate two words.yaml"]


def actionlint() -> str | None:
    """Where it is installed; None: nowhere."""
    words = (sys.executable, "tools/install.py", "path", "actionlint")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else shutil.which("actionlint")


USES = """\
on: pull_request
permissions: {contents: read, pull-requests: write}
jobs:
  review:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v5
        with: {fetch-depth: 0}
      - uses: ./
        with: {spec: stacks/a.yaml, WORD: x}
"""


@pytest.mark.optional
def test_actionlint_finds_nothing_in_the_workflows_nor_in_a_use_of_the_action(tmp_path: Path) -> None:
    program = actionlint()
    if program is None:
        pytest.skip("actionlint is not installed: tools/install.py actionlint")
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    subprocess.run((program, "-shellcheck=", "-pyflakes=", *map(str, workflows)), check=True, cwd=ROOT)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / "action.yml").write_text((ROOT / "action.yml").read_text())
    found = {}
    for word in ("policies", "polices"):
        (tmp_path / ".github" / "workflows" / "x.yml").write_text(USES.replace("WORD", word))
        done = subprocess.run(
            (program, "-shellcheck=", "-pyflakes="), cwd=tmp_path, capture_output=True, text=True, check=False
        )
        found[word] = (done.returncode, done.stdout)
    assert found["policies"] == (0, "")
    assert "polices" in found["polices"][1], "actionlint reads action.yml"
