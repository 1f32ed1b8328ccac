"""Every line of shell on the pages that can run here is run as it stands, with the wheel and nothing else installed.

A page is a folder: what one line writes, the next one finds. Lines that need a cluster, a cloud or a word from the reader
are read by ``tests/pages`` alone, and are counted here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.blocks import ROOT
from tests.pages.shell import SHELL, SUPPOSED, Supposed, is_run, runs, steps

BUILT = ROOT / "build" / "wheel" / os.environ.get("PYTEST_XDIST_WORKER", "alone")
UV = Path(sys.executable).with_name("uv")
EXTRAS = ("kubernetes-validate", "vl-convert-python")
"""What the extras ``validate`` and ``report`` bring, which pages use; the others ask somebody outside."""
RUN = tuple(dict.fromkeys(block.page for block in SHELL if runs(block)))


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of programs of an environment that holds the wheel, and what the lock says it needs."""
    wheels = list((ROOT / "dist").glob("agentgpu_iac-*.whl"))
    assert len(wheels) == 1, "make wheel"
    shutil.rmtree(BUILT, ignore_errors=True)
    python = BUILT / "bin" / "python"
    lock_of_extras = BUILT.with_name(f"{BUILT.name}-lock.txt")
    pins = re.findall(
        r"^[\w.-]+==[^\s;]+", (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    lock_of_extras.parent.mkdir(parents=True, exist_ok=True)
    lock_of_extras.write_text("\n".join(pins), encoding="utf-8")
    install = ("pip", "install", "--quiet", "--python", python)
    for words in (
        ("venv", "--quiet", "--python", sys.executable, BUILT),
        (*install, "--require-hashes", "--requirement", ROOT / "requirements" / "runtime.txt"),
        (*install, "--no-deps", wheels[0]),
        (*install, "--constraint", lock_of_extras, *EXTRAS),
    ):
        subprocess.run([UV, *words], check=True, cwd=ROOT)
    return BUILT / "bin"


@pytest.mark.parametrize("page", RUN)
def test_the_page_runs(page: str, programs: Path, tmp_path: Path) -> None:
    supposed = SUPPOSED.get(page, Supposed())
    environment = {
        **{key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "KUBECONFIG", "VIRTUAL_ENV"}},
        "HOME": str(tmp_path),
        "PATH": f"{programs}:/usr/bin:/bin",
    }
    for block, line in steps(page, tmp_path):
        for overlay in re.findall(r"kubectl apply -k (\S+)", line):
            assert (tmp_path / overlay / "kustomization.yaml").is_file(), f"{block.name}: {line}"
        if not is_run(line):
            continue
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == supposed.codes.get(line, 0), f"{block.name}: {line}\n{done.stderr}"


def test_the_doors_and_the_readme_are_among_them() -> None:
    assert {"README.md", *(f"docs/start/{door}.md" for door in ("eks", "cluster", "machine", "review"))} <= set(RUN)
    assert sum(map(runs, SHELL)) >= 20
