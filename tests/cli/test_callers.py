"""``agentgpu endpoints`` and ``agentgpu pin``, the latter before a registry, a hub and an aws command of the test's own."""

from __future__ import annotations

import ast
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.operations.pinning import parts_of
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load
from tests.cli.running import agentgpu

MANIFEST = b'{"schemaVersion":2,"manifests":[]}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

SPEC = """\
# our agents
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: desk}
spec:
  target: compose
  security: {apiKeySecret: callers}
  hosts: {callerRanges: [203.0.113.0/24]}
  observability: {grafana: true}
  agents:
    - name: front-desk   # answers first
      model: Qwen/Qwen3-8B
      loraAdapters:
        - {name: polite, source: Qwen/polite}
        - name: terse
          source: Qwen/terse
      speculative: {method: draft-model, model: Qwen/Qwen3-0.6B}
    - name: back
      model: Qwen/Qwen3-14B
      modelRevision: main
"""


class World(BaseHTTPRequestHandler):
    """A registry that wants a token, and a model hub."""

    asked: ClassVar[list[tuple[str, str]]] = []
    wrong: ClassVar[bool] = False

    def do_GET(self) -> None:
        key = self.headers.get("Authorization", "")
        self.asked.append((self.path, key))
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path.startswith("/v2/") and key != "Bearer pull":
            challenge = f'Bearer realm="{base}/token",service="registry",scope="repository:x:pull"'
            self._answer(401, b"{}", {"WWW-Authenticate": challenge})
        elif self.path.startswith("/v2/"):
            self._answer(200, MANIFEST, {"Docker-Content-Digest": f"sha256:{'0' * 64}" if self.wrong else DIGEST})
        elif self.path.startswith("/token?"):
            self._answer(200, b'{"token":"pull"}', {})
        elif self.path.startswith(("/api/models/Qwen/", "/api/models/acme/")):
            self._answer(200, json.dumps({"sha": COMMIT}).encode(), {})
        else:
            self._answer(404, b"", {})

    def _answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(World, "asked", [])
    monkeypatch.setattr(World, "wrong", False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), World)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(SPEC)
    return path


def options(world: str) -> list[str]:
    return ["--hub", world, *(word for host in ("docker.io", "nvcr.io") for word in ("--registry", f"{host}={world}"))]


def test_pin_writes_digests_and_commits_and_keeps_the_rest(world: str, spec: Path) -> None:
    shown = agentgpu("pin", str(spec), "--dry-run", *options(world))
    assert (shown.code, spec.read_text()) == (0, SPEC)
    assert f"+      modelRevision: {COMMIT}" in shown.out
    done = agentgpu("pin", str(spec), *options(world))
    assert done.code == 0, done.err
    loaded = load(spec)
    stack = loaded.stack.spec
    assert [each.message for each in make_plan(loaded, load_catalog()).warnings if each.code == "unpinned"] == []
    assert stack.pins.engine_image is not None
    assert stack.pins.engine_image.startswith("vllm/vllm-openai:") and stack.pins.engine_image.endswith(f"@{DIGEST}")
    assert all(image and image.endswith(DIGEST) for image in (stack.pins.router_image, stack.pins.dcgm_exporter_image))
    assert [agent.model_revision for agent in stack.agents] == [COMMIT, COMMIT]
    text = spec.read_text()
    assert text.startswith("# our agents\n") and "name: front-desk   # answers first\n" in text
    again = agentgpu("pin", str(spec), *options(world))
    assert (again.code, spec.read_text(), "nothing to pin" in again.out) == (0, text, True)
    assert not any(key == "Bearer pull" for path, key in World.asked if path.startswith("/api"))


def test_pin_keeps_to_the_revision_of_the_page_that_names_the_model(world: str, spec: Path) -> None:
    page = "https://huggingface.co/Qwen/Qwen3-8B/tree/"
    text = SPEC.replace("Qwen/Qwen3-8B\n", f"{page}{COMMIT[::-1]}\n").replace("Qwen/Qwen3-14B", f"{page}v2")
    spec.write_text(text.replace("      modelRevision: main\n", ""))
    done = agentgpu("pin", str(spec), *options(world))
    assert done.code == 0, done.err
    assert [agent.model_revision for agent in load(spec).stack.spec.agents] == [None, COMMIT]
    assert [path for path, _ in World.asked if path.endswith("/v2")] == ["/api/models/Qwen/Qwen3-8B/revision/v2"]


def test_pin_writes_all_or_nothing(world: str, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "wrong", True)
    refused = agentgpu("pin", str(spec), *options(world))
    assert (refused.code, spec.read_text()) == (3, SPEC)
    assert "nothing was pinned" in refused.err
    assert "the registry says sha256:000" in refused.err


def test_pin_without_a_network_says_so_in_one_error(spec: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    refused = agentgpu("pin", str(spec), *options(nowhere))
    assert (refused.code, spec.read_text(), refused.out) == (3, SPEC, "")
    assert refused.err.count("nothing was pinned") == 1
    assert "cannot be asked" in refused.err


def test_pin_asks_aws_for_the_newest_image_of_the_nodes(
    world: str, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec.write_text(
        SPEC.replace("target: compose", "target: eks").replace("  hosts: {callerRanges: [203.0.113.0/24]}\n", "")
    )
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho 1.35.2-20261119\n')
    aws.chmod(0o755)
    monkeypatch.setenv("PATH", f"{aws.parent}:/usr/bin:/bin")
    done = agentgpu("pin", str(spec), *options(world))
    assert done.code == 0, done.err
    assert load(spec).stack.spec.pins.ami_alias == "al2023@v20261119"
    assert "/amazon-linux-2023/x86_64/nvidia/recommended/release_version" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("vllm/vllm-openai:v1", ("docker.io", "vllm/vllm-openai", "v1")),
        ("nginx", ("docker.io", "library/nginx", "latest")),
        ("ghcr.io/a/b/c:v0", ("ghcr.io", "a/b/c", "v0")),
        ("localhost:5000/a", ("localhost:5000", "a", "latest")),
    ],
)
def test_images_are_read_as_docker_reads_them(reference: str, parts: tuple[str, str, str]) -> None:
    assert parts_of(reference) == parts


def test_endpoints_say_how_programs_reach_the_agents(spec: Path) -> None:
    found = agentgpu("endpoints", str(spec), "--address", "192.0.2.7").data
    front = found["front-desk"]
    assert front["baseUrl"].startswith("https://192.0.2.7:")
    assert (front["model"], front["apiKeyVariable"], front["apiKeySecret"]) == (
        "front-desk",
        "AGENTGPU_API_KEY",
        "callers",
    )
    assert front["sessionHeader"] == "x-session-id"
    assert front["contextTokens"] > 0
    env = agentgpu("endpoints", str(spec), "-f", "env").out
    assert "# ADDRESS of back: the address of the machine, or of the one in front; or --address\n" in env
    assert "FRONT_DESK_MODEL=front-desk\n" in env
    module = agentgpu("endpoints", str(spec), "-f", "langgraph").out
    functions = [node.name for node in ast.parse(module).body if isinstance(node, ast.FunctionDef)]
    assert functions == ["front_desk_model", "back_model"]
    assert 'os.environ["AGENTGPU_API_KEY"]' in module
