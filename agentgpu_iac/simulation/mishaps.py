"""What befalls a fleet beside its traffic, and how its clients take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentgpu_iac.simulation.opening import OfficeClock

CLIENT_TRIES: Final = 3
"""Times that a client sends a request: the OpenAI and Anthropic SDKs retry twice (``DEFAULT_MAX_RETRIES``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishaps:
    """How often machines are taken, fail or are not to be had; nothing where nobody says so."""

    reclaims_per_hour: float = 0.0
    """How often the machine of each replica on spot is taken back, with its provider's notice."""
    failures_per_hour: float = 0.0
    """How often each replica's machine fails, with no notice: what it computes is lost to its callers, who try again."""
    refused_ratio: float = 0.0
    """Part of the asked-for machines that the provider has not: it is asked again after three minutes."""
    rollout_at_s: float | None = None
    """When a new version is rolled out, from the start of what is measured; None: none is."""
    client_tries: int = CLIENT_TRIES
    """Times that a client sends a request before it gives up."""
    clients_read_streams: bool = False
    """Whether clients also try again what an engine refuses in a stream that has begun; the SDKs do not."""


NOTHING: Final = Mishaps()
"""All goes well, and clients try as SDKs do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a fleet, in ms."""

    warm_ms: float
    """Nothing before it is counted."""
    end_ms: float
    """Nothing is sent after it."""
    seed: int
    mishaps: Mishaps
    clock: OfficeClock | None = None
    """What time it is, for baselines that follow a schedule; None: their windows are open all the time."""
