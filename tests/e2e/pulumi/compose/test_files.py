"""What is rendered for machines, before the programs that will read it: Compose, NGINX, Prometheus, nftables, cloud-init."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator, Draft7Validator

from agentgpu_iac.plan import Plan
from tests.e2e.processes import PATIENCE_S
from tests.e2e.pulumi.compose.machine import MachineNginx, certificate, composed, written
from tests.plans import make_machines_plan
from tools.install import path as tool

PLANS = {
    "callers": make_machines_plan(),
    "alone": make_machines_plan(callers=(), admins=()),
    "key": make_machines_plan("spheron", api_key="callers"),
}
SECRETS = {"VLLM_API_KEY": "sk-$1"}

every_machine = pytest.mark.parametrize(
    ("plan", "pool"), [(plan, host.node_pool) for plan in PLANS.values() for host in plan.hosts],
    ids=[f"{name}-{host.node_pool}" for name, plan in PLANS.items() for host in plan.hosts],
)  # fmt: skip


@every_machine
def test_compose_reads_what_the_plan_says(plan: Plan, pool: str, tmp_path: Path) -> None:
    folder = written(plan, tmp_path)[pool]
    schema = json.loads((tool("compose-schema") / "compose-spec.json").read_text())
    Draft7Validator(schema).validate(yaml.safe_load((folder / "docker-compose.yaml").read_text()))
    read = composed(folder, SECRETS)
    (host,) = (one for one in plan.hosts if one.node_pool == pool)
    for engine in host.engines:
        service = read["services"][f"engine-{engine.name}"]
        (port,) = service["ports"]
        assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", str(engine.port), 8000)
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["device_ids"] == [str(one) for one in engine.accelerators]
        assert int(service["mem_limit"]) == 24_576 * 2**20
    assert "ollama" not in read["services"]


def test_nothing_starts_without_the_secrets(tmp_path: Path) -> None:
    folder = written(PLANS["key"], tmp_path)["demo-baseline"]
    with pytest.raises(AssertionError, match=r"put it into /etc/agentgpu/secrets\.env"):
        composed(folder, {})


def test_ollama_starts_under_its_profile(tmp_path: Path) -> None:
    folder = written(PLANS["callers"], tmp_path)["demo-baseline"]
    read = composed(folder, {"AGENTGPU_LOCAL_MODELS": "support=qwen3:8b"}, "--profile", "local")
    assert read["services"]["ollama"]["environment"] == {"AGENTGPU_LOCAL_MODELS": "support=qwen3:8b"}


@every_machine
def test_nginx_takes_its_configuration(plan: Plan, pool: str, tmp_path: Path) -> None:
    folder = written(plan, tmp_path)[pool]
    service = composed(folder, SECRETS)["services"]["nginx"]
    with MachineNginx(folder, service, {}, certificate(tmp_path / "tls")) as router:
        assert "test is successful" in router.check()


@every_machine
def test_prometheus_takes_its_configuration(plan: Plan, pool: str, tmp_path: Path) -> None:
    folder = written(plan, tmp_path)[pool]
    check_prometheus(folder)


@every_machine
def test_the_firewall_s_rules_are_rules(plan: Plan, pool: str, tmp_path: Path) -> None:
    check_rules(written(plan, tmp_path)[pool] / "firewall.nft")


@every_machine
def test_cloud_init_knows_every_key(plan: Plan, pool: str, tmp_path: Path) -> None:
    text = (written(plan, tmp_path)[pool] / "cloud-init.yaml").read_text()
    document: Any = yaml.safe_load(text)
    Draft4Validator(json.loads(tool("cloud-init-schema").read_text())).validate(document)
    assert text.startswith("#cloud-config\n")


def check_prometheus(folder: Path) -> None:
    """Its configuration names the rules where the container has them; here they lie beside it."""
    file = folder / "prometheus.yml"
    here = folder / "prometheus-here.yml"
    here.write_text(file.read_text().replace("/etc/prometheus/rules.yml", str(folder / "rules.yml")))
    ran(tool("promtool"), "check", "config", here)


def check_rules(file: Path) -> None:
    nft = tool("nft")
    libraries = ":".join(str(one) for one in nft.parents[1].glob("lib/*-linux-gnu"))
    ran(nft, "--check", "--file", file, LD_LIBRARY_PATH=libraries)


def ran(*command: str | Path, **environment: str) -> None:
    done = subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
