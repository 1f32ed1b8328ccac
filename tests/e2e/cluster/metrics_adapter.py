"""An adapter of external metrics behind the API server's aggregation layer, as an HPA asks it.

The real API server passes the group's requests on, since an APIService says so. What each series has is set by the test;
a series that it has not set is answered as adapters do: with no item.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.e2e.cluster.control_plane import ControlPlane, Object

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
PREFIX = f"/apis/{GROUP}/{VERSION}"
NAMESPACE = "adapter"

Series = tuple[str, str, str]
"""Namespace, name and label selector."""
Look = tuple[float, float]
"""When a series was asked for, by the monotonic clock, and what it had."""


@contextmanager
def metrics_adapter(cluster: ControlPlane, values: Mapping[Series, float]) -> Iterator[list[Look]]:
    """The adapter while it serves what ``values`` holds at the moment, and what it has answered."""
    answers: list[Look] = []

    class Adapter(_Adapter):
        series = values
        looks = answers

    server = ThreadingHTTPServer(("127.0.0.1", 0), Adapter)
    keys = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    keys.load_cert_chain(cluster.folder / "server.crt", cluster.folder / "server.key")
    server.socket = keys.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        _register(cluster, server.server_port)
        yield answers
    finally:
        server.shutdown()
        server.server_close()


def _register(cluster: ControlPlane, port: int) -> None:
    cluster.add_namespace(NAMESPACE)
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics", "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        }
    )
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,  # its certificate names no Service
            "service": {"name": "metrics", "namespace": NAMESPACE, "port": port},
        },
    }
    cluster.put(service)
    place = cluster.place(service)
    cluster.until("the API server has found the adapter", lambda: _is_available(cluster.get(place)))


def _is_available(service: Object) -> bool:
    conditions = service.get("status", {}).get("conditions", ())
    return any((each["type"], each["status"]) == ("Available", "True") for each in conditions)


class _Adapter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    series: ClassVar[Mapping[Series, float]]
    looks: ClassVar[list[Look]]

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == PREFIX:
            kind = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
            self._answer({**kind, "resources": []})
            return
        if not asked.path.startswith(f"{PREFIX}/namespaces/"):
            self._answer({}, status=404)
            return
        namespace, name = asked.path.removeprefix(f"{PREFIX}/namespaces/").split("/")
        (selector,) = parse_qs(asked.query).get("labelSelector", [""])
        found = self.series.get((namespace, name, selector))
        self.looks.append((time.monotonic(), found or 0.0))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        item = {"metricName": name, "metricLabels": {}, "timestamp": now, "value": f"{round((found or 0) * 1000)}m"}
        kind = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        self._answer({**kind, "items": [] if found is None else [item]})

    def _answer(self, body: Object, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *_: object) -> None:
        """Nothing is printed."""
