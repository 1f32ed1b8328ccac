"""Sites on the loopback that refuse what the real APIs refuse, by their documented answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

TOKEN = "a-token-of-the-test"


@dataclass
class State:
    """What a site holds, and how it answers."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    refusal: tuple[int, dict[str, Any], dict[str, str]] | None = None
    """Status, body and headers of every answer, where it refuses."""
    refuses_writes_only: bool = False
    races: bool = False
    """Another one opens the request between the question and the answer."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""


class Double(BaseHTTPRequestHandler):
    state: State
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def handle_one(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = urlparse(self.path)
        state = self.state
        state.asked.append((self.command, path.path))
        if not self.is_known():
            self.answer(401, {"message": "Bad credentials"} if self.is_github else {"message": "401 Unauthorized"})
        elif state.refusal is not None and not (state.refuses_writes_only and self.command == "GET"):
            self.answer(*state.refusal)
        else:
            self.route(unquote(path.path), {key: each[0] for key, each in parse_qs(path.query).items()}, body)

    do_GET = do_POST = do_PATCH = do_PUT = handle_one  # noqa: N815 - what http.server calls

    is_github = True

    def is_known(self) -> bool:
        raise NotImplementedError

    def route(self, path: str, query: dict[str, str], body: dict[str, Any]) -> None:
        raise NotImplementedError


class GitHubDouble(Double):
    """https://docs.github.com/en/rest/pulls/pulls and /issues/comments."""

    def is_known(self) -> bool:
        return self.headers.get("Authorization") in (f"token {TOKEN}", f"Bearer {TOKEN}")

    def pull(self, number: int, given: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.state.address}/repos/acme/x/pulls/{number}"
        return {
            "number": number,
            "title": given["title"],
            "body": given["body"],
            "state": "open",
            "url": url,
            "html_url": f"https://github.example/acme/x/pull/{number}",
            "head": {"ref": given["head"]},
            "base": {"ref": given["base"]},
        }

    def route(self, path: str, query: dict[str, str], body: dict[str, Any]) -> None:
        state = self.state
        if not path.startswith("/repos/acme/x/"):
            self.answer(404, {"message": "Not Found"})
        elif path == "/repos/acme/x/pulls" and self.command == "GET":
            found = [
                each
                for each in state.requests
                if f"acme:{each['head']['ref']}" == query.get("head") and each["base"]["ref"] == query.get("base")
            ]
            self.answer(200, found)
        elif path == "/repos/acme/x/pulls":
            twin = any(each["head"]["ref"] == body["head"] for each in state.requests)
            if state.races or twin:
                if not twin:
                    state.requests.append(self.pull(7, {**body, "title": "theirs"}))
                errors = [{"resource": "PullRequest", "message": "A pull request already exists for acme:b."}]
                self.answer(422, {"message": "Validation Failed", "errors": errors})
                return
            state.requests.append(self.pull(7, body))
            self.answer(201, state.requests[-1])
        elif path.startswith("/repos/acme/x/pulls/"):
            state.requests[0].update(body)
            self.answer(200, state.requests[0])
        elif path == "/repos/acme/x/issues/7":
            url = f"{state.address}/repos/acme/x/issues/7"
            self.answer(200, {"number": 7, "url": url, "comments_url": f"{url}/comments"})
        elif path == "/repos/acme/x/issues/7/comments" and self.command == "GET":
            self.answer(200, state.comments)
        elif path == "/repos/acme/x/issues/7/comments":
            url = f"{state.address}/repos/acme/x/issues/comments/1"
            state.comments.append({"id": 1, "body": body["body"], "url": url})
            self.answer(201, state.comments[-1])
        else:
            state.comments[0].update(body)
            self.answer(200, state.comments[0])


class GitLabDouble(Double):
    """https://docs.gitlab.com/api/merge_requests and /notes."""

    is_github = False

    def is_known(self) -> bool:
        return self.headers.get("PRIVATE-TOKEN") == TOKEN

    def route(self, path: str, query: dict[str, str], body: dict[str, Any]) -> None:
        state, top = self.state, "/api/v4/projects/acme/x/merge_requests"
        if not path.startswith(top):
            self.answer(404, {"message": "404 Project Not Found"})
        elif path == top and self.command == "GET":
            found = [
                each
                for each in state.requests
                if (each["source_branch"], each["target_branch"]) == (query["source_branch"], query["target_branch"])
            ]
            self.answer(200, found)
        elif path == top:
            twin = any(each["source_branch"] == body["source_branch"] for each in state.requests)
            if state.races or twin:
                if not twin:
                    state.requests.append({**body, "iid": 7, "title": "theirs", "web_url": "https://gitlab.example/7"})
                self.answer(409, {"message": ["Another open merge request already exists for this source branch: !7"]})
                return
            state.requests.append({**body, "iid": 7, "web_url": "https://gitlab.example/7"})
            self.answer(201, state.requests[-1])
        elif path == f"{top}/7/notes" and self.command == "GET":
            self.answer(200, state.comments)
        elif path == f"{top}/7/notes":
            state.comments.append({"id": 1, **body})
            self.answer(201, state.comments[-1])
        elif path.startswith(f"{top}/7/notes/"):
            state.comments[0].update(body)
            self.answer(200, state.comments[0])
        else:
            state.requests[0].update(body)
            self.answer(200, state.requests[0])


@contextmanager
def served(kind: str) -> Iterator[State]:
    state = State()
    double = type("Bound", ({"github": GitHubDouble, "gitlab": GitLabDouble}[kind],), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), double)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
