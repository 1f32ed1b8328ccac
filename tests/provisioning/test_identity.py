"""As whom AWS is asked: a profile that nobody has, or credentials that are of no use, are told before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pulumi
import pytest

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.provisioning.aws.identity import credential_faults, profile_faults
from agentgpu_iac.provisioning.aws.program import deploy
from tests.plans import make_plan
from tests.provisioning.recording import record
from tests.provisioning.scenes import FILES, SETTINGS


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "config").write_text("[profile production]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield
    pulumi.runtime.set_all_config({})


def told(config: dict[str, str]) -> list[str]:
    pulumi.runtime.set_all_config(config)
    return [str(fault) for fault in profile_faults()]


def test_no_profile_and_one_that_is_there_are_no_faults() -> None:
    assert told({}) == []
    assert told({"aws:profile": "production"}) == []


def test_an_unknown_profile_of_the_stack_is_one_sentence() -> None:
    assert told({"aws:profile": "prodction"}) == [
        (
            "configuration of the Pulumi stack: aws:profile: there is no AWS profile 'prodction' on this machine "
            "(did you mean 'production'?)"
        )
    ]


def test_an_unknown_profile_of_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "xyz")
    assert told({}) == [
        (
            "environment: AWS_PROFILE: there is no AWS profile 'xyz' on this machine "
            "(aws configure list-profiles names those that there are)"
        )
    ]


NOBODY = {"AWS_EC2_METADATA_DISABLED": "true"}
KEY = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
ROLE = json.dumps([{"roleArn": "arn:aws:iam::123456789012:role/Deployer"}])
SSO = """
[profile office]
sso_start_url = https://example.org/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = Operator
[profile half]
aws_access_key_id = testing
[profile coded]
role_arn = arn:aws:iam::123456789012:role/Deployer
mfa_serial = arn:aws:iam::123456789012:mfa/somebody
source_profile = production
"""


class Sts(BaseHTTPRequestHandler):
    """STS on loopback: what it answers is set for each test."""

    status, body = 200, ""
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode().partition("&")[0])
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Sts]]:
    """An account whose STS answers as its class says, and a machine without credentials."""
    Sts.status, Sts.body = 200, "<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"
    Sts.asked.clear()
    with (tmp_path / "config").open("a", encoding="utf-8") as file:
        file.write(SSO)
    monkeypatch.setenv("HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Sts) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {**NOBODY, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        for name in (*KEY, "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Sts
        server.shutdown()


def refusal(sts: type[Sts], code: str, message: str) -> None:
    sts.status = 403
    sts.body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


def missing(config: dict[str, str]) -> list[str]:
    pulumi.runtime.set_all_config({"aws:region": "us-east-1", **config})
    return [str(fault) for fault in credential_faults()]


def test_no_credentials_are_one_sentence_with_the_ways_to_give_them(sts: type[Sts]) -> None:
    (sentence,) = missing({})
    assert sentence.startswith("environment: AWS credentials: there are no AWS credentials on this machine (")
    for way in ("aws:profile", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "aws sso login"):
        assert way in sentence
    (sentence,) = missing({"aws:profile": "production"})
    assert "aws:profile: the AWS profile 'production' has no credentials (" in sentence
    (sentence,) = missing({"aws:assumeRoles": ROLE})
    assert "there are no AWS credentials on this machine" in sentence
    assert sts.asked == []


def test_credentials_that_aws_knows_are_no_fault(sts: type[Sts], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    assert missing({}) == []
    assert sts.asked == ["Action=GetCallerIdentity"]


@pytest.mark.parametrize("unasked", [{"aws:skipCredentialsValidation": "true"}, {"aws:profile": "coded"}])
def test_who_is_told_not_to_ask_or_would_ask_for_a_code_does_not(sts: type[Sts], unasked: dict[str, str]) -> None:
    assert missing(unasked) == []
    assert sts.asked == []


def test_a_provider_that_asks_elsewhere_is_not_held_to_what_aws_says(
    sts: type[Sts], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal(sts, "InvalidClientTokenId", "The security token included in the request is invalid.")
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    assert missing({"aws:endpoints": json.dumps([{"sts": "http://localhost:4566"}])}) == []


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_credentials_that_aws_does_not_take(sts: type[Sts], code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    refusal(sts, code, "The security token is of yesterday")
    (sentence,) = missing({})
    assert f"AWS does not take these credentials: {code}: The security token is of yesterday (" in sentence
    assert "\n" not in sentence


def test_a_role_that_may_not_be_assumed(sts: type[Sts], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    refusal(sts, "AccessDenied", "User somebody is not authorized to perform: sts:AssumeRole")
    (sentence,) = missing({"aws:assumeRoles": ROLE})
    assert sentence.startswith("configuration of the Pulumi stack: aws:assumeRoles: the role may not be assumed: ")
    assert "trust policy" in sentence
    assert sts.asked == ["Action=AssumeRole"]


@pytest.mark.broad(every=3)
@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("Throttling", 400), ("InternalFailure", 500)])
def test_what_says_nothing_of_the_credentials_is_left_to_the_provider(
    sts: type[Sts], code: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    refusal(sts, code, "no")
    sts.status = status
    assert missing({}) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert missing({}) == []


def test_a_sign_on_that_has_ended_names_the_command(sts: type[Sts]) -> None:
    (sentence,) = missing({"aws:profile": "office"})
    assert "aws:profile: the sign-on to AWS is missing or has ended: " in sentence
    assert sentence.endswith("(aws sso login --profile office)")
    assert sts.asked == []


def test_half_of_a_key_is_told(sts: type[Sts]) -> None:
    (sentence,) = missing({"aws:profile": "half"})
    assert "aws:profile: there are no AWS credentials to be had: Partial credentials found" in sentence


def test_nothing_is_made_without_credentials_and_nobody_is_asked_for_a_plan_that_is_refused() -> None:
    asked: list[str] = []

    def without() -> Iterator[Fault]:
        asked.append("credentials")
        yield Fault(source="environment", message="there are no AWS credentials on this machine")

    with pytest.raises(BadInput, match="there are no AWS credentials"):
        record(lambda: deploy(make_plan(), FILES, SETTINGS), credentials=without)
    assert asked == ["credentials"]
    with pytest.raises(BadInput, match="eu-west-1"):
        record(lambda: deploy(make_plan(), FILES, SETTINGS), credentials=without, region="eu-west-1")
    assert asked == ["credentials"]
