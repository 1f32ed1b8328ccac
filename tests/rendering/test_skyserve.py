"""A SkyServe file says what the plan says."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.rendering.next_step import next_step
from agentgpu_iac.rendering.render import render
from tests.plans import make_plan, make_workload
from tests.rendering.test_model_cache_script import hub_library

__all__ = ["hub_library"]  # a fixture

MODEL = p.CachedModel(
    model="Qwen/Qwen3-8B", path="qwen--qwen3-8b--main", revision="main", gib=15.26, fill=True, token_secret=None
)


def make_service(**changes: Any) -> p.SkyServicePlan:
    fields: dict[str, Any] = dict(
        agent="support",
        workload="support",
        name="demo-support",
        accelerators=1,
        places=(
            p.SkyPlace(
                cloud="aws",
                region="us-east-1",
                accelerator="L40S",
                on_demand_usd_per_hour=Decimal("1.861"),
                spot_usd_per_hour=Decimal("0.9"),
            ),
            p.SkyPlace(
                cloud="runpod",
                region=None,
                accelerator="L40S",
                on_demand_usd_per_hour=Decimal("1.4"),
                spot_usd_per_hour=None,
            ),
        ),
        max_usd_per_hour=Decimal("2.32625"),
        on_spot=True,
        on_demand_replicas=2,
        on_demand_fallback=True,
        min_replicas=2,
        max_replicas=5,
        requests_per_s_per_replica=1.25,
        upscale_delay_s=20,
        downscale_delay_s=330,
        initial_delay_s=1070,
        probe_timeout_s=15,
        probe_interval_s=5,
        failure_threshold_s=180,
        stream_timeout_s=205,
        disk_gib=140,
        memory_gib=None,
        models=(MODEL,),
        bucket=None,
        secrets=(),
    )
    return p.SkyServicePlan(**{**fields, **changes})


def body_of(service: p.SkyServicePlan, workload: p.Workload | None = None) -> dict[str, Any]:
    plan = make_plan(target="skyserve", sky_services=(service,), workloads=(workload or make_workload(),))
    (file,) = render(plan)
    assert file.path == "skyserve/support.yaml"
    loaded = yaml.load(file.content, yaml.CSafeLoader)
    assert isinstance(loaded, dict)
    return loaded


def test_the_service() -> None:
    assert body_of(make_service())["service"] == {
        "readiness_probe": {
            "path": "/health",
            "initial_delay_seconds": 1070,
            "timeout_seconds": 15,
            "endpoint_probe_interval_seconds": 5,
            "consecutive_failure_threshold_timeout": 180,
        },
        "replica_policy": {
            "min_replicas": 2,
            "max_replicas": 5,
            "target_qps_per_replica": 1.25,
            "upscale_delay_seconds": 20,
            "downscale_delay_seconds": 330,
            "base_ondemand_fallback_replicas": 2,
            "dynamic_ondemand_fallback": True,
        },
        "load_balancing_policy": "least_load",
        "load_balancer": {"stream_timeout_seconds": 205},
    }


def test_a_fixed_number_of_replicas_on_demand() -> None:
    policy = body_of(make_service(on_spot=False, max_replicas=2, requests_per_s_per_replica=None))["service"]
    assert policy["replica_policy"] == {"min_replicas": 2, "max_replicas": 2}


def test_the_resources() -> None:
    assert body_of(make_service(memory_gib=48))["resources"] == {
        "image_id": "docker:vllm/vllm-openai:v0.33.0",
        "use_spot": True,
        "ports": 8000,
        "disk_size": 140,
        "memory": "48+",
        "max_hourly_cost": 2.32625,
        "any_of": [
            {"infra": "aws/us-east-1", "accelerators": "L40S:1"},
            {"infra": "runpod", "accelerators": "L40S:1"},
        ],
    }


def test_the_engine_runs_word_for_word() -> None:
    args = ("/models/m", "--served-model-name", "it's $HOME", "--flag", '{"a": "b c"}')
    workload = make_workload()
    workload = workload.model_copy(update={"engine": workload.engine.model_copy(update={"args": args})})
    script = body_of(make_service(), workload)["run"]
    said = subprocess.run(
        ["bash", "-c", script.replace("exec ", "printf '%s\\0' ")], capture_output=True, text=True, check=True
    ).stdout
    assert tuple(said.split("\0")[:-1]) == (*workload.engine.command, *args)


def run_setup(service: p.SkyServicePlan, tmp_path: Path, **environment: str) -> None:
    """The setup as it ships, with its folders below another one."""
    setup = body_of(service)["setup"].replace("/opt/model-cache", str(tmp_path / "scripts"))
    setup = setup.replace("--root=/models", f"--root={tmp_path / 'models'}")
    subprocess.run(["bash"], input=setup, text=True, check=True, env={**os.environ, **environment})


def lying(tmp_path: Path) -> set[str]:
    folder = tmp_path / "models" / MODEL.path
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_weights_are_fetched_by_the_filter_that_fills_caches_elsewhere(tmp_path: Path, hub_library: Path) -> None:
    service = make_service(
        models=(MODEL.model_copy(update={"token_secret": "hub"}),),
        secrets=(p.SkySecret(variable="HF_TOKEN", secret="hub", key="token"),),
    )
    assert "file_mounts" not in body_of(service)
    run_setup(service, tmp_path, PYTHONPATH=str(hub_library), PYTHONDONTWRITEBYTECODE="1", HF_TOKEN="sesame")
    assert lying(tmp_path) == {"config.json", "model.safetensors"}
    assert json.loads((tmp_path / "models" / f"{MODEL.path}.complete").read_text())["revision"] == "main"


def test_weights_of_a_bucket_are_copied_and_what_no_engine_reads_goes(tmp_path: Path) -> None:
    service = make_service(bucket="s3://acme/models")
    mounts = {"/models/qwen--qwen3-8b--main": "s3://acme/models/qwen--qwen3-8b--main"}
    assert body_of(service)["file_mounts"] == mounts
    for name in ("config.json", "tokenizer.json", "model.safetensors", "consolidated.safetensors", "original/a.pth"):
        place = tmp_path / "models" / MODEL.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"{}")
    run_setup(service, tmp_path)
    assert lying(tmp_path) == {"config.json", "tokenizer.json", "model.safetensors"}


@pytest.mark.parametrize("content", ["a: 1\n", "it's\n%s \\ $x\nFETCH\n", ""])
def test_files_of_the_engine_are_written(content: str, tmp_path: Any) -> None:
    workload = make_workload()
    engine = workload.engine.model_copy(update={"files": (p.EngineFile(name="settings.yaml", content=content),)})
    script = body_of(make_service(models=()), workload.model_copy(update={"engine": engine}))["setup"]
    subprocess.run(["bash"], input=script.replace("/etc/engine", str(tmp_path)), text=True, check=True)
    assert (tmp_path / "settings.yaml").read_text() == content


def test_secrets_have_names_and_no_values() -> None:
    secrets = (
        p.SkySecret(variable="VLLM_API_KEY", secret="keys", key="key"),
        p.SkySecret(variable="HF_TOKEN", secret="hub", key="token"),
    )
    plan = make_plan(target="skyserve", sky_services=(make_service(secrets=secrets),))
    (file,) = render(plan)
    assert yaml.load(file.content, yaml.CSafeLoader)["secrets"] == {"VLLM_API_KEY": None, "HF_TOKEN": None}
    command = file.content.decode().split("Start it:  ", 1)[1].split("\n", 1)[0]
    assert shlex.split(command) == [
        *("sky", "serve", "up", "--service-name", "demo-support"),
        *("--secret", "VLLM_API_KEY", "--secret", "HF_TOKEN", "skyserve/support.yaml"),
    ]


def test_the_next_step_starts_every_service_where_its_file_was_written() -> None:
    plan = make_plan(target="skyserve", sky_services=(make_service(),))
    said = next_step(plan, render(plan), "my out")
    assert shlex.split(said) == ["sky", "serve", "up", "--service-name", "demo-support", "my out/skyserve/support.yaml"]
