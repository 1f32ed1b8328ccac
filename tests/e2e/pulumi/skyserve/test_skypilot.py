"""SkyPilot itself reads what we render for SkyServe, and refuses what it should.

The loader, the schema and the checks of ``sky serve up`` are those of SkyPilot 0.14.1, in its own environment. What is not
SkyPilot's is its hosted catalog of machines, which is on the network: in its place stands one made of our own offerings (the
list of accelerators is an excerpt of the real one), so names and regions are looked up, but no price. No cloud is asked.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan, SkyServicePlan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text
from tools.install import path as tool

CATALOG = load_catalog()
EXCERPT = Path(__file__).parents[3] / "catalog" / "skypilot_accelerators.json"
SKYPILOT_CATALOG_VERSION = "v8"
LOADER = Path(__file__).with_name("load.py")

BURST = """
    - name: chat
      model: Qwen/Qwen3-8B
      sessions: {concurrent: 40, peak: 400}
      traffic: {rampS: 3600}
"""
STACKS = {
    "cheapest": f"agents:{BURST}",
    "several-clouds": f"accelerators: {{allow: [l40s]}}\n  agents:{BURST}",
    "spot-burst-on-aws": f"providers: [aws]\n  regions: [us-east-1, us-east-2]\n  agents:{BURST}",
    "background-on-spot": "agents: [{name: batch, model: Qwen/Qwen3-8B, latencyClass: background, sessions: {concurrent: 40}}]",
    "several-accelerators": "accelerators: {allow: [h100-sxm]}\n  modelCache: {tokenSecret: hub}\n"
    "  agents: [{name: big, model: meta-llama/Llama-3.3-70B-Instruct, sessions: {concurrent: 20}}]",
    "secrets": "security: {apiKeySecret: keys}\n  modelCache: {tokenSecret: hub}\n"
    "  agents: [{name: one, model: Qwen/Qwen3-8B}, {name: two, model: Qwen/Qwen3-8B}]",
    "other-engines": "agents: [{name: one, model: Qwen/Qwen3-8B, engine: sglang}, "
    "{name: two, model: Qwen/Qwen3-8B, engine: tensorrt-llm}]",
    "bucket": "modelCache: {source: s3, bucket: s3://acme-models/agents}\n  agents: [{name: one, model: Qwen/Qwen3-8B}]",
}


def planned(stack: str) -> Plan:
    text = "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: demo}\n"
    return make_plan(load_text(f"{text}spec:\n  target: skyserve\n  {stack}\n", "stack.yaml"), CATALOG)


PLANS = {name: planned(stack) for name, stack in STACKS.items()}
SERVICES = [(name, service) for name, plan in PLANS.items() for service in plan.sky_services]
IDS = [f"{name}-{service.agent}" for name, service in SERVICES]

Loader = Callable[[list[Path]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def skypilot(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    home = tmp_path_factory.mktemp("home")
    write_catalog(home / ".sky" / "catalogs" / SKYPILOT_CATALOG_VERSION)
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }

    def load(files: list[Path]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [tool("sky-python"), LOADER, *files],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return found

    return load


def write_catalog(folder: Path) -> None:
    """What SkyPilot looks names and regions up in."""
    clouds = json.loads(EXCERPT.read_text())["clouds"]
    rows = [{"AcceleratorName": name, "Clouds": repr(where)} for name, where in clouds.items()]
    write_csv(folder / "common" / "accelerators.csv", rows)
    write_csv(folder / "common" / "metadata.csv", [{"GPU": "", "MemoryGB": "", "Manufacturer": ""}])
    names = {(row.provider, row.accelerator): row.name for row in CATALOG.skypilot_names}
    machines: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for one in CATALOG.offerings:
        provider = CATALOG.provider(one.provider)
        name = names.get((one.provider, one.accelerator))
        if name is None or provider.skypilot_cloud is None:
            continue
        machines[provider.skypilot_cloud].append(
            {
                "InstanceType": one.instance_type.name,
                "AcceleratorName": name,
                "AcceleratorCount": str(one.accelerator_count),
                "vCPUs": str(one.instance_type.vcpu or ""),
                "MemoryGiB": str(one.instance_type.memory_gib or ""),
                "GpuInfo": "",
                "Price": str(one.usd_per_hour),
                "SpotPrice": "",
                "Region": one.region,
                "AvailabilityZone": "",
            }
        )
    for cloud, sold in machines.items():
        write_csv(folder / cloud / "vms.csv", sold)


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    for name, plan in PLANS.items():
        folder = tmp_path_factory.mktemp(name)
        for service, file in zip(sorted(plan.sky_services, key=lambda one: one.agent), render(plan), strict=True):
            found[name, service.agent] = folder / Path(file.path).name
            found[name, service.agent].write_bytes(file.content)
    return found


@pytest.fixture(scope="module")
def read(skypilot: Loader, files: dict[tuple[str, str], Path]) -> dict[tuple[str, str], dict[str, Any]]:
    return dict(zip(files, skypilot(list(files.values())), strict=True))


@pytest.mark.parametrize(("stack", "service"), SERVICES, ids=IDS)
def test_skypilot_reads_what_the_plan_says(
    stack: str, service: SkyServicePlan, read: dict[tuple[str, str], dict[str, Any]]
) -> None:
    found = read[stack, service.agent]
    assert "refused" not in found
    assert found["name"] == service.name
    policy = found["service"]
    assert policy["readiness_path"] == "/health"
    assert policy["load_balancing_policy"] == "least_load"
    for field in ("initial_delay_s", "min_replicas", "max_replicas", "requests_per_s_per_replica"):
        assert policy[field] == getattr(service, field), field
    if service.on_spot:
        for field in ("on_demand_replicas", "on_demand_fallback"):
            assert policy[field] == getattr(service, field), field
    if service.requests_per_s_per_replica is not None:
        for field in ("upscale_delay_s", "downscale_delay_s"):
            assert policy[field] == getattr(service, field), field


@pytest.mark.parametrize(("stack", "service"), SERVICES, ids=IDS)
def test_skypilot_looks_where_the_plan_says(
    stack: str, service: SkyServicePlan, read: dict[tuple[str, str], dict[str, Any]]
) -> None:
    resources = read[stack, service.agent]["resources"]
    places = {(one.cloud, one.region, one.accelerator, service.accelerators) for one in service.places}
    asked = {(one["cloud"], one["region"], *next(iter(one["accelerators"].items()))) for one in resources}
    assert asked == places
    engine = next(one.engine for one in PLANS[stack].workloads if one.name == service.workload)
    for one in resources:
        assert (one["on_spot"], one["disk_gib"], one["ports"]) == (service.on_spot, service.disk_gib, ["8000"])
        assert one["image"] == engine.image
        assert one["max_usd_per_hour"] == float(service.max_usd_per_hour)


def test_the_stacks_cover_what_services_differ_in() -> None:
    services = [service for _, service in SERVICES]
    assert any(len({place.cloud for place in one.places}) > 1 for one in services)
    assert any(one.on_spot and one.on_demand_replicas for one in services)
    assert any(one.on_spot and not one.on_demand_replicas for one in services)
    assert any(not one.on_spot for one in services)
    assert any(one.requests_per_s_per_replica is None for one in services)
    assert any(one.accelerators > 1 for one in services)
    assert any(one.secrets for one in services)
    assert any(one.bucket for one in services)


def without_spot(body: dict[str, Any]) -> None:
    body["resources"]["use_spot"] = False


def with_an_unknown_key(body: dict[str, Any]) -> None:
    body["service"]["replica_policy"]["base_replicas"] = 1


def without_a_port(body: dict[str, Any]) -> None:
    del body["resources"]["ports"]


def with_fewer_at_the_peak(body: dict[str, Any]) -> None:
    body["service"]["replica_policy"]["max_replicas"] = 0


def without_a_rate(body: dict[str, Any]) -> None:
    del body["service"]["replica_policy"]["target_qps_per_replica"]


def in_an_unknown_cloud(body: dict[str, Any]) -> None:
    body["resources"]["any_of"][0]["infra"] = "spheron"


BROKEN: dict[Callable[[dict[str, Any]], None], str] = {
    without_spot: "only supported for spot",
    with_an_unknown_key: "base_replicas",
    without_a_port: "port",
    with_fewer_at_the_peak: "max_replicas must be greater",
    without_a_rate: "target_qps_per_replica is not set",
    in_an_unknown_cloud: "spheron",
}
"""Ways to break a service, and a word of what SkyPilot says."""


@pytest.fixture(scope="module")
def refused(
    skypilot: Loader, files: dict[tuple[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[Callable[[dict[str, Any]], None], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("broken")
    paths: list[Path] = []
    for broken in BROKEN:
        body = yaml.safe_load(files["spot-burst-on-aws", "chat"].read_text())
        broken(body)
        paths.append(folder / f"{broken.__name__}.yaml")
        paths[-1].write_text(yaml.safe_dump(body))
    return dict(zip(BROKEN, skypilot(paths), strict=True))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.__name__)
def test_skypilot_refuses_what_is_broken(
    broken: Callable[[dict[str, Any]], None], refused: dict[Callable[[dict[str, Any]], None], dict[str, Any]]
) -> None:
    assert re.search(BROKEN[broken], refused[broken]["refused"])
