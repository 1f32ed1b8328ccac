"""Where the KV cache of a session is while it pauses: kept on the accelerator, moved to the host, or dropped and read again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

PausedCache = Literal["keep", "offload", "drop"]
"""keep: on the accelerator. offload: in host memory, and loaded back. drop: nowhere, and its prompt is read again."""

_PCIE_4_GB_PER_S = 24.8
"""Host to device on PCIe 4.0 x16, pinned, each of eight A100 alone (nvbandwidth 0.8; NVIDIA developer forum, topic 352186)."""
_PCIE_5_GB_PER_S = 41.7
"""The same on H100 in vLLM's own blocks of 0.5 to 2 MB: half of the 83.4 GB/s of both directions together (vLLM blog, 8 January
2026, KV offloading connector). Measured on an H100 SXM by itself, pinned, one direction: 42.7, 41.9 and 48.5 GB/s in blocks of
0.5, 1 and 2 MiB (``docs/sizing.md``)."""
_MOST_BUSY = 0.8
"""Part of the link's time above which nobody is promised a reload."""
_ROUNDING = 1e-9
_LATE_WAITS = 3.0
"""A 95th percentile of a wait that is spread as an exponential, in means."""


def reload_gb_per_s(pcie_generation: int) -> float:
    """Rate at which one accelerator gets a session's cache back from pinned host memory; half for each generation before."""
    if pcie_generation >= 5:
        return _PCIE_5_GB_PER_S
    return _PCIE_4_GB_PER_S * 2.0 ** (min(4, pcie_generation) - 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """What a replica does with sessions that pause, where it does not keep them on its accelerators."""

    to: Literal["offload", "drop"]
    resident: int
    """Sessions whose cache its accelerators hold at once: those that it generates for, and those that paused last."""
    mean_ms: float
    """Loading back what a mean request finds from before, where it is not on the accelerators; 0 where it is dropped."""
    longest_ms: float
    """Loading back the longest history."""
    found: float = 0.0
    """Part of the requests that find their session's cache on the accelerators, since the pause was short."""
    reloaded_ratio: float = 0.0
    """Part of the earlier context that a reload brings back: none where it is dropped, and where the engine moves prompts alone
    all but what the request before generated."""
    held_ratio: float = 0.0
    """Part of the sessions that pause whose cache must still be there for that (``pauses``)."""

    @property
    def waits_ms(self) -> float:
        """What a request waits for its cache, on average over those that find it too."""
        return (1 - self.found) * self.mean_ms

    def held(self, sessions: int, generating: int) -> int:
        """Sessions whose cache the accelerators hold: of those that generate, and of as many others as must find theirs."""
        return generating + math.ceil(self.held_ratio * max(0, sessions - generating) - _ROUNDING)

    @property
    def prompts_ratio(self) -> float:
        """Part of the earlier context that need not be read again, on average: of those that find it all, of the others what is
        loaded back.
        """
        return self.found + (1 - self.found) * self.reloaded_ratio

    def longest_prompt_hit_ratio(self, hit_ratio: float) -> float:
        """Share of earlier context in the cache for the request that waits longest, which finds nothing on the accelerators."""
        return hit_ratio * self.reloaded_ratio / self.prompts_ratio if self.prompts_ratio else 0.0

    def busy_ratio(self, requests_per_ms: float) -> float:
        """Part of its time that the link loads."""
        return requests_per_ms * self.waits_ms

    def keeps_up(self, requests_per_ms: float) -> bool:
        """Whether the link is free often enough."""
        return self.busy_ratio(requests_per_ms) <= _MOST_BUSY

    def late_ms(self, requests_per_ms: float) -> float:
        """The longest reload behind those that come by themselves: it, and three mean waits for a link that takes equal times."""
        busy = min(_MOST_BUSY, self.busy_ratio(requests_per_ms))
        return self.longest_ms + _LATE_WAITS * self.mean_ms * busy / (2 * (1 - busy))
