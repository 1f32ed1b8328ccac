"""The stack's certificate at a server that callers know by its address alone, with the client as the documentation has it."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.provisioning.spheron.certificate import make_certificate

PAGE = Path(__file__).parents[3] / "docs/deploy-spheron.md"
NAME = "machines.qa.internal"


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "v"}]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(HTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that trust nobody here hang up."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """An address on the loopback, and the certificate that is shown there."""
    certificate, key = make_certificate(NAME)
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with _Server(("127.0.0.1", 0), _Models) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}", certificate
        server.shutdown()
        thread.join()


def documented(address: str, trusted: Path, *, name: str = NAME, strict: bool = False) -> Any:
    """The client of the page, with only its address, file and key exchanged."""
    found = re.search(r"^```python\n(import ssl\n.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    code = found[1]
    for old, new in (("198.51.100.1:10000", address), ("agentgpu.pem", str(trusted)), (NAME, name)):
        assert old in code
        code = code.replace(old, new)
    if strict:
        flags = "trust.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN"
        code = code.replace("\nhttp =", f"\n{flags}\nhttp =")
    known: dict[str, Any] = {"KEY": "k"}
    exec(code, known)
    return known["client"].with_options(max_retries=0)


@pytest.mark.parametrize("strict", [False, True], ids=["", "as Python 3.13 checks"])
def test_the_documented_client_reaches_a_machine_by_its_address(
    served: tuple[str, str], tmp_path: Path, strict: bool
) -> None:
    address, certificate = served
    (tmp_path / "agentgpu.pem").write_text(certificate)
    with documented(address, tmp_path / "agentgpu.pem", strict=strict) as client:
        assert [one.id for one in client.models.list()] == ["m"]


def test_another_certificate_or_another_name_is_refused(served: tuple[str, str], tmp_path: Path) -> None:
    import openai  # which takes a second: nobody who only collects the tests waits for it

    address, certificate = served
    (tmp_path / "other.pem").write_text(make_certificate(NAME)[0])
    (tmp_path / "agentgpu.pem").write_text(certificate)
    for trusted, name in (("other.pem", NAME), ("agentgpu.pem", "machines.other.internal")):
        with documented(address, tmp_path / trusted, name=name) as client, pytest.raises(openai.APIConnectionError):
            client.models.list()
