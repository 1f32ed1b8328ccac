"""The control plane of the cluster suite, and stacks on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cluster.conftest import cluster, equipped_cluster
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.status.scenes import Scene

__all__ = ["cluster", "equipped_cluster"]


@pytest.fixture
def scene(equipped_cluster: ControlPlane, tmp_path: Path) -> Callable[[str], Scene]:
    """A stack of its own name for each test, rendered and not yet applied."""
    return lambda name: Scene(equipped_cluster, tmp_path, name)
