"""Pulumi projects of a user's own: what init and eject write, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agentgpu_iac import __version__
from agentgpu_iac.spec.loader import load
from agentgpu_iac.spec.pulumi_project import PROGRAM, PULUMI_SETUPS
from tests.cli.running import agentgpu

ROOT = Path(__file__).parents[2]
FILES = {
    "Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py", "requirements.txt", "README.md", ".gitignore",
    ".github/workflows/agentgpu.yaml", "agentstack.yaml", "agentstack.schema.json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def config(path: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(Path(path).read_text())["config"]
    return found


@pytest.mark.parametrize("target", PULUMI_SETUPS)
def test_init_writes_a_whole_project(target: str) -> None:
    answer = agentgpu("init", "--pulumi", "agents", "--target", target, "--name", "desk")
    assert (answer.code, answer.err) == (0, "")
    assert (files_of(Path("agents"))) == FILES
    spec = load(Path("agents/agentstack.yaml")).stack
    assert (spec.metadata.name, spec.spec.target) == ("desk", target)
    assert config("agents/Pulumi.dev.yaml") == {
        "agentgpu:spec": "agentstack.yaml", "agentgpu:target": target,
        **({"aws:region": "us-east-1"} if target == "eks" else {}),
    }  # fmt: skip
    assert yaml.safe_load(Path("agents/Pulumi.yaml").read_text())["name"] == "desk"
    workflow = yaml.safe_load(Path("agents/.github/workflows/agentgpu.yaml").read_text())
    assert any(f"agentgpu-iac=={__version__}" in step.get("run", "") for step in workflow["jobs"]["agents"]["steps"])


def test_the_program_is_ten_lines() -> None:
    compile(PROGRAM, "__main__.py", "exec")
    assert len(PROGRAM.splitlines()) <= 10


def test_the_locks_are_those_that_our_suites_run() -> None:
    def pins(path: str) -> set[str]:
        text = (ROOT / path).read_text()
        blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.M)[1:]
        assert all("--hash=sha256:" in block for block in blocks)
        assert "://" not in text
        return set(re.findall(r"^[\w.-]+==[^\s;]+", text, flags=re.M))

    ours = pins("agentgpu_iac/spec/pulumi_requirements.txt")
    assert ours < pins("requirements/dev.txt")
    assert any(pin.startswith("pulumi-kubernetes==") for pin in ours)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--pulumi", "a", "--gitops"), "--gitops: and --pulumi are two setups (give one of them)\n"),
        (("--target", "spheron"), "--target: is of a Pulumi project (give --pulumi DIR, or leave it out)\n"),
        (("--pulumi", "."), "Pulumi.yaml: the file exists already (name another one)\n"),
    ],
)
def test_init_refuses_and_writes_nothing(words: tuple[str, ...], told: str) -> None:
    written("Pulumi.yaml", "name: mine\n")
    answer = agentgpu("init", *words)
    assert (answer.code, answer.err) == (2, told)
    assert (files_of(Path())) == {"Pulumi.yaml"}


def test_a_spec_of_the_checkout_goes_on_in_a_repository_of_its_own() -> None:
    written(
        "stacks/Pulumi.live.yaml",
        "encryptionsalt: v1:salt\nconfig:\n  aws:region: us-east-1\n  agentgpu:spec: stacks/a.yaml\n",
    )
    spec = str(ROOT / "stacks" / "examples" / "support.yaml")
    answer = agentgpu(
        "pulumi", "eject", spec, "-o", "own", "--stack", "live", "--project", "agentgpu",
        "--settings", "stacks/Pulumi.live.yaml",
    )  # fmt: skip
    assert (answer.code, answer.err) == (0, "")
    assert (files_of(Path("own"))) == (FILES - {"Pulumi.dev.yaml", "agentstack.yaml"}) | {
        "Pulumi.live.yaml",
        "support.yaml",
    }
    kept = yaml.safe_load(Path("own/Pulumi.live.yaml").read_text())
    assert kept == {"encryptionsalt": "v1:salt", "config": {"aws:region": "us-east-1", "agentgpu:spec": "support.yaml"}}
    assert yaml.safe_load(Path("own/Pulumi.yaml").read_text())["name"] == "agentgpu"
    again = agentgpu("pulumi", "eject", "own/support.yaml", "-o", "own")
    assert (again.code, again.err) == (2, "own/Pulumi.yaml: the file exists already (name another one)\n")


def test_a_saved_plan_has_a_project_without_its_spec() -> None:
    assert agentgpu("plan", str(ROOT / "stacks" / "examples" / "support.yaml"), "-o", "plan.json").code == 0
    assert agentgpu("pulumi", "eject", "plan.json", "-o", "own").code == 0
    assert (files_of(Path("own"))) == (FILES - {"agentstack.yaml", "agentstack.schema.json"}) | {"plan.json"}
    assert config("own/Pulumi.dev.yaml")["agentgpu:plan"] == "plan.json"


def test_what_pulumi_does_not_provision_is_refused() -> None:
    answer = agentgpu("pulumi", "eject", str(ROOT / "stacks" / "examples" / "one-machine.yaml"), "-o", "own")
    assert answer.code == 2
    assert "there is no Pulumi program for 'compose'" in answer.err
    assert not Path("own").exists()


def test_the_policy_pack_is_written_once() -> None:
    assert agentgpu("pulumi", "policies").code == 0
    assert (files_of(Path("policies"))) == {"PulumiPolicy.yaml", "__main__.py", "requirements.txt"}
    assert agentgpu("pulumi", "policies").code == 2
