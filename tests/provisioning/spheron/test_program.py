"""The program: what it asks for, and what it refuses before anything is made."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from typing import Any

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.provisioning.program import PROGRAMS
from agentgpu_iac.provisioning.spheron.client import CloudInit, WriteFile
from agentgpu_iac.provisioning.spheron.cloud_init import for_the_way, read_cloud_init
from agentgpu_iac.provisioning.spheron.program import Settings, deploy
from agentgpu_iac.spec.loader import load_text
from tests.provisioning.recording import Recording, record
from tests.rendered import rendered_once

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: qa}
spec:
  target: spheron
  security: {apiKeySecret: agents-api-key}
  hosts: {callerRanges: [203.0.113.0/24]}
  agents:
    - name: qa
      model: mistralai/Mistral-7B-Instruct-v0.3
      sessions: {concurrent: 20}
      conversation: {maxContextTokens: 4096}
"""
TOKEN = "pulumi-python:dynamic/agentgpu:SpheronMachine"
SETTINGS: dict[str, Any] = dict(ssh_public_key="ssh-ed25519 AAAA", secrets={"agents-api-key": "callers-key"})


@cache
def plan() -> Plan:
    return make_plan(load_text(SPEC, "stack.yaml"), load_catalog())


@cache
def files() -> tuple[RenderedFile, ...]:
    return rendered_once(plan())


def deployed(made: Plan | None = None, rendered: tuple[RenderedFile, ...] | None = None, **settings: Any) -> Recording:
    return record(
        lambda: deploy(made or plan(), files() if rendered is None else rendered, Settings(**{**SETTINGS, **settings}))
    )


def refusals(made: Plan | None = None, rendered: tuple[RenderedFile, ...] | None = None, **settings: Any) -> list[str]:
    with pytest.raises(BadInput) as caught:
        deploy(made or plan(), files() if rendered is None else rendered, Settings(**{**SETTINGS, **settings}))
    return [str(fault) for fault in caught.value.faults]


def changed_pool(**changes: Any) -> Plan:
    pool = plan().node_pools[0]
    return plan().model_copy(update={"node_pools": (pool.model_copy(update=changes),)})


def test_the_target_has_this_program() -> None:
    assert "spheron" in PROGRAMS


def test_each_baseline_node_is_a_machine_with_the_rendered_cloud_init_and_the_secrets() -> None:
    recording = deployed(changed_pool(min=2, max=2))
    first, second = recording.of(TOKEN)
    assert [one.inputs["index"] for one in (first, second)] == [0, 1]
    assert first.inputs["cloudInit"] == second.inputs["cloudInit"]
    secret = first.inputs["cloudInit"]
    assert set(secret) > {"value"}, "a secret, as Pulumi wraps it"
    sent = json.loads(secret["value"])
    paths = [file["path"] for file in sent["writeFiles"]]
    assert paths[:3] == [f"/etc/agentgpu/{file}" for file in ("tls/tls.crt", "tls/tls.key", "secrets.env")]
    assert sent["writeFiles"][2]["content"] == "VLLM_API_KEY='callers-key'\n"
    assert {"/opt/agentgpu/firewall.nft", "/opt/agentgpu/docker-compose.yaml"} <= set(paths)
    rendered = {f"/opt/agentgpu/{file.path.split('/', 2)[2]}": file.content.decode() for file in rendered_once(plan())}
    written = {file["path"]: file["content"] for file in sent["writeFiles"] if file["path"] in rendered}
    assert written.items() <= rendered.items(), "texts are compared, so that another zlib makes no other machine"
    urls = recording.outputs["agentUrls"]["qa"]
    assert urls == ["https://198.51.100.1:10000/v1"] * 2
    assert recording.outputs["checkCommands"]["qa"][0] == (
        "curl --cacert agentgpu.pem --resolve machines.qa.internal:10000:198.51.100.1 "
        'https://machines.qa.internal:10000/v1/models -H "Authorization: Bearer $KEY"'
    )
    assert "certificate" in recording.outputs
    planned = 2 * plan().node_pools[0].usd_per_hour
    assert recording.outputs["usdPerHour"] == {"planned": str(planned.normalize()), "paid": "1.6"}
    assert json.loads(first.inputs["market"]) == json.loads(plan().node_pools[0].market.model_dump_json(by_alias=True))


@pytest.mark.parametrize(("asked", "made"), [(0, 0), (2, 2), (9, 3)])
def test_burst_machines_run_when_asked_for_and_never_more_than_planned(asked: int, made: int) -> None:
    burst = changed_pool(tier="burst", min=0, max=3)
    assert len(deployed(burst, burst_nodes=asked).of(TOKEN)) == made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": "aws"}, "cannot rent machines of 'aws'"),
        ({"nodes_per_replica": 2}, "do not know each other here"),
        ({"market": None}, "sells nothing as on-demand"),
        ({"name": "other"}, "does not say what machines of other run"),
        ({"capacity_types": ("spot",)}, "people wait for qa"),
    ],
)
def test_plans_that_cannot_be_carried_out_are_refused(changes: dict[str, Any], words: str) -> None:
    assert any(words in one for one in refusals(changed_pool(**changes)))


def test_a_plan_for_another_target_is_refused() -> None:
    assert "not for 'compose'" in refusals(plan().model_copy(update={"target": "compose"}))[0]


def test_a_plan_that_asks_callers_for_no_key_is_refused() -> None:
    open_to_all = plan().security.model_copy(update={"api_key_secret": None})
    assert "callers are asked for no key" in refusals(plan().model_copy(update={"security": open_to_all}))[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"secrets": {}}, "agentgpu:secrets.agents-api-key: is missing"),
        ({"secrets": {"agents-api-key": "with 'quotes'"}}, "holds a quote"),
        ({"secrets": {"agents-api-key": "two\nlines"}}, "no printable ASCII"),
        ({"ssh_public_key": None}, "exactly one SSH key"),
        ({"ssh_key_id": "k-1"}, "exactly one SSH key"),
        ({"burst_nodes": -1}, "must not be negative"),
        ({"url": "http://api.example.org"}, "agentgpu:spheronUrl: is no address to which a key may be sent"),
        ({"url": "https://two@api.example.org"}, "agentgpu:spheronUrl: is no address"),
        ({"in_clear": ("agentgpu:secrets",)}, "stands in clear"),
    ],
)
def test_settings_that_are_missing_or_wrong_are_refused(settings: dict[str, Any], words: str) -> None:
    (only,) = refusals(**settings)
    assert words in only
    assert "two" not in only


def test_machines_whose_ports_nobody_closes_are_refused() -> None:
    bare = RenderedFile(
        path=f"hosts/{plan().node_pools[0].name}/cloud-init.yaml", content=b"#cloud-config\nruncmd: [ls]\n"
    )
    assert "writes no /opt/agentgpu/firewall.nft" in refusals(rendered=(bare,))[0]
    assert "was not rendered" in refusals(rendered=())[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"packages: [curl]\n", "first line must be #cloud-config"),
        (b"#cloud-config\nusers: [me]\nwrite_files: [{path: /a, content: b, append: true}]\n", "users"),
        (b"#cloud-config\nwrite_files: [{path: /a, content: b, append: true}]\n", "write_files.0.append"),
        (
            b"#cloud-config\nwrite_files: [{path: /a, content: YQ==, encoding: b64}]\n",
            "must be gz.b64, or not be there",
        ),
        (b"#cloud-config\nwrite_files: [{path: /a, content: YQ==, encoding: gz+b64}]\n", "is not gz.b64"),
        (b"#cloud-config\n[1]\n", "no mapping"),
    ],
)
def test_what_the_api_has_no_place_for_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_cloud_init(text, "cloud-init.yaml")


def test_large_files_are_packed_on_the_way_but_for_those_that_only_root_reads() -> None:
    long = "echo of a long line\n" * 100
    files = tuple(
        WriteFile(path=path, content=text, permissions=permissions)
        for path, text, permissions in (("/a", long, "0755"), ("/b", "short\n", None), ("/c", long, "0600"))
    )
    packed, short, secret = for_the_way(CloudInit(write_files=files)).write_files
    assert (short, secret) == files[1:]
    assert (packed.path, packed.permissions, packed.encoding) == ("/a", "0755", "gz+b64")
    assert gzip.decompress(base64.b64decode(packed.content)).decode() == long
    assert len(packed.content) < 200


def test_commands_become_lines_of_a_shell() -> None:
    read = read_cloud_init(b"#cloud-config\nruncmd: ['a | b', [echo, 'two words']]\n", "x")
    assert read.runcmd == ("a | b", "echo 'two words'")
