"""``agentgpu plan``: the contract that other tools read, its formats, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from agentgpu_iac.plan import Plan
from tests.cli.running import FAULTY, SMALL, TOO_LARGE, agentgpu
from tests.examples import CUSTOMER_SERVICE, EXAMPLES

# Every field of the plan contract. Fields may be added; none may vanish or change its name.
WORKLOAD: dict[str, Any] = {
    "agent": str,
    "role": None,
    "tier": str,
    "name": str,
    "nodePool": str,
    "shareGroup": None,
    "latencyClass": str,
    "userFacing": bool,
    "model": str,
    "modelSource": str,
    "servedModelName": str,
    "engine": {"name": str, "version": str, "image": str, "args": list},
    "accelerator": str,
    "acceleratorsPerReplica": int,
    "tensorParallelSize": int,
    "pipelineParallelSize": int,
    "precision": str,
    "kvCacheDtype": str,
    "maxModelLen": int,
    "maxNumSeqs": int,
    "maxNumBatchedTokens": int,
    "gpuMemoryUtilization": float,
    "kvCacheMemoryBytes": None,
    "port": int,
    "memory": {
        "weightsGib": float,
        "kvBytesPerToken": int,
        "kvPerSessionGib": float,
        "kvGib": float,
        "activationGib": float,
        "nonTorchGib": float,
        "cudaGraphGib": float,
        "overheadGib": float,
        "totalGib": float,
        "capacityGib": float,
        "capacityBasis": str,
        "utilizationRatio": float,
        "engineBudgetGib": float,
        "headroomGib": float,
        "contextTokens": int,
        "expectedContextTokens": int,
        "errorRatio": float,
    },
    "latency": {
        "ttftMs": float,
        "tpotMs": float,
        "e2eMs": float,
        "budgetTtftMs": None,
        "budgetTpotMs": None,
        "budgetE2eMs": None,
        "ttftErrorRatio": float,
        "tpotErrorRatio": float,
        "networkMs": float,
        "queueMs": float,
        "prefillMs": float,
        "decodeMs": float,
        "promptWorkMs": float,
        "uncachedTtftMs": float,
        "calibrated": bool,
    },
    "throughput": {
        "outputTokensPerS": float,
        "requiredOutputTokensPerS": float,
        "prefillTokensPerS": float,
        "requiredPrefillTokensPerS": float,
    },
    "replicas": {"min": int, "max": int},
    "coldStartS": {
        "node": float,
        "driver": float,
        "image": float,
        "cacheFill": float,
        "weights": float,
        "compile": float,
        "warmUp": float,
        "total": float,
        "warmNodeTotal": float,
        "errorRatio": float,
    },
    "probes": {
        "startupPeriodS": int,
        "startupFailureThreshold": int,
        "readinessPeriodS": int,
        "livenessPeriodS": int,
        "livenessFailureThreshold": int,
    },
    "drain": {"preStopS": int, "shutdownTimeoutS": int, "gracePeriodS": int, "noticeS": None},
    "rollout": {"maxSurge": int, "maxUnavailable": int, "outageS": float},
    "admission": {"maxQueuedRequests": None, "maxQueuedTokens": None},
    "routing": {"policy": str, "prefixHitRatio": float},
    "modelCache": {
        "storage": str,
        "source": str,
        "path": str,
        "revision": str,
        "tokenSecret": None,
        "adapters": [{"path": str, "revision": str}],
        "modelGib": float,
    },
    "pod": {"cpuMilli": int, "memoryMib": int, "shmMib": int, "accelerators": int},
    "sessionsConcurrent": int,
    "sessionsPeak": int,
    "fallback": None,
    "chosenBecause": str,
}
NODE_POOL: dict[str, Any] = {
    "name": str,
    "tier": str,
    "capacityTypes": list,
    "instanceTypes": list,
    "provider": str,
    "region": str,
    "accelerator": str,
    "acceleratorsPerNode": int,
    "min": int,
    "max": int,
    "usdPerHour": float,
    "fallbackUsdPerHour": None,
    "priceDate": str,
    "priceSource": str,
    "sharing": str,
    "slotsPerAccelerator": int,
    "fixedSize": bool,
    "kubernetesVersion": str,
    "amiAlias": None,
    "architecture": str,
    "nvmeGb": int,
    "efaInterfaces": int,
    "rootVolumeGib": int,
    "rootVolumeMibPerS": int,
    "rootVolumeIops": int,
    "cacheCapacityGib": int,
    "cachePath": str,
    "cachedModels": [{"model": str, "path": str, "revision": str, "gib": float, "fill": bool, "tokenSecret": None}],
}
CONTRACT: dict[str, Any] = {
    "apiVersion": str,
    "stack": str,
    "target": str,
    "pattern": str,
    "architecture": str,
    "headline": str,
    "workloads": [WORKLOAD],
    "nodePools": [NODE_POOL],
    "cost": {
        "baselineUsdPerMonth": float,
        "peakUsdPerHour": float,
        "expectedUsdPerMonth": float,
        "lineItems": [
            {
                "nodePool": str,
                "tier": str,
                "capacityType": str,
                "instanceType": str,
                "nodes": int,
                "usdPerHour": float,
                "usdPerMonth": float,
                "priceDate": str,
                "priceSource": str,
            }
        ],
        "alternatives": [
            {
                "agent": None,
                "description": str,
                "accelerator": None,
                "instanceType": None,
                "replicas": None,
                "usdPerMonth": float,
                "deltaUsdPerMonth": float,
                "note": str,
            }
        ],
        "optimalityGapRatio": float,
    },
    "overrides": [{"agent": str, "field": str, "computed": None, "value": float}],
    "rejections": [
        {
            "agent": str,
            "accelerator": str,
            "instanceType": None,
            "tensorParallelSize": None,
            "pipelineParallelSize": None,
            "precision": None,
            "constraint": str,
            "need": None,
            "limit": None,
            "unit": str,
            "message": str,
        }
    ],
    "warnings": [{"code": str, "agent": None, "message": str}],
    "provenance": {"specSha256": str, "catalogVersion": str, "toolVersion": str},
}


def faults(contract: Any, value: Any, path: str = "plan") -> list[str]:
    """Where a value breaks the contract: a field is missing, or of another type. None in the contract: maybe unset."""
    if isinstance(contract, dict):
        missing = [f"{path}.{field} is missing" for field in contract if field not in value]
        return missing + [
            fault
            for field, inner in contract.items()
            if field in value
            for fault in faults(inner, value[field], f"{path}.{field}")
        ]
    if isinstance(contract, list):
        return [fault for at, item in enumerate(value) for fault in faults(contract[0], item, f"{path}[{at}]")]
    if contract is None:
        return []
    allowed = (int, float) if contract is float else (contract,)
    good = isinstance(value, allowed) and (contract is bool or not isinstance(value, bool))
    return [] if good else [f"{path} is {value!r}, not {contract.__name__}"]


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_contract_holds_for_every_example(path: Path) -> None:
    answer = agentgpu("plan", path, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    plan = answer.data
    generating = {**plan, "workloads": [one for one in plan["workloads"] if one["pooling"] is None]}
    assert faults(CONTRACT, generating) == []
    of_tokens = [fault for fault in faults(CONTRACT, plan) if ".latency." not in fault and ".throughput." not in fault]
    assert of_tokens == []
    assert plan["apiVersion"] == "agentgpu.dev/plan/v1alpha1"
    tiers = [one["tier"] for one in plan["workloads"]]
    assert tiers == sorted(tiers)  # baseline first
    pools = {pool["name"] for pool in plan["nodePools"]}
    assert {one["nodePool"] for one in plan["workloads"]} == pools
    for group in {one["shareGroup"] for one in plan["workloads"]} - {None}:
        sharing = [one["memory"] for one in plan["workloads"] if one["shareGroup"] == group]
        assert sum(one["totalGib"] for one in sharing) <= 0.8 * sharing[0]["capacityGib"] + 0.001
    for one in plan["workloads"]:
        assert one["memory"]["utilizationRatio"] <= 0.8
    months = [one for one in plan["cost"]["lineItems"] if one["tier"] == "baseline"]
    assert all(
        one["usdPerMonth"] == pytest.approx(one["nodes"] * one["usdPerHour"] * one["hoursPerMonth"], abs=0.02)
        for one in months
    )
    assert plan["cost"]["baselineUsdPerMonth"] == pytest.approx(sum(one["usdPerMonth"] for one in months), abs=0.01)


def test_the_contract_holds_where_everything_is_set(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(
        SMALL + "      sessions: {concurrent: 5, peak: 50}\n      overrides: {maxNumSeqs: 20, burstReplicas: 3}\n"
    )
    plan = agentgpu("plan", path, "-f", "json").data
    assert faults(CONTRACT, plan) == []
    assert [one["tier"] for one in plan["workloads"]] == ["baseline", "burst"]
    assert {one["field"] for one in plan["overrides"]} == {"maxNumSeqs", "burstReplicas"}
    filled = ("workloads", "nodePools", "overrides", "rejections", "warnings")
    assert all(plan[each] for each in filled)
    assert plan["cost"]["lineItems"] and plan["cost"]["alternatives"]


def test_this_test_finds_what_is_missing_or_of_another_type() -> None:
    assert faults(WORKLOAD["memory"], {}) == [f"plan.{field} is missing" for field in WORKLOAD["memory"]]
    assert faults({"a": int, "b": [{"c": float}]}, {"a": True, "b": [{"c": 1}, {"c": "1"}]}) == [
        "plan.a is True, not int",
        "plan.b[1].c is '1', not float",
    ]


def test_the_plan_has_every_field_of_the_contract() -> None:
    """Also where no example fills them."""
    schema = Plan.model_json_schema(by_alias=True, mode="serialization")

    def missing(contract: Any, part: dict[str, Any], path: str) -> list[str]:
        contract = contract[0] if isinstance(contract, list) else contract
        if not isinstance(contract, dict):
            return []
        item = part.get("items", part)
        properties = (
            schema["$defs"][item["$ref"].rsplit("/")[-1]]["properties"] if "$ref" in item else item["properties"]
        )
        gone = [f"{path}.{name}" for name in contract if name not in properties]
        known = [name for name in contract if name in properties]
        return gone + [fault for name in known for fault in missing(contract[name], properties[name], f"{path}.{name}")]

    assert missing(CONTRACT, schema, "plan") == []
    assert missing({"cost": {"baseline": float}}, schema, "plan") == ["plan.cost.baseline"]


# ---- formats


def test_yaml_holds_what_json_holds() -> None:
    plan = agentgpu("plan", CUSTOMER_SERVICE, "-f", "json").data
    answer = agentgpu("plan", CUSTOMER_SERVICE, "-f", "yaml")
    document = yaml.load(answer.out, yaml.CSafeLoader)
    assert document == plan
    assert list(document) == list(plan)


def test_markdown_and_table() -> None:
    markdown = agentgpu("plan", CUSTOMER_SERVICE, "-f", "markdown").out
    assert "## Agents\n\n| agent | tier | model |" in markdown
    assert f"```sh\nagentgpu explain {CUSTOMER_SERVICE} support\n" in markdown
    table = agentgpu("plan", CUSTOMER_SERVICE).out
    assert "\nAgents\n------\nagent    model" in table
    assert table == agentgpu("plan", CUSTOMER_SERVICE, "--format", "table").out
    whole = agentgpu("plan", CUSTOMER_SERVICE, "--all").out
    assert "\nAgents\n------\nagent    tier      model" in whole
    assert "\nNot in the cost\n" in whole


@pytest.mark.parametrize("format", ["json", "yaml", "markdown", "table"])
def test_a_file_gets_what_would_be_printed(tmp_path: Path, format: str) -> None:
    path = tmp_path / "plan.out"
    path.write_text("something older, and much longer" * 10_000)
    answer = agentgpu("plan", CUSTOMER_SERVICE, "-f", format, "-o", path)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert path.read_text() == agentgpu("plan", CUSTOMER_SERVICE, "-f", format).out


# ---- refusals


@pytest.mark.parametrize("command", ["plan", "report", "simulate"])
@pytest.mark.parametrize("linked", [False, True], ids=["by its name", "by a link"])
def test_no_command_writes_over_what_it_reads(tmp_path: Path, command: str, linked: bool) -> None:
    spec = tmp_path / "stack.yaml"
    spec.write_text(CUSTOMER_SERVICE.read_text())
    output = tmp_path / "other.yaml" if linked else spec
    if linked:
        output.symlink_to(spec)
    answer = agentgpu(command, spec, "-o", output)
    assert (answer.code, answer.out) == (2, "")
    assert f"{output}: is what is read as {spec}, and would be written over (name another file)" in answer.err
    assert spec.read_text() == CUSTOMER_SERVICE.read_text()


@pytest.fixture
def too_large(tmp_path: Path) -> Path:
    path = tmp_path / "too-large.yaml"
    path.write_text(TOO_LARGE)
    return path


def test_a_stack_that_fits_nowhere_says_agent_constraint_need_and_limit(too_large: Path) -> None:
    answer = agentgpu("plan", too_large)
    assert (answer.code, answer.out) == (1, "")
    for part in ("agent 'big'", "l4: ", "GiB weights", "per accelerator, over 80 %", "= 17.65 GiB"):
        assert part in answer.err


@pytest.mark.parametrize(("format", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_rejections_are_data(too_large: Path, format: str, parse: Any) -> None:
    answer = agentgpu("plan", too_large, "-f", format)
    assert answer.code == 1
    refusal = parse(answer.out)
    assert set(refusal) == {"feasible", "message", "rejections"}
    assert refusal["feasible"] is False
    assert answer.err == refusal["message"] + "\n"
    assert faults(CONTRACT["rejections"], refusal["rejections"]) == []
    found = [(one["agent"], one["accelerator"], one["constraint"], one["unit"]) for one in refusal["rejections"]]
    assert found == [("big", "l4", "memory", "GiB"), ("big", "l4", "no-fabric", "Gbps")]
    assert all(one["need"] > one["limit"] for one in refusal["rejections"])


def test_a_budget_that_is_too_small(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(SMALL.replace("spec:\n", "spec:\n  capacity: {budgetUsdPerMonth: 10}\n"))
    with patch("agentgpu_iac.planning.levers.levers.of_stack", lambda *_: []):
        answer = agentgpu("plan", path, "-f", "json")
    assert answer.code == 1
    assert answer.data["waysOut"] == []
    assert "over the budget of USD 10.00 (capacity.budgetUsdPerMonth)" in answer.err
    assert answer.data["rejections"] == []


@pytest.mark.parametrize("format", ["json", "yaml", "markdown", "table"])
def test_a_refusal_writes_no_file(too_large: Path, tmp_path: Path, format: str) -> None:
    assert agentgpu("plan", too_large, "-f", format, "-o", tmp_path / "plan").code == 1
    assert not (tmp_path / "plan").exists()


def test_every_fault_is_told_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(SMALL.replace("[]", "") + "      latencyClass: chatt\n      sessions: {concurrent: five}\n")
    answer = agentgpu("plan", path, "-f", "json", "-o", tmp_path / "plan.json")
    assert (answer.code, answer.out) == (2, "")
    assert [line.removeprefix(f"{path}:").split(": ")[0] for line in answer.err.splitlines()] == ["8:21", "9:30"]
    assert not (tmp_path / "plan.json").exists()


def test_a_model_that_nobody_knows_is_told_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(SMALL.replace("14B", "14"))
    answer = agentgpu("plan", path)
    assert answer.code == 2
    assert answer.err == (
        f"{path}:7:14: spec.agents[0].model: there is no model 'Qwen/Qwen3-14' (did you mean 'Qwen/Qwen3-14B'?)\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": is empty (start with: agentgpu init)"),
        (b"a: [\n", ":2:1: is not valid YAML: "),
        (b"\xff\xfe", ":1:1: is not UTF-8 text: "),
        (b"[]", ":1:1: the file must hold a mapping"),
        (FAULTY.encode(), ":7:21: spec.agents[0].latencyClass: must be one of"),
    ],
)
def test_a_file_that_is_no_agent_stack(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "stack.yaml"
    path.write_bytes(content)
    answer = agentgpu("plan", path)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"{path}{message}")


def test_paths_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    cases = {
        ("plan", tmp_path / "nope.yaml"): f"{tmp_path}/nope.yaml: cannot be read: No such file or directory\n",
        ("plan", tmp_path): f"{tmp_path}: cannot be read: Is a directory\n",
        ("plan", CUSTOMER_SERVICE, "-o", tmp_path): f"{tmp_path}: cannot be written: Is a directory\n",
        ("plan", CUSTOMER_SERVICE, "-o", tmp_path / "a" / "b"): (
            f"{tmp_path}/a/b: cannot be written: No such file or directory\n"
        ),
        ("plan", CUSTOMER_SERVICE, "--catalog", tmp_path / "nope.yaml"): (
            f"{tmp_path}/nope.yaml: cannot be read: No such file or directory\n"
        ),
    }
    assert {case: (answer.code, answer.err) for case in cases if (answer := agentgpu(*case))} == {
        case: (2, message) for case, message in cases.items()
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", CUSTOMER_SERVICE, "more"),
        ("plan", CUSTOMER_SERVICE, "-f", "xml"),
        ("plan", "--nope"),
        ("nope",),
        ("--nope",),
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: tuple[object, ...]) -> None:
    answer = agentgpu(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: agentgpu")
    assert "\nError: " in answer.err


# ---- odd but legal


def test_a_model_beside_the_spec_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my stacks"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "llama",
                "architectures": ["LlamaForCausalLM"],
                "hidden_size": 4096,
                "intermediate_size": 14336,
                "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "vocab_size": 128256,
                "max_position_embeddings": 131072,
                "torch_dtype": "bfloat16",
            }
        )
    )
    (folder / "stack.yaml").write_text(SMALL.replace("Qwen/Qwen3-14B", "./config.json"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    answer = agentgpu("plan", "../my stacks/stack.yaml", "-f", "json")
    assert (answer.code, answer.err) == (0, "")
    (one,) = answer.data["workloads"]
    assert one["modelSource"] == "config"
    assert one["memory"]["weightsGib"] == pytest.approx(14.96, abs=0.2)
    assert "$ agentgpu explain '../my stacks/stack.yaml' support\n" in agentgpu("plan", "../my stacks/stack.yaml").out
    assert agentgpu("explain", "../my stacks/stack.yaml").code == 0
    assert agentgpu("render", "../my stacks/stack.yaml", "-o", "out").code == 0


def test_own_prices_count(tmp_path: Path) -> None:
    overlay = tmp_path / "own prices.yaml"
    overlay.write_text(
        "apiVersion: agentgpu.dev/v1alpha1\n"
        "kind: CatalogOverlay\n"
        "prices:\n"
        "  - {provider: aws, instanceType: g6e.2xlarge, region: us-east-1, capacityType: on-demand, usdPerHour: 0.10,\n"
        "     source: our contract}\n"
    )
    spec = tmp_path / "stack.yaml"
    spec.write_text(SMALL)
    plan = agentgpu("plan", spec, "-f", "json", "--catalog", overlay).data
    (item,) = plan["cost"]["lineItems"]
    assert (item["instanceType"], item["usdPerHour"], item["usdPerMonth"]) == ("g6e.2xlarge", 0.1, 72.0)
    assert item["priceSource"] == "our contract"
    assert "g6e.2xlarge" in agentgpu("explain", spec, "--catalog", overlay).out
    answer = agentgpu("diff", spec, spec, "--catalog", overlay)
    assert answer.out == "The two plans are the same.\n"


def test_an_overlay_that_is_none(tmp_path: Path) -> None:
    overlay = tmp_path / "own.yaml"
    overlay.write_text("kind: Nothing\n")
    answer = agentgpu("plan", CUSTOMER_SERVICE, "--catalog", overlay)
    assert (answer.code, answer.out) == (2, "")
    assert f"{overlay}:1:7: kind: must be 'CatalogOverlay'" in answer.err
