"""What Prometheus and machines are asked, and what their answers mean."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import JoinedPlan, PrometheusAuthPlan, SecretParameter
from agentgpu_iac.provisioning.burst.deciding import Held
from agentgpu_iac.provisioning.burst.measuring import Prometheus, PrometheusError, prometheus_client, serves, weights
from agentgpu_iac.provisioning.spheron.certificate import make_certificate
from tests.plans import make_joined_plan
from tests.provisioning.burst.test_deciding import make_pool
from tests.provisioning.burst.test_follow import followed_plan


def asked(answers: list[Any]) -> tuple[Prometheus, list[str]]:
    queries: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        queries.append(parse_qs(request.content.decode())["query"][0])
        answer = answers.pop(0)
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, json=answer)

    client = httpx.Client(base_url="http://prometheus/", transport=httpx.MockTransport(handler))
    return Prometheus(client=client), queries


def value(*numbers: str) -> dict[str, Any]:
    return {"data": {"result": [{"metric": {}, "value": [0, number]} for number in numbers]}}


def test_each_reason_is_asked_for_now_and_for_the_time_that_machines_stay() -> None:
    prometheus, queries = asked([value("3"), value("7.5")])
    assert prometheus.held(make_pool(), 60) == {"requests": Held(now=3.0, most=7.5)}
    assert queries == ["sum(running)", "max_over_time((sum(running))[600s:60s])"]


@pytest.mark.parametrize("answer", [value(), value("1", "2"), value("NaN"), value("+Inf"), value("-1"), 503, {"a": 1}])
def test_what_is_no_number_is_no_zero(answer: Any) -> None:
    with pytest.raises(PrometheusError):
        asked([answer])[0].held(make_pool(), 60)


@pytest.mark.parametrize(
    ("parameters", "environment", "header"),
    [
        ({"bearerToken": "token"}, {"AGENTGPU_PROMETHEUS_TOKEN": "t"}, ("Authorization", "Bearer t")),
        (
            {"customAuthHeader": "header", "customAuthValue": "value"},
            {"AGENTGPU_PROMETHEUS_HEADER": "X-Scope-OrgID", "AGENTGPU_PROMETHEUS_VALUE": "acme"},
            ("X-Scope-OrgID", "acme"),
        ),
    ],
)
def test_it_proves_who_it_is_as_the_plan_says(
    parameters: dict[str, str], environment: dict[str, str], header: tuple[str, str]
) -> None:
    auth = PrometheusAuthPlan(
        mode="bearer",
        parameters=tuple(SecretParameter(parameter=name, secret="s", key=key) for name, key in parameters.items()),
        aws_region=None,
    )
    plan = followed_plan()
    assert plan.joined is not None and plan.joined.scaling is not None
    scaling = plan.joined.scaling.model_copy(update={"prometheus_auth": auth})
    assert prometheus_client(scaling, environment).headers[header[0]] == header[1]
    with pytest.raises(BadInput) as caught:
        prometheus_client(scaling, {})
    assert {fault.source for fault in caught.value.faults} == set(environment)


def test_a_machine_weighs_what_nginx_weighs_it_by() -> None:
    plan = make_joined_plan()
    assert plan.joined is not None
    assert set(weights(plan.joined, ["support"]).values()) == {plan.joined.machines[0].routes[0].weight}
    assert set(weights(plan.joined, ["batch"]).values()) == {0}


@contextmanager
def machine(folder: Path, server_name: str, status: int) -> Iterator[tuple[int, str]]:
    """A machine's NGINX as far as it is asked here: its port and certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    certificate, key = make_certificate(server_name)
    (folder / "tls.crt").write_text(certificate)
    (folder / "tls.key").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], certificate
    server.shutdown()
    server.server_close()


def joined_at(port: int) -> JoinedPlan:
    plan = make_joined_plan()
    assert plan.joined is not None
    first = plan.joined.machines[0]
    ways = tuple(way.model_copy(update={"target_port": port}) for way in first.routes)
    return plan.joined.model_copy(update={"machines": (first.model_copy(update={"routes": ways}),)})


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (404, True), (502, False), (503, False)])
def test_a_machine_serves_once_its_engine_answers_be_it_that_it_wants_a_key(
    tmp_path: Path, status: int, answers: bool
) -> None:
    name = joined_at(1).server_name
    with machine(tmp_path, name, status) as (port, certificate):
        joined = joined_at(port)
        assert serves(joined, joined.machines[0].name, "127.0.0.1", certificate) is answers


def test_who_shows_another_certificate_or_nothing_serves_nobody(tmp_path: Path) -> None:
    with machine(tmp_path, "somebody.else.internal", 200) as (port, certificate):
        joined = joined_at(port)
        (name,) = [each.name for each in joined.machines]
        assert not serves(joined, name, "127.0.0.1", certificate), "another name"
        assert not serves(joined, name, "127.0.0.1", make_certificate(joined.server_name)[0]), "another key"
    assert not serves(joined, name, "127.0.0.1", certificate), "nobody there"
    assert not serves(joined, "stranger", "127.0.0.1", certificate)
