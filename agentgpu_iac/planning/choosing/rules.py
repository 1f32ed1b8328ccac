"""What holds for every candidate of an agent: the engine's release and facts, and what the stack's target and spec ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentgpu_iac.catalog.engine_facts import EngineFacts
from agentgpu_iac.catalog.model import Calibration, EngineHostMemory, EngineRelease
from agentgpu_iac.catalog.prefix_cache import PrefixCache
from agentgpu_iac.sizing.capacity import RESERVE_RATIO
from agentgpu_iac.spec.vocabulary import GroupChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for every candidate of a stack."""

    release: EngineRelease
    facts: EngineFacts
    """What the engine can do in this version."""
    accounted_as: str
    """Version of vLLM whose overhead is counted."""
    round_trip_ms: float
    session_affine: bool
    offload: EngineHostMemory | None = None
    """What the engine takes of the host for KV cache that it moves there."""
    must_stream: bool = False
    """The stack names the streaming loader."""
    attention_groups: bool = False
    """Whether a replica may have several attention groups that share its experts."""
    group_choice: GroupChoice = "balanced"
    """Who chooses a request's group where there are several."""
    prefix_cache: PrefixCache = "by-default"
    """Whether the engine keeps a session's context between its requests."""
    fills_machines: bool = False
    """Whether a replica must take all accelerators of its machine."""
    reserve_ratio: float = RESERVE_RATIO
    """Share of an accelerator's memory that the stack wants free; where the engine leaves less room, that counts."""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """What the user measured, by accelerator id, for the agent's model."""
