"""``size``: the memory report of an engine at start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agentgpu_iac.calculators.question import (
    Case,
    CaseRejection,
    SizeQuestion,
    config_of,
    does_not_fit,
    resolved,
    states_beyond_pool,
    too_many_seats,
)
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.contexts import length_unasked
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import rounded


class SizeAnswer(Document):
    """Per accelerator in GiB, tokens per replica, as the engine prints them at start."""

    weights_gib: float
    """With LoRA slots and the draft."""
    activation_gib: float
    """Of the first pipeline stage, which is the one that is printed."""
    non_torch_gib: float
    cuda_graph_gib: float
    kv_cache_gib: float
    kv_cache_tokens: int
    max_concurrency: float
    error_ratio: float
    """How far off kvCacheGib may be, relative."""
    capacity_gib: float
    capacity_basis: str
    kv_bytes_per_token: int
    warnings: tuple[str, ...]
    sampler_stage_activation_gib: float
    """Activation peak of the last pipeline stage, which samples besides: what a plan counts."""
    draft_weights_gib: float
    """The draft's part of weightsGib; 0 without one."""
    draft_kv_bytes_per_token: int
    """kvBytesPerToken of the draft; 0 without one."""
    longest_model_len: int
    """The longest --max-model-len with which the engine starts as it is otherwise told, up to the model's own."""
    cold_start_gib: float
    """What is counted for a start with an empty compile cache: so much less than with a full one; 0 where it was full."""
    warm_kv_cache_gib: float
    """kvCacheGib of a start with a full compile cache."""


def size(question: SizeQuestion, catalog: Catalog) -> SizeAnswer | CaseRejection:
    """Predict what the engine prints about its memory at start.

    Raises:
        BadInput: the model or accelerator is unknown.
    """
    case = resolved(question, catalog)
    if case.refused is not None:
        return case.refused
    config = replace(
        config_of(question, case, question.max_model_len or length_unasked(case.model, question.engine)),
        dtype_bytes=4 if question.dtype == "float32" else 2,
        draft=_draft(question, catalog),
        lora_ranks=(question.lora_rank,) * question.lora_slots,
        cold_start=question.compile_cache == "cold",
        prefix_cached=case.prefix_cache != "never" and question.prefix_caching != "off",
    )
    report = memory.engine_memory(config)
    if report.max_concurrency < 1:
        return does_not_fit(question, config, report)
    refused = too_many_seats(config, report)
    if refused is not None:
        return refused
    terms = report.terms
    return SizeAnswer(
        weights_gib=rounded(report.weights_gib),
        draft_weights_gib=rounded(terms.draft_weights_gib),
        activation_gib=rounded(report.activation_gib),
        sampler_stage_activation_gib=rounded(terms.activation_gib(config.max_num_seqs)),
        non_torch_gib=rounded(report.non_torch_gib),
        cuda_graph_gib=rounded(report.cuda_graph_gib),
        kv_cache_gib=rounded(report.kv_cache_gib),
        kv_cache_tokens=report.kv_cache_tokens,
        max_concurrency=rounded(report.max_concurrency, 2),
        error_ratio=report.error_ratio,
        capacity_gib=rounded(report.capacity.capacity_gib),
        capacity_basis=report.capacity.basis,
        kv_bytes_per_token=terms.kv_bytes_per_token,
        draft_kv_bytes_per_token=terms.draft_kv_bytes_per_token,
        warnings=(*case.warnings, *_warnings(question, case, config, report)),
        longest_model_len=memory.longest_model_len(config, report),
        cold_start_gib=rounded(terms.cold_start_gib),
        warm_kv_cache_gib=rounded(report.kv_cache_gib + terms.cold_start_gib),
    )


def _warnings(
    question: SizeQuestion, case: Case, config: memory.EngineConfig, report: memory.EngineMemory
) -> Iterator[str]:
    if case.model.layers.recurrent:
        if case.prefix_cache == "never" and question.prefix_caching == "on":
            yield f"{question.engine} {config.release.version} is not known to cache prefixes of {case.model.id}: counted without"
        elif case.prefix_cache == "when-told" and question.prefix_caching == "auto":
            yield (
                f"counted with prefix caching, which {question.engine} {config.release.version} has off unless told and a plan "
                "asks for: say prefix-caching off where yours runs without"
            )
    states = states_beyond_pool(config, report)
    if states is not None:
        yield states


def _draft(question: SizeQuestion, catalog: Catalog) -> Draft | None:
    if not (question.speculative_layers or question.speculative_tokens or question.draft):
        return None
    return Draft(
        tokens=question.speculative_tokens,
        layers=question.speculative_layers,
        model=None if question.draft is None else catalog.model(question.draft),
    )
