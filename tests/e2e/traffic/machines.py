"""Machines beside a cluster, and what tells NGINX of them: each with the NGINX that is rendered for it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from agentgpu_iac import plan as p
from agentgpu_iac.provisioning.spheron.certificate import make_certificate
from agentgpu_iac.rendering.render import render
from tests.e2e import processes
from tests.e2e.ports import free_ports
from tests.e2e.processes import PATIENCE_S
from tests.e2e.traffic.fake_engines import FakeEngine
from tests.e2e.traffic.nginx import Nginx
from tools.install import path as tool


class Machine:
    """A machine on a loopback address of its own: NGINX as it is rendered for it, before a stand-in for its engine.

    A context manager. Replaced are ports and folders, and the address on which callers are heard.
    """

    def __init__(self, plan: p.Plan, name: str, address: str, port: int, certificate: tuple[Path, Path]) -> None:
        self.name, self.address, self.port = name, address, port
        (conf,) = (file for file in render(plan) if file.path.endswith("/nginx.conf"))
        self._text, self._certificate = conf.content.decode(), certificate

    def __enter__(self) -> Self:
        self.engine = FakeEngine(address=self.address, tokens=2, token_s=0.0).__enter__()
        self._folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self._folder.chmod(0o755)  # for the workers, who are somebody else where the test is root
        for file in self._certificate:
            shutil.copy(file, self._folder)
        text = re.sub(r"listen 0\.0\.0\.0:\d+ ssl", f"listen {self.address}:{self.port} ssl", self._text)
        text = re.sub(r"listen 127\.0\.0\.1:\d+;", lambda _: f"listen {self.address}:{free_ports(1)[0]};", text)
        text = re.sub(r"server 127\.0\.0\.1:\d+ ", f"server {self.address}:{self.engine.port} ", text)
        for here, there in (("/tmp/", f"{self._folder}/"), ("/etc/nginx/tls", str(self._folder))):
            text = text.replace(here, there)
        (self._folder / "nginx.conf").write_text(text.replace("/dev/stdout", f"{self._folder}/access.log"))
        words = [tool("nginx"), "-e", "stderr", "-c", self._folder / "nginx.conf", "-g", "daemon off;"]
        with (self._folder / "error.log").open("wb") as log:
            self._process = processes.start(words, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((self.address, self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError(f"the machine does not listen: {(self._folder / 'error.log').read_text()}")

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Be gone: nothing listens, and what was connected is cut off."""
        processes.end(self._process)
        self.engine.stop()


class NginxBefore(Nginx):
    """The router of a plan with machines beside its cluster: its script tells NGINX of those in the ConfigMap."""

    def __init__(
        self, plan: p.Plan, deployment: Mapping[str, Any], config_map: Mapping[str, Any], dns_port: int
    ) -> None:
        assert plan.joined is not None
        super().__init__(deployment, config_map, dns_port)
        self._data, self.joined = config_map["data"], plan.joined
        self.target_port = free_ports(1)[0]

    def __enter__(self) -> Self:
        super().__enter__()
        self.given, self.router = self.folder / "given", self.folder / "router"
        self.given.mkdir()
        self.router.mkdir()
        ways = [route for machine in self.joined.machines for route in machine.routes]
        ports = dict(zip((str(way.port) for way in ways), map(str, free_ports(len(ways))), strict=True))
        listen = f"127.0.0.1:{min(ports)}-{max(ports)}"
        texts = {name: text for name, text in self._data.items() if name != "nginx.conf"}
        texts["stream.conf"] = texts["stream.conf"].replace(
            f"listen {listen};", " ".join(f"listen 127.0.0.1:{port};" for port in ports.values())
        )
        for inside, free in ports.items():
            texts["machines.list"] = texts["machines.list"].replace(inside, free)
        texts["machines.list"] = texts["machines.list"].replace(
            f"ADDRESS:{ways[0].target_port}", f"ADDRESS:{self.target_port}"
        )
        for name, text in texts.items():
            (self.router / name).write_text(text.replace("/run/router/", f"{self.folder / 'run'}/"))
        self.config.rename(self.router / "nginx.conf")
        self.config = self.router / "nginx.conf"
        self.certificate = self._certificate(self.joined.server_name)
        return self

    def _certificate(self, name: str) -> tuple[Path, Path]:
        files = (self.folder / "tls.crt", self.folder / "tls.key")
        for file, text in zip(files, make_certificate(name), strict=True):
            file.write_text(text)
        return files

    def start(self) -> None:
        """Start it the way the pod does: by the script."""
        environment = {
            "ROUTER": str(self.router),
            "GIVEN": str(self.given),
            "MADE": str(self.folder / "run" / "machines"),
            "NGINX_BINARY": str(tool("nginx")),
            "PERIOD_S": "0.1",
        }
        with (self.folder / "error.log").open("wb") as log:
            words = ["sh", self.router / "machines.sh"]
            self._process = processes.start(words, stderr=log, env={**os.environ, **environment})
        self._wait_for(self.ports[self._health_port])

    def told_of(self, machines: Sequence[Machine], *, text: str | None = None) -> None:
        """Fill the ConfigMap's volume as the kubelet does."""
        lines = "".join(f"{machine.name} {machine.address}\n" for machine in machines) if text is None else text
        (self.given / "tls.crt").write_text(self.certificate[0].read_text())
        new = self.given / ".new"
        new.write_text(lines)
        new.rename(self.given / "machines")

    def errors(self) -> str:
        """What it has said so far."""
        return (self.folder / "error.log").read_text()
