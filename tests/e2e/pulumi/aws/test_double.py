"""The double itself: it hides nothing. No engine here; what is a replacement, the real provider says elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e.pulumi.aws.account import account
from tests.e2e.pulumi.aws.cloud import Refused
from tests.e2e.pulumi.aws.conftest import SPEC
from tests.e2e.pulumi.aws.kinds_beside import KINDS
from tests.provisioning.aws_api import CALLS


def test_the_double_knows_every_type_that_the_program_makes() -> None:
    assert set(CALLS) <= set(KINDS)


def test_what_aws_makes_twice_the_double_makes_twice_and_what_aws_refuses_it_refuses(tmp_path: Path) -> None:
    with account(tmp_path, SPEC) as made:
        vpc, role = KINDS["aws:ec2/vpc:Vpc"], KINDS["aws:iam/role:Role"]
        network = {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "desk"}}
        assert len({vpc.create(made.aws, "desk", network) for _ in range(2)}) == 2
        assert made.what_is_there()["VPCs"] == ["desk", "desk"]
        trusted = {"name": "nodes", "assumeRolePolicy": "{}", "tags": {}}
        role.create(made.aws, "nodes", trusted)
        with pytest.raises(ClientError, match="EntityAlreadyExists"):
            role.create(made.aws, "nodes", trusted)
        made.aws.journal.add("aws:eks/addon:Addon", "desk:coredns", {})
        with pytest.raises(Refused, match="exists already"):
            made.aws.journal.add("aws:eks/addon:Addon", "desk:coredns", {})
