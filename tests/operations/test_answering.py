"""Whether agents answer after ``up``: asked on loopback, and by the probes of a cluster made in Python."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agentgpu_iac.errors import BadInput
from agentgpu_iac.operations.answering import Asked, addresses, answers_blocks, ask, look, probed
from agentgpu_iac.review.blocks import Paragraph, Table
from tests.operations.scenes import DEPLOYMENT, down, healthy, judged, plan, unready, with_object

HOST = "127.0.0.1"
INSIDE = "http://support.demo.svc.cluster.local:8000/v1"
NAME = "machines.demo.internal"


class Router(BaseHTTPRequestHandler):
    """Answers by the agent's name in the path; remembers whom it was asked as."""

    hosts: list[str]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        agent = self.path.split("/")[1]
        if agent == "silent":
            threading.Event().wait(60)
        self.send_response(int(agent) if agent.isdigit() else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def router() -> Iterator[ThreadingHTTPServer]:
    """Of loopback."""
    Router.hosts = []
    server = ThreadingHTTPServer((HOST, 0), Router)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def urls(server: ThreadingHTTPServer, *agents: str, scheme: str = "http") -> tuple[Asked, ...]:
    return addresses(
        {"agentUrls": {agent: f"{scheme}://{HOST}:{server.server_address[1]}/{agent}/v1" for agent in agents}}
    )


def test_what_the_outputs_name_is_asked() -> None:
    named = {"one": "http://192.0.2.1/v1", "two": ["https://192.0.2.2:8443/v1", 3], "secret": "[secret]", "none": None}
    assert [(each.agent, each.url) for each in addresses({"agentUrls": named})] == [
        ("one", "http://192.0.2.1/v1"), ("two", "https://192.0.2.2:8443/v1")
    ]  # fmt: skip
    assert addresses({}) == addresses({"agentUrls": "http://192.0.2.1"}) == ()


def test_each_answer_is_told(router: ThreadingHTTPServer) -> None:
    found = ask(urls(router, "200", "401", "403", "404", "502", "302"))
    assert {each.agent: (each.answers, each.says) for each in found} == {
        "200": (True, "answers"),
        "302": (True, "answers"),
        "401": (True, "answers, and wants a key"),
        "403": (True, "answers, and wants a key"),
        "404": (False, "answers 404 Not Found"),
        "502": (False, "answers 502 Bad Gateway"),
    }


def test_who_is_silent_holds_nobody_up(router: ThreadingHTTPServer) -> None:
    silent, well = ask(urls(router, "silent", "200"), patience_s=3)
    assert (silent.answers, well.answers) == (None, True)
    assert "timed out" in silent.says or "no answer within" in silent.says


def test_nobody_listening_is_no_answer_yet_and_a_name_that_nobody_knows_is_not_asked() -> None:
    with socket.socket() as held:
        held.bind((HOST, 0))
        closed = f"http://{HOST}:{held.getsockname()[1]}/v1"
        refused, unknown = ask(addresses({"agentUrls": {"here": closed, "there": "https://agents.invalid/v1"}}))
    assert (refused.answers, unknown.answers) == (False, None)
    assert "refused" in refused.says
    assert unknown.says.startswith("not reached from here: ")


def test_machines_are_asked_by_the_name_that_their_certificate_has(router: ThreadingHTTPServer, tmp_path: Path) -> None:
    certificate = secured(router, tmp_path)
    (well,) = ask(urls(router, "200", scheme="https"), certificate=certificate, server_name=NAME)
    assert (well.answers, Router.hosts) == (True, [NAME])
    (other,) = ask(urls(router, "200", scheme="https"), certificate=certificate, server_name="others.internal")
    assert other.answers is None
    assert "certificate" in other.says
    (unknown,) = ask(urls(router, "200", scheme="https"))
    assert unknown.answers is None
    (broken,) = ask(urls(router, "200", scheme="https"), certificate="none", server_name=NAME)
    assert broken.says.startswith("its certificate: ")


def secured(router: ThreadingHTTPServer, folder: Path) -> str:
    """Give the router a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    router.socket = context.wrap_socket(router.socket, server_side=True)
    return certificate.decode()


def inside() -> tuple[Asked, ...]:
    return ask(addresses({"agentUrls": {"support": INSIDE}}))


def test_inside_a_cluster_its_probes_say_it() -> None:
    (unasked,) = inside()
    assert (unasked.answers, unasked.says) == (None, "known in its cluster alone")
    (well,) = probed(inside(), judged(healthy()))
    assert (well.answers, well.says) == (True, "1 of 1 replica passes its probes")
    (waiting,) = probed(inside(), judged(with_object(down(unready()), DEPLOYMENT, status={"readyReplicas": 0})))
    assert waiting.answers is False
    assert waiting.says.startswith("0 of 1 replica passes its probes: ")
    (stranger,) = probed(addresses({"agentUrls": {"other": INSIDE}}), judged(healthy()))
    assert stranger.answers is None


def test_a_cluster_out_of_reach_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such file"):
        look(plan(), tmp_path / "none", None, "node-groups")


def test_the_table_names_what_is_to_be_done() -> None:
    agents = (Asked(agent="support", url=INSIDE, answers=False, says="0 of 1 replica passes its probes"),)
    _, table, follow = answers_blocks(agents, "agentgpu status stack.yaml --wait goes on looking.")
    assert isinstance(table, Table)
    assert table.rows == (("support", "not yet", "0 of 1 replica passes its probes", INSIDE),)
    assert isinstance(follow, Paragraph)
    assert follow.text.endswith("agentgpu status stack.yaml --wait goes on looking.")
    assert list(answers_blocks((), "")) == []
