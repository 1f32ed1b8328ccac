"""A machine, its containers and what is around it, as network namespaces of this kernel: real interfaces, real nftables.

::

    engine ── agentgpu0 ─┐
    filler ── agentgpu1 ─┤ machine ── uplink ── outside (metadata, private, public and callers' addresses)
    other  ── docker0   ─┘
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tools.install import path as tool

METADATA: Final = "169.254.169.254"
PRIVATE: Final = "10.20.0.5"
PUBLIC: Final = "198.51.100.7"
CALLER: Final = "203.0.113.9"
OUTSIDE: Final = (
    METADATA,
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    PRIVATE,
    "192.168.44.4",
    "172.16.9.9",
    PUBLIC,
    CALLER,
)
MACHINE: Final = "203.0.113.200"
CONTAINERS: Final = {
    "engine": ("agentgpu0", "172.31.0"),
    "filler": ("agentgpu1", "172.31.1"),
    "other": ("docker0", "172.31.2"),
}
Ways = tuple[tuple[str, int], ...]
"""Addresses and ports."""
_CONNECT: Final = """
import select, socket, sys, time
seconds, source, *ways = sys.argv[1:]
tried = {}
for way in ways:
    address, _, port = way.rpartition(":")
    made = socket.socket()
    made.setblocking(False)
    if source:
        made.bind((source, 0))
    try:
        made.connect((address, int(port)))
    except BlockingIOError:
        tried[made] = way
    except OSError:
        pass
until = time.monotonic() + float(seconds)
while tried and (left := until - time.monotonic()) > 0:
    for made in select.select((), list(tried), (), left)[1]:
        way = tried.pop(made)
        if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            print(way)
"""
_LISTEN: Final = """
import select, socket, sys
sockets = []
for port in map(int, sys.argv[1:]):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", port))
    made.listen(64)
    sockets.append(made)
print("ready", flush=True)
while True:
    for each in select.select(sockets, (), ())[0]:
        each.accept()[0].close()
"""
_REFUSED_S: Final = 1.0
"""What is dropped is not answered; what is let through is, at once."""
_PATIENCE_S: Final = 60.0


class Network:
    """The namespaces, each held by a process of its own."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._holders = {name: self._holder() for name in ("outside", "machine", *CONTAINERS)}

    def run(self, where: str, *command: str | Path, user: int = 0) -> str:
        """What a command prints that runs in a namespace."""
        as_user = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups") if user else ()
        words = [*self._inside(where), *as_user, *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def reached(self, where: str, ways: Ways, *, user: int = 0, source: str = "") -> Ways:
        """Which of the connections are answered; all are tried at once."""
        words = (sys.executable, "-S", "-c", _CONNECT, str(_REFUSED_S), source, *(f"{at}:{port}" for at, port in ways))
        answered = self.run(where, *words, user=user).split()
        return tuple((at, port) for at, port in ways if f"{at}:{port}" in answered)

    def listen(self, where: str, *ports: int) -> None:
        """Answer on ports of a namespace until the end."""
        words = [*self._inside(where), sys.executable, "-S", "-c", _LISTEN, *map(str, ports)]
        process = self._stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def load(self, rules: Path) -> None:
        """Load rules as the machine does."""
        nft = tool("nft")
        libraries = ":".join(map(str, nft.parents[1].glob("lib/*-linux-gnu")))
        self.run("machine", "env", f"LD_LIBRARY_PATH={libraries}", nft, "--file", rules)

    def _holder(self) -> int:
        process = self._stack.enter_context(
            subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"], stdout=subprocess.PIPE)
        )
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    def _inside(self, where: str) -> Sequence[str]:
        return ("nsenter", f"--target={self._holders[where]}", "--net", "--")

    def wire(self) -> None:
        """Lay the cables."""
        for name in self._holders:
            self.run(name, "ip", "link", "set", "lo", "up")
        self._cable("machine", "uplink", "outside", "wan")
        self.run("outside", "ip", "address", "add", "203.0.113.1/24", "dev", "wan")
        for address in OUTSIDE:
            self.run("outside", "ip", "address", "add", f"{address}/32", "dev", "lo")
        self.run("machine", "ip", "address", "add", f"{MACHINE}/24", "dev", "uplink")
        self.run("machine", "ip", "route", "add", "default", "via", "203.0.113.1")
        self.run("machine", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for name, (bridge, network) in CONTAINERS.items():
            self.run("machine", "ip", "link", "add", bridge, "type", "bridge")
            self.run("machine", "ip", "address", "add", f"{network}.1/24", "dev", bridge)
            self.run("machine", "ip", "link", "set", bridge, "up")
            self._cable("machine", f"veth-{name}", name, "eth0")
            self.run("machine", "ip", "link", "set", f"veth-{name}", "master", bridge)
            self.run(name, "ip", "address", "add", f"{network}.2/24", "dev", "eth0")
            self.run(name, "ip", "route", "add", "default", "via", f"{network}.1")
            self.run("outside", "ip", "route", "add", f"{network}.0/24", "via", MACHINE)

    def _cable(self, one: str, at_one: str, other: str, at_other: str) -> None:
        holder = str(self._holders[other])
        self.run(one, "ip", "link", "add", at_one, "type", "veth", "peer", "name", at_other, "netns", holder)
        self.run(one, "ip", "link", "set", at_one, "up")
        self.run(other, "ip", "link", "set", at_other, "up")


@contextmanager
def network() -> Iterator[Network]:
    """The network, until the end."""
    with ExitStack() as stack:
        made = Network(stack)
        made.wire()
        yield made


def may_make_namespaces() -> bool:
    """Whether this user of this kernel may."""
    return (
        os.getuid() == 0
        and subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0
    )
