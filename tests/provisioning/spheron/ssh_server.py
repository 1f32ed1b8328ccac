"""Machines that one SSH server stands for: the user's name says which. What is sent there is really run, below a folder.

Programs that would change the test's own machine only write down how they were called.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from agentgpu_iac.plan.machine_paths import PROVE_FILE

PATIENCE_S = 120
_PLACES = ("/opt/agentgpu", "/etc/agentgpu", "/etc/ssh/", "/run/agentgpu")
_PROGRAMS = {
    "sudo": '[ "$1" = -n ] && shift; exec "$@"',
    "nft": "",
    "docker": 'case "$1" in ps) echo abc;; esac',
    "systemctl": "",
    "chown": "",
}


def make_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key("openssh").decode().strip()


def private(key: asyncssh.SSHKey) -> str:
    return key.export_private_key("openssh").decode()


@dataclass(slots=True)
class Machines:
    """The server. ``files`` gives what a machine was made with, when it is first logged in to: then it signs its host key."""

    folder: Path
    client: asyncssh.SSHKey
    files: Callable[[str], dict[str, str]]
    host_key: asyncssh.SSHKey = field(default_factory=make_key)
    claimed_host_key: asyncssh.SSHKey | None = None
    """The key of the machine that was made, where it is not what answers."""
    port: int = 0
    commands: list[tuple[str, str]] = field(default_factory=list)
    """Machine and command, in the order in which they came."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread = field(init=False)
    _server: asyncssh.SSHAcceptor | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        programs = self.folder / "programs"
        programs.mkdir(parents=True)
        for name, answer in _PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"$MACHINE/calls"\n{answer}\n')
            (programs / name).chmod(0o755)
        self._thread.start()
        self._do(self._listen())

    def close(self) -> None:
        if self._loop.is_running():
            self._do(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)
            self._loop.close()

    def show_another_key(self) -> None:
        """Something else answers from now on."""
        self.host_key = make_key()
        self._do(self._stop())
        self._do(self._listen())

    def written(self, machine: str, path: str) -> str:
        """What a file of a machine holds now."""
        return self._place(machine, path).read_text()

    def has(self, machine: str, path: str) -> bool:
        return self._place(machine, path).exists()

    def calls(self, machine: str) -> list[str]:
        """How programs of a machine were called."""
        return self._place(machine, "/calls").read_text().splitlines()

    def _place(self, machine: str, path: str) -> Path:
        return self.folder / machine / path.lstrip("/")

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(public(self.client)),
            process_factory=self._handle,
            reuse_address=True,
        )
        self.port = self._server.get_port()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _handle(self, process: asyncssh.SSHServerProcess[str]) -> None:
        machine, command = process.get_extra_info("username"), process.command or ""
        given = await process.stdin.read()
        self.commands.append((machine, command))
        done = await asyncio.to_thread(self._run, machine, command, given)
        process.stdout.write(done.stdout)
        process.stderr.write(done.stderr)
        process.exit(done.returncode)

    def _run(self, machine: str, command: str, given: str) -> subprocess.CompletedProcess[str]:
        root = self.folder / machine
        if not root.exists():
            (root / "run").mkdir(parents=True)
            for path, content in self.files(machine).items():
                place = self._place(machine, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(self._below(root, content) if path.endswith((".sh", ".py")) else content)
            self._prove(machine)
        environment = {"PATH": f"{self.folder / 'programs'}:{os.defpath}", "MACHINE": str(root)}
        words = ["bash", "-c", self._below(root, command)]
        return subprocess.run(
            words, env=environment, input=given, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )

    def _prove(self, machine: str) -> None:
        for name, key in (("ed25519", self.claimed_host_key or self.host_key), ("rsa", make_key())):
            place = self._place(machine, f"/etc/ssh/ssh_host_{name}_key.pub")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"{public(key)} root@{machine}\n")
        if self.has(machine, PROVE_FILE):
            subprocess.run([sys.executable, self._place(machine, PROVE_FILE)], check=True, timeout=PATIENCE_S)

    @staticmethod
    def _below(root: Path, text: str) -> str:
        for place in _PLACES:
            text = text.replace(place, f"{root}{place}")
        return text
