"""What the calculators ask, and what a question means once its names are looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from agentgpu_iac.catalog.checkpoint import cache_dtype, lack_of_method
from agentgpu_iac.catalog.engine_cards import lack_on_card
from agentgpu_iac.catalog.engine_versions import lack_of_class, lack_of_code
from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.catalog.prefix_cache import PrefixCache, prefix_cache
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.catalog.versions import at_least, before, order, version_of
from agentgpu_iac.errors import BadInput
from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.arrivals import Arrivals
from agentgpu_iac.sizing.calibration import family_of, generation_of
from agentgpu_iac.sizing.contexts import as_read_by, said_of_yarn
from agentgpu_iac.sizing.encoders import text_only
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.kv_cache import V1_FIRST_VERSION
from agentgpu_iac.sizing.layout import Layout, layout
from agentgpu_iac.sizing.paging import refuses_seats_beyond_pages
from agentgpu_iac.sizing.parallelism import blocks_fault, expert_parallel_fault, tensor_parallel_is_legal
from agentgpu_iac.sizing.repacks import assumed_repack
from agentgpu_iac.sizing.weights import is_assumed
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import GIB, counted, rounded

Tokens = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Size = Annotated[int, Field(ge=1, le=1024)]
MAX_REQUESTS = 100_000
"""More are not stepped through: a run of so many tells the mean and the 99th percentile alike."""


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
    ep: Size | None = None
    """Expert-parallel size."""
    attention_dp: Size = 1
    """Data-parallel attention groups."""
    count: Size | None = None
    """Accelerators of the replica; TP becomes count / PP / attention groups when TP is unset. It also says whether the attention
    groups stand inside the tensor-parallel size (TP 8 with 8 groups: 8 accelerators) or beside it (TP 4 with 2)."""
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
    """Most sequences at once, in each attention group; the engine's default when unset."""
    max_num_batched_tokens: Tokens | None = None
    """Most tokens in a step, of each attention group; the engine's default when unset."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the memory that the engine takes; its default when unset."""
    enforce_eager: bool = False
    """No CUDA graphs."""
    text_only: bool = False
    """The engine is told to read no pictures, video and sound (vLLM: --language-model-only, or --limit-mm-per-prompt with 0 of
    each), so that it does not profile the model's towers and, in most versions, does not load them. Unset: as engines start
    by themselves, with them."""


class SizeQuestion(Question):
    """The engine's memory report at start."""

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
    prefix_caching: Literal["auto", "on", "off"] = "auto"
    """Whether prefixes are kept between requests, for which recurrent layers hold two states of each. auto: as a plan starts
    the engine, which asks for it wherever the release can."""
    compile_cache: Literal["cold", "warm"] = "cold"
    """Whether the compile cache is empty at start, as on each new node: from vLLM 0.27 on less is left for the KV cache then."""


class PredictQuestion(Question):
    """Latency and throughput at a load."""

    input_tokens: Tokens
    """Prompt tokens of a request."""
    output_tokens: Tokens | None = None
    """Generated tokens of a request; of a model that generates nothing, none."""
    concurrency: Annotated[float, Field(gt=0, le=MAX_COUNT)] | None = None
    """Requests asked for at once (closed loop); with attention data parallelism, of each of its groups."""
    request_rate: Annotated[float, Field(gt=0, le=MAX_COUNT)] | None = None
    """Requests/s arriving (open loop); with a concurrency too, that one is a ceiling."""
    arrivals: Arrivals | None = None
    """How the client sends them: a closed loop that keeps the concurrency out, Poisson arrivals at the request rate, or bursts
    of as many as the concurrency. Unset: the steady state of the load that is given."""
    start_together: bool = True
    """Slots of a closed loop all start at once, as benchmarks' do; else it has run for a while. Read with arrivals alone."""
    requests: Annotated[int, Field(ge=1, le=MAX_REQUESTS)] | None = None
    """Requests that are sent in all: ten for each slot of a closed loop, 400 at a rate, or one burst when unset."""
    length_spread: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Lengths of prompts and answers are spread evenly from this share of those given to the whole; 1: all alike."""
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    """Percentile of the requests that is answered beside the mean, the median and the 95th."""
    prefix_hit_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the prompt found in the prefix cache."""
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
    longest_model_len: int | None = None
    """For memory: the longest --max-model-len that would fit, the same whichever was asked for; 0: none."""


class Case(Document):
    """A question with its names resolved."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Model
    accelerator: Accelerator
    release: EngineRelease
    spread: Layout
    """How a stage of the replica spreads over its accelerators."""
    precision: Precision
    kv_dtype: KvCacheDtype
    """Number format of the KV cache: as asked for, or as the checkpoint asks."""
    weight_only: bool
    """The accelerator has no units for the precision: its kernels unpack the weights as they are read."""
    refused: CaseRejection | None
    """Why it cannot run, if so."""
    version_is_known: bool
    prefix_cache: PrefixCache
    """Whether the engine keeps prefixes of the model, and how it is asked."""
    warnings: tuple[str, ...]


def spread_of(question: Question, accelerator: Accelerator) -> Layout:
    """How a stage spreads over its accelerators, from the sizes that are given and, where it is, the count."""
    groups, experts = question.attention_dp, question.ep or 1
    stage = None if question.count is None else question.count // question.pp
    tensor = question.tp or (1 if stage is None else max(1, stage // groups))
    if stage is not None and groups > 1 and (question.tp is None or tensor * groups == stage):
        return Layout(
            accelerators=tensor * groups,
            attention_groups=groups,
            expert_groups=min(experts, tensor * groups),
            stages=question.pp,
        )
    return replace(layout(accelerator, tensor, groups, experts), stages=question.pp)


def resolved(question: Question, catalog: Catalog) -> Case:
    """The question with its names looked up, and why it cannot run, if so.

    Raises:
        BadInput: the model or accelerator is unknown.
    """
    model = as_read_by(catalog.model(question.model), question.engine, (question.engine_version or "").strip())
    model = _told(question, model, catalog)
    accelerator = catalog.accelerator(question.accelerator)
    spread = spread_of(question, accelerator)
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
        spread=spread,
        precision=precision,
        kv_dtype=kv_dtype,
        weight_only=execution == "weight-only",
        refused=_gone(engine, asked)
        or _too_old(question, model, precision, accelerator, catalog)
        or _too_long(question, model)
        or next(_bad_parallelism(question, model, spread), None)
        or (_no_kernels(accelerator, precision) if execution is None else None)
        or _no_attention(question, model, kv_dtype, accelerator, catalog),
        version_is_known=port.logs_compared and _is_known(asked, known[-1]),
        prefix_cache=prefix_cache(engine, version or release.version, model, catalog),
        warnings=tuple(warnings),
    )


def _told(question: Question, model: Model, catalog: Catalog) -> Model:
    """The model as the engine loads it.

    Raises:
        BadInput: the engine cannot be told to read text alone.
    """
    if not question.text_only:
        return model
    port = SIZING_PORTS[question.engine]
    leaves_out, version = port.leaves_towers_out, catalog.release("vllm", question.engine_version).version
    if leaves_out is None:
        raise BadInput.one(
            option("text_only"), f"{question.engine} is not known to leave out what reads pictures and sound"
        )
    return text_only(model, lambda each: leaves_out(each, version))


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
        tensor_parallel=case.spread.tensor_parallel,
        attention_dp=case.spread.attention_groups,
        expert_parallel=case.spread.expert_groups,
        pipeline_parallel=question.pp,
        max_model_len=max_model_len,
        max_num_seqs=question.max_num_seqs or memory.default_max_num_seqs(accelerator),
        max_num_batched_tokens=question.max_num_batched_tokens
        or memory.default_max_num_batched_tokens(accelerator, version),
        gpu_memory_utilization=question.gpu_memory_utilization
        or SIZING_PORTS[question.engine].default_share(accelerator, case.release),
        enforce_eager=question.enforce_eager,
        engine=question.engine,
        version_is_known=case.version_is_known,
        weight_only=case.weight_only,
        prefix_cached=case.prefix_cache != "never",
    )


def _gone(engine: Engine, asked: str) -> CaseRejection | None:
    """Versions with another engine inside, whose accounting nobody keeps any more."""
    if not SIZING_PORTS[engine].logs_compared or not before(asked, V1_FIRST_VERSION):
        return None
    return CaseRejection(
        constraint="engine-version",
        need=None,
        limit=None,
        unit="",
        message=f"{engine} {asked} has the engine V0, which is gone: name {V1_FIRST_VERSION} or newer, or leave the version out",
        need_version=V1_FIRST_VERSION,
        limit_version=asked,
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
        asked = max(asked, question.input_tokens + (question.output_tokens or 0))
    if asked <= model.max_context_tokens:
        return None
    return CaseRejection(
        constraint="context-length",
        need=float(asked),
        limit=float(model.max_context_tokens),
        unit="tokens",
        message=f"{counted(asked, 'token')} are longer than the {model.max_context_tokens:,} that {model.id} takes"
        + said_of_yarn(model, question.engine, asked),
    )


def _bad_parallelism(question: Question, model: Model, spread: Layout) -> Iterator[CaseRejection]:
    """What is impossible about the sizes, the plainest first."""
    groups, experts, pipeline = question.attention_dp, question.ep or 1, question.pp
    tensor, cards = question.tp or spread.tensor_parallel, spread.accelerators * pipeline
    if not tensor_parallel_is_legal(model.attention_heads, model.kv_heads, spread.tensor_parallel):
        yield _impossible(
            f"a tensor-parallel size of {spread.tensor_parallel} does not split {model.attention_heads} query heads and "
            f"{model.kv_heads} KV heads evenly; odd numbers of accelerators work with --pp only",
            spread.tensor_parallel,
            None,
            "accelerators",
        )
    if pipeline > memory.layer_count(model):
        layers = memory.layer_count(model)
        yield _impossible(
            f"{counted(pipeline, 'pipeline stage')} for {counted(layers, 'layer')}", pipeline, layers, "stages"
        )
    if question.count is not None and cards > question.count:
        beside = f" x {counted(groups, 'attention group')}" if groups > 1 else ""
        message = (
            f"TP {tensor} x PP {pipeline}{beside} needs {counted(cards, 'accelerator')}; {question.count} are given"
        )
        yield _impossible(message, cards, question.count, "accelerators")
    if fault := expert_parallel_fault(question.engine, model, spread.accelerators, experts, tensor * groups):
        yield _impossible(*fault)
    version = (question.engine_version or "").strip().removeprefix("v")
    precision = question.precision or model.native_precision
    if fault := blocks_fault(question.engine, version, model, precision, spread.tensor_parallel, spread.expert_groups):
        yield _impossible(*fault)


def _impossible(message: str, need: float, limit: float | None, unit: str) -> CaseRejection:
    return CaseRejection(
        constraint="parallelism",
        need=float(need),
        limit=None if limit is None else float(limit),
        unit=unit,
        message=message,
    )


def too_fast(rate: float, most: float, message: str) -> CaseRejection:
    """More requests a second than a replica serves: both rates."""
    return CaseRejection(
        constraint="request-rate", need=rate, limit=rounded(most, 3), unit="requests/s", message=message
    )


def _no_kernels(accelerator: Accelerator, precision: Precision) -> CaseRejection:
    message = f"{accelerator.name} has no kernels for {precision} weights"
    return CaseRejection(constraint="precision", need=None, limit=None, unit="", message=message)


def _no_attention(
    question: Question, model: Model, kv_dtype: KvCacheDtype, accelerator: Accelerator, catalog: Catalog
) -> CaseRejection | None:
    """The card has no kernels for the model's attention and its cache."""
    engine, asked = question.engine, (question.engine_version or "").strip().removeprefix("v")
    version = asked if version_of(asked) else catalog.release(engine, None).version
    message = lack_on_card(catalog.card_limits(engine), engine, version, model, kv_dtype, accelerator)
    if message is None:
        return None
    return CaseRejection(constraint="engine-feature", need=None, limit=None, unit="", message=message)


def without_assumed_tower(question: Question, config: memory.EngineConfig) -> memory.EngineConfig | None:
    """The same told to read text alone, where a tower is counted that its config leaves out and that it can start without."""
    leaves_out, model = SIZING_PORTS[question.engine].leaves_towers_out, config.model
    if leaves_out is None or model.is_text_only or not any(tower.is_assumed for tower in model.towers):
        return None
    return replace(config, model=text_only(model, lambda each: leaves_out(each, config.release.version)))


def does_not_fit(question: Question, config: memory.EngineConfig, report: memory.EngineMemory) -> CaseRejection:
    """The engine refuses to start when one sequence of max-model-len does not fit its KV cache."""
    one_gib = report.sequence_gib
    message = (
        f"one sequence of {counted(config.max_model_len, 'token')} takes {one_gib:.2f} GiB of KV cache, and "
        f"{report.budget_gib:.2f} GiB - {report.weights_gib:.2f} weights - "
        f"{report.budget_gib - report.weights_gib - report.kv_cache_gib:.2f} overhead leaves {report.kv_cache_gib:.2f} GiB"
    )
    longest = memory.longest_model_len(config, report)
    if longest:
        message += f"; about {counted(longest, 'token')} of --max-model-len would fit"
    message += _said_of_assumed_towers(question, config)
    return CaseRejection(
        constraint="memory",
        need=rounded(report.budget_gib - report.kv_cache_gib + one_gib),
        limit=rounded(report.budget_gib),
        unit="GiB",
        message=message,
        longest_model_len=longest,
    )


def _said_of_assumed_towers(question: Question, config: memory.EngineConfig) -> str:
    assumed = sum(tower.parameters for tower in config.model.towers if tower.is_assumed)
    if not assumed or config.model.is_text_only:
        return ""
    spared = without_assumed_tower(question, config)
    fits = spared is not None and memory.engine_memory(spared).max_concurrency >= 1
    said = f"; of the weights {assumed * 2 / GIB:.2f} GiB are a tower that its config leaves out and models of its class have"
    return f"{said}: with --text-only, which goes without, the length fits" if fits else said


def too_many_seats(config: memory.EngineConfig, report: memory.EngineMemory) -> CaseRejection | None:
    """The engine refuses to start with more sequences than pages of its pool where layers are recurrent."""
    version = config.release.version
    if report.most_states is None or config.max_num_seqs <= report.pages:
        return None
    if config.enforce_eager or not SIZING_PORTS[config.engine].logs_compared or not refuses_seats_beyond_pages(version):
        return None
    return CaseRejection(
        constraint="max-num-seqs",
        need=float(config.max_num_seqs),
        limit=float(report.pages),
        unit="sequences",
        message=(
            f"--max-num-seqs {config.max_num_seqs:,} is more than the {report.pages:,} pages of the KV cache, one of which "
            f"each sequence needs for the states of its recurrent layers: {config.engine} {version} does not start so. Write "
            f"{report.pages:,} or less; the states of {counted(report.most_states, 'request')} fit at once"
        ),
    )


def states_beyond_pool(config: memory.EngineConfig, report: memory.EngineMemory) -> str | None:
    """What to say where fewer requests have their states in the pool than seats are asked for."""
    if report.most_states is None or config.max_num_seqs <= report.most_states:
        return None
    return (
        f"--max-num-seqs {config.max_num_seqs:,}: the states of recurrent layers of "
        f"{counted(report.most_states, 'request')} fit, so "
        "the others wait"
    )
