"""What machines behind one NGINX are given, and what their setup makes of what they are told."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from agentgpu_iac import plan as p
from tests.plans import make_machines_plan
from tests.rendering.test_hosts import BASELINE, BURST, texts

PLAN = make_machines_plan("spheron")


def test_the_front_machine_s_nginx_reads_what_it_is_told_and_no_other_does() -> None:
    conf, other = texts(PLAN)[f"{BASELINE}/nginx.conf"], texts(PLAN)[f"{BURST}/nginx.conf"]
    assert re.findall(r"include (\S+);", conf) == [
        "/etc/nginx/machines/stream.conf*",
        "/etc/nginx/machines/upstream-support.conf*",
    ]
    assert "proxy_next_upstream error timeout http_503 non_idempotent http_502;" in conf
    assert "proxy_next_upstream_tries 3;" in conf
    assert "include" not in other
    assert "http_502" not in other
    assert {f"{BURST}/stream.conf", f"{BURST}/machines.list", f"{BASELINE}/front.nft"}.isdisjoint(texts(PLAN))


def test_the_front_machine_s_nginx_sees_the_list_and_other_machines_have_none() -> None:
    for folder, sees in ((BASELINE, True), (BURST, False)):
        document = yaml.safe_load(texts(PLAN)[f"{folder}/docker-compose.yaml"])
        mounts = {one["source"]: one for one in document["services"]["nginx"]["volumes"]}
        assert ("/etc/agentgpu/machines" in mounts) is sees


def test_the_way_to_other_machines_is_tls_with_the_one_certificate() -> None:
    conf = texts(PLAN)[f"{BASELINE}/stream.conf"]
    for directive in (
        "listen 127.0.0.1:22000-22001;",
        "proxy_ssl_verify on;",
        "proxy_ssl_name machines.demo.internal;",
        "proxy_ssl_trusted_certificate /etc/nginx/machines/tls.crt;",
    ):
        assert directive in conf


def test_machines_behind_another_let_it_in() -> None:
    made = texts(PLAN)
    assert 'include "/etc/agentgpu/firewall.d/*.nft"' in made[f"{BURST}/firewall.nft"]
    assert f"{BASELINE}/front.nft" not in made
    assert made[f"{BURST}/front.nft"].splitlines()[-1] == "FAMILY saddr ADDRESS tcp dport { 10000 } accept"


def test_an_agent_that_runs_on_other_machines_alone_has_its_port_on_the_front_machine() -> None:
    front = PLAN.front
    assert front is not None
    more = front.routes[0].model_copy(update={"agent": "elsewhere", "port": 10_001})
    plan = PLAN.model_copy(update={"front": front.model_copy(update={"routes": (*front.routes, more)})})
    conf = texts(plan)[f"{BASELINE}/nginx.conf"]
    upstream = re.search(r"upstream elsewhere \{(.*?)\}", conf, re.DOTALL)
    assert upstream is not None
    assert "server 127.0.0.1:9 down max_fails=0;" in upstream[1]
    assert "include /etc/nginx/machines/upstream-elsewhere.conf*;" in upstream[1]
    assert "tcp dport { 10000, 10001 } accept" in texts(plan)[f"{BASELINE}/firewall.nft"]


def test_without_a_front_machine_everything_is_as_it_was() -> None:
    alone = PLAN.model_copy(update={"front": None})
    assert not any("machines" in path.rpartition("/")[2] or path.endswith("front.nft") for path in texts(alone))
    assert "include" not in texts(alone)[f"{BASELINE}/nginx.conf"]


class Machine:
    """The folders of one machine, and its setup script."""

    def __init__(self, folder: Path, plan: p.Plan, rendered: str, docker: str = "") -> None:
        self.root = folder
        files = {
            path.removeprefix(f"{rendered}/"): text
            for path, text in texts(plan).items()
            if path.startswith(f"{rendered}/")
        }
        (folder / "opt/agentgpu").mkdir(parents=True)
        (folder / "etc/agentgpu/machines").mkdir(parents=True)
        for name, text in files.items():
            if "/" not in name:
                (folder / "opt/agentgpu" / name).write_text(text)
        script = files["setup.sh"]
        for place in ("/opt/agentgpu", "/etc/agentgpu"):
            script = script.replace(place, f"{folder}{place}")
        self._script = script
        (folder / "bin").mkdir()
        for name, answer in (("docker", docker), ("nft", "")):
            (folder / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{answer}\n')
            (folder / "bin" / name).chmod(0o755)

    def put(self, name: str, text: str) -> None:
        (self.root / "etc/agentgpu" / name).write_text(text)

    def run(self, word: str) -> tuple[int, str]:
        environment = {"PATH": f"{self.root}/bin:{os.defpath}"}
        words = ["bash", "-c", self._script, "setup", word]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def made(self) -> dict[str, str]:
        """What NGINX reads, beside the list."""
        return {one.name: one.read_text() for one in (self.root / "etc/agentgpu/machines").iterdir() if one.suffix}

    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text().splitlines() if file.exists() else []


def test_a_list_becomes_what_nginx_reads_and_an_empty_one_takes_it_away(tmp_path: Path) -> None:
    machine = Machine(tmp_path, PLAN, BASELINE, 'case "$1" in ps) echo abc;; esac')
    assert machine.run("machines") == (0, ""), "nobody has told it anything"
    machine.put("machines/list", "demo-burst-1 198.51.100.7\n")
    machine.put("machines/tls.crt", "a certificate")
    code, said = machine.run("machines")
    assert code == 0, said
    made = machine.made()
    assert made.pop("stream.conf") == texts(PLAN)[f"{BASELINE}/stream.conf"]
    assert made == {
        "upstream-support.conf": "server 127.0.0.1:22001 weight=2 max_fails=0;\n",
        "addresses.map": "22001 198.51.100.7:10000;\n",
        "tls.crt": "a certificate",
    }
    assert machine.calls()[-2:] == [
        "docker exec abc nginx -t -e stderr -c /etc/nginx/router/nginx.conf",
        "docker kill --signal=HUP abc",
    ]
    machine.put("machines/list", "")
    assert machine.run("machines")[0] == 0
    assert set(machine.made()) == {"tls.crt"}


def test_an_nginx_that_does_not_run_yet_is_not_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path, PLAN, BASELINE)
    machine.put("machines/list", "demo-burst-0 2001:db8::1\n")
    assert machine.run("machines")[0] == 0
    assert machine.made()["addresses.map"] == "22000 [2001:db8::1]:10000;\n"
    assert not any("exec" in call or "kill" in call for call in machine.calls())


def test_a_configuration_that_nginx_refuses_is_not_put_to_use(tmp_path: Path) -> None:
    machine = Machine(tmp_path, PLAN, BASELINE, 'case "$1" in ps) echo abc;; exec) exit 1;; esac')
    machine.put("machines/list", "demo-burst-0 198.51.100.7\n")
    code, said = machine.run("machines")
    assert code == 1
    assert "NGINX refuses what" in said
    assert not any("kill" in call for call in machine.calls())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("demo-burst-0 1.2.3.4;evil", "demo-burst-0 has no address"),
        ("demo-burst-0", "demo-burst-0 has no address"),
        ("demo-burst-9 1.2.3.4", "the plan knows no machine demo-burst-9"),
    ],
)
def test_a_list_that_is_none_changes_nothing(tmp_path: Path, line: str, words: str) -> None:
    machine = Machine(tmp_path, PLAN, BASELINE)
    machine.put("machines/list", "demo-burst-0 198.51.100.7\n")
    machine.run("machines")
    before = machine.made()
    machine.put("machines/list", f"{line}\n")
    code, said = machine.run("machines")
    assert code == 1
    assert words in said
    assert machine.made() == before


@pytest.mark.parametrize(("address", "family"), [("198.51.100.1", "ip"), ("2001:db8::1", "ip6")])
def test_the_front_machine_s_address_becomes_a_rule(tmp_path: Path, address: str, family: str) -> None:
    machine = Machine(tmp_path, PLAN, BURST)
    assert machine.run("front")[0] == 0
    assert not (tmp_path / "etc/agentgpu/firewall.d").exists()
    machine.put("front", f"{address}\n")
    assert machine.run("front")[0] == 0
    rule = (tmp_path / "etc/agentgpu/firewall.d/front.nft").read_text().splitlines()[-1]
    assert rule == f"{family} saddr {address} tcp dport {{ 10000 }} accept"
    assert machine.calls()[-1] == f"nft -f {tmp_path}/opt/agentgpu/firewall.nft"
    machine.put("front", "0.0.0.0/0 accept; drop\n")
    assert machine.run("front")[0] == 1
