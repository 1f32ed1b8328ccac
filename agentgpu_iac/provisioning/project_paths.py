"""Paths of a Pulumi stack's configuration: all count from the folder of ``Pulumi.yaml``.

Pulumi runs a program in the folder that ``main`` names, and its providers there too, so a path as it is written would mean
another file as soon as ``main`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pulumi


def from_project(path: str) -> str:
    """The same file as providers must be told of it: from where the program runs.

    An absolute path stays as it is. A relative one stays relative, so that the state is alike in everybody's checkout.
    """
    expanded = Path(path).expanduser()
    root = pulumi.get_root_directory()
    return str(expanded) if expanded.is_absolute() or not root else os.path.relpath(Path(root) / expanded)


def chart_place(address: str) -> str:
    """Where Helm finds a chart: an address on a network as it is, a folder or file from the project's folder."""
    return from_project(address) if address and "://" not in address else address


def chart_places(charts: Mapping[str, str]) -> dict[str, str]:
    """The same of the setting ``agentgpu:charts``; what is no text stays for the check that refuses it."""
    return {name: chart_place(each) if isinstance(each, str) else each for name, each in charts.items()}
