"""Every argument list that we render is understood by the parser of the release that it is rendered for."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning import engines
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load
from tests.e2e.cluster.trees import STACKS
from tests.e2e.engine.pods import EnginePod, engine_pods, flags
from tests.e2e.processes import PATIENCE_S
from tests.planning import scenes, test_attention_groups, test_impossible, test_paused
from tests.planning.test_engine_args import VARIETY
from tools.install import path as tool

NOWHERE = "http://127.0.0.1:9"
PLAIN = ("/models/m", "--served-model-name", "m")
REFUSED = {
    "--gpu-memory-utilisation 0.9": "unrecognized arguments",
    "--max-num-seq 4": "no whole name of an option",
    "--max-num-seqs four": "invalid int value",
    "--shutdown-timeout 1.5": "invalid int value",
    "--gpu-memory-utilization 1.2": "less than or equal to 1",
    "--dtype bf16": "invalid choice",
    "--kv-cache-dtype fp7": "Invalid kv_cache_dtype",
    "--quantization fp9": "fp9 is none of",
    "--load-format runai-streamer": "runai-streamer is none of",
    "--enable-lora --max-lora-rank 24": "invalid choice",
    "--enable-auto-tool-choice --tool-call-parser hermess": "invalid tool call parser",
    "--reasoning-parser qwen33": "qwen33 is none of",
    '--speculative-config {"method":"draft-model"}': "Input should be",
    '--speculative-config {"tokens":3}': "tokens is not in a speculative config",
    '--custom-histogram-buckets {"ttft":[0.2]}': "unknown bucket family",
}
"""Arguments that are wrong in a name, a type, a choice or a part, and what the parser says to them."""


TEXT_ALONE_BEFORE = "0.16.0"
"""A release that is told in other words to read text alone; the parser of today still reads them."""


def planned() -> Iterator[tuple[str, Plan]]:
    """The plans of all examples, of the stacks of the cluster's suite, and of agents that switch on every option between them."""
    catalog = load_catalog()
    for name, path in STACKS.items():
        yield name, make_plan(load(path), catalog)
    for name, changes in VARIETY.items():
        yield f"agent {name}", scenes.plan(scenes.make_agent(**changes))
    yield "caches of sessions that pause in host memory", test_paused.long_talks(pausedCache="offload")
    yield (
        "streamed from a bucket",
        scenes.plan(
            scenes.make_agent(model="test/big"),
            catalog=scenes.make_catalog(scenes.offerings("l4", "large-80", 4, on_demand="16.00", nvme_total_gb=2000)),
            modelCache={"source": "s3", "bucket": "s3://acme-models/agents", "stream": "always"},
        ),
    )
    eyes = scenes.make_model("test/eyes", 8, architecture="gemma3")
    for version in (TEXT_ALONE_BEFORE, None):
        stack = scenes.make_agent(model="test/eyes", textOnly=True, engineVersion=version)
        yield f"text alone {version or ''}".strip(), scenes.plan(stack, catalog=scenes.make_catalog(models=(eyes,)))
    for model, kind in (
        ("BAAI/bge-m3", None),
        ("Qwen/Qwen3-Reranker-0.6B", None),
        ("Qwen/Qwen3-0.6B", "embedding"),
    ):
        requests = {"perS": 1, **({} if kind is None else {"kind": kind})}
        yield (
            f"requests of {model}",
            scenes.plan({"name": "asked", "model": model, "requests": requests}, catalog=catalog),
        )
    for model in ("DeepSeek-V3.2", "DeepSeek-R1-0528"):
        yield f"chats of {model}", test_impossible.planned(f"deepseek-ai/{model}", "h200-sxm", "toolCallParser: null")
    yield "attention groups", test_attention_groups.planned()
    small = [scenes.make_agent(name, "test/tiny", ttftMs=3000.0, tpotMs=300.0) for name in ("one", "two")]
    yield (
        "shared card",
        scenes.plan(*small, catalog=scenes.make_catalog(scenes.offerings("l1", "large-80", on_demand="3"))),
    )


def title(pod: EnginePod) -> str:
    """What a pod's arguments are called: a group has two lists."""
    return f"{pod.owner}, workers" if "--headless" in pod.args else pod.owner


PLANS = dict(planned())
PODS = [(name, pod) for name, plan in PLANS.items() for pod in engine_pods(plan)]
IN_IMAGE = re.compile("/vllm-workspace/examples/tool_chat_template_[a-z0-9]+[.]jinja")
"""A file of the engine's image. The parser ends where it is not there, so that any other stands for it."""
LISTS = {f"{name}: {title(pod)}": tuple(IN_IMAGE.sub(__file__, arg) for arg in pod.args) for name, pod in PODS}

OLDER = {
    "an older version's": (*PLAIN, "--enable-prefix-caching"),
    "an older version's of a hybrid model": (*PLAIN, "--enable-prefix-caching", "--mamba-cache-mode", "align"),
}
"""What only versions before the parser's are told: it still knows the flag, and does the same unasked."""


@pytest.fixture(scope="session")
def answers() -> dict[str, Any]:
    """What the parser makes of all lists, in one process."""
    lists = {**LISTS, **OLDER, **{wrong: (*PLAIN, *wrong.split(" ")) for wrong in REFUSED}}
    done = subprocess.run(
        [tool("vllm-python"), Path(__file__).with_name("parse_arguments.py")],
        input=json.dumps(list(lists.values())),
        env={**os.environ, "PYTHONPATH": str(tool("vllm-parser")), "VLLM_TARGET_DEVICE": "cpu", "HF_ENDPOINT": NOWHERE},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer = json.loads(done.stdout)
    return {"version": answer["version"], **dict(zip(lists, answer["answers"], strict=True))}


def test_the_parser_is_of_the_release_that_plans_name(answers: dict[str, Any]) -> None:
    versions = {one.engine.version for plan in PLANS.values() for one in plan.workloads if one.engine.name == "vllm"}
    assert versions == {answers["version"], TEXT_ALONE_BEFORE}


@pytest.mark.parametrize("name", LISTS)
def test_what_we_render_is_read_as_it_is_meant(answers: dict[str, Any], name: str) -> None:
    answer = answers[name]
    assert answer["refused"] is None
    given = flags(LISTS[name])
    assert answer["values"]["model"] == given.pop("")[0]
    for flag, words in given.items():
        assert is_meant(words, answer["values"][flag]), (flag, words, answer["values"][flag])


def is_meant(words: tuple[str, ...], value: object) -> bool:
    """Whether a parsed value is what the words say: a switch, a number, a text, JSON, or a list of texts."""
    if not words:
        return value is True
    if isinstance(value, list):
        return len(value) == len(words)
    if isinstance(value, dict):
        return bool(value == json.loads(words[0]))
    if isinstance(value, int | float):
        return value == float(words[0])
    return words == (value,)


@pytest.mark.parametrize("name", OLDER)
def test_what_only_older_versions_are_told_is_still_read(answers: dict[str, Any], name: str) -> None:
    assert answers[name]["refused"] is None
    assert answers[name]["values"]["--enable-prefix-caching"] is True


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_wrong_is_refused(answers: dict[str, Any], wrong: str) -> None:
    assert REFUSED[wrong] in str(answers[wrong]["refused"])


def test_each_list_is_looked_at() -> None:
    assert len(LISTS) == len(PODS)


def test_every_flag_that_we_can_spell_is_in_one_of_the_lists() -> None:
    source = Path(engines.__file__)
    files = sorted(source.parent.glob("*vllm*.py")) if source.name == "__init__.py" else [source]
    spelled = {flag for file in files for flag in re.findall(r'"(--[a-z][a-z-]+)"', file.read_text(encoding="utf-8"))}
    assert len(spelled) > 20
    assert spelled - {flag for args in (*LISTS.values(), *OLDER.values()) for flag in flags(args)} == set()
