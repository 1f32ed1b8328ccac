"""A real NGINX with the rendered configuration, before stand-ins for engines, behind a stand-in for the cluster's DNS."""

from __future__ import annotations

import http.client
import json
import math
import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan as planned
from agentgpu_iac.planning.running.routing import CHUNK_CPU_US
from agentgpu_iac.spec.loader import load, load_text
from tests.e2e import processes
from tests.e2e.ports import free_ports
from tests.e2e.processes import PATIENCE_S
from tests.e2e.traffic import http2
from tests.e2e.traffic.cluster_dns import ClusterDns
from tests.e2e.traffic.fake_engines import TOKENS, FakeEngine
from tests.e2e.traffic.nginx import Nginx
from tests.examples import ON_A_CLUSTER
from tests.plans import make_routed_plan
from tests.rendering.test_monitoring import NGINX
from tests.rendering.trees import of_kind
from tools.install import path as tool

SUPPORT, BATCH = 10_000, 10_001
"""Ports of the router's pods."""
KEY = "Bearer not-a-real-key"


def configured(plan: p.Plan, dns_port: int = 53) -> Nginx:
    return Nginx(of_kind(plan, "Deployment")["traffic-router"], of_kind(plan, "ConfigMap")["traffic-router"], dns_port)


def short(plan: p.Plan, **changes: Any) -> p.Plan:
    """The same plan with limits that a test can reach."""
    assert plan.router is not None
    routes = tuple(route.model_copy(update=changes) for route in plan.router.routes)
    return plan.model_copy(update={"router": plan.router.model_copy(update={"routes": routes})})


@dataclass(kw_only=True)
class Scene:
    """A router, its name server, and the engines of the agent ``support``, which also serve ``batch``."""

    nginx: Nginx
    dns: ClusterDns
    engines: list[FakeEngine] = field(default_factory=list)
    callers: list[http.client.HTTPConnection] = field(default_factory=list)

    def caller(self, inside: int) -> http.client.HTTPConnection:
        """A new connection to a port of the router's pod."""
        connection = http.client.HTTPConnection("127.0.0.1", self.nginx.ports[inside], timeout=PATIENCE_S)
        self.callers.append(connection)
        return connection

    def get(self, inside: int, path: str) -> http.client.HTTPResponse:
        """Read something from a port of the router's pod."""
        connection = self.caller(inside)
        connection.request("GET", path)
        return connection.getresponse()

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in self.callers:
            connection.close()

    def announce(self, *engines: FakeEngine) -> None:
        """Make these the ready pods."""
        pods = {engine.address: engine.port for engine in engines}
        for agent in ("support", "batch"):
            self.dns.services[f"{agent}-engines.demo.svc.cluster.local"] = pods

    def ask(
        self, session: str | None = None, *, agent: int = SUPPORT, body: bytes = b'{"stream":true}'
    ) -> http.client.HTTPResponse:
        """Send one request and return when the head of the answer is there."""
        headers = {"Content-Type": "application/json", "Authorization": KEY}
        if session is not None:
            headers["X-Session-Id"] = session
        connection = self.caller(agent)
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse()

    def engine_of(self, session: str | None = None, *, agent: int = SUPPORT) -> str:
        """The engine that answers."""
        answer = self.ask(session, agent=agent)
        assert answer.status == 200, answer.read()
        return str(json.loads(answer.read().split(b"\n")[0].removeprefix(b"data: "))["engine"])

    def homes(self, count: int) -> dict[str, str]:
        """Which engine each of so many sessions goes to."""
        names = [f"session-{number}" for number in range(count)]
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(names, pool.map(self.engine_of, names), strict=True))

    @contextmanager
    def held(self) -> Iterator[threading.Semaphore]:
        """Engines make a token only for each release of what this gives; in the end there is no lack of them."""
        released = threading.Semaphore(0)
        for engine in self.engines:
            engine.released = released
        try:
            yield released
        finally:
            released.release(1000)

    def log(self) -> list[dict[str, str]]:
        """The access log so far."""
        return [json.loads(line) for line in self.nginx.access_log.read_text().splitlines()]


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


@contextmanager
def scene(plan: p.Plan, engines: int = 2, tokens: int = 2, token_s: float = 0.0) -> Iterator[Scene]:
    with ExitStack() as stack:
        dns = stack.enter_context(ClusterDns())
        nginx = stack.enter_context(configured(plan, dns.port))
        running = Scene(nginx=nginx, dns=dns)
        stack.callback(running.hang_up)
        for number in range(engines):
            running.engines.append(stack.enter_context(quick_engine(f"127.0.0.{number + 2}")))
        running.announce(*running.engines)
        nginx.start()
        if engines:
            ready = {engine.address for engine in running.engines}
            eventually(lambda: knows(running, SUPPORT, ready))
            eventually(lambda: knows(running, BATCH, ready))
        for engine in running.engines:
            engine.seen.clear()
            engine.tokens, engine.token_s = tokens, token_s
        yield running


def quick_engine(address: str) -> FakeEngine:
    return FakeEngine(address=address, tokens=2, token_s=0.0)


def knows(running: Scene, agent: int, addresses: set[str]) -> bool:
    answers = [running.ask(agent=agent) for _ in range(12)]
    lines = [answer.read().split(b"\n")[0] for answer in answers if answer.status == 200]
    return {json.loads(line.removeprefix(b"data: "))["engine"] for line in lines} == addresses


@pytest.mark.parametrize("spec", ON_A_CLUSTER, ids=lambda path: path.stem)
def test_nginx_takes_the_configuration_of_every_example(spec: Path) -> None:
    plan = planned(load(spec), load_catalog(base_directory=spec.parent))
    if plan.router is None:
        assert all(
            sum(one.replicas.max for one in plan.workloads if one.agent == each.agent) == 1 for each in plan.workloads
        )
        return
    with configured(plan) as nginx:
        assert "test is successful" in nginx.check()
        assert "warn" not in nginx.check()


def test_tokens_arrive_as_they_are_made() -> None:
    """Each is made only when the one before has arrived, so none can be kept back."""
    with scene(make_routed_plan(), tokens=TOKENS) as running, running.held() as released:
        answer = running.ask("s")
        for _ in range(TOKENS):
            released.release()
            assert answer.readline().startswith(b"data: ")
            assert answer.readline() == b"\n"
        assert answer.read() == b""


def test_a_session_stays_and_sessions_spread() -> None:
    with scene(make_routed_plan(), engines=3) as running:
        homes = running.homes(60)
        assert running.homes(60) == homes
        assert set(Counter(homes.values())) == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}
        assert max(Counter(homes.values()).values()) < 40


def test_two_routers_send_a_session_to_the_same_engine() -> None:
    with scene(make_routed_plan(), engines=3) as one:
        homes = one.homes(40)
        with configured(make_routed_plan(), one.dns.port) as nginx:
            nginx.start()
            other = Scene(nginx=nginx, dns=one.dns, engines=one.engines, callers=one.callers)
            eventually(lambda: knows(other, SUPPORT, {engine.address for engine in one.engines}))
            assert other.homes(40) == homes


def test_without_a_session_requests_spread() -> None:
    with scene(make_routed_plan()) as running:
        assert set(Counter(running.engine_of() for _ in range(30))) == {"127.0.0.2", "127.0.0.3"}


def test_a_new_engine_is_found_without_a_reload_and_moves_some_sessions() -> None:
    with scene(make_routed_plan()) as running:
        before = running.homes(200)
        with quick_engine("127.0.0.9") as third:
            running.announce(*running.engines, third)
            eventually(lambda: knows(running, SUPPORT, {"127.0.0.2", "127.0.0.3", "127.0.0.9"}))
            after = running.homes(200)
        moved = [name for name in before if before[name] != after[name]]
        assert 0.2 < len(moved) / len(before) < 0.6
        assert Counter(after.values())["127.0.0.9"] > 30


def test_an_engine_that_leaves_is_forgotten_without_a_reload() -> None:
    with scene(make_routed_plan(), engines=3) as running:
        before = running.homes(60)
        gone, *left = running.engines
        running.announce(*left)
        eventually(lambda: knows(running, SUPPORT, {engine.address for engine in left}))
        after = running.homes(60)
        stayed = [name for name, home in before.items() if home != gone.address]
        assert len([name for name in stayed if after[name] == before[name]]) > 0.6 * len(stayed)


def test_engines_that_come_later_and_many_of_them_are_found() -> None:
    """The answer does not fit a datagram: NGINX asks again over TCP."""
    with scene(make_routed_plan(), engines=0) as running:
        assert running.ask("s").status == 502
        with ExitStack() as stack:
            engines = [stack.enter_context(quick_engine(f"127.0.0.{number}")) for number in range(20, 32)]
            running.announce(*engines)
            eventually(lambda: running.ask("s").status == 200)
            assert len(set(running.homes(200).values())) == len(engines)
            assert running.dns.over_tcp > 0


def test_round_robin_takes_turns() -> None:
    with scene(make_routed_plan()) as running:
        turns = [running.engine_of("same", agent=BATCH) for _ in range(10)]
        assert all(one != other for one, other in pairwise(turns))


def by_home(running: Scene, session: str) -> tuple[FakeEngine, FakeEngine]:
    """The engine that a session belongs to, and the other."""
    home = running.engine_of(session)
    for engine in running.engines:
        engine.seen.clear()
    return tuple(sorted(running.engines, key=lambda engine: engine.address != home))  # type: ignore[return-value]


@pytest.mark.parametrize("mood", ["full", "breaks-before"])
def test_a_refused_request_goes_to_the_other_engine(mood: Any) -> None:
    with scene(make_routed_plan()) as running:
        home, other = by_home(running, "s")
        home.mood = mood
        assert running.engine_of("s") == other.address
        assert (len(home.seen), len(other.seen)) == (1, 1)
        assert other.seen[0].body == home.seen[0].body == b'{"stream":true}'
        home.mood = "well"
        assert running.engine_of("s") == home.address, "a refusal does not make an engine suspect"


def test_an_engine_that_is_down_is_passed_over() -> None:
    with scene(make_routed_plan()) as running:
        home, other = by_home(running, "s")
        home.stop()
        assert running.engine_of("s") == other.address


def test_a_node_that_is_lost_costs_the_connect_timeout() -> None:
    with scene(make_routed_plan()) as running:
        home, other = by_home(running, "s")
        home.stop()
        with unreachable(home.address, home.port):
            took_s = []
            for _ in range(5):  # a machine that is busy adds to some
                start = time.monotonic()
                assert running.engine_of("s") == other.address
                took_s.append(time.monotonic() - start)
                if took_s[-1] < 3:
                    break
        assert 0.8 < min(took_s) < 3


@contextmanager
def unreachable(address: str, port: int) -> Iterator[None]:
    """A place where nobody accepts connections any more: the kernel drops what comes beyond the backlog."""
    with socket.socket() as server, ExitStack() as stack:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        time.sleep(0.1)
        yield


def test_when_all_are_full_the_caller_hears_it_from_an_engine() -> None:
    with scene(make_routed_plan()) as running:
        for engine in running.engines:
            engine.mood = "full"
        answer = running.ask("s")
        assert (answer.status, json.loads(answer.read())["error"]["message"]) == (503, "queue is full")
        assert sum(len(engine.seen) for engine in running.engines) == 2


def test_a_stream_that_breaks_is_not_begun_again() -> None:
    with scene(make_routed_plan(), tokens=TOKENS, token_s=0.05) as running:
        home, other = by_home(running, "s")
        home.mood = "breaks-midway"
        answer = running.ask("s")
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial.count(b"data: ") == 2
        assert (len(home.seen), len(other.seen)) == (1, 0)


def test_a_silent_engine_is_waited_for_and_its_prompt_is_read_once() -> None:
    with scene(short(make_routed_plan(), answer_timeout_s=2)) as running:
        home, other = by_home(running, "s")
        home.mood = "silent"
        answer = running.ask("s")
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (504, 504)
        assert (len(home.seen), len(other.seen)) == (1, 0)


def test_bodies_are_bounded() -> None:
    with scene(make_routed_plan(max_request_mib=1)) as running:
        assert running.ask("s", body=b"x" * 2**20).status == 200
        answer = running.ask("s", body=b"x" * (2**20 + 1))
        assert (answer.status, json.loads(answer.read())["error"]["message"]) == (
            413,
            "the request body is larger than 1 MiB",
        )
        assert [len(seen.body) for engine in running.engines for seen in engine.seen] == [2**20]


def test_requests_in_flight_are_bounded_for_each_agent() -> None:
    with scene(short(make_routed_plan(), max_connections=3)) as running, running.held() as released:
        streams = [running.ask(f"s{number}") for number in range(3)]
        assert [stream.status for stream in streams] == [200] * 3
        refused = running.ask("s4")
        assert (refused.status, refused.getheader("Retry-After")) == (503, "1")
        assert json.loads(refused.read())["error"]["code"] == 503
        released.release(1000)
        for stream in streams:
            stream.read()
        eventually(lambda: running.ask("s4").status == 200)


def test_keys_pass_and_are_not_logged() -> None:
    with scene(make_routed_plan()) as running:
        engine = running.engine_of("the-session")
        (seen,) = next(one for one in running.engines if one.address == engine).seen
        assert (seen.headers["authorization"], seen.headers["x-session-id"]) == (KEY, "the-session")
        assert seen.headers["host"].startswith("127.0.0.1:")
        eventually(lambda: running.log()[-1]["agent"] == "support")
        assert running.log()[-1]["engineStatus"] == "200"
        logged = running.nginx.access_log.read_text()
        assert "not-a-real-key" not in logged
        assert "the-session" not in logged
        assert "stream" not in logged


def test_a_callers_request_id_is_passed_on_answered_and_logged() -> None:
    with scene(make_routed_plan()) as running:
        connection = running.caller(SUPPORT)
        connection.request(
            "POST", "/v1/chat/completions?secret=in-the-query", b"{}", {"X-Request-Id": "call-7:a/b+c=d"}
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.headers.get_all("X-Request-Id") == ["call-7:a/b+c=d"], "once, and not the engine's own"
        (seen,) = [one for engine in running.engines for one in engine.seen]
        assert seen.headers["x-request-id"] == "call-7:a/b+c=d"
        eventually(lambda: running.log()[-1]["requestId"] == "call-7:a/b+c=d")
        line = running.log()[-1]
        assert (line["protocol"], line["path"], line["status"]) == ("HTTP/1.1", "/v1/chat/completions", "200")
        assert all(float(line[name]) >= 0 for name in ("requestS", "connectS", "firstByteS", "engineS"))
        assert "in-the-query" not in running.nginx.access_log.read_text()


@pytest.mark.parametrize("given", [None, "", "x" * 129, 'two"words', "a b", "-first"])
def test_without_an_id_that_can_be_logged_one_is_made(given: str | None) -> None:
    with scene(make_routed_plan()) as running:
        connection = running.caller(SUPPORT)
        connection.request("POST", "/v1/chat/completions", b"{}", {} if given is None else {"X-Request-Id": given})
        answer = connection.getresponse()
        answer.read()
        made = answer.headers["X-Request-Id"]
        assert len(made) == 32
        assert made != given
        (seen,) = [one for engine in running.engines for one in engine.seen]
        assert seen.headers["x-request-id"] == made


def test_refusals_carry_the_id_too() -> None:
    with scene(short(make_routed_plan(), max_connections=1)) as running, running.held() as released:
        stream = running.ask("s")
        refused = running.ask("s")
        assert (refused.status, len(refused.headers["X-Request-Id"])) == (503, 32)
        assert len(running.get(SUPPORT, "/metrics").headers["X-Request-Id"]) == 32
        released.release(1000)
        stream.read()


def test_a_websocket_goes_through_in_both_directions() -> None:
    """vLLM's /v1/realtime is one."""
    with scene(make_routed_plan()) as running:
        address = ("127.0.0.1", running.nginx.ports[SUPPORT])
        with socket.create_connection(address, timeout=PATIENCE_S) as caller, caller.makefile("rb") as reader:
            caller.sendall(
                b"GET /v1/realtime HTTP/1.1\r\nHost: here\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
            while reader.readline().strip():
                pass
            for said in (b"first words", b"\x00\x01 then others"):
                caller.sendall(said)
                assert reader.read(len(said)) == said
        (seen,) = [one for engine in running.engines for one in engine.seen]
        assert (seen.path, seen.headers["sec-websocket-version"]) == ("/v1/realtime", "13")
        eventually(lambda: running.log()[-1]["status"] == "101")


def test_no_other_upgrade_reaches_an_engine() -> None:
    with scene(make_routed_plan()) as running:
        connection = running.caller(SUPPORT)
        connection.request("GET", "/v1/models", headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"})
        assert connection.getresponse().status == 426
        (seen,) = [one for engine in running.engines for one in engine.seen]
        assert not {"upgrade", "connection"} & set(seen.headers)


def test_http_2_and_1_1_share_a_port() -> None:
    with scene(make_routed_plan(), tokens=TOKENS) as running, running.held() as released:
        released.release(TOKENS)
        port = running.nginx.ports[SUPPORT]
        answer = http2.post(port, "/v1/chat/completions", b"{}", {"x-request-id": "by-two", "x-session-id": "s"})
        assert answer.is_200
        assert answer.body.count(b"data: ") == TOKENS
        assert answer.frames >= TOKENS - 1, "each token as it is made"
        (seen,) = [one for engine in running.engines for one in engine.seen]
        assert (seen.headers["x-request-id"], seen.headers["host"]) == ("by-two", f"127.0.0.1:{port}")
        eventually(lambda: running.log()[-1]["protocol"] == "HTTP/2.0")
        released.release(TOKENS)
        assert running.ask("s").read().count(b"data: ") == TOKENS


def test_only_the_api_is_served() -> None:
    with scene(make_routed_plan()) as running:
        for path in ("/metrics", "/health", "/", "/v1/../metrics"):
            answer = running.get(SUPPORT, path)
            assert answer.status == 404, path
            assert answer.getheader("Server") == "nginx"
        assert not any(engine.seen for engine in running.engines)


def test_health_and_counts_have_ports_of_their_own() -> None:
    with scene(make_routed_plan()) as running:
        for port, path, content in ((8080, "/healthz", b"ok"), (8081, "/status", b"Active connections")):
            answer = running.get(port, path)
            assert answer.status == 200
            assert content in answer.read()


def test_the_exporter_gives_the_series_that_alerts_ask_for() -> None:
    """The real nginx-prometheus-exporter, told what its container in the pod is told."""
    with scene(make_routed_plan()) as running:
        (exporter,) = [one for one in running.nginx.pod["containers"] if one["name"] == "exporter"]
        (port,) = free_ports(1)
        words = [
            word.replace(":8081/", f":{running.nginx.ports[8081]}/").replace(":9113", f"127.0.0.1:{port}")
            for word in exporter["args"]
        ]
        process = processes.start([tool("nginx-prometheus-exporter"), *words], stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: listens(port))
            said = series_of(port)
            assert {name for name in said if name.startswith("nginx_") and "exporter" not in name} == NGINX
            assert said["nginx_up"] == 1
            before = said["nginx_http_requests_total"]
            running.ask("s").read()
            assert series_of(port)["nginx_http_requests_total"] > before
            running.nginx.stop_as_kubernetes_does()
            eventually(lambda: series_of(port)["nginx_up"] == 0)
        finally:
            processes.end(process)


def series_of(port: int) -> dict[str, float]:
    """What a metrics page says, without labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    return {line.split("{")[0].split()[0]: float(line.split()[-1]) for line in lines if not line.startswith("#")}


def test_a_router_that_ends_finishes_its_streams() -> None:
    with scene(make_routed_plan(), tokens=10) as running, running.held() as released:
        answer = running.ask("s")
        assert answer.status == 200
        running.nginx.stop_as_kubernetes_does()
        eventually(lambda: not listens(running.nginx.ports[SUPPORT]))
        released.release(10)
        assert answer.read().count(b"data: ") == 10
        assert running.nginx.wait() == 0


_LONG_TURNS = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  accelerators: {allow: [h100-sxm, h200-sxm]}
  network: {router: nginx}
  agents:
    - name: support
      model: Qwen/Qwen2.5-72B-Instruct
      latencyClass: background
      conversation: {turns: 4, outputTokensPerTurn: 160, reasoningTokensPerTurn: 440, maxContextTokens: 32768}
"""
_SCALE = 46
"""A second of the test stands for so many: the longest of a hundred answers is over in three."""


@pytest.mark.parametrize(
    ("answer", "arrives"),
    [pytest.param("planned", True, id="as-planned"), pytest.param("mean", False, id="sized-by-the-mean-answer")],
)
def test_a_reload_cuts_no_stream_that_the_drain_is_planned_for(answer: str, arrives: bool) -> None:
    """600 tokens on average: the longest of a hundred answers takes 139 s at 50 ms a token, the mean one 30 s."""
    found = planned(load_text(_LONG_TURNS, "stack.yaml"), load_catalog())
    assert found.router is not None
    whole_s = found.router.drain.shutdown_timeout_s
    assert 139 <= whole_s <= 200
    planned_s = {"planned": whole_s, "mean": 30}[answer]
    plan = make_routed_plan()
    assert plan.router is not None
    drain = plan.router.drain.model_copy(update={"shutdown_timeout_s": math.ceil(planned_s / _SCALE)})
    plan = plan.model_copy(update={"router": plan.router.model_copy(update={"drain": drain})})
    tokens = 10
    with scene(plan, tokens=tokens, token_s=139 / _SCALE / tokens) as running:
        stream = running.ask("s")
        assert stream.status == 200
        running.nginx.reload()
        try:
            told = stream.read().count(b"data: ")
        except (http.client.IncompleteRead, ConnectionError):
            told = 0
        assert (told == tokens) is arrives
        assert running.ask("s").status == 200


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_caller_that_goes_away_frees_its_engine() -> None:
    """NGINX lets go of the engine while that is still at it, not when it is through."""
    with scene(make_routed_plan()) as running, running.held() as released:
        answer = running.ask("s")
        released.release()
        assert answer.read(6) == b"data: "
        assert in_flight(running) == 1
        answer.close()
        running.hang_up()
        eventually(lambda: in_flight(running) == 0)
        assert sum(len(engine.seen) for engine in running.engines) == 1


def in_flight(running: Scene) -> int:
    counts = running.get(8081, "/status").read().decode().split("Writing: ")[1]
    return int(counts.split()[0]) - 1


def test_a_streamed_token_costs_the_cpu_time_that_plans_count_on() -> None:
    """Sixteen streams at once; CPU time, which a busy machine does not change much."""
    with scene(make_routed_plan(), tokens=1500, token_s=0.002) as running:
        before = running.nginx.cpu_s()
        with ThreadPoolExecutor(16) as pool:
            lengths = list(pool.map(lambda number: running.ask(f"s{number}").read().count(b"data: "), range(16)))
        spent_us = (running.nginx.cpu_s() - before) * 1e6 / sum(lengths)
        assert spent_us < 2 * CHUNK_CPU_US, f"{spent_us:.1f} us of CPU for a token"


def named(tier: str) -> str:
    return f"support-{tier}-engines.demo.svc.cluster.local"


def test_sessions_are_dealt_by_the_weights_of_the_plan() -> None:
    """Once a burst has come, and until it has gone, whatever the name server says of weights."""
    weights = tuple(
        p.ReplicaWeight(workload=name, weight=weight) for name, weight in (("support", 10), ("support-burst", 30))
    )
    with scene(make_routed_plan(weights=weights), engines=0) as running, ExitStack() as stack:
        small, large = (stack.enter_context(quick_engine(f"127.0.0.{number}")) for number in (20, 21))
        running.dns.services[named("baseline")] = {small.address: small.port}
        eventually(lambda: knows(running, SUPPORT, {small.address}))
        running.dns.services[named("burst")] = {large.address: large.port}
        eventually(lambda: knows(running, SUPPORT, {small.address, large.address}))
        homes = running.homes(400)
        assert running.homes(400) == homes
        assert 0.68 < Counter(homes.values())[large.address] / len(homes) < 0.82
        del running.dns.services[named("burst")]
        eventually(lambda: knows(running, SUPPORT, {small.address}))
        assert set(running.homes(50).values()) == {small.address}
