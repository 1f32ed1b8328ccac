"""Where the KV cache of a session is while it pauses: kept on the accelerator, moved to the host, or dropped and read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PausedCache = Literal["keep", "offload", "drop"]
"""keep: on the accelerator. offload: in host memory, and loaded back. drop: nowhere, and its prompt is read again."""

_PCIE_4_GB_PER_S = 24.8
"""Host to device on PCIe 4.0 x16, pinned, each of eight A100 alone (nvbandwidth 0.8; NVIDIA developer forum, topic 352186)."""
_PCIE_5_GB_PER_S = 41.7
"""The same on H100 in vLLM's own blocks of 0.5 to 2 MB: half of the 83.4 GB/s of both directions together (vLLM blog, 8 January
2026, KV offloading connector)."""
_MOST_BUSY = 0.8
"""Part of the link's time above which nobody is promised a reload."""
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
    """Sessions whose cache its accelerators hold at once: those that it generates for."""
    mean_ms: float
    """Loading back what a mean request finds from before; 0 where it is dropped."""
    longest_ms: float
    """Loading back the longest history."""

    def busy_ratio(self, requests_per_ms: float) -> float:
        """Part of its time that the link loads."""
        return requests_per_ms * self.mean_ms

    def keeps_up(self, requests_per_ms: float) -> bool:
        """Whether the link is free often enough."""
        return self.busy_ratio(requests_per_ms) <= _MOST_BUSY

    def late_ms(self, requests_per_ms: float) -> float:
        """The longest reload behind those that come by themselves: it, and three mean waits for a link that takes equal times."""
        busy = min(_MOST_BUSY, self.busy_ratio(requests_per_ms))
        return self.longest_ms + _LATE_WAITS * self.mean_ms * busy / (2 * (1 - busy))
