"""The lines of shell of a page that can run here, in a folder that holds what the page supposes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.pages.blocks import BLOCKS, ROOT, WRITTEN, Block
from tests.pages.commands import commands_of, lines_of, why_not_run

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
SHELL = tuple(block for block in BLOCKS if block.language == "sh" and block.page not in WRITTEN)


def runs(block: Block) -> bool:
    """Whether anything in the block can run here."""
    return block.kind != "not run" and any(is_run(line) for line in lines_of(block.text))


def starts_ours(line: str) -> bool:
    """Whether the line starts our command."""
    return any(command.program == "agentgpu" for command in commands_of(line))


def steps(page: str, folder: Path) -> Iterator[tuple[Block, str]]:
    """Each line that runs, once the folder holds what stands before it on the page."""
    supposed = SUPPOSED.get(page, Supposed())
    on_page = [block for block in BLOCKS if block.page == page]
    if any("stacks/" in block.text for block in on_page if block in SHELL):
        shutil.copytree(ROOT / "stacks", folder / "stacks")
    for name, source in supposed.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, folder / name)
    for block in on_page:
        if block.kind == "file":
            (folder / block.words.removesuffix(", faulty")).write_text(block.text, encoding="utf-8")
        if block in SHELL and block.kind != "not run":
            yield from ((block, line) for line in lines_of(block.text))


def is_run(line: str) -> bool:
    """Whether the line starts our command and needs nothing else."""
    return starts_ours(line) and not why_not_run(line)
