"""The locked requirements satisfy what pyproject.toml asks for, by hash and without an index address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = {
    "requirements/runtime.txt": [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]],
    "requirements/dev.txt": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["build"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["project"]["optional-dependencies"]["pulumi"],
        *PROJECT["project"]["optional-dependencies"]["validate"],
        *PROJECT["project"]["optional-dependencies"]["cluster"],
        *PROJECT["project"]["optional-dependencies"]["report"],
    ],
    "agentgpu_iac/spec/pulumi_requirements.txt": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["pulumi"],
    ],
    "agentgpu_iac/policy_pack/requirements.txt": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["policy"],
    ],
}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {match[1].lower().replace("_", "-"): match[2] for match in re.finditer(r"^([\w.-]+)==([^\s;]+)", text, re.M)}


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_a_pin_that_satisfies_it(name: str) -> None:
    pinned = pins(name)
    for text in LOCKS[name]:
        requirement = Requirement(text)
        pin = pinned.get(requirement.name.lower().replace("_", "-"))
        assert pin is not None, f"{text}: make lock"
        assert requirement.specifier.contains(pin, prereleases=True), text


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash_and_no_line_names_an_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.M)[1:]
    assert len(blocks) >= len(pins(name)) >= 10
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
