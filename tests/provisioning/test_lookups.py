"""What is asked of AWS beside the provider: in the shapes of its own service models, with one patience, once."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from agentgpu_iac.provisioning import aws, deployed
from agentgpu_iac.provisioning.aws import lookups
from agentgpu_iac.provisioning.aws.identity import PATIENCE, Unanswered
from agentgpu_iac.provisioning.aws.lookups import AwsLookUps, asking
from agentgpu_iac.provisioning.aws.program import deploy
from tests.plans import make_plan
from tests.provisioning.recording import REGION, record
from tests.provisioning.scenes import FILES, SETTINGS

PRINCIPAL = "arn:aws:iam::123456789012:role/platform/Operator"
CLUSTER = {"name": "shared", "status": "ACTIVE", "version": "1.34"}
ROLE = {
    "Path": "/",
    "RoleName": "Nodes",
    "RoleId": "AROAEXAMPLEEXAMPLE",
    "Arn": "arn:aws:iam::123456789012:role/Nodes",
    "CreateDate": "2026-01-01T00:00:00Z",
    "AssumeRolePolicyDocument": "{}",
}

QUESTIONS: dict[str, tuple[str, str, dict[str, str], dict[str, Any], Callable[[AwsLookUps], object], object, str]] = {
    "cluster": (
        "eks", "describe_cluster", {"name": "shared"}, {"cluster": CLUSTER},
        lambda ask: ask.cluster("shared"), CLUSTER, "ResourceNotFoundException",
    ),
    "role": (
        "iam", "get_role", {"RoleName": "Nodes"}, {"Role": ROLE},
        lambda ask: ask.role("Nodes"), ROLE, "NoSuchEntity",
    ),
    "addon": (
        "eks", "describe_addon", {"clusterName": "shared", "addonName": "coredns"}, {"addon": {"addonName": "coredns"}},
        lambda ask: ask.addon("shared", "coredns"), {"addonName": "coredns"}, "ResourceNotFoundException",
    ),
    "entry": (
        "eks", "describe_access_entry", {"clusterName": "shared", "principalArn": PRINCIPAL},
        {"accessEntry": {"principalArn": PRINCIPAL}},
        lambda ask: ask.entry("shared", PRINCIPAL), {"principalArn": PRINCIPAL}, "ResourceNotFoundException",
    ),
}  # fmt: skip
"""Service, operation, what is sent, what it answers, how we ask, what we hear, and how AWS says that there is none."""


class Session:
    """Makes one client of each service, and keeps with what patience."""

    def __init__(self) -> None:
        real = botocore.session.Session()
        self.clients = {
            name: real.create_client(
                name, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
            )
            for name in ("eks", "iam", "sts")
        }
        self.patience: set[Any] = set()

    def create_client(self, name: str, region_name: str, config: Any) -> Any:
        assert region_name == REGION
        self.patience.add(config)
        return self.clients[name]


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Stubber]]:
    """AWS as its service models tell it, by service."""
    session = Session()
    monkeypatch.setattr(lookups, "session", lambda: session)
    with ExitStack() as open_ones:
        yield {name: open_ones.enter_context(Stubber(client)) for name, client in session.clients.items()}
    assert session.patience == {PATIENCE}


@pytest.mark.parametrize("question", QUESTIONS)
def test_aws_is_asked_as_its_own_model_says(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service, operation, sent, answer, ask, expected, missing = QUESTIONS[question]
    with account(monkeypatch) as services:
        services[service].add_response(operation, answer, sent)
        services[service].add_client_error(operation, missing, http_status_code=404)
        services[service].add_client_error(operation, "AccessDeniedException", "not yours", http_status_code=403)
        look = asking(REGION)
        assert ask(look) == expected  # type: ignore[arg-type]
        assert ask(look) is None  # type: ignore[arg-type]
        with pytest.raises(Unanswered, match=r"AccessDeniedException.*not yours"):
            ask(look)  # type: ignore[arg-type]
        services[service].assert_no_pending_responses()


def test_who_asks_is_told_by_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    with account(monkeypatch) as services:
        services["sts"].add_response("get_caller_identity", {"Arn": PRINCIPAL}, {})
        services["sts"].add_client_error("get_caller_identity", "ExpiredToken", http_status_code=403)
        look = asking(REGION)
        assert look.caller() == PRINCIPAL
        with pytest.raises(Unanswered, match="ExpiredToken"):
            look.caller()


def test_an_account_out_of_reach_is_no_empty_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(**_: str) -> None:
        raise EndpointConnectionError(endpoint_url="https://eks.invalid")

    with account(monkeypatch):
        look = AwsLookUps(REGION)
        monkeypatch.setattr(look._eks, "describe_cluster", out_of_reach)
        with pytest.raises(Unanswered, match=r"eks\.invalid"):
            look.cluster("shared")


def test_without_credentials_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise NoCredentialsError

    monkeypatch.setattr(lookups, "session", none)
    with pytest.raises(Unanswered, match="credentials"):
        asking(REGION)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    "path",
    [path for path in sorted(Path(aws.__file__).parent.glob("*.py")) if path.name != "live_prices.py"],
    ids=lambda path: path.stem,
)
def test_no_client_waits_longer_than_another(path: Path) -> None:
    """The price list is another thing: a command of its own, whose pages are many and slow."""
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "create_client":
            patience = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("config")
            assert patience == "PATIENCE", f"{path.name}:{call.lineno}"


def test_the_engine_is_asked_once_for_the_last_outputs() -> None:
    recording = record(lambda: deploy(make_plan(), FILES, SETTINGS), last_outputs={"agentStack": {"name": "demo"}})
    assert [token for token, _ in recording.calls].count(deployed.LAST_OUTPUTS) == 1


def test_another_run_asks_anew() -> None:
    held: list[object] = []
    for name in ("demo", "desk"):
        record(lambda: held.append(deployed.last_outputs()), last_outputs={"agentStack": {"name": name}})
    assert held == [{"agentStack": {"name": "demo"}}, {"agentStack": {"name": "desk"}}]
