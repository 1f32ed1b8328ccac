"""What the pages show is what the commands print. ``make golden`` rewrites it; lines that the text speaks of are compared."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from tests.cli.running import agentgpu, on_a_terminal
from tests.pages.blocks import BLOCKS, ROOT, WRITTEN, Block

UPDATE = bool(os.environ.get("AGENTGPU_UPDATE_GOLDEN"))
FIRST_LINES = re.compile(r"output, first (?P<lines>\d+) lines?(?: at (?P<columns>\d+) columns)?")
SHOWN = tuple(block for block in BLOCKS if block.page not in WRITTEN and block.kind.startswith(("output", "lines of")))
CONSOLES = tuple(block for block in BLOCKS if block.language == "console" and block.kind != "not run")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader's folder holds: the example stacks, what ``init`` writes, and the files that pages show."""
    path = tmp_path_factory.mktemp("reader")
    (path / "stacks").symlink_to(ROOT / "stacks")
    here = Path.cwd()
    os.chdir(path)
    assert agentgpu("init").code == 0
    before = (ROOT / "stacks" / "customer-service.yaml").read_text(encoding="utf-8")
    (path / "after.yaml").write_text(before.replace("burstFactor: 10", "burstFactor: 20"), encoding="utf-8")
    for block in BLOCKS:
        if block.kind == "file":
            (path / block.words.removesuffix(", faulty")).write_text(block.text, encoding="utf-8")
    yield path
    os.chdir(here)


@cache
def printed(command: str, code: int = 0, columns: int = 0) -> str:
    """All that a command prints: in a pipe, or on a terminal of so many columns, without its colours."""
    program, *words = shlex.split(command)
    assert program == "agentgpu"
    if columns:
        seen = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", on_a_terminal(*words, columns=columns))
        return "".join(f"{line.rstrip()}\n" for line in seen.splitlines())
    answer = agentgpu(*words)
    assert answer.code == code, answer.err
    return answer.out + answer.err


def real_text(block: Block) -> str:
    """What must stand in the block."""
    command, _, code = block.words.partition("; exit ")
    first = FIRST_LINES.fullmatch(block.kind)
    if first is None:
        return printed(command, int(code or 0))
    columns = int(first["columns"] or 0)
    lines = printed(command, int(code or 0), columns).splitlines()[: int(first["lines"])]
    assert not columns or max(map(len, lines)) <= columns
    return "\n".join(lines) + "\n"


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
def test_the_output_is_real(block: Block) -> None:
    if block.kind == "lines of":
        real = [" ".join(line.split()) for line in printed(block.words).splitlines()]
        for line in block.text.splitlines():
            assert any(each.startswith(" ".join(line.split())) for each in real), line
        return
    expect(block, real_text(block))


def expect(block: Block, real: str) -> None:
    """Compare a block with what is so, or make it so."""
    if UPDATE:
        path = ROOT / block.page
        text = path.read_text(encoding="utf-8")
        fence = f"```{block.language}\n"
        assert text.count(f"{fence}{block.text}```") == 1
        path.write_text(text.replace(f"{fence}{block.text}```", f"{fence}{real}```"), encoding="utf-8")
        return
    assert block.text == real


@pytest.mark.parametrize("block", CONSOLES, ids=lambda block: block.name)
def test_the_session_is_real(block: Block, folder: Path) -> None:
    """``$ cat FILE`` shows a file that the page asks the reader to have; every other command is run."""
    real = []
    for typed in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = typed.partition("\n")
        if command.startswith("cat "):
            (folder / command.removeprefix("cat ")).write_text(shown, encoding="utf-8")
        else:
            answer = agentgpu(*shlex.split(command)[1:])
            shown = answer.out + answer.err
        real.append(f"$ {command}\n{shown}")
    expect(block, "".join(real))
