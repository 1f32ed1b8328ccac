"""The whole tree of one plan, as it stands in ``golden/``. ``AGENTGPU_UPDATE_GOLDEN=1`` writes it anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from agentgpu_iac.rendering.render import render
from tests.plans import make_tiered_plan

GOLDEN = Path(__file__).parent / "golden" / "tiered"


def test_the_tree_of_the_tiered_plan() -> None:
    rendered = {file.path: file.content for file in render(make_tiered_plan())}
    if os.environ.get("AGENTGPU_UPDATE_GOLDEN") == "1":
        update(rendered)
    expected = {path.relative_to(GOLDEN).as_posix(): path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    assert sorted(rendered) == sorted(expected)
    for path, content in rendered.items():
        assert content.decode() == expected[path].decode(), path


def update(rendered: dict[str, bytes]) -> None:
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for path, content in rendered.items():
        (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
        (GOLDEN / path).write_bytes(content)
