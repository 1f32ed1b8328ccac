"""Every tutorial says how long its commands take, as ``make tutorials`` measured them and as many as there are today."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tests.pages.blocks import ROOT
from tools.tutorials import LINE, START, TIMES, commands, said

MEASURED = json.loads(TIMES.read_text(encoding="utf-8"))
TUTORIALS = sorted(START.glob("*.md"))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_says_what_was_measured(path: Path) -> None:
    one = MEASURED[path.name]
    assert LINE.findall(path.read_text(encoding="utf-8")) == [said(one)]
    assert one["commands"] == commands(path.relative_to(ROOT).as_posix()), "its commands are others now: make tutorials"
    assert one["seconds"] > 0
    assert datetime.date.fromisoformat(one["date"]).year >= 2026


def test_each_door_is_measured() -> None:
    assert set(MEASURED) == {path.name for path in TUTORIALS}
    assert len(TUTORIALS) == 4
