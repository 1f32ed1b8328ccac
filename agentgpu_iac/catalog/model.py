"""The facts that plans rest on, as types. Each row names its source; a fact without one is not in the catalog.

``Accelerator``, ``InstanceType``, ``GpuAlias``, ``Price``, ``ModelFacts``, ``EngineRelease``, ``EngineMetrics`` and
``Provider`` are rows of the data files. Two types are made from them: ``Offering``, an instance type in a region, bought
one way, at a price, on a date; and ``Model``, the facts of a model that suffice to size it. ``Exclusion`` says which rows
were left out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType, Engine, Precision

Sources = Annotated[tuple[str, ...], Field(min_length=1)]
Float = Annotated[float, Field(ge=0)]
Integer = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class DenseTflops(Document):
    """Dense (not sparse) matrix throughput in TFLOPS by number format; unset where no source was found."""

    bf16: Float | None = None
    """16-bit floats (bf16 and fp16 run alike)."""
    fp8: Float | None = None
    """8-bit floats."""
    int8: Float | None = None
    """8-bit integers (TOPS)."""
    fp4: Float | None = None
    """4-bit floats (nvfp4, mxfp4)."""


class Accelerator(Document):
    """A GPU type."""

    id: str
    """Name in lower case with hyphens, for example ``h100-sxm``."""
    name: str
    """Name as sold."""
    memory_gb: Float
    """Memory on the label, in GB."""
    driver_memory_mib: Integer | None = None
    """Memory as the driver reports it."""
    cuda_memory_gib: Float | None = None
    """Memory as CUDA sees it, measured."""
    bandwidth_gb_per_s: Float
    """Memory bandwidth, vendor's figure."""
    vendor_dense_tflops: DenseTflops = DenseTflops()
    """Dense throughput, vendor's figure."""
    measured_dense_tflops: DenseTflops = DenseTflops()
    """Dense matrix-multiply throughput, measured."""
    nvlink_gb_per_s: Float | None = None
    """NVLink bandwidth of one accelerator, both directions; 0: none; unset: only with a bridge, or unknown."""
    pcie_generation: Integer
    """PCIe generation."""
    compute_capability: str
    """CUDA compute capability, or the gfx name of an AMD part."""
    tdp_w: Integer | None = None
    """Board power."""
    product_label: str | None = None
    """Value of the node label nvidia.com/gpu.product."""
    karpenter_name: str | None = None
    """Value of karpenter.k8s.aws/instance-gpu-name."""
    ec2_memory_mib: Integer | None = None
    """Memory as the EC2 API reports it."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about them."""


class InstanceType(Document):
    """A machine that a provider sells, with the GPU named as that provider names it."""

    provider: str
    """Provider id, for example ``aws``."""
    name: str
    """The provider's name for the machine."""
    gpu: str
    """The provider's name for its GPU."""
    gpu_count: Float
    """GPUs in the machine; a fraction for a part of one."""
    gpu_memory_mib: Integer | None = None
    """Memory of one GPU as the provider's API reports it."""
    vcpu: Integer | None = None
    """Virtual CPUs."""
    memory_gib: Float | None = None
    """Host memory."""
    nvme_count: Integer = 0
    """Local NVMe disks."""
    nvme_total_gb: Integer = 0
    """Local NVMe, all disks together."""
    network_baseline_gbps: Float | None = None
    """Network rate that is always there."""
    network_peak_gbps: Float | None = None
    """Network rate in a burst."""
    efa_interfaces: Integer = 0
    """EFA interfaces."""
    ebs_baseline_mbps: Float | None = None
    """EBS throughput that is always there, in MB/s."""
    ebs_max_mbps: Float | None = None
    """EBS throughput in a burst, in MB/s."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    """CPU architecture."""
    karpenter_gpu_name: str | None = None
    """karpenter.k8s.aws/instance-gpu-name of the type."""
    allocatable_cpu_milli: Integer | None = None
    """CPU that pods can have, in millicores."""
    allocatable_memory_mib: Integer | None = None
    """Host memory that pods can have."""
    schedulable_gpus: Integer | None = None
    """nvidia.com/gpu that Kubernetes sees on a node of this type."""
    interruption_band: tuple[tuple[str, str], ...] = ()
    """(region, share of spot instances interrupted in a month)."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about them."""


class GpuAlias(Document):
    """Which accelerator a provider means by the name that it gives a GPU."""

    provider: str
    """Provider id; ``*``: every provider."""
    gpu: str
    """The GPU as instance types of that provider name it."""
    instance_type: str | None = None
    """Set where the name means something else in this one instance type."""
    accelerators: tuple[str, ...]
    """Ids of the accelerators that it may be. The memory of the instance type tells several apart, or nothing does."""
    note: str | None = None
    """Why it is so; the reason of the exclusion where no single accelerator is left."""


class Price(Document):
    """What an instance type costs in one place, bought one way, on a date; or that it is sold so, at a price unknown."""

    provider: str
    """Provider id."""
    instance_type: str
    """The provider's name for the machine."""
    region: str
    """Region; ``any`` where the source names none."""
    zone: str = ""
    """Availability zone; empty: the whole region."""
    capacity_type: CapacityType
    """How it is bought."""
    usd_per_hour: Annotated[
        Annotated[Money, Field(gt=0)] | None, BeforeValidator(lambda value: None if value == "" else value)
    ]
    """Price of the whole machine; empty: it is on offer, and nobody wrote down for how much."""
    date: str = ""
    """When the price was read: YYYY-MM-DD or YYYY-MM; empty: the source has no date."""
    term: str = ""
    """For reserved: the commitment, for example ``3y-all-upfront``."""
    source: Annotated[str, Field(min_length=1)]
    """Where the price is from."""


class Provider(Document):
    """A seller of GPU machines."""

    id: str
    """Provider id."""
    name: str
    """Name."""
    interruption_notice_s: Integer = 0
    """Warning before a spot machine is taken away; 0 where none is documented."""
    rents_containers: bool = False
    """What it rents out at the catalog's prices are containers: no machines that set themselves up or join a cluster."""
    skypilot_cloud: str | None = None
    """What SkyPilot calls it; unset: SkyPilot knows no such cloud."""
    skypilot_regions: bool = False
    """SkyPilot calls its regions as the catalog does."""
    sources: Sources
    """Where the notice is documented, or that none was found; and where the rest is from."""


class SkyPilotName(Document):
    """What SkyPilot calls an accelerator where a provider sells it."""

    provider: str
    """Provider id."""
    accelerator: str
    """Accelerator id."""
    name: str
    """SkyPilot's name."""
    sources: Sources
    """Where the name is from."""


class LayerCounts(Document):
    """How many layers of a model keep which kind of state per session."""

    full: Integer = 0
    """Attention over the whole context (MHA, GQA, MQA or MLA): its cache grows with every token."""
    sliding: Integer = 0
    """Attention over a window: its cache stops growing at the window."""
    recurrent: Integer = 0
    """Linear attention or state space: a fixed state per session."""
    stateless: Integer = 0
    """Feed-forward only."""


class RecurrentShape(Document):
    """The fixed state of one recurrent layer, in elements (numbers) per session."""

    state_elements: Integer
    """The recurrent state matrix, kept in 32 bit."""
    convolution_elements: Integer
    """The short convolution's window, kept in 16 bit."""


class LinearAttention(Document):
    """Shape of a linear-attention layer (gated delta net, Kimi delta attention)."""

    key_heads: Count
    """Heads of queries and keys."""
    value_heads: Count
    """Heads of values."""
    key_head_dim: Count
    """Width of one key head."""
    value_head_dim: Count
    """Width of one value head."""
    kernel: Count
    """Length of the short convolution, in tokens."""


class Mamba(Document):
    """Shape of a Mamba-2 layer."""

    heads: Count
    """Heads."""
    head_dim: Count
    """Width of one head."""
    state_size: Count
    """State of one channel."""
    groups: Count
    """Groups that share their input and output projections of the state."""
    kernel: Count
    """Length of the short convolution, in tokens."""


class ModelFacts(Document):
    """What was found about an open-weights model. Unset: not found, or it does not apply to the model."""

    id: str
    """Hugging Face id, or the path of a local config.json."""
    family: str
    """Publisher."""
    architecture: str | None = None
    """Model type as in its config.json."""
    params_total: Count | None = None
    """Parameters that an engine loads."""
    params_active: Count | None = None
    """Parameters that one token touches."""
    layers: LayerCounts | None = None
    """Layers by the kind of state they keep."""
    hidden_size: Count | None = None
    """Width of the residual stream."""
    attention_heads: Count | None = None
    """Query heads."""
    kv_heads: Count | None = None
    """Key and value heads of the full layers."""
    head_dim: Count | None = None
    """Width of one key head of the full layers."""
    value_head_dim: Count | None = None
    """Width of one value head, where it differs."""
    sliding_kv_heads: Count | None = None
    """Key and value heads of the sliding layers, where they differ."""
    sliding_head_dim: Count | None = None
    """Width of one head of the sliding layers, where it differs."""
    kv_lora_rank: Count | None = None
    """MLA: width of the compressed KV."""
    q_lora_rank: Count | None = None
    """MLA: width of the compressed queries."""
    qk_rope_head_dim: Count | None = None
    """MLA: width of the rotary part of a key."""
    qk_nope_head_dim: Count | None = None
    """MLA: width of the other part of a key."""
    sliding_window: Count | None = None
    """Window of the sliding layers, in tokens."""
    linear_attention: LinearAttention | None = None
    """Shape of the recurrent layers, if they are linear attention."""
    mamba: Mamba | None = None
    """Shape of the recurrent layers, if they are Mamba-2."""
    vocab_size: Count | None = None
    """Vocabulary."""
    max_context_tokens: Count | None = None
    """Longest context that the model takes."""
    intermediate_size: Count | None = None
    """Width of the dense feed-forward layer; of one expert, where no other width is given for experts."""
    moe_intermediate_size: Count | None = None
    """Width of one expert."""
    expert_input_size: Count | None = None
    """Width that the experts work on, where the residual stream is first projected to a narrower one."""
    experts: Count | None = None
    """Routed experts in a layer."""
    experts_per_token: Count | None = None
    """Routed experts that one token uses."""
    shared_experts: Integer | None = None
    """Experts that every token uses."""
    dense_layers: Integer | None = None
    """Layers whose feed-forward is dense although the others have experts."""
    tied_embeddings: bool | None = None
    """Input and output embeddings are one matrix."""
    native_precision: Precision | None = None
    """Precision that engines load the published checkpoint in (32-bit checkpoints are loaded as bf16)."""
    checkpoint_bytes: Count | None = None
    """Size of the published weight files."""
    tool_call_parser: str | None = None
    """vLLM --tool-call-parser."""
    reasoning_parser: str | None = None
    """vLLM --reasoning-parser."""
    gated: bool | None = None
    """The download needs an accepted licence and a token."""
    license: str | None = None
    """Licence of the weights."""
    unsupported: str | None = None
    """Why the memory of a session does not follow from these facts; set only where it does not."""
    sources: Sources
    """Where the facts are from."""
    note: str | None = None
    """What a reader should know about them."""


class Model(Document):
    """An open-weights model: the shape that its memory and speed follow from."""

    id: str
    """Hugging Face id, or the path of a local config.json."""
    family: str
    """Publisher."""
    architecture: str
    """Model type as in its config.json."""
    params_total: Integer
    """Parameters."""
    params_active: Integer
    """Parameters that one token touches (all of them unless it is a mixture of experts)."""
    layers: LayerCounts
    """Layers by the kind of state they keep."""
    hidden_size: Integer
    """Width of the residual stream."""
    attention_heads: Integer
    """Query heads."""
    kv_heads: Integer
    """Key and value heads of the full layers."""
    head_dim: Integer
    """Width of one key head of the full layers."""
    value_head_dim: Integer | None = None
    """Width of one value head, where it differs from a key head."""
    sliding_kv_heads: Integer | None = None
    """Key and value heads of the sliding layers, where they differ from the full layers'."""
    sliding_head_dim: Integer | None = None
    """Width of one head of the sliding layers, where it differs from the full layers'."""
    kv_lora_rank: Integer | None = None
    """MLA: width of the compressed KV; set only for MLA models."""
    qk_rope_head_dim: Integer | None = None
    """MLA: width of the rotary part kept beside it."""
    sliding_window: Integer | None = None
    """Window of the sliding layers, in tokens."""
    recurrent: RecurrentShape | None = None
    """Shape of the recurrent layers."""
    vocab_size: Integer
    """Vocabulary."""
    max_context_tokens: Integer
    """Longest context that the model takes."""
    intermediate_size: Integer
    """Width of the dense feed-forward layer; 0 where every layer has experts."""
    moe_intermediate_size: Integer | None = None
    """Width of one expert."""
    experts: Integer | None = None
    """Routed experts in a layer."""
    experts_per_token: Integer | None = None
    """Routed experts that one token uses."""
    shared_experts: Integer = 0
    """Experts that every token uses."""
    tied_embeddings: bool = False
    """Input and output embeddings are one matrix."""
    native_precision: Precision
    """Precision that the checkpoint is published in."""
    checkpoint_bytes: Integer | None = None
    """Size of the published weight files."""
    tool_call_parser: str | None = None
    """vLLM --tool-call-parser."""
    reasoning_parser: str | None = None
    """vLLM --reasoning-parser."""
    gated: bool | None = None
    """The download needs an accepted licence and a token; unset: unknown."""
    license: str | None = None
    """Licence of the weights."""
    sources: Sources
    """Where the shape is from."""
    note: str | None = None
    """What a reader should know about it."""
    is_local: bool = False
    """Known by a local config.json only: nobody knows where its weights are to be fetched."""


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


RouterSoftware = Literal["nginx", "endpoint-picker"]
"""NGINX, or the endpoint picker of a Gateway API InferencePool."""


class RouterRelease(Document):
    """One version of what spreads requests over an agent's replicas."""

    router: RouterSoftware
    """Which software."""
    version: str
    """Version, for example ``1.30.4``."""
    image: str
    """Container image and tag."""
    sources: Sources
    """Where the row is from."""
    note: str | None = None
    """What a reader should know about it."""


ServiceSoftware = Literal["dcgm-exporter", "ollama", "prometheus"]
"""What runs beside the engines on a virtual machine."""


class ServiceRelease(Document):
    """One version of what runs beside the engines on a virtual machine."""

    service: ServiceSoftware
    """Which software."""
    version: str
    """Version, for example ``3.13.0``."""
    image: str
    """Container image and tag."""
    sources: Sources
    """Where the row is from."""
    note: str | None = None
    """What a reader should know about it."""


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


class Exclusion(Document):
    """A row of the data that plans cannot use, and why."""

    kind: Literal["offering", "model", "price"]
    """What was left out."""
    id: str
    """Its name: ``provider/instance type`` of an offering; the same with region, zone (if any) and capacity type of a
    price; the id of a model."""
    reason: str
    """Why."""


class Offering(Document):
    """An instance type in a region, bought one way, at a price, on a date; the price may be unknown."""

    provider: str
    """Provider id."""
    instance_type: InstanceType
    """The machine."""
    accelerator: str
    """Accelerator id."""
    accelerator_count: Integer
    """Accelerators in the machine."""
    region: str
    """Region; ``any`` where the source names none."""
    capacity_type: CapacityType
    """How it is bought."""
    usd_per_hour: Money | None
    """Price of the whole machine; unset: it is on offer at a price that is not known."""
    price_date: str
    """When the price was read; empty: the source has no date."""
    price_source: str
    """Where the price is from."""
    term: str = ""
    """For reserved: the commitment."""
