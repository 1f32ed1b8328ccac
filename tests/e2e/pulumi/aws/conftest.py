"""One stack that is up, for the tests of its life in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.pulumi.aws.account import Account, account

SPEC = (Path(__file__).parent / "stacks" / "desk.yaml").read_text("utf-8")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A stack whose first ``preview`` and ``up`` are the first test's."""
    with account(tmp_path_factory.mktemp("life"), SPEC) as made:
        yield made
