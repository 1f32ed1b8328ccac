"""The account that the real provider meets, and one stack that is up in it, for the tests of its life in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.real import RealAccount, real_account

SPEC = (Path(__file__).parent / "stacks" / "desk.yaml").read_text("utf-8")


@pytest.fixture(scope="session")
def front() -> Iterator[Front]:
    """One account for all tests of a process, emptied for each stack."""
    running = Front()
    yield running
    running.close()


@pytest.fixture(scope="module")
def stack(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAccount]:
    """A stack whose first ``preview`` and ``up`` are the first test's."""
    with real_account(tmp_path_factory.mktemp("life"), front, SPEC) as made:
        yield made
