"""The weights of a model by the part that they belong to."""

from __future__ import annotations

from typing import Literal, get_args

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


class Module(Document):
    """The weights of one kind, over all layers."""

    kind: ModuleKind
    """What they are for."""
    parameters: Integer
    """How many there are."""
    precision: Precision
    """Number format that engines load the published checkpoint in."""
