"""The templates: where they are, how one is filled in, and how the result is read back."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import agentgpu_iac
from agentgpu_iac.errors import BadInput
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.yaml_text import Mapping, load, scalar

_FOLDERS = ("kubernetes", "hosts", "skyserve")
"""By what the files are for. No two of them hold a file of one name."""


def template_folder(name: str = "kubernetes") -> Path:
    """A folder of templates, in a wheel (inside the package) or a checkout (beside the package).

    An editable install imports from a checkout.
    """
    package = Path(agentgpu_iac.__file__).resolve().parent
    shipped, beside = package / "templates", package.parent / "templates"
    return (shipped if shipped.is_dir() else beside) / name


def template_folders() -> tuple[Path, ...]:
    """All of them."""
    return tuple(template_folder(name) for name in _FOLDERS)


def filled(context: Context) -> str:
    """The text that a context's template makes of it."""
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    return environment().get_template(context.template).render(values)


def document(context: Context) -> Mapping:
    """What that text says as YAML. Raises BadInput for what is no mapping."""
    try:
        found = load(filled(context))
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput.one(context.template, f"does not make YAML: {error}") from error
    if not isinstance(found, dict):
        raise BadInput.one(context.template, "does not make a mapping")
    return found


@cache
def verbatim(name: str) -> str:
    """The text of a file that is shipped as it is."""
    (found,) = (folder / name for folder in template_folders() if (folder / name).is_file())
    return found.read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Jinja with everything taken out by which a template could decide something.

    One filter is left, ``yaml``. Nothing is escaped for HTML, since nothing is HTML.
    """
    made = Environment(  # noqa: S701 - YAML, not HTML
        loader=FileSystemLoader(template_folders()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.globals.clear()
    made.tests.clear()
    made.filters.clear()
    made.filters["yaml"] = scalar
    return made
