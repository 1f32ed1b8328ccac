"""What EKS did not make as asked: it is found at the end of each ``up``, and the message says the command that mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pulumi
import pytest
from botocore.stub import Stubber

from agentgpu_iac.provisioning.aws import health
from agentgpu_iac.provisioning.aws.health import Health, Made, asking, complaint
from agentgpu_iac.provisioning.aws.identity import Unanswered, session
from agentgpu_iac.provisioning.aws.program import deploy
from tests.plans import make_plan
from tests.provisioning.recording import REGION, record
from tests.provisioning.scenes import FILES, SETTINGS

URN = "urn:pulumi:test::agentgpu::agentgpu:aws:AcceleratorNodePool$aws:eks/nodeGroup:NodeGroup::desk"
GROUP = Made(kind="node group", cluster="desk", name="desk-0123abc", urn=URN)
ADDON = Made(kind="add-on", cluster="desk", name="coredns", urn="urn:pulumi:test::agentgpu::aws:eks/addon:Addon::dns")
QUOTA = "AsgInstanceLaunchFailures: VcpuLimitExceeded"


def said(**states: str) -> health.Ask:
    """EKS as it answers by kind of thing; what is not named is well."""
    return lambda part: Health(status=states.get(part.kind.replace(" ", "_").replace("-", "_"), "ACTIVE"))


@pytest.mark.parametrize("status", ["ACTIVE", "CREATING", "UPDATING", "PENDING"])
def test_what_is_well_or_on_its_way_is_not_spoken_of(status: str) -> None:
    assert complaint((GROUP, ADDON), said(node_group=status)) is None


def test_what_nobody_made_yet_is_not_spoken_of() -> None:
    assert complaint((GROUP,), lambda _: None) is None


def test_what_failed_is_told_with_its_reason_and_one_command_for_all_of_it() -> None:
    answers = {
        "desk-0123abc": Health(status="CREATE_FAILED", issues=(QUOTA,)),
        "coredns": Health(status="CREATE_FAILED"),
    }
    message = complaint((GROUP, ADDON), lambda part: answers[part.name])
    assert message is not None
    assert f"node group desk-0123abc: CREATE_FAILED; {QUOTA}" in message
    assert message.splitlines()[-1] == f"  pulumi up --replace '{URN}' --replace {ADDON.urn}"


def test_what_is_degraded_is_told_and_not_made_anew() -> None:
    message = complaint((GROUP,), said(node_group="DEGRADED"))
    assert message is not None
    assert "DEGRADED" in message
    assert "--replace" not in message


def test_nothing_is_begun_in_a_cluster_that_failed() -> None:
    with pytest.raises(pulumi.RunError, match=r"cluster demo: FAILED[\s\S]*pulumi up --replace 'urn:pulumi:"):
        record(lambda: deploy(make_plan(), FILES, SETTINGS), cluster_status="FAILED")


def run(ask: health.Ask) -> list[Made]:
    """Deploy a plan, and answer what EKS was asked about."""
    asked: list[Made] = []

    def listening(part: Made) -> Health | None:
        asked.append(part)
        return ask(part)

    record(lambda: deploy(make_plan(), FILES, SETTINGS), ask=listening)
    return asked


def test_the_program_asks_about_every_node_group_and_add_on() -> None:
    asked = run(said())
    recording = record(lambda: deploy(make_plan(), FILES, SETTINGS))
    kinds = {
        "node group": "aws:eks/nodeGroup:NodeGroup",
        "add-on": "aws:eks/addon:Addon",
    }
    for kind, token in kinds.items():
        assert len([part for part in asked if part.kind == kind]) == len(recording.of(token)) > 0
    assert {part.cluster for part in asked} == {"demo"}
    assert all(part.urn.startswith("urn:pulumi:") for part in asked)


def test_up_fails_over_a_node_group_that_failed() -> None:
    with pytest.raises(pulumi.RunError, match=r"CREATE_FAILED[\s\S]*pulumi up --replace 'urn:pulumi:"):
        run(said(node_group="CREATE_FAILED"))


def test_up_goes_on_where_eks_may_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: warned.append(message))

    def silent(_: Made) -> Health | None:
        raise Unanswered("Unable to locate credentials")

    run(silent)
    assert any("nobody looked" in message and "Unable to locate credentials" in message for message in warned)


def test_a_preview_warns_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: warned.append(message))
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    run(said(node_group="CREATE_FAILED"))
    assert any("--replace" in message for message in warned)


@pytest.mark.parametrize(
    ("part", "operation", "sent", "member"),
    [
        (GROUP, "describe_nodegroup", {"clusterName": "desk", "nodegroupName": "desk-0123abc"}, "nodegroup"),
        (ADDON, "describe_addon", {"clusterName": "desk", "addonName": "coredns"}, "addon"),
    ],
)
def test_eks_is_asked_as_its_own_model_says(
    part: Made, operation: str, sent: dict[str, str], member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = botocore.session.Session().create_client(
        "eks", region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
    )

    class Session:
        def create_client(self, *_: object, **__: object) -> Any:
            return client

    monkeypatch.setattr(health, "session", Session)
    with Stubber(client) as answers:
        status = "CREATE_FAILED"
        answers.add_response(operation, {member: {"status": status, "health": {"issues": []}}}, sent)
        answers.add_client_error(operation, "ResourceNotFoundException", http_status_code=404)
        answers.add_client_error(operation, "AccessDeniedException", http_status_code=403)
        ask = asking(REGION)
        assert ask(part) == Health(status=status)
        assert ask(part) is None
        with pytest.raises(Unanswered, match="AccessDenied"):
            ask(part)


def test_eks_is_asked_as_whom_the_provider_acts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile of the stack's configuration; an unknown one is a reason not to ask."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[ops]\naws_access_key_id = known\naws_secret_access_key = secret\n", encoding="utf-8")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for profile in ("ops", "nobody"):
        pulumi.runtime.set_all_config({"aws:profile": profile})
        if profile == "ops":
            assert session().get_credentials().access_key == "known"
        else:
            with pytest.raises(Unanswered, match="nobody"):
                asking(REGION)
    pulumi.runtime.set_all_config({})


def test_roles_are_assumed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assumed: list[tuple[str, str]] = []
    regions: list[str] = []

    class Session:
        def __init__(self, profile: str | None = None) -> None:
            self.key = "first"

        def set_credentials(self, access_key: str, secret_key: str, token: str | None) -> None:
            self.key = access_key

        def create_client(self, service: str, region_name: str, **_: object) -> Any:
            regions.append(region_name)
            return self

        def assume_role(self, **wanted: str) -> Any:
            assumed.append((self.key, wanted["RoleArn"]))
            return {"Credentials": {"AccessKeyId": wanted["RoleArn"], "SecretAccessKey": "s", "SessionToken": "t"}}

    monkeypatch.setattr(botocore.session, "Session", Session)
    roles = json.dumps([{"roleArn": "one"}, {"roleArn": "two"}])
    pulumi.runtime.set_all_config({"aws:region": REGION, "aws:assumeRoles": roles})
    assert session().key == "two"
    assert regions == [REGION, REGION]
    assert assumed == [("first", "one"), ("one", "two")]
    pulumi.runtime.set_all_config({})
