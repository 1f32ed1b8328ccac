"""A model hub on the loopback, as its client sees it: it lists, redirects to where content lies, and fails on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_sesame"
LARGE = (".safetensors", ".bin", ".pth", ".pt")
"""What the hub keeps in its store of large files, with a SHA-256, behind a redirect."""


@dataclass
class Hub:
    """What the hub holds, how it misbehaves, and what it sent."""

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    failures: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    """(Part of a path, status, headers) for the next request whose path holds the part."""
    altered: dict[str, bytes] = field(default_factory=dict)
    stops_after: int | None = None
    """Bytes of content after which every line goes dead."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of content, by file."""
    ranges: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""
    content_url: str = ""
    """Another host, as the hub's content is on one: its client asks the hub itself what lies behind a redirect."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            failure = next((each for each in self.hub.failures if each[0] in path), None)
            if failure is not None:
                self.hub.failures.remove(failure)
        if failure is not None:
            return self.answer(failure[1], b"{}", failure[2])
        parts = path.removeprefix("/").removeprefix("api/models/").removeprefix("content/").split("/")
        repository, rest = "/".join(parts[:2]), parts[2:]
        files = self.hub.repositories.get(repository)
        if files is None:
            return self.answer(401, headers={"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if path.startswith("/content/"):
            return self._content(repository, "/".join(rest), files)
        closed = repository in self.hub.gated and not path.startswith("/api/")  # what it holds is public all the same
        if closed and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(403, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        if rest[1] not in ("main", COMMIT):
            return self.answer(404, headers={"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such revision"})
        if path.startswith("/api/"):
            return self._listing(repository, files)
        return self._resolve(repository, "/".join(rest[2:]), files)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _listing(self, repository: str, files: dict[str, bytes]) -> None:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
                **(
                    {"lfs": {"size": len(content), "sha256": _sha256(content), "pointerSize": 9}}
                    if _large(name)
                    else {}
                ),
            }
            for name, content in files.items()
        ]
        body = {"id": repository, "modelId": repository, "sha": COMMIT, "private": False, "siblings": siblings}
        self.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: str, name: str, files: dict[str, bytes]) -> None:
        if name not in files:
            return self.answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        content = files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if not _large(name):
            self._send(f"{repository}/{name}", content, headers)
            return None
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{_sha256(content)}"'}
        return self.answer(
            302, headers={**headers, "Location": f"{self.hub.content_url}/content/{repository}/{quote(name)}"}
        )

    def _content(self, repository: str, name: str, files: dict[str, bytes]) -> None:
        self._send(f"{repository}/{name}", files[name], {"ETag": f'"{_sha256(files[name])}"'})

    def _send(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        content = self.hub.altered.get(name, content)
        status, first = 200, 0
        if asked := self.headers.get("Range"):
            first = int(asked.removeprefix("bytes=").partition("-")[0])
            status, headers = 206, {**headers, "Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
            self.hub.ranges.append(f"{name} {asked}")
        if self.command == "HEAD":
            return self.answer(status, b"", headers, len(content) - first)
        part = content[first:]
        with self.hub.lock:
            left = (
                len(part)
                if self.hub.stops_after is None
                else max(0, self.hub.stops_after - sum(self.hub.sent.values()))
            )
            self.hub.sent[name] += min(left, len(part))
            self.hub.at_once += 1
            self.hub.most_at_once = max(self.hub.most_at_once, self.hub.at_once)
        self.answer(status, part[:left], headers, len(part))
        with self.hub.lock:
            self.hub.at_once -= 1
        if left < len(part):
            self.close_connection = True
        return None


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
    hub.url, hub.content_url = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        with suppress(OSError):
            server.server_close()


def _large(name: str) -> bool:
    return name.endswith(LARGE)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
