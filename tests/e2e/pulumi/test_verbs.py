"""``agentgpu preview``, ``up`` and ``destroy`` on the real command line and engine.

The program makes things that wait for a file or fail by one, so that a test says when; the agents' own program runs beside it
in the suites of the targets.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.running import SMALL, Answer
from tests.e2e.processes import PATIENCE_S, end, start
from tests.e2e.pulumi.cli import ROOT, STACK, Project

PROGRAM = """
import time
from pathlib import Path

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class Maker(ResourceProvider):
    def create(self, props):
        folder, name = Path(props["folder"]), props["name"]
        (folder / f"begun-{name}").touch()
        while (folder / f"hold-{name}").exists():
            time.sleep(0.05)
        if (folder / f"refuse-{name}").exists():
            raise ValueError("no machine of this kind is left")
        return CreateResult(id_=name, outs=props)


class Thing(Resource, name="Thing"):
    pass


folder = str(Path(__file__).parent)
first = Thing(Maker(), "first", {"name": "first", "folder": folder})
Thing(Maker(), "second", {"name": "second", "folder": folder}, pulumi.ResourceOptions(depends_on=[first]))
pulumi.export("agentUrls", {"support": "http://support.desk.svc/v1"})
pulumi.export("prerequisites", ["the NVIDIA device plugin"])
pulumi.export("kubeconfig", pulumi.Output.secret("a-password-of-somebody"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of somebody's, with an agent stack in its configuration."""
    found = Project(tmp_path, SMALL, project="{name: desk, runtime: python, main: stacks, stackConfigDir: stacks}")
    (found.folder / "stacks" / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    return found


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "agentgpu_iac", *words]


def agentgpu(project: Project, *words: str) -> Answer:
    done = subprocess.run(
        command(*words),
        cwd=project.folder,
        env=project.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    return Answer(code=done.returncode, out=done.stdout, err=done.stderr)


def made(project: Project) -> set[str]:
    return {each["id"] for each in project.resources() if each["type"].startswith("pulumi-python:dynamic")}


def held(project: Project, name: str) -> Path:
    return project.folder / "stacks" / name


def test_a_stack_from_its_preview_to_nothing(project: Project) -> None:
    seen = agentgpu(project, "preview")
    assert (seen.code, seen.err) == (0, "")
    assert seen.out.startswith("demo: single-agent")
    assert "USD a month" in seen.out
    assert "2 to create; 0 stay as they are." in seen.out
    assert made(project) == set()

    done = agentgpu(project, "up", "--yes")
    assert done.code == 0, done.err
    assert made(project) == {"first", "second"}
    assert "2 created" in done.err
    assert "http://support.desk.svc/v1" in done.out
    assert "the NVIDIA device plugin" in done.out
    assert "a secret: pulumi stack output kubeconfig --show-secrets" in done.out
    assert "a-password-of-somebody" not in done.out + done.err
    assert "The cluster was not looked at: " in done.err
    assert "known in its cluster alone" in done.out

    agentgpu(project, "plan", "stacks/stack.yaml", "-o", "plan.json")
    again = agentgpu(project, "up", "plan.json", "--yes", "--json")
    assert again.code == 0, again.err
    assert (again.data["result"], again.data["changes"], again.data["done"]) == ("succeeded", [], {})
    assert again.data["outputs"]["kubeconfig"] == "[secret]"
    assert again.data["status"] is None
    assert [(each["agent"], each["answers"]) for each in again.data["answers"]] == [("support", None)]
    settings = (project.folder / "stacks" / f"Pulumi.{STACK}.yaml").read_text(encoding="utf-8")
    assert "agentgpu:plan: plan.json" in settings
    assert "agentgpu:spec" not in settings

    gone = agentgpu(project, "destroy", "--yes")
    assert (gone.code, made(project)) == (0, set()), gone.err
    assert "2 deleted" in gone.err


def test_a_failure_is_a_sentence_and_the_next_up_goes_on(project: Project) -> None:
    held(project, "refuse-second").touch()
    failed = agentgpu(project, "up", "--yes")
    assert failed.code == project.up(expect=None).code != 0
    told = [line for line in failed.err.splitlines() if "no machine of this kind is left" in line]
    assert len(told) == 1
    assert told[0].startswith("second (pulumi-python dynamic Thing): ")
    assert "Traceback" not in failed.err
    assert made(project) == {"first"}
    held(project, "refuse-second").unlink()
    assert agentgpu(project, "up", "--yes").code == 0
    assert made(project) == {"first", "second"}


def test_who_is_stopped_keeps_what_had_begun(project: Project, tmp_path: Path) -> None:
    held(project, "hold-first").touch()
    log = tmp_path / "up.log"
    with log.open("w", encoding="utf-8") as file:
        process = start(
            command("up", "--yes"),
            cwd=project.folder,
            env=project.environment | {"PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=file,
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while not held(project, "begun-first").exists():
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        while "Stopping" not in log.read_text(encoding="utf-8"):
            assert time.monotonic() < until
            time.sleep(0.1)
        held(project, "hold-first").unlink()
        code = process.wait(PATIENCE_S)
    finally:
        end(process)
    said = log.read_text(encoding="utf-8")
    assert code not in (0, -signal.SIGINT), said
    assert "Stopped. What was made is in the state; agentgpu up goes on from there." in said
    assert not held(project, "begun-second").exists()
    assert agentgpu(project, "up", "--yes").code == 0
    assert made(project) == {"first", "second"}


REFUSED = """
import pulumi

from agentgpu_iac.provisioning import deployed

pulumi.get_stack = lambda: "nobody"
try:
    deployed.last_outputs()
except deployed.Unread as error:
    pulumi.export("said", str(error))
pulumi.export("known", dict(deployed.known_outputs()))
"""


def test_a_look_up_that_the_engine_refuses_ends_no_program(project: Project) -> None:
    (project.folder / "stacks" / "__main__.py").write_text(REFUSED, encoding="utf-8")
    project.up()
    outputs = project.outputs()
    assert "unknown stack" in outputs["said"]
    assert outputs["known"] == {}


ROUTED = """
import pulumi

settings = pulumi.Config("desk")
pulumi.export("agentUrls", {"support": [settings.require("url")], "digest": ["http://127.0.0.1:1/v1"]})
"""


class Router(BaseHTTPRequestHandler):
    """Answers as a router does whose callers need keys."""

    def do_GET(self) -> None:
        self.send_response(401 if self.path == "/v1/models" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_agents_are_asked_once_all_is_made(project: Project) -> None:
    (project.folder / "stacks" / "__main__.py").write_text(ROUTED, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), Router) as router:
        threading.Thread(target=router.serve_forever, daemon=True).start()
        project.config("desk:url", f"http://127.0.0.1:{router.server_address[1]}/v1")
        done = agentgpu(project, "up", "--yes", "--json")
        router.shutdown()
    assert done.code == 0, done.err
    assert {each["agent"]: (each["answers"], each["says"]) for each in done.data["answers"]} == {
        "support": (True, "answers, and wants a key"),
        "digest": (False, "not reached from here: [Errno 111] Connection refused"),
    }
