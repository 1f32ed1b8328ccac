"""What is downloaded is what was counted, on every target and from every source: over the trees of all example stacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.rendering.templates import verbatim
from agentgpu_iac.sizing import loading
from agentgpu_iac.sizing.memory import weight_bytes
from tests.outcomes.scenes import CASES, GOLDEN

Object = dict[str, Any]
SCRIPTS = ("model_cache.py", "model_files.py", "model_hub.py")
FETCHERS = re.compile(r"snapshot_download|huggingface-cli|hf download|aws s3 (cp|sync)")
"""Other ways to download a repository, which would know nothing of the rule."""


def tree(stack: str, target: str) -> dict[str, str]:
    folder = GOLDEN / stack / target / "tree"
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def lists(files: dict[str, str]) -> Iterator[tuple[str, Object]]:
    """Every list of models to fill that the tree holds, with the name of the pool or agent that it is for."""
    for path, text in files.items():
        if path.startswith("hosts/") and path.endswith("/models.json"):
            yield Path(path).parent.name, json.loads(text)
        elif path.startswith("skyserve/"):
            setup = yaml.safe_load(text)["setup"]
            yield Path(path).stem, json.loads(setup.split("/models.json <<'END_OF_FILE'\n")[1].split("END_OF_FILE")[0])
        elif "configmap-model-cache" in path:
            body = yaml.safe_load(text)
            if "models.json" in body["data"]:
                yield body["metadata"]["name"].removeprefix("model-cache-"), json.loads(body["data"]["models.json"])


def counted(plan: Object) -> dict[str, list[Object]]:
    """The models that the plan counts, by pool, or by agent where each is a service."""
    services = {service["agent"]: service["models"] for service in plan["skyServices"]}
    return services or {pool["name"]: pool["cachedModels"] for pool in plan["nodePools"]}


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(("stack", "target"), CASES)
def test_each_list_names_the_models_that_were_counted_with_their_bytes(stack: str, target: str) -> None:
    plan = json.loads((GOLDEN / stack / target / "plan.json").read_text())
    files, wanted = tree(stack, target), counted(plan)
    found = dict(lists(files))
    assert found.keys() == {name for name, models in wanted.items() if any(model["fill"] for model in models)}
    for name, work in found.items():
        listed = {each["path"]: each for each in work["models"]}
        assert listed.keys() | set(work["kept"]) == {model["path"] for model in wanted[name]}
        for model in wanted[name]:
            if model["fill"]:
                one = listed[model["path"]]
                assert one["countedBytes"] == round(model["gib"] * 2**30) > 0
                assert (one["name"], one["revision"], one["kind"]) == (model["model"], model["revision"], model["kind"])
                assert one["runsCode"] is model["runsCode"]
    text = "\n".join(files.values())
    assert not FETCHERS.search(text)


@pytest.mark.parametrize(("stack", "target"), CASES)
def test_what_an_engine_waits_for_and_holds_is_in_the_list_of_its_pool(stack: str, target: str) -> None:
    plan = json.loads((GOLDEN / stack / target / "plan.json").read_text())
    pools = {pool["name"]: {model["path"] for model in pool["cachedModels"]} for pool in plan["nodePools"]}
    for workload in plan["workloads"]:
        cache = workload["modelCache"]
        read = {cache["path"], *(each["path"] for each in cache["adapters"])}
        read |= {cache["draft"]["path"]} if cache["draft"] else set()
        assert read <= pools[workload["nodePool"]], workload["name"]


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(("stack", "target"), CASES)
def test_the_scripts_stand_once_in_what_a_cluster_is_given_and_are_those_that_are_tested(
    stack: str, target: str
) -> None:
    files = tree(stack, target)
    maps = [yaml.safe_load(text) for path, text in files.items() if "configmap-" in path and "model_cache.py" in text]
    holding = [body for body in maps if "model_cache.py" in body.get("data", {})]
    assert len(holding) == (1 if any("daemonset-model-cache" in path for path in files) else len(holding)) <= 1
    for body in holding:
        assert {name: body["data"][name] for name in SCRIPTS} == {name: verbatim(name) for name in SCRIPTS}


@pytest.mark.parametrize(
    ("model", "true_bytes"),
    [
        ("openai/gpt-oss-20b", 13_761_264_768),
        ("openai/gpt-oss-120b", 65_248_815_744),
        ("meta-llama/Llama-3.3-70B-Instruct", 141_107_412_992),
    ],
)
def test_a_model_is_counted_with_the_bytes_of_the_files_that_engines_read(model: str, true_bytes: int) -> None:
    """The totals that the repositories' own indexes state; whole repositories hold two or three times as much."""
    row = load_catalog().model(model)
    counted_bytes = row.checkpoint_bytes or weight_bytes(row, row.native_precision)
    assert counted_bytes == pytest.approx(true_bytes, rel=0.001)


def test_room_is_for_two_revisions_and_a_fifth() -> None:
    assert loading.cache_room_gib(10) == pytest.approx(22)
