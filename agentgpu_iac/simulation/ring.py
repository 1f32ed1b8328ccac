"""NGINX's ``hash ... consistent``: sessions keep their replica while replicas come and go."""

from __future__ import annotations

import bisect
import zlib
from collections.abc import Iterator, Mapping, Sequence

_POINTS = 160
"""Points of a server of weight 1 on the ring (``ngx_http_upstream_hash_module.c``)."""


class Ring:
    """Replicas by number on the ring."""

    __slots__ = ("_owners", "_points")

    def __init__(self, replicas: Sequence[int], weights: Mapping[int, float] | None = None) -> None:
        """``weights``: points of each replica by those of one without; all alike if unset."""
        points = dict.fromkeys(replicas, _POINTS)
        if weights is not None:
            points = {number: round(_POINTS * weights[number]) for number in replicas}
        pairs = sorted((_hash(f"{number}:{point}"), number) for number in replicas for point in range(points[number]))
        self._points = [point for point, _ in pairs]
        self._owners = [number for _, number in pairs]

    def first(self, key: int) -> int:
        """The replica of a key."""
        points = self._points
        return self._owners[bisect.bisect_left(points, key) % len(points)]

    def replicas(self, key: int) -> Iterator[int]:
        """The replica of a key, then the next different ones on the ring."""
        count = len(self._points)
        start = bisect.bisect_left(self._points, key) % count
        yield self._owners[start]
        seen = {self._owners[start]}
        for step in range(1, count):
            owner = self._owners[(start + step) % count]
            if owner not in seen:
                seen.add(owner)
                yield owner


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
