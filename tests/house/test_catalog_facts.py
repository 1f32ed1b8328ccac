"""A fact that is stored and read by no decision is a promise that nobody keeps: every field is read, or says why not.

Reads are recorded while a catalog is made from all rows, stacks of every kind are planned with it, and calculators answer.
Carrying a field from a row into another type is a read of the row's alone: the other type's field must be read again.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog import engine_facts, engine_versions, model, packaged
from agentgpu_iac.catalog.checkpoint import lack_of_method
from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.store import catalog_of
from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.loader import load_text
from tests.outcomes.scenes import HERE, loaded

PACKAGE = Path(__file__).parents[2] / "agentgpu_iac"
FROZEN = HERE / "catalog"
CONFIGS = Path(__file__).parents[1] / "field" / "configs"

CLASSES: tuple[type[Document], ...] = tuple(
    sorted(
        {
            found
            for module in (model, engine_facts, engine_versions)
            for found in vars(module).values()
            if inspect.isclass(found) and issubclass(found, Document) and found is not Document
        },
        key=lambda found: found.__name__,
    )
)

INFORMATIONAL_EVERYWHERE = {
    "sources": "where a row is from: read by people, and printed by `catalog show`",
    "source": "where a row is from: read by people, and printed by `catalog show`",
    "note": "what a reader should know",
    "read": "when it was read: for those who keep the rows",
}
INFORMATIONAL = {
    ("Accelerator", "karpenter_name"): "Karpenter's own label, for those who write pools by hand: ours name machines",
    ("Accelerator", "product_label"): "the device plugin's label, for those who place pods by hand: ours name pools",
    ("Accelerator", "tdp_w"): "no sum of ours is about power",
    ("ClusterPod", "date"): "when the sources were read: says how old the row is",
    ("EngineLimit", "tried"): "how its meaning was tried: says how sure the row is",
    ("CardLimit", "id"): "the row's name, for people and tests",
    ("EngineOption", "before"): "the newest release read without it: how much too late `since` may be",
    (
        "ExpertKernel",
        "kernel",
    ): "measured runs name theirs: plans let the engine choose, which takes the first",
    ("ExtraWeights", "what"): "in words, for people",
    ("Gate", "date"): "when the sources were read: gates open and close, and this says how old a row is",
    ("Kernels", "engine_version"): "which release the tables are of: says how old the row is",
    ("InstanceType", "ebs_max_mbps"): "a burst that ends; loads are planned by the rate that is always there",
    (
        "InstanceType",
        "interruption_band",
    ): "months old when read, by region: plans go by the notice that a provider gives",
    (
        "InstanceType",
        "karpenter_gpu_name",
    ): "Karpenter's own label, for those who write pools by hand: ours name machines",
    ("Model", "family"): "the publisher, for people",
    ("Model", "license"): "for people: whether a licence suits is not ours to decide",
    ("Offering", "term"): "the commitment behind a reserved price, for people: `catalog list offerings`",
    ("Tower", "heads"): "for people: the profile of its encoder is counted by its widths",
    ("Tower", "patch_size"): "for people: the profile of its encoder is counted by its tokens",
    ("VcpuQuota", "date"): "when the source was read: says how old the row is",
}
"""(class, field): why no decision reads it."""

READ_ELSEWHERE = {
    ("Accelerator", "host_architecture"): "provisioning/spheron/prices.py",
}
"""(class, field): the module that decides by it, after the plan."""

PLANNED = (
    ("company", "eks"),
    ("engines", "kubernetes"),
    ("spot-burst", "skyserve"),
    ("pinned", "compose"),
    ("retrieval", "eks"),
)
"""Stacks of the frozen catalog that between them use what there is to use."""
ABSORBED = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: absorbed}
spec:
  target: eks
  agents:
    - {name: support, model: Qwen/Qwen3-8B, sessions: {concurrent: 10}, traffic: {burstFactor: 100}}
"""
"""A burst that warm replicas absorb."""
ASKED = (
    {"model": "Qwen/Qwen3-8B", "accelerator": "l4", "engine-version": "0.19.0"},
    {"model": "zai-org/GLM-4.5-Air", "accelerator": "b300-sxm", "tp": 2, "max-model-len": 8192},
    {"model": "Qwen/Qwen3.5-9B", "accelerator": "l40s", "max-model-len": 8192},
    {"model": "zai-org/GLM-5.2", "accelerator": "b300-sxm", "tp": 8, "precision": "nvfp4", "max-model-len": 8192},
    {
        "model": "deepseek-ai/DeepSeek-V2-Lite-Chat",
        "accelerator": "h100-sxm",
        "tp": 2,
        "max-model-len": 8192,
        "engine-version": "0.11.0",
    },
    {"model": "Qwen/Qwen2.5-7B-Instruct", "accelerator": "rtx-4090", "precision": "int8", "max-model-len": 8192},
    {"model": "Qwen/Qwen3.6-27B", "accelerator": "rtx-5090", "precision": "nvfp4", "max-model-len": 8192},
    {"model": str(CONFIGS / "br-33.json"), "accelerator": "b200-sxm", "engine-version": "0.16.0"},
    {"model": str(CONFIGS / "br-36.json"), "accelerator": "b200-sxm", "tp": 8, "engine-version": "0.32.0"},
    {"model": str(CONFIGS / "br-67.json"), "accelerator": "l40s", "max-model-len": 131_072},
    {"model": "google/gemma-3-12b-it", "accelerator": "a100-80gb-sxm", "kv-cache-dtype": "fp8"},
)
LOCAL = ("br-36.json", "br-24.json", "br-28.json", "br-29.json")
"""Configs that between them have every kind of layer that no model of the catalog has."""
FIRST_MAMBA = {
    "model_type": "jamba",
    "num_hidden_layers": 8,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "intermediate_size": 14336,
    "vocab_size": 65536,
    "max_position_embeddings": 262144,
    "dtype": "bfloat16",
}
MEASURED = model.Calibration(
    accelerator="l40s", model=None, overhead_ratio=1.1, ttft_ratio=1.1, tpot_ratio=1.1, source="a test"
)

ENDPOINT = model.EndpointPrice(
    seller="acme", accelerator="l40s", usd_per_accelerator_hour=Decimal(1), date="2026-08-01", source="a test"
)


@contextmanager
def recorded() -> Iterator[set[tuple[str, str]]]:
    """Every field of the catalog's types that is read meanwhile."""
    seen: set[tuple[str, str]] = set()
    own = {found: found.__dict__.get("__getattribute__") for found in CLASSES}
    for found in CLASSES:
        names, label, inherited = frozenset(found.model_fields), found.__name__, found.__getattribute__

        def read(self: Any, name: str, names: Any = names, label: str = label, inherited: Any = inherited) -> Any:
            if name in names:
                seen.add((label, name))
            return inherited(self, name)

        found.__getattribute__ = read  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        for found, before in own.items():
            if before is None:
                del found.__getattribute__  # type: ignore[attr-defined]
            else:
                found.__getattribute__ = before  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def read() -> set[tuple[str, str]]:
    """What is read by plans and calculators."""
    with recorded() as seen:
        own = dataclasses.replace(packaged.rows_in(FROZEN), calibrations=(MEASURED,), endpoint_prices=(ENDPOINT,))
        small, whole = catalog_of(own), catalog_of(packaged.packaged_rows())
        for stack, target in PLANNED:
            make_plan(loaded(stack, target), small)
        assert make_plan(load_text(ABSORBED, "absorbed.yaml"), small).start_choices
        for question in ASKED:
            SIZE.answer(question, whole)
            PREDICT.answer({**question, "input-tokens": 500, "output-tokens": 50, "concurrency": 2}, whole)
        for method, version in (("hqq", "0.33.0"), ("modelopt-mixed", "0.16.0")):
            other = whole.models[0].model_copy(update={"quantisation": method})
            assert lack_of_method(whole.quantisation_methods, "vllm", version, other, other.native_precision)
        for name in LOCAL:
            model_from_config((CONFIGS / name).read_text(encoding="utf-8"), name)
        model_from_config(json.dumps(FIRST_MAMBA), "jamba.json")
        unsizable = next(row.id for row in whole.exclusions if row.kind == "model")
        with pytest.raises(BadInput):
            whole.model(unsizable)
    return seen


@pytest.mark.parametrize("found", CLASSES, ids=lambda found: found.__name__)
def test_every_field_is_read_by_a_decision_or_says_why_not(found: type[Document], read: set[tuple[str, str]]) -> None:
    fields = {(found.__name__, name) for name in found.model_fields if name not in INFORMATIONAL_EVERYWHERE}
    assert fields - read - set(INFORMATIONAL) - set(READ_ELSEWHERE) == set()


def test_nothing_is_excused_that_is_read_or_gone(read: set[tuple[str, str]]) -> None:
    known = {(found.__name__, name) for found in CLASSES for name in found.model_fields}
    assert set(INFORMATIONAL) & read == set()
    assert (set(INFORMATIONAL) | set(READ_ELSEWHERE)) - known == set()
    assert all(reason.strip() for reason in INFORMATIONAL.values())


@pytest.mark.parametrize(("field", "module"), READ_ELSEWHERE.items(), ids=str)
def test_what_is_read_after_the_plan_is_read_there(field: tuple[str, str], module: str) -> None:
    text = (PACKAGE / module).read_text(encoding="utf-8")
    assert re.search(rf"\.{field[1]}\b", text)


def test_a_new_field_that_nobody_reads_is_found() -> None:
    """The law sees a field that was added to a row without a reader."""
    with recorded() as seen:
        small = catalog_of(packaged.rows_in(FROZEN))
        assert small.accelerators[0].id
    assert ("Accelerator", "id") in seen
    assert ("Accelerator", "tdp_w") not in seen
