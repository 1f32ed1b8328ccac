"""Programs look at the cluster that they are for: here there is none, whatever this machine's kubeconfig names."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_cluster_of_this_machine() -> None:
    os.environ["KUBECONFIG"] = os.devnull
