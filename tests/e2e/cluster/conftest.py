"""One control plane for each module: modules do not see each other's nodes, volumes and namespaces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cluster.control_plane import ControlPlane


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane without custom resources."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def equipped_cluster(cluster: ControlPlane) -> ControlPlane:
    """A control plane that serves the kinds of every operator that we render for."""
    cluster.install_crds()
    return cluster
