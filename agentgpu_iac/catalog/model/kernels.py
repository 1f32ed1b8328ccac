"""What an engine's kernels reach on an accelerator: shares of its data sheet, and the time that a kernel takes at least.

    time = launch + root of (bytes / (share x bandwidth))^2 + (operations / (share x TFLOPS))^2

A kernel of few bytes is its launch and little else, so the share that a matrix reaches grows with its size.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Float, Integer, ReadOn, Sources
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Engine

KernelFormat = Literal["bf16", "fp8", "fp8-block", "int8", "int4", "mxfp4", "nvfp4"]
"""Number format of the weights: ``bf16`` is any 16-bit float, ``fp8`` has scales of tensors or channels, ``fp8-block`` of
blocks; ``int4`` is unpacked to 16 bit as it is read."""
Share = Annotated[float, Field(gt=0, le=1.5)]
"""Part of a data sheet's figure. A fit may end above 1 where tokens choose experts less evenly than it assumes."""


class MatrixKernel(Document):
    """Multiplying tokens with one matrix of weights."""

    format: KernelFormat
    """Number format of the weights."""
    launch_us: Float
    """Time that it takes at least, quantising the activations included."""
    bandwidth_share: Share
    """Part of the memory bandwidth while few tokens read a large matrix."""
    tflops_share: Share
    """Part of the dense TFLOPS of the format with many tokens."""


class ExpertKernel(MatrixKernel):
    """Routing tokens to experts and multiplying them: one layer of a mixture of experts.

    Of several for one format the first is what the engine takes by itself.
    """

    kernel: str = ""
    """Whose kernels they are, where an engine has several for a format."""
    launch_us_per_thousand_wide: Float
    """Added to that for each thousand of the hidden size: routing, quantising and summing one token."""
    passes: Float
    """Times that each expert of a token moves a 16-bit vector of the hidden size through memory."""


class PromptAttention(Document):
    """Attention of a prompt's tokens to the earlier ones."""

    kv_bytes: Integer
    """Bytes of a number in the KV cache."""
    tflops_share: Share
    """Part of the dense 16-bit TFLOPS that a long prompt reaches."""
    half_tokens: Float
    """Length at which a prompt reaches half of that."""


class DecodeAttention(Document):
    """Attention of one token of each sequence to its context."""

    kv_bytes: Integer
    """Bytes of a number in the KV cache."""
    launch_us: Float
    """Time that it takes at least."""
    bandwidth_share: Share
    """Part of the memory bandwidth with long contexts."""


class AllReduce(Document):
    """An all-reduce of a tensor-parallel group, inside a graph."""

    accelerators: Integer
    """Accelerators of the group."""
    launch_us: Float
    """Time of a small message."""
    gb_per_s: Float
    """Bytes of a large message over its time."""


class Kernels(Document):
    """The kernels of one engine on one accelerator."""

    accelerator: str
    """Id of the accelerator that was measured."""
    engine: Engine
    """The engine."""
    engine_version: str
    """Its newest release among the measured tables."""
    matrices: tuple[MatrixKernel, ...] = ()
    """Dense layers, by format."""
    experts: tuple[ExpertKernel, ...] = ()
    """Mixtures of experts, by format."""
    prompt_attention: tuple[PromptAttention, ...] = ()
    """By width of the KV cache."""
    decode_attention: tuple[DecodeAttention, ...] = ()
    """By width of the KV cache."""
    all_reduces: tuple[AllReduce, ...] = ()
    """By size of the group."""
    read: ReadOn
    """When the tables were read."""
    sources: Sources
    """Where the tables are from."""
