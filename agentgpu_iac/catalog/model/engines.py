"""Serving engines: their releases, their series, the parsers they have, and what a run of one measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Float, Sources
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Engine


class EngineRelease(Document):
    """One version of a serving engine."""

    engine: Engine
    """Which engine."""
    version: str
    """Version, for example ``0.33.0``."""
    image: str
    """Container image and tag, without a registry host."""
    needs_registry: bool = False
    """The image is published in a registry of its own, which an image reference must name: pin it, or mirror it."""
    image_gb: Float | None = None
    """Compressed size of the image; unset: not found."""
    gpu_memory_utilization: Float
    """Default share of the accelerator's memory that the engine takes."""
    graphs_in_budget: bool
    """CUDA graphs are subtracted from that share before the KV cache is sized."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about them."""


Metric = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Edges = tuple[Annotated[float, Field(gt=0)], ...]


class EngineMetrics(Document):
    """What a serving engine calls its Prometheus series, from one version on. Unset: no source names it.

    Names are those on the metrics page: counters with their ``_total``, histograms without a suffix.
    """

    engine: Engine
    """Which engine."""
    version: str
    """First version that the row holds for."""
    path: str
    """Path of the metrics page."""
    running: Metric | None = None
    """Gauge: requests in the batch."""
    waiting: Metric | None = None
    """Gauge: requests in the queue."""
    kv_usage: Metric | None = None
    """Gauge: part of the KV cache that running requests hold, 0 to 1."""
    ttft: Metric | None = None
    """Histogram: time to first token in seconds, the network left out."""
    tpot: Metric | None = None
    """Histogram: time per output token in seconds; of a request where there is one, else the gap between tokens."""
    preemptions: Metric | None = None
    """Counter: requests that lost their KV cache and must be read again."""
    rejections: Metric | None = None
    """Counter: requests that a queue limit turned away."""
    prefix_cache_hits: Metric | None = None
    """Counter: prompt tokens found in the prefix cache."""
    prefix_cache_queries: Metric | None = None
    """Counter: prompt tokens looked up in the prefix cache."""
    generation_tokens: Metric | None = None
    """Counter: tokens generated."""
    prompt_tokens: Metric | None = None
    """Counter: prompt tokens read."""
    success: Metric | None = None
    """Counter: requests completed. Never a reason to scale: a long stream completes nothing for a minute."""
    answers: Metric | None = None
    """Counter: HTTP answers of the engine, by status. Set together with ``failures``."""
    failures: Annotated[str, Field(pattern=r'^[a-z_]+=~?"[^"]+"$')] | None = None
    """Label matcher of the answers that are the engine's own failures (5xx); those to a caller's mistake are not."""
    ttft_edges_s: Edges = ()
    """Bucket edges of ``ttft``, by default."""
    tpot_edges_s: Edges = ()
    """Bucket edges of ``tpot``, by default."""
    edges_settable: bool = False
    """The engine takes other edges as an argument that we spell."""
    sources: Sources
    """Where the names are from."""
    note: str | None = None
    """What a reader should know about them."""


LimitCounts = Literal["running", "waiting", "in-flight", "prompt-tokens"]
"""What a limit holds a number of: requests in the batch, requests behind it, both together, or prompt tokens of the
requests without a first token."""


class EngineLimit(Document):
    """One limit of a serving engine: how it is set, and what its number counts. The same word means different things."""

    engine: Engine
    """Which engine."""
    version: str
    """First version that has it so, as far as versions were read."""
    setting: str
    """The argument, or the environment variable in capitals."""
    counts: LimitCounts
    """What the number is of."""
    least: Annotated[int, Field(ge=0)] = 0
    """The smallest number that the engine takes."""
    status: int | None = None
    """HTTP status of what it turns away; unset: it turns nothing away, what is too much waits."""
    tried: str | None = None
    """How the meaning was tried on the engine's own code. Unset: it was read, or documented, and is not proven."""
    sources: Sources
    """Where it is from."""
    note: str | None = None
    """What a reader should know about it."""


class EngineHostMemory(Document):
    """What a serving engine takes of the host for KV cache that it moves there, from one version on."""

    engine: Engine
    """Which engine."""
    version: str
    """First version that has it so, as far as versions were read."""
    kv_offload_in: Literal["shm", "private"]
    """``shm``: one file in /dev/shm for all ranks of a node, of the whole size, whose free space is checked at start.
    ``private``: memory of each rank's own."""
    kv_offload_ratio: Annotated[float, Field(ge=1)]
    """Memory that is taken at the worst / what was asked for."""
    kv_offload_reserve_mib: int = 0
    """Memory that must be free beside it, else the engine does not start."""
    sources: Sources
    """Where it is from."""
    note: str | None = None
    """What a reader should know about it."""


class Calibration(Document):
    """What one measured run says about our predictions on an accelerator; ``agentgpu calibrate`` writes it."""

    accelerator: str
    """Accelerator id."""
    engine: Engine = "vllm"
    """Serving engine of the run."""
    model: str | None = None
    """Model that the figures hold for; unset: every model on the accelerator."""
    overhead_ratio: Annotated[float, Field(gt=0)] | None = None
    """Measured / predicted activation peak, CUDA context and graphs of one accelerator."""
    ttft_ratio: Annotated[float, Field(gt=0)] | None = None
    """Measured / predicted time to first token, the network left out."""
    tpot_ratio: Annotated[float, Field(gt=0)] | None = None
    """Measured / predicted time per output token."""
    source: Annotated[str, Field(min_length=1)]
    """The run."""


class ParserNames(Document):
    """The parsers of one kind (tool calls, or reasoning) that an engine has, by the engine's own names."""

    names: tuple[str, ...]
    """All of them."""
    of_vllm: tuple[tuple[str, str], ...] | None = None
    """(vLLM's name, the engine's own) of the parsers for the same format. Models are listed with vLLM's names, and a name
    that is missing here has no counterpart. Unset: the names are vLLM's."""


class EngineParsers(Document):
    """The parsers that a serving engine has, from one version on."""

    engine: Engine
    """Which engine."""
    version: str
    """The version that was read."""
    tool_calls: ParserNames
    """Parsers of tool calls."""
    reasoning: ParserNames
    """Parsers of reasoning."""
    sources: Sources
    """Where the names are from."""
    note: str | None = None
    """What a reader should know about them."""
