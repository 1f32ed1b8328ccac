"""What is known of quantised checkpoints: which engine runs which method, and what real ones leave in more bits."""

from __future__ import annotations

from collections.abc import Mapping

from agentgpu_iac.catalog.model.modules import ModuleKind
from agentgpu_iac.catalog.model.scalars import ReadOn, Sources
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Engine, Precision


class QuantisationMethod(Document):
    """A way of quantising a checkpoint that releases of an engine run."""

    engine: Engine
    """Which engine."""
    method: str
    """What an engine must know: ``quant_method`` of config.json, or a name of ours where one method has several."""
    since: str
    """First release that was read with it."""
    before: str | None = None
    """The release read last without it; unset: none was read."""
    last: str | None = None
    """The release read last with it; set only where a later one lacks it."""
    after: str | None = None
    """The first release read that lacks it again."""
    sources: Sources
    """What was read."""
    read: ReadOn
    """When it was read."""
    note: str | None = None
    """What a reader should know about it."""


class Repack(Document):
    """A published checkpoint of a model in another precision than its maker's, and what it is made of."""

    name: str
    """Hugging Face id of one of its kind."""
    architectures: tuple[str, ...]
    """Model types that are repacked so, by their beginning."""
    has_experts: bool
    """Whether the models are mixtures of experts."""
    precision: Precision
    """What it is called: the precision of most of its weights."""
    parts: Mapping[ModuleKind, Precision]
    """Parts in another precision; ``output_head`` also where it is quantised. Embeddings, routers and towers never are."""
    is_planned: bool = False
    """The one that a precision without a checkpoint is planned as: of the maker of the format, else the most used."""
    sources: Sources
    """Where it is from."""
    read: ReadOn
    """When it was read."""
    note: str | None = None
    """What a reader should know about it."""
