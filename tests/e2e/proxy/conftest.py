"""The real LiteLLM, started by the command of the rendered pod on the files of the rendered ConfigMap.

Three things differ from the pod: where the files lie, the port, and the address of each agent, which is a stand-in's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import load_stack, make_plan
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.proxy import CONFIG, CONFIG_FOLDER
from agentgpu_iac.rendering.render import render
from tests.e2e.ports import HOST, free_ports
from tests.e2e.processes import PATIENCE_S, Process, end, start
from tools.install import path as tool

ENGINES = ("planner", "coder", "clerk", "seller")
KEYS = {
    "desk": "desk-key-1",
    "lab": "lab-key-2",
    "thrifty": "thrifty-key-3",
    "slow": "slow-key-4",
    "anybody": "any-key-5",
}
PAID_KEY = "the-sellers-key"
STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: office}}
spec:
  target: kubernetes
  providers: [aws]
  regions: [us-east-1]
  proxy: {{redisSecret: proxy-redis}}
  teams:
    - {{name: desk, keySecret: desk-key, agents: [planner]}}
    - {{name: lab, keySecret: lab-key, requestsPerMinute: 3}}
    - {{name: thrifty, keySecret: thrifty-key, agents: [planner], usdPerDay: 0.003}}
    - {{name: slow, keySecret: slow-key, tokensPerMinute: 30}}
    - {{name: anybody, keySecret: anybody-key}}
  agents:
    - name: planner
      model: Qwen/Qwen3-0.6B
      sessions: {{concurrent: 2}}
      traffic: {{conversationsPerDay: 100}}
      overrides: {{maxModelLen: 2048}}
      fallback: coder
      paidFallback:
        apiModel: openai/gpt-5-mini
        baseUrl: {seller}/v1
        keySecret: seller-key
        usdPerDay: 16.5
        usdPerMillionInput: 1000
        usdPerMillionOutput: 1000
    - {{name: coder, model: Qwen/Qwen3-0.6B, sessions: {{concurrent: 2}}, isolation: dedicated, overrides: {{maxModelLen: 2048}}}}
    - {{name: clerk, model: Qwen/Qwen3-0.6B, sessions: {{concurrent: 2}}, isolation: dedicated, fallback: coder}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the proxy said."""

    status: int
    text: str

    @property
    def content(self) -> str:
        """The words of an answer, streamed or not."""
        if not self.text.startswith("data:"):
            return str(json.loads(self.text)["choices"][0]["message"]["content"])
        events = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: {")]
        found = [json.loads(event) for event in events]
        return "".join(c["delta"].get("content") or "" for each in found for c in each.get("choices", ()))


@dataclass(slots=True, kw_only=True)
class Office:
    """The proxy and what stands behind it."""

    plan: Plan
    folder: Path
    port: int
    ports: dict[str, int]
    environment: dict[str, str]
    command: list[str]
    redis_port: int
    engines: dict[str, Process] = field(default_factory=dict)
    redis: Process | None = None
    proxy: Process | None = None

    def start_engine(self, name: str) -> None:
        self.engines[name] = start([sys.executable, "-m", "tests.e2e.proxy.fake_engine", str(self.ports[name]), name])
        _wait(f"http://{HOST}:{self.ports[name]}/heard")

    def kill_engine(self, name: str) -> None:
        end(self.engines.pop(name))

    def start_redis(self) -> None:
        """Redis as Debian has it: its server is the program that checks its files, called by another name."""
        program = tool("redis-server")
        (libraries,) = (program.parents[1] / "lib").glob("*-linux-gnu")
        words = (
            "--port",
            str(self.redis_port),
            "--bind",
            HOST,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(self.folder),
        )
        with (self.folder / "redis.log").open("ab") as log:
            self.redis = start(
                ["redis-server", *words],
                executable=str(program),
                env={"LD_LIBRARY_PATH": str(libraries)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start_proxy(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.proxy = start(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        _wait(f"http://{HOST}:{self.port}/health/readiness", self.proxy, self.folder / "log")

    def stop_proxy(self) -> None:
        if self.proxy is not None:
            end(self.proxy)
            self.proxy = None

    def tell(self, name: str, **told: Any) -> None:
        """Have an engine behave so, and forget what it heard."""
        _post(f"http://{HOST}:{self.ports[name]}/tell", told, {})

    def heard(self, name: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://{HOST}:{self.ports[name]}/heard", timeout=30) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
        return found

    def ask(self, team: str, model: str = "planner", *, stream: bool = False, **more: Any) -> Answer:
        """Ask as a team does, or with a key that is none's."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}], "stream": stream, **more}
        headers = {"Authorization": f"Bearer {KEYS.get(team, team)}", "X-Session-Id": f"session-of-{team}"}
        return _post(f"http://{HOST}:{self.port}/v1/chat/completions", body, headers)


def _post(url: str, body: object, headers: dict[str, str]) -> Answer:
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return Answer(status=answer.status, text=answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, text=error.read().decode())


def _wait(url: str, process: Process | None = None, log: Path | None = None) -> None:
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        assert process is None or process.poll() is None, log.read_text() if log else "it ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer: {log.read_text() if log else ''}")


def _answers(office: Office, name: str) -> bool:
    return office.ask("anybody", name).content == name


def _until(is_so: Callable[[], bool]) -> None:
    patience = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < patience
        time.sleep(0.2)


def _at_stand_ins(text: str, plan: Plan, ports: dict[str, int]) -> str:
    for route in plan.proxy.routes if plan.proxy is not None else ():
        text = text.replace(f'"{route.base_url}"', f'"http://{HOST}:{ports[route.agent]}/v1"')
    return text


def plan_of(text: str, folder: Path) -> Plan:
    spec = folder / "stack.yaml"
    spec.write_text(text)
    catalog = load_catalog()
    return make_plan(load_stack(spec), catalog)


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The whole of it, once for the suite: LiteLLM takes half a minute to start."""
    folder = tmp_path_factory.mktemp("proxy")
    port, redis_port, *ports = free_ports(2 + len(ENGINES))
    of = dict(zip(ENGINES, ports, strict=True))
    plan = plan_of(STACK.format(seller=f"http://{HOST}:{of['seller']}"), folder)
    objects = {file.path: file.content.decode() for file in render(plan)}
    config = yaml.safe_load(objects["base/configmap-model-proxy.yaml"])["data"]
    for name, text in config.items():
        (folder / name).write_text(_at_stand_ins(text, plan, of))
    (container,) = yaml.safe_load(objects["base/deployment-model-proxy.yaml"])["spec"]["template"]["spec"]["containers"]
    interpreter, *words = container["command"]
    assert interpreter == "python3"
    assert f"{CONFIG_FOLDER}/{CONFIG}" in words
    secrets = {f"{team}-key": key for team, key in KEYS.items()} | {
        "seller-key": PAID_KEY,
        "proxy-redis": f"redis://{HOST}:{redis_port}",
    }
    environment = {
        "PATH": f"{tool('litellm').parent}{os.pathsep}{os.environ['PATH']}",
        **{each["name"]: each["value"] for each in container["env"] if "value" in each},
        **{
            each["name"]: secrets[each["valueFrom"]["secretKeyRef"]["name"]]
            for each in container["env"]
            if "valueFrom" in each
        },
        "HOME": str(folder),
    }
    command = [
        str(tool("litellm-python")),
        *(
            str(folder / CONFIG)
            if word == f"{CONFIG_FOLDER}/{CONFIG}"
            else HOST
            if word == "0.0.0.0"
            else str(port)
            if word == str(plan.proxy.port if plan.proxy else 0)
            else word
            for word in words
        ),
    ]
    made = Office(
        redis_port=redis_port, plan=plan, folder=folder, port=port, ports=of, environment=environment, command=command
    )
    try:
        for name in ENGINES:
            made.start_engine(name)
        made.start_redis()
        made.start_proxy()
        yield made
    finally:
        made.stop_proxy()
        if made.redis is not None:
            end(made.redis)
        for name in tuple(made.engines):
            made.kill_engine(name)


@pytest.fixture(autouse=True)
def well(office: Office) -> None:
    """Every engine is there and well before each test, and the proxy's connections to one that was killed are gone."""
    for name in ENGINES:
        if name not in office.engines:
            office.start_engine(name)
            _until(partial(_answers, office, name))
    for name in ENGINES:
        office.tell(name)
