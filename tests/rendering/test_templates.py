from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest
from jinja2 import meta, nodes

import agentgpu_iac
from agentgpu_iac.rendering import helm_values, render, templates  # noqa: F401 - they define every context
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.templates import environment, template_folder, template_folders

ROOT = Path(agentgpu_iac.__file__).resolve().parent.parent

CONTEXTS = {context.template: context for context in Context.__subclasses__()}
FOUND = {path.name: path for folder in template_folders() for path in folder.glob("*.j2")}
TEMPLATES = sorted(FOUND)

PRINTING = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Filter,
    nodes.For,
    nodes.If,
    nodes.Tuple,
)


def parsed(template: str) -> nodes.Template:
    return environment().parse(FOUND[template].read_text())


def test_every_template_has_one_context() -> None:
    assert sorted(CONTEXTS) == TEMPLATES


@pytest.mark.parametrize("template", TEMPLATES)
def test_variables_are_the_fields_of_the_context(template: str) -> None:
    used = meta.find_undeclared_variables(parsed(template))
    assert used == {field.name for field in fields(CONTEXTS[template])}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_decide_nothing(template: str) -> None:
    """Nothing but text, values, loops over a value, and blocks that a boolean includes."""
    tree = parsed(template)
    assert {type(node) for node in tree.find_all(nodes.Node)} <= set(PRINTING)
    assert all(isinstance(loop.iter, nodes.Name) for loop in tree.find_all(nodes.For))
    for block in tree.find_all(nodes.If):
        assert isinstance(block.test, nodes.Name)
        assert not block.elif_
        assert not block.else_
        assert CONTEXTS[template].__annotations__[block.test.name] == "bool"


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name.endswith(".yaml.j2")])
def test_every_value_goes_through_the_filter(template: str) -> None:
    for output in parsed(template).find_all(nodes.Output):
        for node in output.nodes:
            if not isinstance(node, nodes.TemplateData):
                assert isinstance(node, nodes.Filter)
                assert node.name == "yaml"
                assert isinstance(node.node, nodes.Name)


def test_the_wheel_carries_the_same_templates(tmp_path: Path) -> None:
    project = tmp_path / "project"
    skipped = shutil.ignore_patterns("__pycache__", ".venv", ".git")
    for folder in ("agentgpu_iac", "templates"):
        shutil.copytree(ROOT / folder, project / folder, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", project)
    for text in ("README.md", "LICENSE"):
        (project / text).write_text("stand-in\n")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path / "dist"), str(project)],
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    beside, inside = ROOT / "templates", tmp_path / "installed" / "agentgpu_iac" / "templates"
    assert contents(inside) == contents(beside)
    found = subprocess.run(
        [sys.executable, "-c", "from agentgpu_iac.rendering.templates import *; print(template_folder())"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path / "installed",
    )
    assert Path(found.stdout.strip()) == inside / "kubernetes"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_checkout_has_its_templates_beside_the_package() -> None:
    assert template_folder() == ROOT / "templates" / "kubernetes"
    assert templates.verbatim("model_cache.py").startswith('"""The model cache of a node')
