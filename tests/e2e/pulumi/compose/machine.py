"""A machine's files as the real Compose client reads them, and what of them runs here without Docker.

Replaced in NGINX's configuration, and nothing else: the ports, by free ones on 127.0.0.1; the engines' loopback ports, by those
of the engines that run; ``/tmp`` and the certificates' folder, by folders of the test; ``/dev/stdout``, by a file.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from tests.e2e.engine.pods import EnginePod
from tests.e2e.processes import PATIENCE_S
from tests.e2e.traffic.nginx import Nginx
from tools.install import path as tool

CERTIFICATES = "/etc/nginx/tls"


def written(plan: Plan, folder: Path) -> dict[str, Path]:
    """Write the plan's files; the folder of each pool's machines."""
    write(render(plan), folder)
    return {path.name: path for path in sorted((folder / "hosts").iterdir())}


def composed(folder: Path, secrets: Mapping[str, str], *words: str) -> dict[str, Any]:
    """What the Compose client makes of a machine's file: variables put in, everything spelled out."""
    file = folder / "secrets.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))
    command = [tool("docker-compose"), "--env-file", file, "-f", folder / "docker-compose.yaml", *words, "config"]
    ran = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def engine_pod(name: str, service: Mapping[str, Any]) -> EnginePod:
    """An engine's container in the form in which the engines' tests start one."""
    url = re.search(r"http://127\.0\.0\.1:\d+(/\w+)", service["healthcheck"]["test"][-1])
    assert url is not None
    probe = {"httpGet": {"path": url[1]}}
    container = {
        "command": [_plain(word) for word in service["entrypoint"]],
        "args": [_plain(word) for word in service["command"]],
        "env": [{"name": key, "value": _plain(value)} for key, value in service["environment"].items()],
        "volumeMounts": [{"mountPath": one["target"], "name": one["source"]} for one in service["volumes"]],
        "startupProbe": probe,
        "readinessProbe": probe,
        "livenessProbe": probe,
    }
    return EnginePod(owner=name, template={}, container=container)


def _plain(text: str) -> str:
    """The client doubles dollars in what it prints, so that it could read it again."""
    return text.replace("$$", "$")


class MachineNginx(Nginx):
    """NGINX as it runs on a machine; a context manager. ``ports`` tells where each port of the machine is."""

    def __init__(
        self, folder: Path, service: Mapping[str, Any], engines: Mapping[int, int], certificates: Path
    ) -> None:
        text = (folder / "nginx.conf").read_text()
        for planned, here in engines.items():
            text = text.replace(f"server 127.0.0.1:{planned} ", f"server 127.0.0.1:{here} ")
        health = re.search(r"listen 127\.0\.0\.1:(\d+);", text)
        assert health is not None
        self._certificates = certificates
        self._hold(text, service["entrypoint"], health_port=int(health[1]))

    def __enter__(self) -> Self:
        super().__enter__()
        self.config.write_text(self.config.read_text().replace(CERTIFICATES, str(self._certificates)))
        return self

    def read_again(self) -> None:
        """What the machine does when its files have changed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def _write_resolver(self) -> None:
        """It resolves nothing."""


def certificate(folder: Path) -> Path:
    """A certificate like the one that the machine makes for itself, for 127.0.0.1; the folder that holds it."""
    folder.mkdir()
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    folder.chmod(0o755)
    (folder / "tls.key").chmod(0o644)  # NGINX's workers may be somebody else
    return folder
