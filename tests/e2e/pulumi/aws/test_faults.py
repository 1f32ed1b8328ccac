"""What AWS refuses, delays and leaves half-made, through the real provider: what the user reads, and whether it mends.

The tests of this module share one stack, and each begins where the one before has ended.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from tests.e2e.cluster.trees import tree_of_text
from tests.e2e.pulumi.aws.conftest import SPEC
from tests.e2e.pulumi.aws.front.faults import DENIED, THROTTLED, Fate, Refusal
from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.real import RealAccount, real_account
from tests.e2e.pulumi.cli import ROOT, Said

FAILED = 1
"""Exit code of the engine."""

ON_DEMAND, FALLBACK = "desk-baseline-g6-xlarge-od-", "desk-baseline-g6-xlarge-spot-fallback-"
QUOTA = "VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of 0 allows"
NO_ROOM = "InsufficientInstanceCapacity: We currently do not have sufficient g6.xlarge capacity"
CONFLICT = "Apply failed with 1 conflict: conflict with kubectl"


@pytest.fixture(scope="module")
def ill(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAccount]:
    """A stack that meets one fault after the other."""
    with real_account(tmp_path_factory.mktemp("ill"), front, SPEC) as made:
        yield made


def mending(said: Said) -> list[str]:
    """The command that a failed ``up`` names, as a shell reads it."""
    lines = [line.strip() for line in said.text.splitlines()]
    (command,) = {line for line in lines if line.startswith("pulumi up --replace")}
    return shlex.split(command)[2:]


def test_an_account_that_may_run_nothing_is_told_before_anything_is_made(ill: RealAccount) -> None:
    plan = tree_of_text(SPEC).plan
    codes = [need.code for need in plan.vcpu_quotas if need.code is not None]
    assert codes
    ill.front.quotas |= dict.fromkeys(codes, 0.0)
    warned = ill.project.run("preview")
    said = ill.project.up(expect=FAILED)
    ill.front.quotas.clear()
    for text in (warned.text, said.text):
        assert f"--quota-code {codes[0]}" in text
    assert "nothing was made" in said.text
    assert ill.front.calls.count("GetServiceQuota") >= len(codes)
    assert "CreateVpc" not in ill.front.calls
    assert ill.what_is_there() == {}


def test_a_throttled_call_is_asked_again_and_nothing_is_begun_in_a_failed_cluster(ill: RealAccount) -> None:
    fate = Fate(beginning="desk", status="FAILED")
    slow = Refusal(operation="CreateVpc", error=THROTTLED, times=2)
    with ill.front.faults.ordered(fate, slow):
        assert "FAILED" in ill.project.up(expect=FAILED).text
    assert ill.front.calls.count("CreateVpc") == 3, "the provider asks again where it is throttled"
    assert "cluster desk: FAILED" in ill.project.up(expect=FAILED).text


def test_the_command_makes_the_cluster_anew_and_a_denied_call_makes_nothing(ill: RealAccount) -> None:
    said = ill.project.up(expect=FAILED)
    denied = Refusal(operation="CreateNodegroup", error=DENIED, times=1)
    with ill.front.faults.ordered(denied, looks=2):
        said = ill.project.up(*mending(said), expect=FAILED)
    assert "AccessDeniedException" in said.text
    assert ill.aws("eks").describe_cluster(name="desk")["cluster"]["status"] == "ACTIVE"
    assert ill.node_groups() == []


def test_a_second_up_does_not_pass_over_what_failed_in_the_first(ill: RealAccount) -> None:
    conflict = Fate(beginning="coredns", status="CREATE_FAILED", code="ConfigurationConflict", message=CONFLICT)
    with ill.front.faults.ordered(conflict):
        assert CONFLICT in ill.project.up(expect=FAILED).text
    fates = (
        Fate(beginning=ON_DEMAND, status="CREATE_FAILED", code="AsgInstanceLaunchFailures", message=QUOTA),
        Fate(beginning=FALLBACK, status="CREATE_FAILED", code="AsgInstanceLaunchFailures", message=NO_ROOM),
    )
    with ill.front.faults.ordered(*fates):
        said = ill.project.up(expect=FAILED)
        assert "CREATE_FAILED" in said.text
        assert "VcpuLimitExceeded" in said.text
    failed = {ill.node_group(name)["nodegroupName"] for name in (ON_DEMAND, FALLBACK)}
    said = ill.project.up(expect=FAILED)
    warned = ill.project.run("preview")
    for text in (warned.text, said.text):
        assert f"add-on coredns: CREATE_FAILED; ConfigurationConflict: {CONFLICT}" in text
        assert QUOTA in text
        assert NO_ROOM in text
    ill.project.up(*mending(said))
    assert {group["status"] for group in ill.node_groups()} == {"ACTIVE"}
    assert not failed & {group["nodegroupName"] for group in ill.node_groups()}
    assert ill.project.planned() == {}


def test_what_is_degraded_is_told_until_eks_has_mended_it(ill: RealAccount) -> None:
    group = ill.front.eks.node_groups["desk", ill.node_group(ON_DEMAND)["nodegroupName"]]
    issue = {"code": "IamNodeRoleNotFound", "message": "We couldn't find an IAM role", "resourceIds": []}
    group |= {"status": "DEGRADED", "health": {"issues": [issue]}}
    said = ill.project.up(expect=FAILED)
    assert "DEGRADED; IamNodeRoleNotFound: We couldn't find an IAM role" in said.text
    assert "--replace" not in said.text
    group |= {"status": "ACTIVE", "health": {"issues": []}}
    ill.project.up()


def test_the_page_says_what_up_says() -> None:
    page = (ROOT / "docs" / "deploy-aws.md").read_text("utf-8")
    assert "pulumi up --replace" in page
