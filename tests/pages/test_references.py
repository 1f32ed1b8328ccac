"""The reference pages that are made from the code are current. ``make schema`` and ``make golden`` write them."""

from __future__ import annotations

import os
import re
from typing import get_args

import pytest

import agentgpu_iac
from agentgpu_iac import plan
from agentgpu_iac.cli.main import app
from tests.pages.blocks import ROOT
from tests.pages.commands import COMMAND
from tools.pages import pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    path = ROOT / "docs" / name
    if os.environ.get("AGENTGPU_UPDATE_GOLDEN"):
        path.write_text(PAGES[name], encoding="utf-8")
    assert path.read_text(encoding="utf-8") == PAGES[name]


def test_every_code_has_its_heading_and_says_what_to_do() -> None:
    codes = {*get_args(plan.WarningCode), *get_args(plan.Constraint), *get_args(plan.DriverConstraint)}
    assert set(re.findall(r"^### (.*)$", PAGES["codes.md"], re.MULTILINE)) == codes
    assert not re.search(r": \.$|: None", PAGES["codes.md"], re.MULTILINE)


def test_every_command_and_option_has_its_place() -> None:
    assert app.info.name == "agentgpu"
    for name, command in COMMAND.commands.items():  # type: ignore[attr-defined]
        assert f"## agentgpu {name}" in PAGES["cli.md"]
        for parameter in command.params:
            assert all(f"`{option}`" in PAGES["cli.md"] for option in parameter.opts if option.startswith("--"))


def test_every_public_name_has_its_place() -> None:
    assert set(re.findall(r"^## (.*)$", PAGES["python-api.md"], re.MULTILINE)) == {*agentgpu_iac.__all__} - {
        "__version__"
    }
