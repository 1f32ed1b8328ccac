"""The real promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tools.install import path as tool


def check_rules(rules: dict[str, Any], folder: Path) -> None:
    """``promtool check rules``: every expression and template is well formed."""
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(rules, sort_keys=False))
    run("check", "rules", str(path))


def test_rules(tests: list[dict[str, Any]], rules: list[dict[str, Any]], folder: Path) -> None:
    """``promtool test rules``: what the rules and queries answer to the given series."""
    names = []
    for number, each in enumerate(rules):
        (folder / f"rules-{number}.yaml").write_text(yaml.safe_dump(each, sort_keys=False))
        names.append(f"rules-{number}.yaml")
    file = {"rule_files": names, "evaluation_interval": "15s", "tests": tests}
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    run("test", "rules", str(path))


test_rules.__test__ = False  # type: ignore[attr-defined]


def run(*words: str) -> None:
    """Run promtool; fails with what it says."""
    done = subprocess.run([tool("promtool"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
