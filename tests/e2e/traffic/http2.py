"""Just enough of HTTP/2 for one request with prior knowledge: frames by hand, headers without compression.

The answer's head is not decoded: NGINX writes ``:status: 200`` first, as the one byte that the standard's table gives it.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from tests.e2e.processes import PATIENCE_S

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
STATUS_200 = 0x88
"""Entry 8 of the static table."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back on the one stream."""

    head: bytes
    body: bytes
    frames: int
    """Data frames in which the body came."""

    @property
    def is_200(self) -> bool:
        return STATUS_200 in self.head[:4]


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header field without indexing and without Huffman's code."""
    return b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


def post(port: int, path: str, body: bytes, headers: dict[str, str], *, address: str = "127.0.0.1") -> Answer:
    """Send one request and read to the end of its answer."""
    pseudo = {":method": "POST", ":scheme": "http", ":path": path, ":authority": f"{address}:{port}"}
    block = b"".join(_literal(name, value) for name, value in {**pseudo, **headers}.items())
    with socket.create_connection((address, port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0)
            + _frame(_HEADERS, _END_HEADERS, 1, block)
            + _frame(_DATA, _END_STREAM, 1, body)
        )
        reader = connection.makefile("rb")
        head, content, frames = b"", b"", 0
        while True:
            length, kind, flags, stream = _read_head(reader.read(9))
            payload = reader.read(length)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0))
            if stream != 1:
                continue
            if kind == _HEADERS:
                head += payload
            elif kind == _DATA:
                content, frames = content + payload, frames + bool(payload)
            if flags & _END_STREAM:
                return Answer(head=head, body=content, frames=frames)


def _read_head(head: bytes) -> tuple[int, int, int, int]:
    if len(head) < 9:
        raise AssertionError("the connection ended before the answer did")
    return int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
