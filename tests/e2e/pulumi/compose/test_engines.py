"""Two real engines behind the rendered NGINX answer an OpenAI client while one of them is killed."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from openai import APIError, AuthenticationError, NotFoundError, OpenAI

from tests.e2e.engine.serving import Engine, until_ready
from tests.e2e.engine.tiny import tiny_plan
from tests.e2e.processes import PATIENCE_S
from tests.e2e.pulumi.compose.machine import MachineNginx, certificate, composed, engine_pod, written
from tools.install import path as tool

KEY = "sk-real$key"
STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: tiny}
spec:
  target: compose
  providers: [aws]
  accelerators: {allow: [h200-sxm]}  # sold by eight: both replicas stand on one machine
  network: {routing: round-robin}
  security: {apiKeySecret: callers}
  hosts: {callerRanges: [127.0.0.0/8]}
  agents:
    - name: desk  # so patient that a busy machine cannot end the time in which a request may go elsewhere
      model: FOLDER/desk/config.json
      ttftMs: 60000
      sessions: {concurrent: 4}
      conversation: {maxContextTokens: 8192}
      overrides: {baselineReplicas: 2}
"""
CALLERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What runs on it, and how it is called."""

    engines: tuple[Engine, ...]
    router: MachineNginx
    certificates: Path

    @contextmanager
    def client(self, key: str = KEY) -> Iterator[OpenAI]:
        """A client that sends each request once and trusts the machine's certificate."""
        trusted = ssl.create_default_context(cafile=self.certificates / "tls.crt")
        address = f"https://127.0.0.1:{self.router.ports[10_000]}/v1"
        connections = httpx.Client(verify=trusted)
        with OpenAI(
            api_key=key, base_url=address, max_retries=0, timeout=PATIENCE_S, http_client=connections
        ) as client:
            yield client

    def served_by(self) -> list[list[str]]:
        """The engines that each request was sent to, one after the other, by the router's log."""
        lines = self.router.access_log.read_text().splitlines()
        return [json.loads(line)["engine"].split(", ") for line in lines]


def address(engine: Engine) -> str:
    return f"127.0.0.1:{engine.port}"


def ask(client: OpenAI, tokens: int = 4) -> str | None:
    """One short completion; how it ended."""
    answer = client.completions.create(model="desk", prompt="hello", max_tokens=tokens, extra_body={"ignore_eos": True})
    return answer.choices[0].finish_reason


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    plan, models = tiny_plan(folder, STACK, {"desk": (4, 2)})
    (host,) = plan.hosts
    (files,) = written(plan, folder / "rendered").values()
    services = composed(files, {"VLLM_API_KEY": f"'{KEY}'"})["services"]
    programs = tool("vllm").parent
    running: list[Engine] = []
    try:
        for one in host.engines:
            name = f"engine-{one.name}"
            running.append(Engine(engine_pod(name, services[name]), models, folder / name, programs))
        until_ready(running)
        ports = {one.port: engine.port for one, engine in zip(host.engines, running, strict=True)}
        certificates = certificate(folder / "tls")
        with MachineNginx(files, services["nginx"], ports, certificates) as router:
            router.start()
            yield Machine(engines=tuple(running), router=router, certificates=certificates)
    finally:
        for engine in running:
            engine.terminate()
        for engine in running:
            engine.stop()


def test_requests_go_round_the_engines(machine: Machine) -> None:
    with machine.client() as client:
        assert {ask(client) for _ in range(6)} == {"length"}
    used = {one for request in machine.served_by() for one in request}
    assert used == {address(engine) for engine in machine.engines}


def test_engines_ask_for_the_key(machine: Machine) -> None:
    with machine.client("sk-wrong") as client, pytest.raises(AuthenticationError):
        ask(client)


def test_nothing_but_v1_is_reached(machine: Machine) -> None:
    with machine.client() as client:
        client.base_url = httpx.URL(str(client.base_url).replace("/v1", ""))
        with pytest.raises(NotFoundError, match="only /v1/ is served here"):
            ask(client)


def test_no_request_fails_while_an_engine_is_killed(machine: Machine) -> None:
    """A request that has no answer yet goes to the other engine; only a stream that had begun would break off."""
    lost, left = machine.engines
    ends, faults = [], []
    stopped = threading.Event()

    def call() -> None:
        with machine.client() as client:
            while not stopped.is_set():
                try:
                    ends.append(ask(client, tokens=16))
                except APIError as error:
                    faults.append(error)

    callers = [threading.Thread(target=call, daemon=True) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    wait_for(lambda: len(ends) > 2 * CALLERS)
    in_flight = lost.samples()["vllm:num_requests_running"]
    lost.kill()
    killed = len(ends)
    wait_for(lambda: len(ends) > killed + 4 * CALLERS)
    stopped.set()
    for caller in callers:
        caller.join(PATIENCE_S)
    assert faults == [], in_flight
    assert set(ends) == {"length"}
    assert [address(lost), address(left)] in machine.served_by()


def test_afterwards_every_request_is_answered_by_the_other(machine: Machine) -> None:
    lost, left = machine.engines
    lost.kill()
    before = len(machine.served_by())
    with machine.client() as client:
        assert {ask(client) for _ in range(4)} == {"length"}
    assert {request[-1] for request in machine.served_by()[before:]} == {address(left)}


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
