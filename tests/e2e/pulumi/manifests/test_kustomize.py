"""What the programs read off the tree is what Kustomize, as it is built into kubectl, makes of the same folder."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.provisioning.manifests import GITOPS_FOLDER, KARPENTER_OVERLAY, NODE_GROUPS_OVERLAY, read_manifests
from agentgpu_iac.rendering.render import render
from tests.provisioning.scenes import handed_over_plan
from tests.rendering.trees import PLANS
from tools.install import path as tool

FOLDERS = (NODE_GROUPS_OVERLAY, KARPENTER_OVERLAY, GITOPS_FOLDER)
TREES = {**PLANS, "argocd": handed_over_plan, "flux": functools.partial(handed_over_plan, tool="flux")}
Identity = tuple[str, str, str, str]


def cases() -> Iterator[tuple[str, str]]:
    for name in TREES:
        paths = {file.path for file in files_of(name)}
        yield from ((name, folder) for folder in FOLDERS if f"{folder}/kustomization.yaml" in paths)


@functools.cache
def files_of(name: str) -> tuple[RenderedFile, ...]:
    return render(TREES[name]())


def by_identity(objects: Iterator[dict[str, Any]]) -> dict[Identity, dict[str, Any]]:
    return {
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in objects
    }


@pytest.mark.parametrize(("name", "folder"), list(cases()))
def test_pulumi_and_kustomize_apply_the_same_objects(tmp_path: Path, name: str, folder: str) -> None:
    files = files_of(name)
    for file in files:
        place = tmp_path / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content)
    built = subprocess.run(
        [str(tool("kubectl")), "kustomize", str(tmp_path / folder)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    read = read_manifests(files, frozenset(), folder)
    ours = by_identity(dict(one.content) for one in (*read.applied, *read.waiting))
    assert ours == by_identity(one for one in yaml.safe_load_all(built.stdout))
