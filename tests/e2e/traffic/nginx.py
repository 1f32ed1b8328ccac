"""A real NGINX with the very configuration that is rendered, but for what belongs to a pod.

Replaced, and nothing else:

* the ports, by free ones on 127.0.0.1;
* ``/tmp`` and ``/run/router``, by a folder of the test;
* ``/dev/stdout``, by a file;
* in the resolver's line: the port of the test's name server, and 1 s instead of 5 s for which an answer is used.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.e2e import processes
from tests.e2e.ports import free_ports
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool

_LISTEN = re.compile(r"listen (?:[\d.]+:|\[::\]:)?(\d+)([^;]*);")


class Nginx:
    """NGINX as it runs in a router pod; a context manager. ``ports`` tells where each port of the pod is."""

    def __init__(self, deployment: Mapping[str, Any], config_map: Mapping[str, Any], dns_port: int) -> None:
        self.pod = deployment["spec"]["template"]["spec"]
        container = next(one for one in self.pod["containers"] if one["name"] == "nginx")
        self._dns_port = dns_port
        self._hold(config_map["data"]["nginx.conf"], container["command"], health_port=8080)

    def _hold(self, text: str, command: list[str], *, health_port: int) -> None:
        self._text, self._command, self._health_port = text, command, health_port
        self.ports: dict[int, int] = {}
        self._process: processes.Process | None = None

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="router-"))
        self.folder.chmod(0o755)  # for the workers, who are somebody else where the test is root
        self.access_log = self.folder / "access.log"
        (self.folder / "run").mkdir()
        (self.folder / "tmp").mkdir()
        self._write_resolver()
        text = _LISTEN.sub(self._free_port, self._text)
        for here, there in (("/tmp/", "tmp"), ("/run/router/", "run")):
            text = text.replace(here, f"{self.folder / there}/")
        text = text.replace("/dev/stdout", str(self.access_log))
        self.config = self.folder / "nginx.conf"
        self.config.write_text(text)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            processes.end(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_resolver(self) -> None:
        """Run the init container's own command on a resolv.conf like a pod's."""
        resolv, made = self.folder / "resolv.conf", self.folder / "run" / "resolver.conf"
        resolv.write_text("search demo.svc.cluster.local svc.cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n")
        (container,) = self.pod["initContainers"]
        command = [word.replace("/etc/resolv.conf", str(resolv)) for word in container["command"]]
        subprocess.run([word.replace("/run/router", str(made.parent)) for word in command], check=True)
        line = made.read_text()
        assert line == "resolver 127.0.0.1 valid=5s;\n"
        made.write_text(line.replace("127.0.0.1", f"127.0.0.1:{self._dns_port}").replace("valid=5s", "valid=1s"))

    def _free_port(self, found: re.Match[str]) -> str:
        (port,) = free_ports(1)
        self.ports[int(found[1])] = port
        return f"listen 127.0.0.1:{port}{found[2]};"

    def check(self) -> str:
        """What ``nginx -t`` has to say. Raises CalledProcessError where it refuses."""
        words = [tool("nginx"), "-t", "-e", "stderr", "-c", self.config]
        return subprocess.run(words, check=True, capture_output=True, text=True).stderr

    def start(self) -> None:
        """Start it the way the pod does."""
        command = [word.replace("/etc/nginx/router/nginx.conf", str(self.config)) for word in self._command]
        with (self.folder / "error.log").open("wb") as log:
            self._process = processes.start([tool("nginx"), *command[1:]], stderr=log)
        self._wait_for(self.ports[self._health_port])

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"NGINX does not listen: {(self.folder / 'error.log').read_text()}")

    def reload(self) -> None:
        """Have new workers read the configuration, while the old ones finish what they hold."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop_as_kubernetes_does(self) -> None:
        """Send the image's stop signal."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)

    def wait(self) -> int:
        """Wait until it has ended; the exit status."""
        assert self._process is not None
        return self._process.wait(timeout=PATIENCE_S)

    def cpu_s(self) -> float:
        """CPU time of the workers so far."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        ticks = 0
        for child in children:
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")
