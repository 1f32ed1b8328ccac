"""The control plane of the cluster suite, and the real Pulumi CLI in front of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster.conftest import cluster, equipped_cluster
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import plugins

__all__ = ["cluster", "equipped_cluster"]


@pytest.fixture
def project(equipped_cluster: ControlPlane, tmp_path: Path) -> Callable[[str], Project]:
    """A checkout and a Pulumi stack that deploys a spec to the control plane."""

    def made(spec: str) -> Project:
        found = Project(tmp_path, spec, plugins=plugins())
        found.config("agentgpu:kubeconfig", str(equipped_cluster.kubeconfig))
        found.config("agentgpu:context", "test")
        return found

    return made
