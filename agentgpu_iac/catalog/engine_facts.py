"""What an engine can do from a version on, beside its memory accounting and its metrics: facts of ``data/engines``."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.catalog.engine_cards import Capability, CardLimit
from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.catalog.model.scalars import Sources
from agentgpu_iac.catalog.versions import at_least, before
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Engine, Precision

Execution = Literal["native", "weight-only"]
"""How weights of a precision are run: as the format is meant to be, or, on a card without units for it, unpacked to 16
bit as they are read."""


class Kernel(Document):
    """Kernels for weights of one precision, on a range of cards."""

    precision: Precision
    """Of the weights."""
    platform: Literal["cuda", "rocm"]
    """Whose cards."""
    how: Execution
    """What they do with the weights."""
    since_capability: Capability | None = None
    """Oldest compute capability with them; unset: any."""
    before_capability: Capability | None = None
    """First compute capability on which others are used; unset: none."""

    def runs_on(self, compute_capability: str) -> bool:
        """Whether they run on cards of this compute capability; ``gfx...`` are AMD's."""
        if compute_capability.startswith("gfx"):
            return self.platform == "rocm"
        return (
            self.platform == "cuda"
            and (self.since_capability is None or at_least(compute_capability, self.since_capability))
            and (self.before_capability is None or before(compute_capability, self.before_capability))
        )


class EngineFacts(Document):
    """What holds for an engine from a version on."""

    engine: Engine
    """Which engine."""
    version: str
    """First version for which it holds."""
    kernels: tuple[Kernel, ...]
    """Which precisions of weights it runs, where and how. What is in no row is refused."""
    lora_ranks: tuple[int, ...] = ()
    """Ranks that its flag for the widest LoRA adapter accepts; empty: any."""
    cards: tuple[CardLimit, ...] = ()
    """What it does not run on some cards, in this and every other version unless it says until which."""
    sources: Sources
    """Where the facts are from."""
    read: str
    """When they were read: YYYY-MM-DD."""
    note: str | None = None
    """What a reader should know about them."""

    def execution(self, accelerator: Accelerator, precision: Precision) -> Execution | None:
        """How the accelerator runs weights of this precision; None: it has no kernels for them."""
        for kernel in self.kernels:
            if kernel.precision == precision and kernel.runs_on(accelerator.compute_capability):
                return kernel.how
        return None
