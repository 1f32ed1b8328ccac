"""What the calculators ask, and what a question means once its names are looked up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from agentgpu_iac.catalog.checkpoint import cache_dtype, lack_of_method
from agentgpu_iac.catalog.engine_versions import lack_of_class, lack_of_code
from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.catalog.versions import at_least, before, order, version_of
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.calibration import family_of, generation_of
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.kv_cache import V1_FIRST_VERSION
from agentgpu_iac.sizing.parallelism import tensor_parallel_is_legal
from agentgpu_iac.sizing.repacks import assumed_repack
from agentgpu_iac.sizing.weights import is_assumed
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import rounded

Tokens = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Size = Annotated[int, Field(ge=1, le=1024)]


def option(name: str) -> str:
    """How a field is called on the command line."""
    return name.replace("_", "-")


class Question(Document):
    """What both calculators ask; keys are the long options without their dashes."""

    model_config = ConfigDict(alias_generator=option)

    model: Annotated[str, Field(min_length=1)]
    """Hugging Face id, or the path of a config.json."""
    accelerator: Annotated[str, Field(min_length=1)]
    """Accelerator id."""
    tp: Size | None = None
    """Tensor-parallel size."""
    pp: Size = 1
    """Pipeline-parallel size."""
    precision: Precision | None = None
    """Precision of the weights; the checkpoint's own when unset."""
    kv_cache_dtype: KvCacheDtype = "auto"
    """Number format of the KV cache."""
    engine: Engine = "vllm"
    """Serving engine."""
    engine_version: str | None = None
    """Version of the engine; the newest known when unset or unknown."""
    max_model_len: Tokens | None = None
    """Longest sequence; the model's own when unset."""
    max_num_seqs: Tokens | None = None
    """Most sequences at once; the engine's default when unset."""
    max_num_batched_tokens: Tokens | None = None
    """Most tokens in a step; the engine's default when unset."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the memory that the engine takes; its default when unset."""
    enforce_eager: bool = False
    """No CUDA graphs."""


class SizeQuestion(Question):
    """The engine's memory report at start."""

    count: Size | None = None
    """Accelerators of the replica; TP becomes count / PP when TP is unset."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """The engine's number format; 32 bit doubles weights and KV cache of a 16-bit model."""
    speculative_layers: Annotated[int, Field(ge=0, le=16)] = 0
    """Layers of a draft head (EAGLE, multi-token prediction): weights and KV cache of their own."""
    speculative_tokens: Annotated[int, Field(ge=0, le=16)] = 0
    """Tokens that a draft proposes in each step: a step holds logits for all of them."""
    draft: Annotated[str, Field(min_length=1)] | None = None
    """Draft of its own: a whole model, or with speculative layers the head whose weights they have."""
    lora_slots: Annotated[int, Field(ge=0, le=1024)] = 0
    """LoRA adapters held at once (--max-loras)."""
    lora_rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank that a slot is made for (--max-lora-rank)."""


class PredictQuestion(Question):
    """Latency and throughput at a load."""

    input_tokens: Tokens
    """Prompt tokens of a request."""
    output_tokens: Tokens
    """Generated tokens of a request."""
    concurrency: Annotated[float, Field(gt=0, le=MAX_COUNT)] | None = None
    """Requests asked for at once (closed loop); with attention data parallelism, of each of its groups."""
    request_rate: Annotated[float, Field(gt=0, le=MAX_COUNT)] | None = None
    """Requests/s arriving (open loop); with a concurrency too, that one is a ceiling."""
    prefix_hit_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the prompt found in the prefix cache."""
    ep: Size | None = None
    """Expert-parallel size."""
    attention_dp: Size = 1
    """Data-parallel attention groups."""
    accepted_tokens: Annotated[float, Field(ge=1, le=64)] = 1.0
    """Tokens that a step yields for a request: more than 1 with speculative decoding, by its acceptance."""


class CaseRejection(Document):
    """Why a case does not fit."""

    constraint: str
    need: float | None
    limit: float | None
    unit: str
    message: str
    need_version: str | None = None
    """For engine-version: the first version that is known to have what is missing."""
    limit_version: str | None = None
    """For engine-version: the version that was asked for."""


class Case(Document):
    """A question with its names resolved."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Model
    accelerator: Accelerator
    release: EngineRelease
    tensor_parallel: int
    precision: Precision
    kv_dtype: KvCacheDtype
    """Number format of the KV cache: as asked for, or as the checkpoint asks."""
    weight_only: bool
    """The accelerator has no units for the precision: its kernels unpack the weights as they are read."""
    refused: CaseRejection | None
    """Why it cannot run, if so."""
    version_is_known: bool
    warnings: tuple[str, ...]


def resolved(question: Question, catalog: Catalog, tensor_parallel: int, count: int | None = None) -> Case:
    """The question with its names looked up, and why it cannot run, if so.

    Raises:
        BadInput: the model or accelerator is unknown.
    """
    model = catalog.model(question.model)
    accelerator = catalog.accelerator(question.accelerator.lower())
    warnings: list[str] = []
    engine, port = question.engine, SIZING_PORTS[question.engine]
    if port.support is not None:
        warnings.append(port.support)
        if isinstance(question, PredictQuestion) and family_of(engine) != engine:
            warnings.append(f"{engine} is accounted for as vLLM: its own scheduling is not modelled yet")
    release = catalog.release("vllm", question.engine_version if port.logs_compared else None)
    asked = (question.engine_version or "").strip().removeprefix("v")
    known = sorted((row.version for row in catalog.releases if row.engine == release.engine), key=order)
    if port.logs_compared and asked not in known:
        earlier = [version for version in known if at_least(asked, version)]
        base = earlier[-1] if earlier else known[0] if version_of(asked) else known[-1]
        said = "the newest known" if base == known[-1] else "the nearest known"
        measured = f"; latency as {generation_of(engine, asked)}"
        warnings.append(
            f"engine version {asked or '(none given)'}: accounted for as {base}, {said}"
            + (measured if isinstance(question, PredictQuestion) else "")
        )
    if port.logs_compared and before(asked, V1_FIRST_VERSION):
        warnings.append(
            f"{engine} {asked} has the engine V0, which is gone: only {V1_FIRST_VERSION} and newer are planned"
        )
    precision = question.precision or model.native_precision
    if precision != model.native_precision and {precision, model.native_precision} == {"nvfp4", "mxfp4"}:
        warnings.append(f"{model.id} is published in {model.native_precision}: taken as that, not as {precision}")
        precision = model.native_precision
    version = release.version if port.logs_compared else question.engine_version
    execution = catalog.facts(engine, version).execution(accelerator, precision)
    if execution == "weight-only":
        warnings.append(f"{accelerator.name} has no {precision} units: the weights are unpacked as they are read")
    newest = None if version_of(asked) is None else asked
    kv_dtype = cache_dtype(
        question.kv_cache_dtype, model, precision, lambda option: catalog.engine_can(engine, newest, option)
    )
    if kv_dtype != question.kv_cache_dtype:
        warnings.append(f"the checkpoint of {model.id} keeps its KV cache in {kv_dtype}: kv-cache-dtype auto is that")
    warnings += (*model.unread, *(model.unclear if precision == model.native_precision else ()))
    if is_assumed(model, precision):
        warnings.append(assumed_repack(model, precision))
    return Case(
        model=model,
        accelerator=accelerator,
        release=release,
        tensor_parallel=tensor_parallel,
        precision=precision,
        kv_dtype=kv_dtype,
        weight_only=execution == "weight-only",
        refused=_too_old(question, model, precision, accelerator, catalog)
        or _too_long(question, model)
        or _bad_parallelism(question, model, tensor_parallel, count)
        or (_no_kernels(accelerator, precision) if execution is None else None),
        version_is_known=port.logs_compared and _is_known(asked, known[-1]),
        warnings=tuple(warnings),
    )


def _is_known(version: str, newest: str) -> bool:
    """Whether a version is none beyond the minor version of the newest known."""
    asked, known = version_of(version), order(newest)
    return asked is not None and (asked.major, asked.minor) <= (known.major, known.minor)


def config_of(question: Question, case: Case, max_model_len: int) -> memory.EngineConfig:
    """The engine as the question starts it, with its own defaults for what is unset."""
    accelerator, version = case.accelerator, case.release.version
    return memory.EngineConfig(
        model=case.model,
        accelerator=accelerator,
        release=case.release,
        precision=case.precision,
        kv_dtype=case.kv_dtype,
        tensor_parallel=case.tensor_parallel,
        pipeline_parallel=question.pp,
        max_model_len=max_model_len,
        max_num_seqs=question.max_num_seqs or memory.default_max_num_seqs(accelerator, version),
        max_num_batched_tokens=question.max_num_batched_tokens
        or memory.default_max_num_batched_tokens(accelerator, version, max_model_len),
        gpu_memory_utilization=question.gpu_memory_utilization
        or SIZING_PORTS[question.engine].default_share(accelerator, case.release),
        enforce_eager=question.enforce_eager,
        engine=question.engine,
        version_is_known=case.version_is_known,
        weight_only=case.weight_only,
    )


def _too_old(
    question: Question, model: Model, precision: Precision, accelerator: Accelerator, catalog: Catalog
) -> CaseRejection | None:
    """The version lacks the model's class, its quantisation, or code for the card, as far as its packages were read."""
    engine, asked = question.engine, (question.engine_version or "").strip().removeprefix("v")
    rows, methods = catalog.engine_versions, catalog.quantisation_methods
    if not asked:
        lack = lack_of_method(methods, engine, catalog.release(engine, None).version, model, precision)
    else:
        lack = (
            lack_of_class(rows, engine, asked, model)
            or lack_of_method(methods, engine, asked, model, precision)
            or lack_of_code(rows, engine, asked, accelerator)
        )
    if lack is None:
        return None
    return CaseRejection(
        constraint="engine-version",
        need=None,
        limit=None,
        unit="",
        message=lack.message,
        need_version=lack.since,
        limit_version=lack.version,
    )


def _too_long(question: Question, model: Model) -> CaseRejection | None:
    """Engines refuse to start with a length beyond the model's own, and to answer a request beyond it."""
    asked = question.max_model_len or 0
    if isinstance(question, PredictQuestion):
        asked = max(asked, question.input_tokens + question.output_tokens)
    if asked <= model.max_context_tokens:
        return None
    return CaseRejection(
        constraint="context-length",
        need=float(asked),
        limit=float(model.max_context_tokens),
        unit="tokens",
        message=f"{asked:,} tokens are longer than the {model.max_context_tokens:,} that {model.id} takes",
    )


def _bad_parallelism(question: Question, model: Model, tensor: int, count: int | None) -> CaseRejection | None:
    attention_dp = question.attention_dp if isinstance(question, PredictQuestion) else 1
    if not tensor_parallel_is_legal(model.attention_heads, model.kv_heads, tensor // attention_dp):
        message = (
            f"a tensor-parallel size of {tensor} does not split {model.attention_heads} query heads and "
            f"{model.kv_heads} KV heads evenly; odd numbers of accelerators work with --pp only"
        )
        return CaseRejection(
            constraint="parallelism", need=float(tensor), limit=None, unit="accelerators", message=message
        )
    if question.pp > memory.layer_count(model):
        message = f"{question.pp} pipeline stages for {memory.layer_count(model)} layers"
        return CaseRejection(
            constraint="parallelism",
            need=float(question.pp),
            limit=float(memory.layer_count(model)),
            unit="stages",
            message=message,
        )
    if count is not None and tensor * question.pp > count:
        message = f"TP {tensor} x PP {question.pp} needs {tensor * question.pp} accelerators; {count} are given"
        return CaseRejection(
            constraint="parallelism",
            need=float(tensor * question.pp),
            limit=float(count),
            unit="accelerators",
            message=message,
        )
    return None


def _no_kernels(accelerator: Accelerator, precision: Precision) -> CaseRejection:
    message = f"{accelerator.name} has no kernels for {precision} weights"
    return CaseRejection(constraint="precision", need=None, limit=None, unit="", message=message)


def does_not_fit(config: memory.EngineConfig, report: memory.EngineMemory) -> CaseRejection:
    """The engine refuses to start when one sequence of max-model-len does not fit its KV cache."""
    one_gib = report.sequence_gib
    message = (
        f"one sequence of {config.max_model_len:,} tokens takes {one_gib:.2f} GiB of KV cache, and "
        f"{report.budget_gib:.2f} GiB - {report.weights_gib:.2f} weights - "
        f"{report.budget_gib - report.weights_gib - report.kv_cache_gib:.2f} overhead leaves {report.kv_cache_gib:.2f} GiB"
    )
    longest = int(report.max_concurrency * config.max_model_len) // memory.KV_BLOCK_TOKENS * memory.KV_BLOCK_TOKENS
    if longest:
        message += f"; about {longest:,} tokens of --max-model-len would fit"
    return CaseRejection(
        constraint="memory",
        need=rounded(report.budget_gib - report.kv_cache_gib + one_gib),
        limit=rounded(report.budget_gib),
        unit="GiB",
        message=message,
    )
