"""The file that says what is published, and stacks as they are in an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.operations.publishing.environments import Placed, placed
from agentgpu_iac.operations.publishing.settings import load_settings

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: NAME}
spec:
  agents:
    - name: support
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 5}
"""
SETTINGS = """\
apiVersion: agentgpu.dev/v1alpha1
kind: Publishing
stacks: [stacks]
into: clusters
environments:
  - name: staging
    overlays:
      - spec:
          network: {roundTripMs: 50}
          agents: {support: {sessions: {concurrent: 2}}}
      - stacks: [b]
        spec: {regions: [us-west-2]}
  - {name: production, stacks: [a]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    for name in ("a", "b"):
        (tmp_path / "stacks" / f"{name}.yaml").write_text(STACK.replace("NAME", name))
    (tmp_path / "stacks" / "Pulumi.a.yaml").write_text("config: {}\n")
    return tmp_path


def read(root: Path, text: str = SETTINGS) -> tuple[Placed, ...]:
    path = root / "agentgpu-publish.yaml"
    path.write_text(text)
    return placed(root, load_settings(path))


def refused(root: Path, text: str = SETTINGS) -> str:
    with pytest.raises(BadInput) as refusal:
        read(root, text)
    assert refusal.value.exit_code == 2
    return str(refusal.value)


def test_each_stack_in_each_environment_with_what_is_otherwise_there(root: Path) -> None:
    found = {each.title: each for each in read(root)}
    assert {title: each.folder for title, each in found.items()} == {
        "a/production": "clusters/a/production",
        "a/staging": "clusters/a/staging",
        "b/staging": "clusters/b/staging",
    }
    there = {title: each.loaded.stack.spec for title, each in found.items()}
    assert there["a/production"].agents[0].sessions.concurrent == 5
    assert there["a/staging"].agents[0].sessions.concurrent == 2
    assert there["a/staging"].network.round_trip_ms == 50
    assert (there["a/staging"].regions, there["b/staging"].regions) == ((), ("us-west-2",))
    hashes = {each.loaded.sha256 for each in found.values()}
    assert len(hashes) == 3


def test_the_path_of_a_gitops_tool_is_the_folder(root: Path) -> None:
    lines = "  gitops: {tool: flux, repository: https://git.example.com/x.git, path: elsewhere}\n"
    path = root / "stacks" / "a.yaml"
    path.write_text(path.read_text().replace("spec:\n", f"spec:\n{lines}"))
    found = {each.title: each.loaded.stack.spec.gitops for each in read(root)}
    assert {title: None if each is None else each.path for title, each in found.items()} == {
        "a/production": "clusters/a/production",
        "a/staging": "clusters/a/staging",
        "b/staging": None,
    }


def test_a_repository_without_stacks(root: Path) -> None:
    for path in (root / "stacks").glob("?.yaml"):
        path.unlink()
    assert refused(root) == (
        f"{root}/agentgpu-publish.yaml:3:9: stacks: no file below stacks is an agent stack (write one: agentgpu init)"
    )


def test_two_stacks_of_one_name_and_every_other_fault_at_once(root: Path) -> None:
    (root / "stacks" / "c.yaml").write_text(STACK.replace("NAME", "a"))
    (root / "stacks" / "d.yaml").write_text(STACK.replace("NAME", "d").replace("concurrent", "concurent"))
    said = refused(root)
    assert "stacks/c.yaml:3:18: metadata.name: two stacks are called 'a': stacks/a.yaml and stacks/c.yaml" in said
    assert "stacks/d.yaml:8:18: " in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            SETTINGS.replace("support: {", "suport: {"),
            ":10:28: environments[0].overlays[0].spec.agents.suport: the stack 'a'",
        ),
        (SETTINGS.replace("stacks: [b]", "stacks: [bb]"), "there is no stack 'bb'"),
        (
            SETTINGS.replace("concurrent: 2", "concurrent: -2"),
            "in the environment 'staging' the stack 'a' (stacks/a.yaml)",
        ),
        (SETTINGS.replace("stacks: [stacks]", "stacks: [nope]"), "there is no folder 'nope'"),
        (SETTINGS.replace("name: production", "name: staging"), "two environments are called 'staging'"),
        (SETTINGS + "branch: main\n", "branch: is the base 'main' itself"),
        (SETTINGS.replace("into: clusters", "into: stacks"), "stacks[0]: lies in 'stacks', where trees are written"),
        (SETTINGS.replace("into: clusters", "into: ../clusters"), "into: "),
        (SETTINGS + "branch: --force\n", "branch: "),
        (SETTINGS + "forge: {kind: github, project: acme/x, tokenVariable: ghp_" + "a1" * 18 + "}\n", "a GitHub token"),
        (SETTINGS + "nope: 1\n", "unknown key 'nope'"),
        (SETTINGS.replace("kind: Publishing", "kind: AgentStack"), "kind: must be 'Publishing'"),
    ],
)
def test_faults_of_the_file(root: Path, text: str, words: str) -> None:
    said = refused(root, text)
    assert words in said, said
    assert "agentgpu-publish.yaml:" in said
    assert "ghp_" not in said
