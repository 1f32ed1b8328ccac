"""Stand-ins for engines: they speak just enough of the OpenAI API to be routed to, and fail on demand."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Mood = Literal["well", "full", "breaks-before", "breaks-midway", "silent"]

TOKENS = 5
TOKEN_S = 0.15


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request that came to an engine."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class FakeEngine:
    """One engine on an address of its own; a context manager."""

    address: str
    port: int = 0
    mood: Mood = "well"
    tokens: int = TOKENS
    token_s: float = TOKEN_S
    released: threading.Semaphore | None = None
    """Where there is one, each token waits until it is released."""
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Self:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                engine.seen.append(
                    Seen(path=self.path, headers={k.lower(): v for k, v in self.headers.items()}, body=body)
                )
                engine._answer(self)

            def do_GET(self) -> None:
                """Take an upgrade, if it came this far, and send back whatever comes in."""
                engine.seen.append(
                    Seen(path=self.path, headers={k.lower(): v for k, v in self.headers.items()}, body=b"")
                )
                if self.headers.get("Upgrade") != "websocket" or self.headers.get("Connection") != "upgrade":
                    self.send_response(426)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.end_headers()
                while said := self.connection.recv(4096):
                    self.connection.sendall(said)
                self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = _Server((self.address, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End like a process: nothing listens any more, and what was connected is cut off."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_off()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        match self.mood:
            case "full":
                answer = b'{"error":{"message":"queue is full","code":503}}'
                request.send_response(503)
                request.send_header("Content-Length", str(len(answer)))
                request.end_headers()
                request.wfile.write(answer)
            case "breaks-before":
                _reset(request)
            case "silent":
                time.sleep(30)
            case "well" | "breaks-midway":
                self._stream(request)

    def _stream(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("X-Request-Id", "the-engines-own")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for number in range(self.tokens):
            if self.mood == "breaks-midway" and number == 2:
                _reset(request)
                return
            if self.released is not None:
                self.released.acquire()
            event = f"data: {json.dumps({'engine': self.address, 'token': number})}\n\n".encode()
            request.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            request.wfile.flush()
            time.sleep(self.token_s)
        request.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def cut_off(self) -> None:
        """Close every connection that is still open."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *arguments: object) -> None:
        """Callers that go away are part of the tests."""


def _reset(request: BaseHTTPRequestHandler) -> None:
    """Break the connection the way a killed process does."""
    connection = request.connection
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    request.close_connection = True
