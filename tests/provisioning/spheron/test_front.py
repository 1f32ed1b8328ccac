"""Several machines behind one NGINX: what the program asks for, and what it refuses before anything is made."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.provisioning.spheron.certificate import MachinesCertificate, _CertificateProvider, make_certificate
from agentgpu_iac.provisioning.spheron.program import Settings, deploy
from agentgpu_iac.spec.loader import load_text
from tests.provisioning.recording import Recording, record
from tests.provisioning.spheron.ssh_server import make_key, private
from tests.provisioning.spheron.test_program import SETTINGS, SPEC
from tests.rendered import rendered_once

MACHINE, FILES, CERTIFICATE = (
    f"pulumi-python:dynamic/agentgpu:{name}" for name in ("SpheronMachine", "MachineFiles", "MachinesCertificate")
)
BURSTING = (
    SPEC.replace("24]}", "24], adminRanges: [203.0.113.7/32]}")
    .replace("  agents:", "  capacity: {burstWithoutNotice: accept}\n  accelerators: {allow: [h100-sxm]}\n  agents:")
    .replace("{concurrent: 20}", "{concurrent: 50, peak: 200}\n      traffic: {rampS: 3600}")
    .replace("{maxContextTokens: 4096}", "{maxContextTokens: 4096, thinkTimeS: 0}")
)
FRONT = "qa-baseline-spheron-h100-sxm-any-od-0"
BURST = "qa-burst-spheron-1h100-80s-32v-fin-03-1000-fe6372c9-0"
LOGIN = private(make_key())


@cache
def plan() -> Plan:
    return make_plan(load_text(BURSTING, "stack.yaml"), load_catalog())


@cache
def files() -> tuple[RenderedFile, ...]:
    return rendered_once(plan())


def deployed(made: Plan | None = None, **settings: Any) -> Recording:
    given = Settings(**{**SETTINGS, "ssh_private_key": LOGIN, **settings})
    return record(lambda: deploy(made or plan(), files(), given))


def refusals(made: Plan | None = None, **settings: Any) -> list[str]:
    with pytest.raises(BadInput) as caught:
        deploy(made or plan(), files(), Settings(**{**SETTINGS, "burst_nodes": 1, **settings}))
    return [str(fault) for fault in caught.value.faults]


def test_one_machine_needs_no_ssh() -> None:
    recording = deployed(ssh_private_key=None)
    assert [one.name for one in recording.of(MACHINE)] == [FRONT]
    assert not recording.of(FILES)
    assert recording.outputs["agentUrls"]["qa"] == ["https://198.51.100.1:10000/v1"]


def test_a_burst_is_told_of_the_front_machine_and_that_one_then_of_the_burst() -> None:
    recording = deployed(burst_nodes=2)
    told = {one.name: one.inputs for one in recording.of(FILES)}
    second = f"{BURST[:-1]}1"
    assert set(list(told)[:3]) == {f"{FRONT}-secrets", f"{BURST}-secrets", f"{second}-secrets"}
    assert list(told)[3:] == [f"{BURST}-front", f"{second}-front", f"{FRONT}-machines"]
    assert {one["hostKey"] for name, one in told.items() if "secrets" not in name} == {"a proven key"}
    assert not any("hostKey" in one for name, one in told.items() if "secrets" in name)
    assert told[f"{BURST}-front"]["word"] == "front"
    assert list(told[f"{BURST}-front"]["files"]) == ["/etc/agentgpu/front"]
    last = told[f"{FRONT}-machines"]
    assert last["word"] == "machines"
    names = [line.split()[0] for line in last["files"]["/etc/agentgpu/machines/list"].splitlines()]
    assert names == [BURST, f"{BURST[:-1]}1"]
    assert last["left"] == {"/etc/agentgpu/machines/list": ""}
    assert len(recording.outputs["agentUrls"]["qa"]) == 1


def test_all_machines_show_the_certificate_and_it_is_a_secret() -> None:
    recording = deployed(burst_nodes=1)
    sent = {one.name: one.inputs["cloudInit"] for one in recording.of(MACHINE)}
    for name in (FRONT, BURST):
        brought = recording.one(FILES, f"{name}-secrets").inputs["files"]
        assert set(brought) > {"value"}, "a secret, as Pulumi wraps it"
        assert brought["value"]["/etc/agentgpu/tls/tls.crt"] == "a certificate"
        assert brought["value"]["/etc/agentgpu/tls/tls.key"] == "its key"
    assert [one.inputs["serverName"] for one in recording.of(CERTIFICATE)] == ["machines.qa.internal"]
    alone = deployed().of(MACHINE)[0].inputs["cloudInit"]
    assert sent[FRONT] == alone, "a burst does not make the front machine anew"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "agentgpu:sshPrivateKey: is missing"),
        ({"ssh_private_key": "nonsense"}, "no private SSH key without a passphrase"),
    ],
)
def test_without_a_key_to_log_in_with_a_burst_is_refused(settings: dict[str, Any], words: str) -> None:
    (only,) = refusals(**settings)
    assert words in only
    assert "nonsense" not in only


def test_where_nobody_may_log_in_a_burst_is_refused() -> None:
    closed = tuple(one.model_copy(update={"admin_ranges": ()}) for one in plan().hosts)
    (only,) = refusals(plan().model_copy(update={"hosts": closed}), ssh_private_key=LOGIN)
    assert "hosts.adminRanges: nobody may log in" in only


def test_a_certificate_is_one_that_tls_takes(tmp_path: Path) -> None:
    certificate, key = make_certificate("machines.qa.internal")
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    read = x509.load_pem_x509_certificate(certificate.encode())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["machines.qa.internal"]


def test_a_certificate_stays_for_as_long_as_its_name() -> None:
    provider = _CertificateProvider()
    outs = provider.create({"serverName": "a"}).outs or {}
    assert provider.diff("a", outs, {"serverName": "a"}).changes is False
    assert provider.diff("a", outs, {"serverName": "b"}).replaces == ["serverName"]
    assert MachinesCertificate.__annotations__.keys() >= {"certificate", "privateKey"}
