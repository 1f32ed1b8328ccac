"""Spot machines behind the NGINX of a dedicated one, by the real engine: Spheron's API and the machines' SSH on the loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgpu_iac.plan.machine_paths import CERTIFICATE_FILE, CERTIFICATE_KEY_FILE, SECRETS_FILE, WORD_FILE
from tests.e2e.pulumi.cli import ROOT, Project
from tests.e2e.pulumi.spheron.server import SPEED, Spheron, start
from tests.provisioning.spheron.ssh_server import Machines, make_key, private, public
from tests.provisioning.spheron.world import KEY, as_written, offer

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: qa}
spec:
  target: spheron
  security: {apiKeySecret: agents-api-key}
  hosts: {callerRanges: [203.0.113.0/24], adminRanges: [127.0.0.1/32]}
  capacity: {burstWithoutNotice: accept}
  accelerators: {allow: [h100-sxm]}
  agents:
    - name: qa
      model: mistralai/Mistral-7B-Instruct-v0.3
      sessions: {concurrent: 50, peak: 200}
      conversation: {maxContextTokens: 4096, thinkTimeS: 0}
      traffic: {rampS: 3600}
"""
FRONT = "qa-baseline-spheron-h100-sxm-any-od-0"
BURST = "qa-burst-spheron-1h100-80s-32v-fin-03-1000-fe6372c9-0"
CALLERS_KEY = "callers-send-this-key"
MACHINE = "pulumi-python:dynamic/agentgpu:SpheronMachine"
LIST, ADDRESSES = "/etc/agentgpu/machines/list", "/etc/agentgpu/machines/addresses.map"
UPSTREAM = "/etc/agentgpu/machines/upstream-qa.conf"


@pytest.fixture
def spheron() -> Iterator[Spheron]:
    made = start()
    made.world.minimum_runtime_minutes = 0
    spot = offer(
        "h100-spot",
        price=2.4,
        spot_price=0.9,
        vcpus=32,
        gpu_memory=80,
        interconnectType="SXM5",
        instanceType="SPOT",
    )
    made.world.groups[1]["offers"].append(spot)
    yield made
    made.close()


@pytest.fixture
def machines(tmp_path: Path, spheron: Spheron) -> Iterator[Machines]:
    def files(name: str) -> dict[str, str]:
        sent = spheron.world.machines[name].request["cloudInit"]["writeFiles"]
        return {one["path"]: as_written(one) for one in sent}

    made = Machines(folder=tmp_path / "machines", client=make_key(), files=files)
    made.start()
    spheron.world.login = f"ssh dep-{{number}}@127.0.0.1 -p {made.port}"
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path, spheron: Spheron, machines: Machines) -> Project:
    fast = Path(__file__).parent / "fast"
    made = Project(tmp_path, SPEC, environment={"PYTHONPATH": f"{fast}:{ROOT}", "AGENTGPU_TEST_SPEED": str(SPEED)})
    made.config("agentgpu:spheronUrl", spheron.url)
    made.config("agentgpu:spheronApiKey", KEY, secret=True)
    made.config("agentgpu:sshPublicKey", public(machines.client))
    made.config("agentgpu:sshPrivateKey", private(machines.client), secret=True)
    made.run("config", "set", "--secret", "--path", "agentgpu:secrets.agents-api-key", given=CALLERS_KEY)
    return made


def ids(project: Project) -> dict[str, str]:
    """The machines that Pulumi has, by the plan's names."""
    return {
        one["urn"].rsplit("::")[-1]: one["id"]
        for one in project.resources()
        if one["type"] == MACHINE and not one.get("delete")
    }


def certificates(machines: Machines, name: str) -> dict[str, str]:
    """Certificate and key of a machine, which were brought to it."""
    return {path: machines.written(name, path) for path in (CERTIFICATE_FILE, CERTIFICATE_KEY_FILE)}


def brought(machines: Machines) -> list[str]:
    """What each setup script was told, and which machine that is of, in order."""
    words = [
        (name, command.rpartition("setup.sh ")[2]) for name, command in machines.commands if "bash /opt" in command
    ]
    machines.commands.clear()
    return [f"{name} {word}" for name, word in words]


def test_a_burst_comes_is_taken_back_outlives_the_front_machine_and_goes(
    project: Project, spheron: Spheron, machines: Machines
) -> None:
    project.up()
    front = ids(project)[FRONT]
    urls = project.outputs()["agentUrls"]
    assert urls == {"qa": [f"https://{spheron.world.machines[front].content['ipAddress']}:10000/v1"]}
    assert brought(machines) == [f"{front} secrets"]

    project.config("agentgpu:burstNodes", "1")
    said = project.up()
    burst = ids(project)[BURST]
    assert ids(project) == {FRONT: front, BURST: burst}, "the front machine is the same"
    assert spheron.world.machines[burst].content["instanceType"] == "SPOT"
    address = spheron.world.machines[burst].content["ipAddress"]
    assert machines.written(front, LIST) == f"{BURST} {address}\n"
    assert machines.written(front, UPSTREAM) == "server 127.0.0.1:22000 weight=1 max_fails=0;\n"
    assert machines.written(front, ADDRESSES) == f"22000 {address}:10000;\n"
    assert "docker kill --signal=HUP abc" in machines.calls(front)
    tls = certificates(machines, burst)
    assert machines.written(front, "/etc/agentgpu/machines/tls.crt") == tls[CERTIFICATE_FILE]
    assert certificates(machines, front) == tls
    assert project.outputs()["certificate"] == tls[CERTIFICATE_FILE]
    rule = machines.written(burst, "/etc/agentgpu/firewall.d/front.nft").splitlines()[-1]
    assert rule == f"ip saddr {spheron.world.machines[front].content['ipAddress']} tcp dport {{ 10000 }} accept"
    order = brought(machines)
    assert order == [f"{burst} secrets", f"{burst} front", f"{front} machines"], (
        "it lets the front one in before that sends"
    )
    assert project.outputs()["agentUrls"] == urls
    assert project.planned() == {}
    for secret in (private(machines.client), tls[CERTIFICATE_KEY_FILE], CALLERS_KEY):
        line = secret.splitlines()[min(1, secret.count("\n"))]
        assert line.encode() not in project.stored()
        assert line not in said.text
        assert line not in json.dumps(spheron.world.bodies)

    spheron.world.reclaim(burst)
    project.refresh()
    project.up()
    again = ids(project)[BURST]
    assert again != burst
    address = spheron.world.machines[again].content["ipAddress"]
    assert machines.written(front, ADDRESSES) == f"22000 {address}:10000;\n"
    assert certificates(machines, again) == tls, "the certificate is the same"

    lost = front
    spheron.world.reclaim(lost)
    project.refresh()
    project.up()
    front = ids(project)[FRONT]
    assert ids(project) == {FRONT: front, BURST: again}, "the other machine is the same"
    assert machines.written(front, ADDRESSES) == f"22000 {address}:10000;\n"
    its_own = spheron.world.machines[front].content["ipAddress"]
    assert machines.written(again, "/etc/agentgpu/front") == f"{its_own}\n"
    assert project.outputs()["agentUrls"] == {"qa": [f"https://{its_own}:10000/v1"]}

    project.config("agentgpu:burstNodes", "0")
    project.up()
    assert ids(project) == {FRONT: front}
    assert machines.written(front, LIST) == ""
    assert not machines.has(front, UPSTREAM)
    project.destroy()
    assert not spheron.world.live


def test_a_key_that_is_changed_is_brought_to_the_machine_that_runs(
    project: Project, spheron: Spheron, machines: Machines
) -> None:
    project.up()
    front, before = ids(project)[FRONT], project.stored()
    assert machines.written(front, SECRETS_FILE) == f"VLLM_API_KEY='{CALLERS_KEY}'\n"
    assert "systemctl restart --no-block agentgpu.service" in machines.calls(front)
    assert not machines.has(front, WORD_FILE)
    (word,) = [
        as_written(file)
        for body in spheron.world.bodies
        for file in body["cloudInit"]["writeFiles"]
        if file["path"] == WORD_FILE
    ]
    brought(machines)
    project.run("config", "set", "--secret", "--path", "agentgpu:secrets.agents-api-key", given="the-key-after-it")
    assert list(project.planned()) == ["update"]
    said = project.up()
    assert ids(project) == {FRONT: front}
    assert len(spheron.world.bodies) == 1
    assert brought(machines) == [f"{front} secrets"]
    assert machines.written(front, SECRETS_FILE) == "VLLM_API_KEY='the-key-after-it'\n"
    for secret in (CALLERS_KEY, "the-key-after-it", word):
        assert secret.encode() not in before + project.stored()
        assert secret not in said.text


def test_a_host_that_cannot_prove_itself_gets_no_secret(project: Project, spheron: Spheron, machines: Machines) -> None:
    machines.claimed_host_key = make_key()
    said = project.up(expect=1)
    assert "cannot prove that its host key" in said.text
    (front,) = spheron.world.machines
    assert not machines.has(front, SECRETS_FILE)
    assert {command for _, command in machines.commands} == {"cat /etc/agentgpu/proof"}


def test_another_host_key_at_a_machine_s_address_is_refused(
    project: Project, spheron: Spheron, machines: Machines
) -> None:
    project.config("agentgpu:burstNodes", "1")
    project.up()
    front = ids(project)[FRONT]
    before = machines.written(front, LIST)
    machines.show_another_key()
    spheron.world.reclaim(ids(project)[BURST])
    project.refresh()
    said = project.up(expect=1)
    assert "something else answers at the machine's address. Nothing was sent to it" in said.text
    assert machines.written(front, LIST) == before
    assert private(machines.client).splitlines()[1] not in said.text
