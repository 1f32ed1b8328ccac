"""``make audit``: a finding has a reason, and a reason a finding; and what a release says of its parts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools.audit.audit import REASONS, Found, Reason, faults, reasons
from tools.audit.parts import ITSELF, needs, of_the_running, pins

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")


def found(file: str, rule: str = "B101") -> Found:
    return Found(tool="bandit", rule=rule, file=file, line=3, message="an assert")


def reason(*files: str) -> Reason:
    return Reason(tool="bandit", rule="B101", files=files, why="known")


def test_a_finding_needs_a_reason_and_a_reason_a_finding() -> None:
    assert list(faults([found("a/b.py")], [reason("a/*")])) == []
    assert list(faults([found("a/b.py", "B102")], [])) == ["a/b.py:3: bandit B102: an assert"]
    assert list(faults([found("a/b.py"), found("c.py")], [reason("a/*")])) == ["c.py:3: bandit B101: an assert"]
    (stale,) = faults([found("a/b.py")], [reason("a/*", "c.py")])
    assert "finds nothing in c.py: remove it there" in stale


def test_each_reason_of_ours_is_a_sentence_and_names_files_that_are_there() -> None:
    for each in reasons(REASONS.read_text(encoding="utf-8")):
        assert each.why.endswith("."), each
        assert all(any(ROOT.glob(file.replace("/*", "/**/*") if "/" in file else file)) for file in each.files), each


def test_the_parts_are_what_the_wheel_needs_to_run_and_not_what_builds_it() -> None:
    parts = {pin.name for pin in of_the_running(pins(LOCK))}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {text.split(">")[0].lower() for text in project["dependencies"]}
    assert asked <= parts
    assert {"markupsafe", "pydantic-core", "numpy", "mdurl"} <= parts
    assert not {"hatchling", "editables", "pluggy", "trove-classifiers"} & parts
    assert {pin.name for pin in needs(of_the_running(pins(LOCK)))[ITSELF]} == asked


def test_a_pin_is_read_with_its_versions_hashes_and_pythons() -> None:
    both = [pin for pin in pins(LOCK) if pin.name == "numpy"]
    assert [pin.marker for pin in both] == ["python_full_version < '3.12'", "python_full_version >= '3.12'"]
    assert all(pin.hashes and pin.asked_by == ("highspy",) for pin in both)
    assert len(pins(LOCK)) == sum("==" in line and not line.startswith(" ") for line in LOCK.splitlines())
    with pytest.raises(SystemExit, match="not understood"):
        pins("a==\n")
