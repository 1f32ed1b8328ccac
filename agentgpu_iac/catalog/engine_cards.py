"""What an engine runs on some cards only, whatever its binaries hold code for: ``cards`` of ``data/engines``.

An engine chooses the kernels of attention by the card, by the shape of attention and by the number format of the cache.
Where none takes all three it ends at start, after the weights are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.catalog.model.scalars import Count, ReadOn, Sources
from agentgpu_iac.catalog.versions import at_least, before
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES, Engine, KvCacheDtype

Capability = Annotated[str, Field(pattern=r"^\d+\.\d+$")]
"""A compute capability of NVIDIA's."""


class CardLimit(Document):
    """Something that an engine does not run on some cards."""

    id: str
    """Name of the row."""
    what: str
    """What it has no kernels for, in words."""
    instead: str
    """What runs in its place, in words."""
    architectures: tuple[str, ...] = ()
    """Model types that it holds for, without the ``_text`` of their text configurations; empty: all."""
    attention: Literal["compressed", "sparse"] | None = None
    """Whose attention it holds for: over compressed keys and values, or over those of them that an index names. Unset: any."""
    other_heads_than: tuple[Count, ...] = ()
    """It holds for heads of any other width; empty: of any width."""
    reads_pictures: bool = False
    """It holds only where the engine reads pictures, whose tokens see one another both ways."""
    kv_cache_dtype: KvCacheDtype | None = None
    """It holds for this number format of the cache; unset: for any."""
    since_capability: Capability | None = None
    """Oldest compute capability that it holds for; unset: any."""
    before_capability: Capability | None = None
    """First compute capability that it does not hold for; unset: none."""
    last_version: str | None = None
    """The last release that was read, or reported, with this limit, where a newer one is known without it."""
    sources: Sources
    """Where it is from."""
    read: ReadOn
    """When it was read."""

    def holds(self, version: str, model: Model, kv_cache_dtype: KvCacheDtype, compute_capability: str) -> bool:
        """Whether a model with such a cache is not run on a card of NVIDIA's of this compute capability."""
        return (
            not compute_capability.startswith("gfx")
            and (self.last_version is None or at_least(self.last_version, version))
            and (self.since_capability is None or at_least(compute_capability, self.since_capability))
            and (self.before_capability is None or before(compute_capability, self.before_capability))
            and self.kv_cache_dtype in (None, kv_cache_dtype)
            and self._is_of(model)
        )

    def _is_of(self, model: Model) -> bool:
        compressed = model.kv_lora_rank is not None
        asked = {None: True, "compressed": compressed, "sparse": compressed and model.index is not None}
        heads = {model.head_dim, *(() if model.sliding_head_dim is None else (model.sliding_head_dim,))}
        return (
            (not self.architectures or model.architecture.removesuffix("_text") in self.architectures)
            and asked[self.attention]
            and (not self.other_heads_than or not (compressed or heads <= set(self.other_heads_than)))
            and (not self.reads_pictures or _reads_pictures(model))
        )


def _reads_pictures(model: Model) -> bool:
    return not model.is_text_only and any(module.kind == "tower" for module in model.modules)


def lack_on_card(
    rows: Iterable[CardLimit],
    engine: Engine,
    version: str,
    model: Model,
    kv_cache_dtype: KvCacheDtype,
    accelerator: Accelerator,
) -> str | None:
    """Why a model with such a cache is refused on a card, in a sentence; None where nothing is known to forbid it."""
    capability = accelerator.compute_capability
    for row in rows:
        if row.holds(version, model, kv_cache_dtype, capability):
            return (
                f"{ENGINE_TITLES[engine]} {version} has no kernels for {row.what} ({model.id}) on {accelerator.name} (compute "
                f"capability {capability}) and ends at start: {row.instead}"
            )
    return None
