"""Quotas that do not carry the plan are told before anything is made; Service Quotas is a server on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pulumi
import pytest

from agentgpu_iac.plan import Plan, VcpuNeed
from agentgpu_iac.provisioning.aws import quotas
from agentgpu_iac.provisioning.aws.identity import Unanswered
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.quotas import asking, shortages
from tests.plans import make_plan
from tests.provisioning.recording import REGION, Recording, record
from tests.provisioning.scenes import FILES, SETTINGS

CODE = "L-DB2E81BA"


def need(**changes: Any) -> VcpuNeed:
    found = VcpuNeed(
        provider="aws",
        region=REGION,
        capacity_type="on-demand",
        name="Running On-Demand G and VT instances",
        code=CODE,
        vcpus=32,
        rollout_vcpus=40,
        most_vcpus=64,
        node_pools=tuple(pool.name for pool in make_plan().node_pools),
    )
    return found.model_copy(update=changes)


def planned(**changes: Any) -> Plan:
    return make_plan().model_copy(update={"vcpu_quotas": (need(**changes),)})


def run(has: int | None) -> Recording:
    quota = None if has is None else Decimal(has)
    return record(lambda: deploy(planned(), FILES, SETTINGS), quota=lambda _: quota)


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: said.append(message))
    return said


def test_a_quota_that_is_too_small_is_told_with_the_command_that_raises_it(warned: list[str]) -> None:
    assert run(16).resources
    (said,) = [message for message in warned if CODE in message]
    assert "is 16 vCPUs" in said
    assert "32 at the peak, 40 in a rollout" in said
    assert f"--quota-code {CODE} --region {REGION} --desired-value 40" in said


@pytest.mark.parametrize("has", [40, None])
def test_a_quota_that_carries_the_plan_or_is_not_known_is_not_spoken_of(has: int | None, warned: list[str]) -> None:
    assert run(has).resources
    assert not [message for message in warned if CODE in message]


def test_an_account_that_may_run_none_of_it_stops_up_before_anything_is_made(
    warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pulumi.RunError, match=r"may run no machine of Running On-Demand G and VT.*nothing was made"):
        run(0)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    assert run(0).resources
    assert warned


def test_pools_in_a_reservation_and_quotas_without_a_code_are_left_out() -> None:
    def nothing(_: VcpuNeed) -> Decimal:
        return Decimal(0)

    held = frozenset(need().node_pools)
    assert list(shortages(planned(), held, nothing)) == []
    for changes in ({"code": None}, {"vcpus": 0}, {"provider": "spheron"}):
        assert list(shortages(planned(**changes), frozenset(), nothing)) == []


class Double(BaseHTTPRequestHandler):
    """Service Quotas, as its own protocol has it."""

    asked: ClassVar[list[tuple[str, dict[str, str]]]] = []
    status: ClassVar[int] = 200
    answer: ClassVar[dict[str, Any]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.headers["X-Amz-Target"], body))
        text = json.dumps(self.answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, status: int, answer: dict[str, Any]) -> Iterator[None]:
    monkeypatch.setattr(Double, "asked", [])
    monkeypatch.setattr(Double, "status", status)
    monkeypatch.setattr(Double, "answer", answer)
    server = HTTPServer(("127.0.0.1", 0), Double)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    pulumi.runtime.set_all_config({})
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_service_quotas_is_asked_by_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, 200, {"Quota": {"QuotaCode": CODE, "Value": 96.0}}):
        assert asking()(need()) == 96
    assert Double.asked == [
        ("ServiceQuotasV20190624.GetServiceQuota", {"ServiceCode": "ec2", "QuotaCode": CODE}),
    ]


def test_a_quota_that_nobody_knows_is_none_and_a_denied_question_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, 400, {"__type": "NoSuchResourceException", "Message": "none"}):
        assert asking()(need()) is None
    with serving(monkeypatch, 400, {"__type": "AccessDeniedException", "Message": "not you"}):
        ask = asking()
        with pytest.raises(Unanswered, match="AccessDenied"):
            ask(need())


def test_up_goes_on_where_nobody_may_ask(monkeypatch: pytest.MonkeyPatch, warned: list[str]) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda message, *_: said.append(message))

    def denied(_: VcpuNeed) -> Decimal:
        raise Unanswered("AccessDenied")

    assert record(lambda: deploy(planned(), FILES, SETTINGS), quota=denied).resources
    assert any("nobody looked whether the account's quotas carry the plan: AccessDenied" in each for each in said)
    assert quotas.asking is asking
