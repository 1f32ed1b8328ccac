"""The weights of a model by the part that they belong to."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Integer
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Precision

ModuleKind = Literal[
    "embedding",
    "output_head",
    "attention",
    "recurrent",
    "feed_forward",
    "shared_experts",
    "routed_experts",
    "router",
    "tower",
    "draft",
    "table",
    "other",
]
"""What weights are for.

``embedding`` is the input table, which is the output's too where both are one; ``table`` is what is looked up besides
(n-grams, embeddings of a layer); ``tower`` reads pictures, video or sound; ``draft`` is loaded for speculation only;
``other`` is what a published count holds beyond the parts that are known.
"""

MODULE_KINDS: tuple[ModuleKind, ...] = get_args(ModuleKind)


CacheMethod = Literal["modelopt", "compressed-tensors", "quark"]
"""Whose way of writing asks for the number format of the KV cache: engines heed some, from some version on."""


class CheckpointCache(Document):
    """The number format of the KV cache that a checkpoint asks for."""

    precision: Precision
    """The format."""
    method: CacheMethod
    """Whose word it is."""


class Module(Document):
    """The weights of one kind and format, over all layers."""

    kind: ModuleKind
    """What they are for."""
    parameters: Integer
    """How many there are."""
    precision: Precision
    """Number format that engines load the published checkpoint in: the kernels that run it."""
    bits: Annotated[float, Field(gt=0, le=64)] | None = None
    """Bits of one of them with its scales, as the file says; unset: what the format takes where no file says more."""
