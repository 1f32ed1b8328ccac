"""Gated repositories are opened by a token or refused, before a node is paid for."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.model import Gate
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import catalog_of, load_catalog
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.planning.gates import unknown_gates
from agentgpu_iac.planning.references import resolve_models
from agentgpu_iac.spec.loader import LoadedStack, load_text

REAL = load_catalog()


def stack(rest: str = "", *, agent: str = "", model: str = "meta-llama/Llama-3.1-8B-Instruct") -> LoadedStack:
    return load_text(
        "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: demo}\nspec:\n"
        f"{rest}  agents:\n    - name: one\n      model: {model}\n{agent}",
        "stack.yaml",
    )


def faults(loaded: LoadedStack) -> tuple[Fault, ...]:
    with pytest.raises(BadInput) as refused:
        resolve_models(loaded, REAL)
    return refused.value.faults


def test_a_gated_model_without_a_token_is_refused_where_it_is_named() -> None:
    (fault,) = faults(stack())
    assert (fault.source, fault.line, fault.path) == ("stack.yaml", 7, "spec.agents[0].model")
    assert "gated" in fault.message
    assert "modelCache: {tokenSecret:" in fault.hint
    assert "source: s3" in fault.hint


@pytest.mark.parametrize(
    "rest",
    [
        "  modelCache: {tokenSecret: hf-token}\n",
        "  modelCache: {source: s3, bucket: s3://acme-models/agents}\n",
        "  clusterObjects: {cacheFillers: false}\n",
    ],
    ids=["a token", "a bucket", "somebody else fills"],
)
def test_what_needs_no_open_hub_is_not_refused(rest: str) -> None:
    assert resolve_models(stack(rest), REAL)


def test_adapters_and_drafts_are_downloaded_too() -> None:
    agent = (
        "      loraAdapters: [{name: tone, source: meta-llama/tone}]\n"
        "      speculative: {method: draft-model, model: google/gemma-3-4b-it}\n"
    )
    found = faults(stack(agent=agent, model="Qwen/Qwen3-8B"))
    assert [fault.path for fault in found] == [
        "spec.agents[0].loraAdapters[0].source",
        "spec.agents[0].speculative.model",
    ]


def test_a_gate_is_told_beside_every_other_fault() -> None:
    found = faults(stack("  regions: [nowhere-1]\n"))
    assert {fault.path for fault in found} == {"spec.regions[0]", "spec.agents[0].model"}


def test_an_unknown_gate_is_said() -> None:
    loaded = stack(model="zai-org/GLM-5.1")
    (model,) = resolve_models(loaded, REAL)
    assert unknown_gates(loaded.stack.spec.agents[0], model, loaded.stack.spec, REAL) == ("zai-org/GLM-5.1",)


@pytest.mark.parametrize(
    ("repository", "gated"),
    [
        ("meta-llama/Llama-2-70b-chat-hf", True),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", True),
        ("google/gemma-2-9b-it", True),
        ("google/gemma-3-27b-it", True),
        ("google/gemma-4-31B-it", False),
        ("mistralai/Mistral-7B-Instruct-v0.3", False),
        ("mistralai/Mistral-Large-Instruct-2411", True),
        ("qwen/qwen3-8b", False),
        ("acme/ours", None),
    ],
)
def test_gates_of_known_repositories(repository: str, gated: bool | None) -> None:
    assert REAL.gated(repository) is gated


def test_a_repository_named_by_itself_wins_over_its_publisher() -> None:
    rows = packaged_rows()
    named = Gate(repositories=("meta-llama/open",), gated=False, date="2026-11-27", sources=("a test",))
    catalog = catalog_of(rows.__class__(gates=(*rows.gates, named)))
    assert catalog.gated("meta-llama/open") is False
    assert catalog.gated("meta-llama/other") is True
