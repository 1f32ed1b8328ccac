"""Paths of a Pulumi stack's configuration: all count from the folder of ``Pulumi.yaml``.

Pulumi runs a program in the folder that ``main`` names, and its providers there too, so a path as it is written would mean
another file as soon as ``main`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pulumi

_PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml")


def project_folder() -> Path:
    """The folder of the project file: as the language host says, or, as older ones say nothing, the nearest above the program."""
    told = pulumi.get_root_directory()
    if told:
        return Path(told)
    here = Path.cwd()
    return next((at for at in (here, *here.parents) if any((at / name).is_file() for name in _PROJECT_FILES)), here)


def from_project(path: str) -> str:
    """The same file as providers must be told of it: from where the program runs.

    An absolute path stays as it is. A relative one stays relative, so that the state is alike in everybody's checkout.
    """
    expanded = Path(path).expanduser()
    return str(expanded) if expanded.is_absolute() else os.path.relpath(project_folder() / expanded)


def chart_place(address: str) -> str:
    """Where Helm finds a chart: an address on a network as it is, a folder or file from the project's folder."""
    return from_project(address) if address and "://" not in address else address


def chart_places(charts: Mapping[str, str]) -> dict[str, str]:
    """The same of the setting ``agentgpu:charts``; what is no text stays for the check that refuses it."""
    return {name: chart_place(each) if isinstance(each, str) else each for name, each in charts.items()}
