"""What a program may use: exactly these names, typed, documented, and fetched only when they are used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agentgpu_iac

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_public_names() -> None:
    """A name that is added here is kept; one that is taken away breaks programs."""
    assert agentgpu_iac.__all__ == (
        "AgentGpuError",
        "BadInput",
        "Catalog",
        "Fault",
        "Infeasible",
        "LoadedStack",
        "MissingExtra",
        "NoPlan",
        "OutsideFailure",
        "OwnershipConflict",
        "Plan",
        "RenderedFile",
        "__version__",
        "deploy",
        "load_catalog",
        "load_plan",
        "load_stack",
        "make_plan",
        "plan_text",
        "render",
        "render_all",
        "write",
    )
    assert dir(agentgpu_iac) == sorted(agentgpu_iac.__all__)


@pytest.mark.parametrize("name", agentgpu_iac.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(agentgpu_iac, name)
    assert isinstance(found, str) or found.__doc__
    assert f"`{name}" in PAGE


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        agentgpu_iac.nope  # noqa: B018


def test_type_checkers_see_the_same_names_from_the_same_rooms() -> None:
    tree = ast.parse((ROOT / "agentgpu_iac" / "__init__.pyi").read_text(encoding="utf-8"))
    typed = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == agentgpu_iac._HOMES
    assert {*typed, "__version__"} == set(agentgpu_iac.__all__)


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, agentgpu_iac; print(*sorted(m for m in sys.modules if m.startswith('agentgpu_iac.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    (tmp_path / "stacks").symlink_to(ROOT / "stacks")
    monkeypatch.chdir(tmp_path)
    exec(compile(found[1], "docs/python.md", "exec"), {})
    assert (tmp_path / "build" / "from-python" / "plan.json").is_file()
