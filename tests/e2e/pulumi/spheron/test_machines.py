"""Machines on Spheron, by the real Pulumi engine, host and dynamic provider, against its API on the loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgpu_iac.rendering.templates import verbatim
from tests.e2e.processes import PATIENCE_S
from tests.e2e.pulumi.cli import ROOT, Project
from tests.e2e.pulumi.spheron.server import SPEED, Spheron, start
from tests.provisioning.spheron.world import KEY, as_written, offer

CALLERS_KEY = "callers-send-this-key"
SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: qa}
spec:
  target: spheron
  security: {apiKeySecret: agents-api-key}
  hosts: {callerRanges: [203.0.113.0/24]}
  accelerators: {allow: [rtx-5090]}
  agents:
    - name: qa
      model: mistralai/Mistral-7B-Instruct-v0.3
      sessions: {concurrent: 20}
      conversation: {maxContextTokens: 4096}
"""
FEWER_CALLERS = SPEC.replace("203.0.113.0/24", "203.0.113.7/32")
SPOT = SPEC.replace(
    "      sessions: {concurrent: 20}", "      sessions: {concurrent: 1}\n      interruptible: true"
).replace("  accelerators: {allow: [rtx-5090]}", "  accelerators: {allow: [h100-sxm]}")
TYPE = "pulumi-python:dynamic/agentgpu:SpheronMachine"


@pytest.fixture
def spheron() -> Iterator[Spheron]:
    made = start()
    made.world.minimum_runtime_minutes = 0
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path, spheron: Spheron) -> Project:
    fast = Path(__file__).parent / "fast"
    made = Project(tmp_path, SPEC, environment={"PYTHONPATH": f"{fast}:{ROOT}", "AGENTGPU_TEST_SPEED": str(SPEED)})
    made.config("agentgpu:spheronUrl", spheron.url)
    made.config("agentgpu:spheronApiKey", KEY, secret=True)
    made.config("agentgpu:sshPublicKey", "ssh-ed25519 AAAA someone")
    made.run("config", "set", "--secret", "--path", "agentgpu:secrets.agents-api-key", given=CALLERS_KEY)
    return made


def machine(project: Project) -> dict:
    (found,) = [one for one in project.resources() if one["type"] == TYPE and not one.get("delete")]
    return found


def creates(spheron: Spheron) -> list[str]:
    return [body["offerId"] for body in spheron.world.bodies]


def test_a_machine_from_preview_to_destroy(project: Project, spheron: Spheron) -> None:
    assert [urn.rsplit("::")[-1] for urn in project.planned()["create"]][-1].startswith("qa-baseline-spheron-")
    assert not spheron.world.machines
    said = project.up()
    (live,) = spheron.world.live
    outputs = project.outputs()
    (url,) = outputs["agentUrls"]["qa"]
    assert url.startswith(f"https://{live['ipAddress']}:")
    assert outputs["usdPerHour"] == {"planned": "0.76", "paid": "0.8"}
    assert outputs["machines"][0]["name"] == live["name"]
    (body,) = spheron.world.bodies
    files = {file["path"]: file for file in body["cloudInit"]["writeFiles"]}
    assert files["/etc/agentgpu/secrets.env"] == {
        "path": "/etc/agentgpu/secrets.env",
        "content": f"VLLM_API_KEY='{CALLERS_KEY}'\n",
        "owner": "root:root",
        "permissions": "0600",
    }
    assert "policy drop" in as_written(files["/opt/agentgpu/firewall.nft"])
    assert as_written(files["/opt/agentgpu/setup.sh"]) == verbatim("setup.sh")
    assert body["cloudInit"]["runcmd"] == ["bash /opt/agentgpu/setup.sh --yes"]
    assert len(json.dumps(body["cloudInit"])) < 49_149

    assert project.planned() == {}
    again = project.up()
    assert creates(spheron) == ["rtx-good"]
    for secret in (KEY, CALLERS_KEY):
        assert secret.encode() not in project.stored()
        assert secret not in said.text + again.text

    project.destroy()
    assert not spheron.world.live


def test_a_changed_cloud_init_replaces_the_machine_and_a_price_does_not(project: Project, spheron: Spheron) -> None:
    project.up()
    (first,) = spheron.world.live
    spheron.world.groups[0]["offers"][1]["price"] = 0.94
    project.write_spec(SPEC.replace("  accelerators:", "  capacity: {priceCapRatio: 3}\n  accelerators:"))
    assert project.planned() == {}
    project.write_spec(FEWER_CALLERS)
    assert list(project.planned()) == ["replace"]
    project.up()
    (second,) = spheron.world.live
    assert second["id"] != first["id"]
    assert spheron.world.machines[first["id"]].content["status"] == "terminated"


def test_a_reclaimed_machine_is_made_again_by_the_next_up(project: Project, spheron: Spheron) -> None:
    h100 = {"vcpus": 32, "gpu_memory": 80, "interconnectType": "SXM5"}
    spheron.world.groups[1]["offers"].append(offer("h100-spot", instanceType="SPOT", price=2.4, spot_price=0.9, **h100))
    project.write_spec(SPOT)
    project.up()
    (first,) = spheron.world.live
    spheron.world.reclaim(first["id"])
    project.refresh()
    assert list(project.planned()) == ["create"]
    spheron.world.refused_offers.add("h100-spot")
    project.up()
    (second,) = spheron.world.live
    assert creates(spheron) == ["h100-spot", "h100-spot", "h100-good"]
    assert second["name"] == first["name"]
    assert project.outputs()["machines"][0]["boughtAs"] == "DEDICATED"


def test_a_machine_that_may_not_be_ended_yet_stays_in_the_state(project: Project, spheron: Spheron) -> None:
    spheron.world.too_busy |= {"GET", "POST"}
    project.up()
    assert not spheron.world.too_busy
    assert len(spheron.world.machines) == 1
    spheron.world.minimum_runtime_minutes = 10_000
    said = project.destroy(expect=1)
    assert "may not be ended yet: it must run" in said.text
    assert "run the same command again after that" in said.text
    assert machine(project)
    assert spheron.world.live
    spheron.world.minimum_runtime_minutes = 0
    project.destroy()
    assert not spheron.world.live
    assert not project.resources()


def test_when_nothing_can_be_had_the_error_says_why_and_holds_no_secret(project: Project, spheron: Spheron) -> None:
    spheron.world.refused_offers |= {"rtx-good", "rtx-next"}
    said = project.up(expect=1)
    for words in ("no offer on Spheron could be had", "rtx-good: Spheron refused", "above the cap of USD 0.95"):
        assert words in said.text
    for secret in (KEY, CALLERS_KEY):
        assert secret not in said.text
        assert secret.encode() not in project.stored()
    assert creates(spheron) == ["rtx-good", "rtx-next"]


def test_an_api_that_goes_down_half_way_costs_no_second_machine(project: Project, spheron: Spheron) -> None:
    spheron.down_after_create = True
    said = project.up(expect=1)
    assert "is deploying: it costs money already" in said.text
    assert KEY not in said.text
    spheron.down = spheron.down_after_create = False
    project.up()
    assert len(spheron.world.live) == len(spheron.world.machines) == 1
    assert project.outputs()["machines"][0]["status"] == "running"


def test_a_kill_during_a_create_leaves_no_orphan_and_no_double(
    project: Project, spheron: Spheron, tmp_path: Path
) -> None:
    spheron.hold_created = threading.Event()
    process = project.start("up", "--yes", "--skip-preview", log=tmp_path / "killed.log")
    give_up_s = time.monotonic() + PATIENCE_S
    while not spheron.world.machines:
        assert time.monotonic() < give_up_s, (tmp_path / "killed.log").read_text()
        time.sleep(0.05)
    project.kill(process)
    spheron.hold_created.set()
    spheron.hold_created = None
    project.cancel()
    project.up()
    assert len(spheron.world.live) == len(spheron.world.machines) == 1
    assert machine(project)["id"] == spheron.world.live[0]["id"]
    project.destroy()
    assert not spheron.world.live
    assert KEY not in (tmp_path / "killed.log").read_text()
    assert KEY.encode() not in project.stored()


def test_other_settings_and_a_new_key_touch_no_machine(project: Project, spheron: Spheron) -> None:
    project.up()
    spheron.world.key = "sai_pk_the-key-after-it"
    project.config("agentgpu:spheronTeamId", "team-0")
    project.config("agentgpu:spheronApiKey", spheron.world.key, secret=True)
    assert project.planned() == {}
    said = project.destroy(expect=1)
    assert "the key is that of the last pulumi up, unless SPHERON_API_KEY holds another" in said.text
    project.environment["SPHERON_API_KEY"] = spheron.world.key
    project.destroy()
    assert len(spheron.world.machines) == 1
    assert not spheron.world.live


def test_what_is_missing_is_said_before_anything_is_made(project: Project, spheron: Spheron) -> None:
    project.run("config", "rm", "--path", "agentgpu:secrets.agents-api-key")
    project.run("config", "rm", "agentgpu:sshPublicKey")
    said = project.up(expect=1)
    assert "agentgpu:secrets.agents-api-key: is missing; it" in said.text
    assert "exactly one SSH key" in said.text
    assert not spheron.world.calls
