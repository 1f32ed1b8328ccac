"""Machines beside a cluster follow the load: the real Pulumi engine by its Automation API, the real API server and Kubernetes
provider, Spheron's API on the loopback, and a Prometheus that says what it is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.processes import PATIENCE_S
from tests.e2e.pulumi.cli import ROOT, STACK, Project
from tests.e2e.pulumi.kubernetes.scenes import plugins
from tests.e2e.pulumi.spheron.server import SPEED, Spheron, start
from tests.provisioning.spheron.world import KEY, offer

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: burst}
spec:
  target: kubernetes
  providers: [aws]
  security: {apiKeySecret: agents-api-key}
  capacity: {burstWithoutNotice: accept, machinesFrom: [spheron]}
  hosts: {callerRanges: [203.0.113.0/24]}
  accelerators: {allow: [h100-sxm]}
  agents:
    - name: qa
      model: mistralai/Mistral-7B-Instruct-v0.3
      sessions: {concurrent: 50, peak: 400}
      conversation: {maxContextTokens: 4096, thinkTimeS: 0}
      traffic: {rampS: 3600}
"""


@dataclass
class Load:
    """What Prometheus says that engines hold, now and at the most; nothing: it does not answer."""

    now: float | None = 0.0
    most: float = 0.0

    def answer(self, query: str) -> tuple[int, dict[str, Any]]:
        if self.now is None:
            return 503, {}
        value = self.most if query.startswith("max_over_time") else self.now
        if "kv_cache" in query:
            value = 0.0
        return 200, {"data": {"result": [{"metric": {}, "value": [0, str(value)]}]}}


@pytest.fixture
def load() -> Iterator[tuple[Load, str]]:
    from urllib.parse import parse_qs

    said = Load()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, content = said.answer(body["query"][0])
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield said, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def spheron() -> Iterator[Spheron]:
    made = start()
    made.world.minimum_runtime_minutes = 0
    h100 = {"vcpus": 32, "gpu_memory": 80, "interconnectType": "SXM5"}
    for name in ("spot-a", "spot-b"):
        made.world.groups[1]["offers"].append(offer(name, instanceType="SPOT", price=2.4, spot_price=0.9, **h100))
    yield made
    made.close()


@pytest.fixture
def project(equipped_cluster: ControlPlane, spheron: Spheron, tmp_path: Path) -> Project:
    fast = ROOT / "tests" / "e2e" / "pulumi" / "spheron" / "fast"
    made = Project(
        tmp_path,
        SPEC,
        plugins=plugins(),
        environment={"PYTHONPATH": f"{fast}:{ROOT}", "AGENTGPU_TEST_SPEED": str(SPEED)},
    )
    for key, value in (
        ("part", "burst"),
        ("spheronUrl", spheron.url),
        ("sshPublicKey", "ssh-ed25519 AAAA someone"),
        ("kubeconfig", str(equipped_cluster.kubeconfig)),
        ("context", "test"),
        ("wayOut", "198.51.100.7"),
    ):
        made.config(f"agentgpu:{key}", value)
    made.config("agentgpu:spheronApiKey", KEY, secret=True)
    made.run("config", "set", "--secret", "--path", "agentgpu:secrets.agents-api-key", given="callers-send-this-key")
    equipped_cluster.kubectl("create", "namespace", "burst")
    return made


def look(project: Project, url: str, *, expect: int = 0, dry_run: bool = False) -> dict[str, Any]:
    """``agentgpu scale``, as a user runs it."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "agentgpu_iac",
            "scale",
            "--stack",
            STACK,
            "--prometheus",
            url,
            *(("--dry-run",) if dry_run else ()),
            "-f",
            "json",
        ],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
    assert KEY not in done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(cluster: ControlPlane) -> list[str]:
    """The machines that the cluster's NGINX is told of."""
    text = cluster.kubectl(
        "get", "configmap", "traffic-router-machines", "-n", "burst", "-o", "jsonpath={.data.machines}"
    )
    return text.split()[::2]


def test_machines_follow_the_load(
    project: Project, spheron: Spheron, equipped_cluster: ControlPlane, load: tuple[Load, str]
) -> None:
    said, url = load
    took: list[float] = []

    def timed(**options: Any) -> dict[str, Any]:
        began = time.monotonic()
        found = look(project, url, **options)
        took.append(time.monotonic() - began)
        return found

    said.now = said.most = 0.0
    (pool,) = timed()["pools"]
    assert (pool["before"], pool["machines"]) == (0, 0)
    assert not spheron.world.machines, "the baseline carries it"

    said.now = said.most = 100_000.0
    (pool,) = timed(dry_run=True)["pools"]
    most = pool["machines"]
    assert most >= 2
    assert not spheron.world.machines
    spheron.world.refused_offers.add("spot-a")
    assert timed()["changed"]
    assert len(spheron.world.live) == most, "the next offer, where the first has no room"
    names = told(equipped_cluster)
    assert len(names) == most
    assert not timed()["changed"]

    spheron.world.reclaim(spheron.world.live[0]["id"])
    assert timed()["changed"]
    assert len(spheron.world.live) == most
    assert sorted(told(equipped_cluster)) == sorted(names)

    said.now = None
    assert timed(expect=3)["unknown"]
    assert len(spheron.world.live) == most

    said.now = said.most = 0.0
    found = timed()
    assert not found["changed"]
    assert "their number changed lately" in found["pools"][0]["why"]
    print("seconds a look:", [round(each, 1) for each in took])  # noqa: T201
    project.destroy()
    assert not spheron.world.live
