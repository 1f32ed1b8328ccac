"""Machines beside a cluster behind its real NGINX: how it is told of them, and what becomes of requests when they are gone."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from agentgpu_iac import plan as p
from tests.e2e.traffic.cluster_dns import ClusterDns
from tests.e2e.traffic.machines import Machine, NginxBefore
from tests.e2e.traffic.test_nginx import BATCH, SUPPORT, Scene, eventually, knows, quick_engine, short
from tests.plans import make_joined_plan
from tests.rendering.trees import of_kind

CLUSTER = {"127.0.0.2", "127.0.0.3"}
ADDRESSES = ("127.0.1.1", "127.0.1.2", "127.0.1.3")


class Front(Scene):
    """A scene whose NGINX is told of machines."""

    nginx: NginxBefore


@contextmanager
def front(plan: p.Plan) -> Iterator[tuple[Front, tuple[Machine, ...]]]:
    """Two engines in the cluster, and the machines of the plan beside it, of which NGINX knows nothing yet."""
    with ExitStack() as stack:
        dns = stack.enter_context(ClusterDns())
        made = of_kind(plan, "Deployment")["traffic-router"], of_kind(plan, "ConfigMap")["traffic-router"]
        nginx = stack.enter_context(NginxBefore(plan, *made, dns.port))
        running = Front(nginx=nginx, dns=dns)
        stack.callback(running.hang_up)
        for address in sorted(CLUSTER):
            running.engines.append(stack.enter_context(quick_engine(address)))
        running.announce(*running.engines)
        machines = tuple(
            stack.enter_context(Machine(plan, machine.name, address, nginx.target_port, nginx.certificate))
            for machine, address in zip(nginx.joined.machines, ADDRESSES, strict=True)
        )
        nginx.start()
        eventually(lambda: knows(running, SUPPORT, CLUSTER))
        yield running, machines


def homes(running: Front, count: int) -> dict[str, str]:
    """Where so many sessions are, asked by callers that hang up."""
    found = running.homes(count)
    running.hang_up()
    running.callers.clear()
    return found


def told(running: Front, machines: Sequence[Machine]) -> None:
    running.nginx.told_of(machines)
    wanted = CLUSTER | {machine.address for machine in machines}
    eventually(lambda: set(homes(running, 40).values()) == wanted)


def unhurried() -> p.Plan:
    """The plan with more time for each try: a machine that is slow to answer, because this one does much else, is not away."""
    plan = make_joined_plan()
    assert plan.joined is not None
    joined = plan.joined.model_copy(update={"connect_timeout_ms": 10_000})
    return patient(plan.model_copy(update={"joined": joined}))


def patient(plan: p.Plan) -> p.Plan:
    """The plan with more time for a request to look for an engine, for the same reason; what a try costs stays as planned."""
    return short(plan, connect_timeout_ms=10_000, retry_window_ms=60_000)


def test_the_script_tells_nginx_of_machines_that_come_and_go() -> None:
    with front(unhurried()) as (running, machines):
        assert set(homes(running, 40).values()) == CLUSTER
        told(running, machines[:2])
        found = homes(running, 200)
        assert found == homes(running, 200), "a session stays on its machine"
        parts = Counter(found.values())
        assert min(parts.values()) > 200 / len(parts) / 3, "weights are by engines: each replica has an even part"
        assert knows(running, BATCH, CLUSTER), "an agent that has no engine there is asked in the cluster alone"
        told(running, machines)
        told(running, machines[1:])
        told(running, ())


def test_a_list_that_is_faulty_changes_nothing() -> None:
    with front(unhurried()) as (running, machines):
        told(running, machines[:1])
        for text, words in (
            (f"{machines[0].name} 127.0.1.1\nstranger 127.0.1.2\n", "the plan knows no machine stranger"),
            (f"{machines[0].name}\n", "write a name and an address"),
            (f"{machines[0].name} $(reboot)\n", "write a name and an address"),
            (f"{machines[0].name} 127.0.1.1\n{machines[0].name} 127.0.1.2\n", "stands there twice"),
        ):
            running.nginx.told_of((), text=text)
            eventually(lambda words=words: words in running.nginx.errors())  # type: ignore[misc]
            assert set(homes(running, 40).values()) == CLUSTER | {machines[0].address}


def test_a_machine_without_the_certificate_gets_no_request() -> None:
    with front(patient(make_joined_plan())) as (running, machines):
        told(running, machines[:1])
        (running.nginx.given / "tls.crt").write_text(
            running.nginx._certificate("somebody.else.internal")[0].read_text()
        )
        eventually(lambda: set(homes(running, 40).values()) == CLUSTER)


def test_no_request_that_had_not_begun_is_lost_when_a_provider_is_killed() -> None:
    """All machines at once, in the middle of traffic: whoever had no part of an answer yet gets a whole one elsewhere."""
    with front(patient(make_joined_plan())) as (running, machines):
        told(running, machines)
        heads: list[int] = []
        cut: list[bytes] = []
        over = threading.Event()

        def call(caller: int) -> None:
            number = 0
            while not over.is_set():
                answer = running.ask(f"{caller}-{number}")
                heads.append(answer.status)
                try:
                    answer.read()
                except http.client.IncompleteRead as broken:
                    cut.append(broken.partial)
                number += 1

        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(call, caller) for caller in range(8)]
            eventually(lambda: len(heads) > 50)
            for machine in machines:
                machine.kill()
            killed = len(heads)
            eventually(lambda: len(heads) > killed + 200)
            over.set()
            assert [done.exception() for done in calls] == [None] * len(calls)
        assert set(heads) == {200}, "whoever had heard nothing yet was answered elsewhere"
        most = len(calls) * len(machines)
        assert len(cut) <= most, "of each caller no more than each machine was streaming when it died"


@contextmanager
def black_holes(machines: Sequence[Machine]) -> Iterator[None]:
    """Addresses at which nobody refuses and nobody answers, as those of machines that are no more: full queues of a listener."""
    with ExitStack() as stack:
        for machine in machines:
            machine.kill()
            listening = stack.enter_context(socket.socket())
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((machine.address, machine.port))
            listening.listen(0)
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((machine.address, machine.port))
        time.sleep(0.2)
        yield


def test_machines_that_answer_nothing_any_more_cost_time_and_no_request() -> None:
    with front(patient(make_joined_plan())) as (running, machines):
        told(running, machines)
        with black_holes(machines):
            for number in range(60):
                answer = running.ask(f"session-{number}")
                assert (answer.status, bool(answer.read())) == (200, True)
            begun_s = time.monotonic()
            found = homes(running, 60)
            took_s = time.monotonic() - begun_s
        assert set(found.values()) == CLUSTER
        assert took_s < 60, "a machine that is away is passed over at once"


def test_a_machine_that_is_full_sends_on() -> None:
    with front(make_joined_plan()) as (running, machines):
        told(running, machines)
        for machine in machines:
            machine.engine.mood = "full"
        assert set(homes(running, 60).values()) == CLUSTER
        assert any(machine.engine.seen for machine in machines)
