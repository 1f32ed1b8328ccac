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
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pages.blocks import BLOCKS, ROOT, WRITTEN, Block
from tests.pages.commands import commands_of, lines_of, why_not_run

BUILT = ROOT / "build" / "wheel" / os.environ.get("PYTEST_XDIST_WORKER", "alone")
UV = Path(sys.executable).with_name("uv")
CUSTOMER_SERVICE = "stacks/customer-service.yaml"
CHECKPOINT = "gemma-4-26b-nvfp4"
ONE_MACHINE = "stacks/examples/one-machine.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What a page supposes that its reader has: each file, and the file of the checkout that stands for it."""

    files: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    """The exit code of a line that does not end with 0, by how it begins."""


SUPPOSED = {
    "docs/calculators.md": Supposed(files={"bench.json": "tests/wheel/bench.json"}),
    "docs/changes.md": Supposed(files={"before.yaml": CUSTOMER_SERVICE}),
    "docs/deploy-aws.md": Supposed(files={"stacks/my-stack.yaml": CUSTOMER_SERVICE}),
    "docs/deploy-compose.md": Supposed(files={"stack.yaml": ONE_MACHINE}),
    "docs/deploy-kubernetes.md": Supposed(files={"stacks/my-stack.yaml": "stacks/examples/support.yaml"}),
    "docs/deploy-skyserve.md": Supposed(files={"stack.yaml": CUSTOMER_SERVICE}),
    "docs/deploy-spheron.md": Supposed(
        files={"stack.yaml": "stacks/examples/qa.yaml", "spheron-prices.yaml": "tests/wheel/prices.yaml"}
    ),
    "docs/quantisation.md": Supposed(
        files={
            f"models/mine/{name}": f"tests/catalog/checkpoints/{CHECKPOINT}/{name}"
            for name in ("config.json", "model.safetensors.index.json")
            if (ROOT / "tests/catalog/checkpoints" / CHECKPOINT / name).exists()
        }
    ),
    "docs/start/review.md": Supposed(files={"before.yaml": "tests/wheel/before.yaml"}),
}
EXTRAS = ("kubernetes-validate", "vl-convert-python")
"""What the extras ``validate`` and ``report`` bring, which pages use; the others ask somebody outside."""
SHELL = tuple(block for block in BLOCKS if block.language == "sh" and block.page not in WRITTEN)


def runs(block: Block) -> bool:
    """Whether anything in the block can run here."""
    return block.kind != "not run" and any(not why_not_run(line) and starts_ours(line) for line in lines_of(block.text))


def starts_ours(line: str) -> bool:
    """Whether the line starts our command."""
    return any(command.program == "agentgpu" for command in commands_of(line))


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
    on_page = [block for block in BLOCKS if block.page == page]
    if any("stacks/" in block.text for block in on_page if block in SHELL):
        shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    for name, source in supposed.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, tmp_path / name)
    environment = {
        **{key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "KUBECONFIG", "VIRTUAL_ENV"}},
        "HOME": str(tmp_path),
        "PATH": f"{programs}:/usr/bin:/bin",
    }
    for block in on_page:
        if block.kind == "file":
            (tmp_path / block.words.removesuffix(", faulty")).write_text(block.text, encoding="utf-8")
        if block not in SHELL or block.kind == "not run":
            continue
        for line in lines_of(block.text):
            for overlay in re.findall(r"kubectl apply -k (\S+)", line):
                assert (tmp_path / overlay / "kustomization.yaml").is_file(), f"{block.name}: {line}"
            if why_not_run(line) or not starts_ours(line):
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
