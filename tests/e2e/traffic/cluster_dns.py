"""A name server that answers as a cluster's does for headless Services: SRV records, and the addresses behind them.

Each pod is a name of its own below its Service; the SRV weight is 100 divided by the number of pods. Answers that do not fit
512 bytes are truncated over UDP and whole over TCP.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Mapping
from typing import Self

from tests.e2e.ports import HOST, free_ports

_A, _SRV = 1, 33
_TTL_S = 5
_UDP_BYTES = 512

Pods = Mapping[str, int]
"""Addresses of ready pods, with their port."""


class ClusterDns:
    """The name server; a context manager. Change ``services`` to make pods come and go."""

    def __init__(self) -> None:
        self.services: dict[str, Pods] = {}
        """Ready pods by the full name of their headless Service."""
        self.over_tcp = 0
        dns = self

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, connection = self.request
                answer = dns.answer(query)
                if len(answer) > _UDP_BYTES:
                    answer = dns.answer(query, truncated=True)
                connection.sendto(answer, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while head := self.rfile.read(2):
                    dns.over_tcp += 1
                    answer = dns.answer(self.rfile.read(struct.unpack("!H", head)[0]))
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        (self.port,) = free_ports(1)
        self._tcp = Server((HOST, self.port), Tcp)
        self._udp = socketserver.ThreadingUDPServer((HOST, self.port), Udp)
        self._tcp.daemon_threads = self._udp.daemon_threads = True

    def __enter__(self) -> Self:
        for server in (self._udp, self._tcp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def answer(self, query: bytes, *, truncated: bool = False) -> bytes:
        """The answer to one query."""
        name, end = _name(query, 12)
        (kind,) = struct.unpack("!H", query[end : end + 2])
        found = self._records(name, kind)
        records = () if found is None or truncated else found
        flags = 0x8580 | (0x0200 if truncated else 0) | (3 if found is None else 0)
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, _TTL_S, len(record)) + record for record in records)
        return head + query[12 : end + 4] + body

    def _records(self, name: str, kind: int) -> tuple[bytes, ...] | None:
        """Records of a name, none where it has none of that kind, None where there is no such name."""
        for service, pods in self.services.items():
            if name == f"_http._tcp.{service}" and pods:
                weight = 100 // len(pods)
                targets = ((port, _encoded(f"{_dashed(address)}.{service}")) for address, port in pods.items())
                srv = tuple(struct.pack("!HHH", 0, weight, port) + target for port, target in targets)
                return srv if kind == _SRV else ()
            for address in pods:
                if name == f"{_dashed(address)}.{service}":
                    return (socket.inet_aton(address),) if kind == _A else ()
        return None


def _dashed(address: str) -> str:
    return address.replace(".", "-")


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _name(message: bytes, start: int) -> tuple[str, int]:
    labels = []
    while length := message[start]:
        labels.append(message[start + 1 : start + 1 + length].decode())
        start += 1 + length
    return ".".join(labels).lower(), start + 1
