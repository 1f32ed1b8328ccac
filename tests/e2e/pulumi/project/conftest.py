"""A repository of a user's, from the wheel alone: nothing of the checkout is on its path."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster.conftest import cluster, equipped_cluster
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import ROOT, Repository
from tests.e2e.pulumi.kubernetes.scenes import plugins

__all__ = ["cluster", "equipped_cluster"]

UV = Path(sys.executable).with_name("uv")
NAME = "desk"

Made = Callable[..., Repository]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    (wheel,) = folder.glob("agentgpu_iac-*.whl")
    return wheel


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and then with what the requirements say that ``init`` writes."""
    folder = tmp_path_factory.mktemp("installed")
    python = environment(folder / "environment", ROOT / "requirements" / "runtime.txt", wheel)
    subprocess.run([python.with_name("agentgpu"), "init", "--pulumi", folder / "project"], check=True, cwd=folder)
    install(python, "--require-hashes", "--requirement", folder / "project" / "requirements.txt")
    return python


def environment(folder: Path, lock: Path, wheel: Path) -> Path:
    """The interpreter of a new environment that holds what a lock says, and the wheel."""
    subprocess.run([UV, "venv", "--quiet", "--seed", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    install(python, "--require-hashes", "--requirement", lock)
    install(python, "--no-deps", wheel)
    return python


def install(python: Path, *words: str | Path) -> None:
    """Install into an environment."""
    command = [str(word) for word in (UV, "pip", "install", "--quiet", "--python", python, *words)]
    subprocess.run(command, check=True)


@pytest.fixture
def repository(python: Path, equipped_cluster: ControlPlane, tmp_path: Path) -> Repository:
    """What ``agentgpu init --pulumi`` writes in an empty folder for the target kubernetes, with its stack selected."""
    folder = tmp_path / "repository"
    command: list[str | Path] = [
        python.with_name("agentgpu"),
        "init",
        "--pulumi",
        folder,
        "--target",
        "kubernetes",
        "--name",
        NAME,
    ]
    done = subprocess.run(
        [*command, "--model", "Qwen/Qwen3-8B"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (folder / ".venv").symlink_to(python.parents[1])
    shutil.copy(equipped_cluster.kubeconfig, folder / "kubeconfig")
    found = Repository(folder, tmp_path / "home", python=python, plugins=plugins())
    found.run("stack", "init", "dev")
    found.config("agentgpu:kubeconfig", str(folder / "kubeconfig"))
    found.config("agentgpu:context", "test")
    return found
