"""Spheron's API on the loopback: the world of tests/provisioning/spheron behind a real HTTP server, and ways to break it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.provisioning.spheron.world import World

SPEED = 60.0
"""Seconds of the world, and of the provider's clock, in one second of ours."""


@dataclass(slots=True)
class Spheron:
    """The server and its world."""

    world: World
    http: ThreadingHTTPServer = field(init=False)
    down: bool = False
    """Connections are closed without an answer."""
    down_after_create: bool = False
    """It goes down as soon as the next machine is made, and that call is still answered."""
    hold_created: threading.Event | None = None
    """Answers to creates wait for it; the machines are made all the same."""

    def __post_init__(self) -> None:
        spheron = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                spheron.serve(self)

            do_POST = do_GET  # noqa: N815
            do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def serve(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers.get("Content-Length") or 0))
        if self.down:
            call.close_connection = True
            return
        asked = urlsplit(call.path)
        status, content = self.world.answer(
            call.command,
            asked.path,
            dict(parse_qsl(asked.query)),
            dict(call.headers),
            json.loads(body) if body else None,
        )
        if call.command == "POST" and status < 300:
            self.down = self.down_after_create
            if self.hold_created is not None:
                self.hold_created.wait()
        answer = json.dumps(content).encode()
        try:
            call.send_response(status)
            call.send_header("Content-Type", "application/json")
            call.send_header("Content-Length", str(len(answer)))
            call.end_headers()
            call.wfile.write(answer)
        except (BrokenPipeError, ConnectionResetError):
            call.close_connection = True  # the caller was killed


def start() -> Spheron:
    """A new world, as fast as the provider's clock."""
    return Spheron(world=World(now_s=lambda: time.monotonic() * SPEED))
