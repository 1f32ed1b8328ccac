"""``pulumi up`` cut off at every kind of place, and brought back: nothing is left over, nothing is there twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import PATIENCE_S
from tests.e2e.pulumi.aws.account import Account, account
from tests.e2e.pulumi.aws.conftest import SPEC
from tests.e2e.pulumi.aws.faults import Moment, Order
from tests.e2e.pulumi.aws.recovery import CLEAR, IMPORT, SCRIPT, recover
from tests.e2e.pulumi.cli import ROOT

WHOLE = {
    "VPCs": 1,
    "subnets": 10,
    "internet gateways": 1,
    "NAT gateways": 1,
    "addresses": 1,
    "route tables": 2,
    "endpoints": 1,
    "security groups": 1,
    "launch templates": 3,
    "roles": 4,
    "policies of roles": 5,
    "keys": 1,
    "log groups": 1,
    "clusters": 1,
    "node groups": 4,
    "objects": 38,
    "aws:eks/addon:Addon": 5,
}
"""What a whole stack of this spec has: the same however often it was cut off on the way."""


KEPT_ONCE = {"aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"}
"""Made again it is still one: the recovery does not look for it."""


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One stack that the tests of this module cut off again and again, each further on than the one before."""
    with account(tmp_path_factory.mktemp("cut"), SPEC) as made:
        yield made


def kill_up(stack: Account, types: tuple[str, ...], moment: Moment) -> None:
    """Start ``up``, wait until some of each type are held and nothing else is in flight, and kill the CLI with its children."""
    stack.faults.order(Order(hold=types, moment=moment))
    process = stack.project.start(
        "up", "--yes", "--skip-preview", "--parallel", "50", log=stack.project.folder / "up.log"
    )
    until = time.monotonic() + PATIENCE_S
    try:
        while not (set(types) <= kinds_held(stack) and _stands_still(stack, moment)):
            log = (stack.project.folder / "up.log").read_text("utf-8")
            assert process.poll() is None, f"up ended before it was killed:\n{log}"
            assert time.monotonic() < until, f"held: {kinds_held(stack)}\n{log}"
            time.sleep(0.2)
    finally:
        stack.project.kill(process)
        stack.faults.cease()


def kinds_held(stack: Account) -> set[str]:
    """The types of what is held."""
    return {urn.split("::")[2].rpartition("$")[2] for urn in stack.faults.held()}


def _stands_still(stack: Account, moment: Moment) -> bool:
    held = stack.faults.held()
    pending = {one["resource"]["urn"] for one in stored(stack).get("pending_operations") or ()}
    return bool(held) and pending == (set() if moment == "check" else held)


def stored(stack: Account) -> dict[str, Any]:
    """The state as it lies on disk now; empty while it is being written."""
    files = list((stack.project.backend / ".pulumi" / "stacks").rglob("test.json"))
    try:
        return dict(json.loads(files[0].read_text("utf-8"))["checkpoint"]["latest"] or {})
    except (IndexError, ValueError, KeyError, FileNotFoundError):
        return {}


def test_a_stack_half_made_can_be_removed(tmp_path: Path) -> None:
    with account(tmp_path, SPEC) as stack:
        stack.faults.order(Order(fail=(45,)))
        assert stack.project.up(expect=None).code != 0
        assert stack.what_is_there()
        stack.faults.cease()
        stack.project.destroy()
        assert stack.what_is_there() == {}


def test_an_engine_killed_between_operations_needs_nothing_but_cancel(tmp_path: Path) -> None:
    with account(tmp_path, SPEC) as stack:
        for token in ("aws:kms/key:Key", "aws:eks/nodeGroup:NodeGroup"):
            kill_up(stack, (token,), "check")
            locked = stack.project.up(expect=None)
            assert locked.code != 0
            assert "pulumi cancel" in locked.text
            stack.project.cancel()
        stack.project.up()
        assert stack.shape() == WHOLE
        assert stack.project.planned() == {}


@pytest.mark.parametrize(
    ("moment", "types"),
    [
        ("after", {"aws:ec2/vpc:Vpc"}),
        (
            "after",
            {"aws:ec2/internetGateway:InternetGateway", "aws:ec2/routeTable:RouteTable", "aws:ec2/subnet:Subnet"},
        ),
        (
            "after",
            {
                "aws:ec2/eip:Eip",
                "aws:ec2/route:Route",
                "aws:ec2/routeTableAssociation:RouteTableAssociation",
                "aws:ec2/vpcEndpoint:VpcEndpoint",
            },
        ),
        ("after", {"aws:ec2/natGateway:NatGateway"}),
        (
            "after",
            {
                "aws:cloudwatch/logGroup:LogGroup",
                "aws:iam/role:Role",
                "aws:kms/key:Key",
            },
        ),
        ("after", {"aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"}),
        ("after", {"aws:eks/cluster:Cluster"}),
        ("after", {"aws:ec2/tag:Tag", "aws:eks/addon:Addon"}),
        ("after", {"aws:ec2/launchTemplate:LaunchTemplate"}),
        ("before", {"aws:eks/nodeGroup:NodeGroup"}),
        ("after", {"aws:eks/nodeGroup:NodeGroup"}),
        ("after", {"aws:eks/nodeGroup:NodeGroup"}),
    ],
)
def test_a_create_that_nobody_heard_the_end_of_is_found_again(cut: Account, moment: Moment, types: set[str]) -> None:
    kill_up(cut, tuple(types), moment)
    assert kinds_held(cut) == types
    found = recover(cut)
    assert bool(found) == (moment == "after" and not types & KEPT_ONCE)
    assert not stored(cut).get("pending_operations")


def test_the_flag_of_the_cli_that_promises_an_import_loses_the_create_instead(tmp_path: Path) -> None:
    """Why the page goes another way. When this fails, the flag works, and the page can become shorter."""
    with account(tmp_path, SPEC) as stack:
        kill_up(stack, ("aws:ec2/vpc:Vpc",), "after")
        stack.project.cancel()
        (urn,) = stack.faults.held()
        (vpc,) = (one["VpcId"] for one in stack.aws("ec2").describe_vpcs()["Vpcs"] if not one["IsDefault"])
        stack.project.refresh("--import-pending-creates", urn, "--import-pending-creates", vpc)
        assert not stored(stack).get("pending_operations")
        assert urn not in {resource["urn"] for resource in stack.project.resources()}


def test_the_page_tells_users_to_run_what_these_tests_run() -> None:
    page = (ROOT / "docs" / "deploy-aws.md").read_text("utf-8")
    asked = ("--yes", "--skip-preview")
    assert f"pulumi {' '.join(word for word in IMPORT if word not in asked)}" in page
    assert f"pulumi {CLEAR}" in page
    assert f"pulumi stack export | python {SCRIPT} > pending.json" in page


def test_what_was_cut_off_so_often_is_whole_in_the_end(cut: Account) -> None:
    cut.project.up()
    assert cut.shape() == WHOLE
    assert cut.project.planned() == {}
    cut.project.destroy()
    assert cut.what_is_there() == {}
