"""Stands in for an engine or a paid API: chats by the OpenAI protocol with one name as its answer, and can be told to fail.

``python -m tests.e2e.proxy.fake_engine PORT NAME``. A POST to ``/tell`` changes how it behaves, a GET of ``/heard`` lists what
it was asked. Streams are chunked, as vLLM's are, so that one that breaks off is seen to.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNKS = 6
TOKENS = 10
"""Of a prompt and of an answer, where it is not told others."""


class Engine(ThreadingHTTPServer):
    """What it is told, and what it was asked."""

    daemon_threads = True

    def __init__(self, port: int, name: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.name = name
        self.told: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Engine

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(200, self.server.heard)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        engine = self.server
        if self.path == "/tell":
            engine.told, engine.heard = body, []
            self._answer(200, {})
            return
        engine.heard.append(
            {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        )
        time.sleep(engine.told.get("slowS", 0))
        status = engine.told.get("status", 200)
        if status != 200:
            self._answer(status, {"error": {"message": f"{engine.name} says {status}", "code": status}})
        elif body.get("stream"):
            self._stream(body)
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": engine.name}, "finish_reason": "stop"}
            self._answer(
                200,
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": engine.name,
                    "choices": [choice],
                    "usage": self._usage(),
                },
            )

    def _stream(self, body: dict[str, Any]) -> None:
        name, told = self.server.name, self.server.told
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(CHUNKS):
            if told.get("diesAfter") == number:
                self.close_connection = True
                return
            finish = "stop" if number == CHUNKS - 1 else None
            delta = {"role": "assistant", "content": f"{name}{number} "}
            self._chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            time.sleep(told.get("paceS", 0))
        if (body.get("stream_options") or {}).get("include_usage"):
            self._chunk({"choices": [], "usage": self._usage()})
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _usage(self) -> dict[str, int]:
        tokens = self.server.told.get("tokens", TOKENS)
        return {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}

    def _chunk(self, content: dict[str, Any]) -> None:
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": self.server.name, **content}
        self._write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _write(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _answer(self, status: int, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    Engine(int(sys.argv[1]), sys.argv[2]).serve_forever()
