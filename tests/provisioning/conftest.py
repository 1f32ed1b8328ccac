"""Programs look at the cluster that they are for: here there is none, whatever this machine's kubeconfig names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.provisioning.kubernetes import program


@pytest.fixture(autouse=True, scope="session")
def no_cluster_of_this_machine() -> Iterator[None]:
    def connect(*_: object, **__: object) -> object:
        raise OutsideFailure("there is no cluster here")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(program, "connect", connect)
        yield
