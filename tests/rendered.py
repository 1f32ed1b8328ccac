"""Trees of plans that many tests look at: each is rendered once in a process, and its files are bytes that nobody changes."""

from __future__ import annotations

import pickle
from typing import Any

import yaml

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.files import RenderedFile
from agentgpu_iac.plan.machine_paths import HOSTS_FOLDER
from agentgpu_iac.rendering.render import render

_RENDERED: dict[str, list[tuple[Plan, tuple[RenderedFile, ...]]]] = {}
_READ: dict[tuple[RenderedFile, ...], bytes] = {}


def rendered_once(plan: Plan) -> tuple[RenderedFile, ...]:
    """What ``render`` makes of the plan, or made of an equal one."""
    known = _RENDERED.setdefault(plan.model_dump_json(), [])
    for its_plan, files in known:
        if its_plan == plan:
            return files
    known.append((plan, files := render(plan)))
    return files


def manifests(plan: Plan) -> dict[str, dict[str, Any]]:
    """Every manifest of a plan, by its path: the caller's own to change."""
    files = rendered_once(plan)
    if files not in _READ:
        read = {
            file.path: yaml.load(file.content, yaml.CSafeLoader)
            for file in files
            if not file.path.startswith(f"{HOSTS_FOLDER}/")
        }
        _READ[files] = pickle.dumps(read)
    found: dict[str, dict[str, Any]] = pickle.loads(_READ[files])
    return found
