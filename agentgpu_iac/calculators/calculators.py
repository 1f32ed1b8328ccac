"""Two calculators that stand alone: ``size`` predicts the engine's memory report, ``predict`` latency and throughput.

Each takes one question and gives one answer: figures, or a rejection where the case does not fit. Both are for
people at a prompt and for checks over thousands of measured cases.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.planning.candidates import precision_is_supported, tensor_parallel_is_legal
from agentgpu_iac.sizing import latency, memory
from agentgpu_iac.sizing.calibration import family_of, generation_of
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import rounded

Tokens = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Size = Annotated[int, Field(ge=1, le=1024)]

_ROUNDS = 50


def _option(name: str) -> str:
    return name.replace("_", "-")


class Question(Document):
    """What both calculators ask; keys are the long options without their dashes."""

    model_config = ConfigDict(alias_generator=_option)

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


class SizeAnswer(Document):
    """Per accelerator in GiB, tokens per replica, as the engine prints them at start."""

    weights_gib: float
    activation_gib: float
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


class PredictAnswer(Document):
    """Steady state of one replica."""

    ttft_ms: float
    tpot_ms: float
    output_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float
    concurrency: float
    """Requests that run at once, after what memory admits."""
    warnings: tuple[str, ...]


class _Case(Document):
    """A question with its names resolved."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Model
    accelerator: Accelerator
    release: EngineRelease
    tensor_parallel: int
    precision: Precision
    version_is_known: bool
    warnings: tuple[str, ...]


def size(question: SizeQuestion, catalog: Catalog) -> SizeAnswer | CaseRejection:
    """Predict what the engine prints about its memory at start.

    Raises:
        BadInput: the model or accelerator is unknown.
    """
    tensor_parallel = question.tp
    if tensor_parallel is None and question.count is not None:
        tensor_parallel = max(1, question.count // question.pp)
    case = _resolved(question, catalog, tensor_parallel or 1)
    refused = _refused(question, case, question.count)
    if refused is not None:
        return refused
    config = replace(
        _config(question, case, question.max_model_len or case.model.max_context_tokens),
        dtype_bytes=4 if question.dtype == "float32" else 2,
        speculative_layers=question.speculative_layers,
        lora_slots=question.lora_slots,
        lora_rank=question.lora_rank,
    )
    report = memory.engine_memory(config)
    if report.max_concurrency < 1:
        return _does_not_fit(config, report)
    return SizeAnswer(
        weights_gib=rounded(report.weights_gib),
        activation_gib=rounded(report.activation_gib),
        non_torch_gib=rounded(report.non_torch_gib),
        cuda_graph_gib=rounded(report.cuda_graph_gib),
        kv_cache_gib=rounded(report.kv_cache_gib),
        kv_cache_tokens=report.kv_cache_tokens,
        max_concurrency=rounded(report.max_concurrency, 2),
        error_ratio=report.error_ratio,
        capacity_gib=rounded(report.capacity.capacity_gib),
        capacity_basis=report.capacity.basis,
        kv_bytes_per_token=memory.kv_bytes_per_token(
            case.model, question.kv_cache_dtype, case.tensor_parallel, question.pp, dtype_bytes=config.dtype_bytes
        ),
        warnings=case.warnings,
    )


def predict(question: PredictQuestion, catalog: Catalog) -> PredictAnswer | CaseRejection:
    """Predict latency and throughput of one replica at a load.

    More requests than the KV cache holds wait for a seat: the admitted ones set TPOT, and the wait is part of TTFT.

    Raises:
        BadInput: the model or accelerator is unknown, or neither a concurrency nor a request rate is given.
    """
    if question.concurrency is None and question.request_rate is None:
        raise BadInput.one("predict", "give a concurrency (closed loop) or a request-rate (open loop)")
    accelerator = catalog.accelerator(question.accelerator.lower())
    spread = latency.layout(accelerator, question.tp or 1, question.attention_dp, question.ep or 1)
    case = _resolved(question, catalog, spread.accelerators)
    refused = _refused(question, case, None)
    if refused is not None:
        return refused
    length = question.max_model_len or min(
        case.model.max_context_tokens, question.input_tokens + question.output_tokens
    )
    config = _config(question, case, length)
    report = memory.engine_memory(config)
    if report.max_concurrency < 1:
        return _does_not_fit(config, report)
    kv_dtype = question.kv_cache_dtype
    if kv_dtype == "auto":
        kv_dtype = latency.served_kv_dtype(question.engine, case.accelerator, case.precision)
    engine = latency.speed(
        case.model,
        case.accelerator,
        precision=case.precision,
        kv_dtype=kv_dtype,
        tensor_parallel=question.tp or 1,
        pipeline_parallel=question.pp,
        max_batched_tokens=config.max_num_batched_tokens,
        serving=latency.Serving(
            engine=question.engine,
            version=question.engine_version,
            attention_dp=question.attention_dp,
            expert_parallel=question.ep or 1,
            accepted_tokens=question.accepted_tokens,
        ),
    )
    if engine is None:
        message = f"no sourced bandwidth or TFLOPS figure for {case.accelerator.name}"
        return CaseRejection(constraint="no-latency-data", need=None, limit=None, unit="TFLOPS", message=message)
    request = latency.Request(
        prompt_tokens=question.input_tokens * (1 - question.prefix_hit_ratio),
        context_tokens=question.input_tokens + question.output_tokens / 2,
        output_tokens=float(question.output_tokens),
    )
    by_cache = latency.seats(
        case.model,
        case.accelerator,
        spread,
        precision=case.precision,
        kv_dtype=kv_dtype,
        engine=question.engine,
        prompt_tokens=float(question.input_tokens),
        output_tokens=float(question.output_tokens),
    )
    if question.gpu_memory_utilization is not None:
        by_cache = report.max_concurrency * spread.attention_groups
    seats = min(by_cache, float(question.max_num_seqs or math.inf))
    warnings = list(case.warnings)
    if (question.ep or 1) > 1 and not case.model.experts:
        warnings.append(f"{case.model.id} has no experts: ep changes nothing")
    if question.accepted_tokens > 1:
        warnings.append("speculative decoding is arithmetic only here: no measured run backs it")
    asked = _asked_concurrency(question, engine, request, seats)
    if question.concurrency is not None and question.request_rate is None:
        asked *= spread.attention_groups
    if asked > seats:
        warnings.append(f"{asked:g} requests asked for, {seats:g} run at once: the rest wait for a seat")
    answer = latency.predict(engine, request, asked, seats)
    return PredictAnswer(
        ttft_ms=rounded(answer.ttft_ms, 3),
        tpot_ms=rounded(answer.tpot_ms, 3),
        output_tokens_per_s=rounded(answer.output_tokens_per_s, 2),
        ttft_error_ratio=rounded(answer.ttft_error_ratio),
        tpot_error_ratio=rounded(answer.tpot_error_ratio),
        concurrency=rounded(min(asked, seats), 2),
        warnings=tuple(warnings),
    )


def _asked_concurrency(
    question: PredictQuestion, engine: latency.Speed, request: latency.Request, seats: float
) -> float:
    """The closed loop's concurrency, or by Little's law the one that an arrival rate keeps up in the open loop."""
    if question.request_rate is None:
        return question.concurrency or 1.0
    ceiling = question.concurrency or seats
    running = 1.0
    for _ in range(_ROUNDS):
        answer = latency.predict(engine, request, running)
        seconds = (answer.ttft_ms + request.output_tokens * answer.tpot_ms) / 1000
        following = min(ceiling, max(1.0, question.request_rate * seconds))
        if math.isclose(following, running, rel_tol=1e-6):
            break
        running = following
    return running


def _resolved(question: Question, catalog: Catalog, tensor_parallel: int) -> _Case:
    model = catalog.model(question.model)
    accelerator = catalog.accelerator(question.accelerator.lower())
    warnings: list[str] = []
    engine = question.engine
    if engine != "vllm":
        warnings.append(memory.ENGINE_SUPPORT[engine])
        if isinstance(question, PredictQuestion) and family_of(engine) != engine:
            warnings.append(f"{engine} is accounted for as vLLM: its own scheduling is not modelled yet")
    release = catalog.release("vllm", question.engine_version if engine == "vllm" else None)
    asked = (question.engine_version or "").strip().removeprefix("v")
    known = sorted((row.version for row in catalog.releases if row.engine == "vllm"), key=memory.version_tuple)
    if engine == "vllm" and asked not in known:
        earlier = [one for one in known if memory.version_tuple(one) <= memory.version_tuple(asked)]
        base = earlier[-1] if earlier else known[0] if memory.version_tuple(asked) else known[-1]
        said = "the newest known" if base == known[-1] else "the nearest known"
        measured = f"; latency as {generation_of(engine, asked)}"
        warnings.append(
            f"engine version {asked or '(none given)'}: accounted for as {base}, {said}"
            + (measured if isinstance(question, PredictQuestion) else "")
        )
    precision = question.precision or model.native_precision
    if precision != model.native_precision and {precision, model.native_precision} == {"nvfp4", "mxfp4"}:
        warnings.append(f"{model.id} is published in {model.native_precision}: taken as that, not as {precision}")
        precision = model.native_precision
    if not precision_is_supported(accelerator, precision) and _is_weight_only(accelerator, precision):
        warnings.append(f"{accelerator.name} has no {precision} units: the weights are unpacked as they are read")
    return _Case(
        model=model,
        accelerator=accelerator,
        release=release,
        tensor_parallel=tensor_parallel,
        precision=precision,
        version_is_known=engine == "vllm"
        and () < memory.version_tuple(asked)[:2] <= memory.version_tuple(known[-1])[:2],
        warnings=tuple(warnings),
    )


def _config(question: Question, case: _Case, max_model_len: int) -> memory.EngineConfig:
    accelerator, version = case.accelerator, case.release.version
    return memory.EngineConfig(
        model=case.model,
        accelerator=accelerator,
        release=case.release,
        precision=case.precision,
        kv_dtype=question.kv_cache_dtype,
        tensor_parallel=case.tensor_parallel,
        pipeline_parallel=question.pp,
        max_model_len=max_model_len,
        max_num_seqs=question.max_num_seqs or memory.default_max_num_seqs(accelerator, version),
        max_num_batched_tokens=question.max_num_batched_tokens
        or memory.default_max_num_batched_tokens(accelerator, version, max_model_len),
        gpu_memory_utilization=question.gpu_memory_utilization
        or memory.default_memory_share(question.engine, accelerator, case.release),
        enforce_eager=question.enforce_eager,
        engine=question.engine,
        version_is_known=case.version_is_known,
    )


def _refused(question: Question, case: _Case, count: int | None) -> CaseRejection | None:
    model, accelerator, tensor = case.model, case.accelerator, case.tensor_parallel
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
    weight_only = _is_weight_only(accelerator, case.precision)
    if not weight_only and not precision_is_supported(accelerator, case.precision):
        message = f"{accelerator.name} has no kernels for {case.precision} weights"
        return CaseRejection(constraint="precision", need=None, limit=None, unit="", message=message)
    return None


def _is_weight_only(accelerator: Accelerator, precision: Precision) -> bool:
    """Whether kernels unpack weights of this precision on a card without units for it: Marlin, from Turing on."""
    capability = accelerator.compute_capability
    return precision in ("fp8", "nvfp4") and not capability.startswith("gfx") and float(capability) >= 7.5


def _does_not_fit(config: memory.EngineConfig, report: memory.EngineMemory) -> CaseRejection:
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


_Question = TypeVar("_Question", bound=Question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculator(Generic[_Question]):
    """A calculator with its question type: answers one question, or one a line."""

    name: str
    question: type[_Question]
    answer_question: Callable[[_Question, Catalog], Document]

    def answer(self, options: Mapping[str, Any], catalog: Catalog, source: str = "") -> dict[str, Any]:
        """Answer one question given as long options.

        Raises:
            BadInput: with a fault for each option that is unknown, missing, or no such value.
        """
        place = source or self.name
        try:
            question = self.question.model_validate(dict(options), by_alias=True, by_name=False)
        except ValidationError as error:
            raise BadInput(self._faults(error, place)) from None
        answer = self.answer_question(question, catalog)
        body: dict[str, Any] = answer.model_dump(mode="json", by_alias=True)
        return {"rejection": body} if isinstance(answer, CaseRejection) else body

    def answer_lines(self, lines: Iterable[str], catalog: Catalog) -> Iterator[dict[str, Any]]:
        """Answer one question a line, in order; a faulty line becomes ``{"error": ...}`` and stops nothing."""
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                options = json.loads(line)
                if not isinstance(options, dict):
                    raise BadInput.one(f"line {number}", "is not a JSON object")
                given = {key: value for key, value in options.items() if value is not None and value != ""}
                yield self.answer(given, catalog, f"line {number}")
            except json.JSONDecodeError as error:
                yield {"error": f"line {number}: not JSON: {error.msg} at column {error.colno}"}
            except (ValueError, RecursionError) as error:
                yield {"error": f"line {number}: not JSON: {error}"}
            except BadInput as error:
                message = str(error)
                yield {"error": message if message.startswith("line ") else f"line {number}: {message}"}

    def _faults(self, error: ValidationError, place: str) -> Iterator[Fault]:
        known = [_option(name) for name in self.question.model_fields]
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            option = str(one["loc"][0]) if one["loc"] else ""
            if one["type"] == "extra_forbidden":
                yield Fault(source=place, path=option, message="no such option", hint=did_you_mean(option, known))
            elif one["type"] == "missing":
                yield Fault(source=place, path=option, message="is required")
            else:
                message = one["msg"].replace("Input should be", "must be")
                yield Fault(source=place, path=option, message=message[:1].lower() + message[1:])


SIZE = Calculator(name="size", question=SizeQuestion, answer_question=size)
PREDICT = Calculator(name="predict", question=PredictQuestion, answer_question=predict)
