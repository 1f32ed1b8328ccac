"""What the commands ask over the network, on this machine: a cluster that holds nothing, and Spheron's marketplace."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.provisioning.spheron.world import World

Reply = tuple[int, dict[str, Any]]
Asked = Callable[[str, dict[str, str], dict[str, str]], Reply]
"""Path, query and headers of a GET to its answer."""


def empty_cluster(path: str, query: dict[str, str], headers: dict[str, str]) -> Reply:
    """An API server that knows no kind at all."""
    return 404, {"kind": "Status", "status": "Failure", "message": f"there is no {path}", "code": 404}


def marketplace() -> Asked:
    """Spheron with its usual offers."""
    world = World(now_s=time.monotonic)
    return lambda path, query, headers: world.answer("GET", path, query, headers, None)


@contextmanager
def serving(answer: Asked) -> Iterator[str]:
    """Serve on a free port of this machine; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            status, body = answer(asked.path, dict(parse_qsl(asked.query)), dict(self.headers.items()))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
