"""The rendered NGINX of a front machine leads to another machine's, by TLS, with what the real setup script makes of its list.

Replaced, beside what machine.py replaces: the loopback ports to other machines, the port of the other machine, and the folders.
"""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from agentgpu_iac.provisioning.spheron.certificate import make_certificate
from tests.e2e.ports import free_ports
from tests.e2e.processes import PATIENCE_S, end
from tests.e2e.pulumi.compose.machine import MachineNginx, certificate, composed, written
from tests.e2e.pulumi.compose.test_files import check_rules
from tests.e2e.traffic.fake_engines import FakeEngine
from tests.plans import make_machines_plan

PLAN = make_machines_plan("spheron")
SERVICE = {"entrypoint": ["nginx", "-e", "stderr", "-c", "/etc/nginx/router/nginx.conf", "-g", "daemon off;"]}
INSIDE = "/etc/nginx/machines"
SESSIONS = [f"session-{number}" for number in range(40)]


def make_pair(folder: Path, server_name: str) -> tuple[Path, str]:
    """A certificate's folder on a machine, and the certificate."""
    folder.mkdir()
    text, key = make_certificate(server_name)
    (folder / "tls.crt").write_text(text)
    (folder / "tls.key").write_text(key)
    folder.chmod(0o755)
    return folder, text


@dataclass(slots=True, kw_only=True)
class FrontMachine:
    """The front machine's files, where the setup script and NGINX find them here."""

    root: Path
    files: Path
    swaps: dict[str, str]

    @property
    def machines(self) -> Path:
        return self.root / "machines"

    def told(self, *lines: str) -> None:
        """List the other machines and let the setup script read the list."""
        self.machines.mkdir(exist_ok=True)
        self.root.chmod(0o755)
        (self.machines / "list").write_text("".join(f"{line}\n" for line in lines))
        text = (self.files / "setup.sh").read_text()
        for old, new in (("/opt/agentgpu", str(self.files)), ("/etc/agentgpu/machines", str(self.machines))):
            assert old in text
            text = text.replace(old, new)
        words = ["bash", "-c", text.replace("command -v docker", "false"), "setup", "machines"]
        subprocess.run(words, env={"PATH": os.defpath}, check=True, capture_output=True, timeout=PATIENCE_S)
        for file in self.machines.glob("*.*"):
            content = file.read_text()
            for old, new in self.swaps.items():
                content = content.replace(old, new)
            file.write_text(content)

    def known_to(self, router: MachineNginx) -> None:
        text = router.config.read_text()
        assert INSIDE in text
        router.config.write_text(text.replace(INSIDE, str(self.machines)))


@dataclass(slots=True, kw_only=True)
class Pair:
    """A front machine and another one behind it, two engines each."""

    front: FrontMachine
    router: MachineNginx
    other: MachineNginx
    near: list[FakeEngine]
    far: list[FakeEngine]
    trusted: Path

    def ask(self, *sessions: str) -> list[str]:
        """One request of each session; the engines that answered."""
        context = ssl.create_default_context(cafile=self.trusted / "tls.crt")
        url = f"https://127.0.0.1:{self.router.ports[10_000]}/v1/chat/completions"
        served = []
        with httpx.Client(verify=context, timeout=PATIENCE_S) as client:
            for session in sessions:
                before = {id(one): len(one.seen) for one in (*self.near, *self.far)}
                answer = client.post(url, headers={"x-session-id": session}, json={})
                assert answer.status_code == 200, answer.text
                served += [one.address for one in (*self.near, *self.far) if len(one.seen) > before[id(one)]]
        return served

    def addresses(self, engines: list[FakeEngine]) -> set[str]:
        return {one.address for one in engines}


def engines(stack: ExitStack, first: int) -> list[FakeEngine]:
    """Two of them, that tell themselves apart by their address."""
    return [stack.enter_context(FakeEngine(address=f"127.0.{first}.{n}", tokens=1, token_s=0)) for n in (1, 2)]


def with_engines(folder: Path, found: list[FakeEngine]) -> None:
    text = (folder / "nginx.conf").read_text()
    for number, one in enumerate(found):
        text = text.replace(f"server 127.0.0.1:{20_000 + number} ", f"server {one.address}:{one.port} ")
    (folder / "nginx.conf").write_text(text)


def machines(tmp_path: Path, shown: str) -> Iterator[Pair]:
    assert PLAN.front is not None
    folders = written(PLAN, tmp_path / "rendered")
    tls, pinned = make_pair(tmp_path / "tls-other", PLAN.front.server_name)
    if shown == "another":
        tls, _ = make_pair(tmp_path / "tls-another", PLAN.front.server_name)
    with ExitStack() as stack:
        near, far = engines(stack, 1), engines(stack, 2)
        with_engines(folders["demo-baseline"], near)
        with_engines(folders["demo-burst"], far)
        other = stack.enter_context(MachineNginx(folders["demo-burst"], SERVICE, {}, tls))
        other.start()
        ways = [route.port for one in PLAN.front.others for route in one.routes]
        here = dict(zip(ways, free_ports(len(ways)), strict=True))
        swaps = {
            f"listen 127.0.0.1:{ways[0]}-{ways[-1]};": " ".join(f"listen 127.0.0.1:{port};" for port in here.values()),
            ":10000;": f":{other.ports[10_000]};",
            **{f"127.0.0.1:{planned} ": f"127.0.0.1:{port} " for planned, port in here.items()},
            **{f"{planned} 127": f"{port} 127" for planned, port in here.items()},
            INSIDE: str(tmp_path / "etc" / "machines"),
        }
        (tmp_path / "etc").mkdir()
        front = FrontMachine(root=tmp_path / "etc", files=folders["demo-baseline"], swaps=swaps)
        front.machines.mkdir()
        (front.machines / "tls.crt").write_text(pinned)
        front.told("demo-burst-0 127.0.0.1")
        trusted = certificate(tmp_path / "tls-front")
        router = stack.enter_context(MachineNginx(folders["demo-baseline"], SERVICE, {}, trusted))
        front.known_to(router)
        assert "test is successful" in router.check()
        router.start()
        yield Pair(front=front, router=router, other=other, near=near, far=far, trusted=trusted)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    yield from machines(tmp_path, "pinned")


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Pair]:
    yield from machines(tmp_path, "another")


def test_sessions_spread_over_all_engines_of_all_machines_and_keep_their_place(pair: Pair) -> None:
    first = pair.ask(*SESSIONS)
    assert set(first) == pair.addresses(pair.near) | pair.addresses(pair.far)
    assert pair.ask(*SESSIONS) == first
    share = sum(one in pair.addresses(pair.far) for one in first) / len(first)
    assert 0.2 < share < 0.8
    assert pair.far[0].seen[0].headers["x-session-id"].startswith("session-")


def test_no_request_fails_when_the_other_machine_is_gone(pair: Pair) -> None:
    first = dict(zip(SESSIONS, pair.ask(*SESSIONS), strict=True))
    assert pair.other._process is not None
    end(pair.other._process)
    after = dict(zip(SESSIONS, pair.ask(*SESSIONS), strict=True))
    assert set(after.values()) == pair.addresses(pair.near)
    stayed = {session for session, engine in first.items() if engine in pair.addresses(pair.near)}
    assert all(after[session] == first[session] for session in stayed)


def test_no_request_fails_when_the_other_machine_has_no_engine_left(pair: Pair) -> None:
    for engine in pair.far:
        engine.stop()
    assert set(pair.ask(*SESSIONS)) == pair.addresses(pair.near)


def test_no_request_fails_when_the_other_machine_is_full(pair: Pair) -> None:
    for engine in pair.far:
        engine.mood = "full"
    assert pair.addresses(pair.near) <= set(pair.ask(*SESSIONS))


def test_a_machine_with_another_certificate_is_sent_nothing(stranger: Pair) -> None:
    assert set(stranger.ask(*SESSIONS)) == stranger.addresses(stranger.near)
    assert not any(one.seen for one in stranger.far)
    assert "upstream SSL certificate verify error" in (stranger.router.folder / "error.log").read_text()


def test_a_machine_that_leaves_the_list_is_sent_nothing_more(pair: Pair) -> None:
    assert set(pair.ask(*SESSIONS)) & pair.addresses(pair.far)
    pair.front.told()
    assert [file.name for file in pair.front.machines.iterdir() if file.suffix in (".conf", ".map")] == []
    pair.router.read_again()
    deadline = time.monotonic() + PATIENCE_S
    while set(pair.ask(*SESSIONS)) != pair.addresses(pair.near):
        assert time.monotonic() < deadline


def test_the_rendered_files_are_read_as_they_are(tmp_path: Path) -> None:
    """Ports and all: only folders are replaced."""
    folder = written(PLAN, tmp_path)["demo-baseline"]
    service = composed(folder, {})["services"]["nginx"]
    assert {"/etc/agentgpu/machines", "/etc/agentgpu/tls"} < {one["source"] for one in service["volumes"]}
    front = FrontMachine(root=tmp_path / "etc", files=folder, swaps={INSIDE: str(tmp_path / "etc" / "machines")})
    front.root.mkdir()
    front.told("demo-burst-0 198.51.100.7", "demo-burst-1 2001:db8::1")
    _, pinned = make_pair(tmp_path / "tls-other", "x")
    (front.machines / "tls.crt").write_text(pinned)
    with MachineNginx(folder, service, {}, certificate(tmp_path / "tls")) as router:
        front.known_to(router)
        assert "test is successful" in router.check()
    assert re.search(r"22001 \[2001:db8::1\]:10000;", (front.machines / "addresses.map").read_text())


def test_the_rule_for_the_front_machine_is_one(tmp_path: Path) -> None:
    folder = written(PLAN, tmp_path)["demo-burst"]
    rules = tmp_path / "firewall.d"
    rules.mkdir()
    firewall = folder / "firewall.nft"
    firewall.write_text(firewall.read_text().replace("/etc/agentgpu/firewall.d", str(rules)))
    check_rules(firewall)
    text = (folder / "front.nft").read_text()
    for family, address in (("ip", "198.51.100.1"), ("ip6", "2001:db8::1")):
        (rules / "front.nft").write_text(text.replace("FAMILY", family).replace("ADDRESS", address))
        check_rules(firewall)
    (rules / "front.nft").write_text(text)
    with pytest.raises(AssertionError, match="FAMILY"):
        check_rules(firewall)
