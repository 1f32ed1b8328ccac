"""The API server with an adapter of external metrics before it: all else is passed on, as it comes."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import urlsplit

PREFIX = "/apis/external.metrics.k8s.io/v1beta1/namespaces/"
_ONE_HOP = {"connection", "transfer-encoding", "content-length", "host"}


@contextmanager
def metrics_front(server: str, authority: Path, values: Mapping[str, float]) -> Iterator[str]:
    """The address of the front while it runs. ``values`` holds what each series has at the moment."""
    trusted, address = ssl.create_default_context(cafile=str(authority)), urlsplit(server)

    class Front(_Front):
        series = values

        def upstream(self) -> HTTPSConnection:
            return HTTPSConnection(str(address.hostname), address.port, context=trusted)

    running = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    running.daemon_threads = True
    Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


class _Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    series: ClassVar[Mapping[str, float]]

    def upstream(self) -> HTTPSConnection:
        raise NotImplementedError

    def answer(self) -> None:
        if self.path.startswith(PREFIX):
            self._metric(self.path.removeprefix(PREFIX).split("?")[0].split("/")[1])
        else:
            self._passed_on()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that the base asks for

    def _metric(self, name: str) -> None:
        value = {"metricName": name, "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z"}
        items = [{**value, "value": f"{round(self.series[name] * 1000)}m"}] if name in self.series else []
        kind = {"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": {}}
        body = json.dumps({**kind, "items": items}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _passed_on(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in _ONE_HOP}
        connection = self.upstream()
        connection.request(self.command, self.path, self.rfile.read(size) if size else None, headers)
        answered = connection.getresponse()
        self.send_response(answered.status)
        for key, value in answered.getheaders():
            if key.lower() not in _ONE_HOP:
                self.send_header(key, value)
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        while part := answered.read1():
            self.wfile.write(part)
            self.wfile.flush()
        connection.close()

    def log_message(self, format: str, *_: object) -> None:
        """Nothing is printed."""
