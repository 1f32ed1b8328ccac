"""Ports for what tests start on this machine."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports for the caller alone: the kernel gives them to nobody else while the tests run.

    Each stays bound, though nobody listens, with the option by which a server may listen there nevertheless.
    """
    return [_reserved_port() for _ in range(count)]


_reserved: list[socket.socket] = []


def _reserved_port() -> int:
    holder = socket.socket()
    _reserved.append(holder)
    holder.bind((HOST, 0))
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return int(holder.getsockname()[1])
