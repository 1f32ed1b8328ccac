"""How much of a broad test is tried when.

Two kinds of test are broad. A law is tried on many examples: ``make test`` tries a thirty-second of them, ``make laws`` all.
A test that is marked ``broad`` has many cases of one kind, or is one long look over much that shorter tests look at as well:
``make test`` takes a share of the cases, the same at each run, and ``make broad`` takes exactly the others. So CI, which runs
all three, leaves nothing out, and runs nothing twice but the laws.

Whoever names files, folders or tests gets all of them: the share is taken where the whole suite is run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar, get_args

WHOLE = os.environ.get("AGENTGPU_LAWS") == "whole"

Part = Literal["share", "others", "all"]
"""Of the broad tests: what ``make test`` takes, what it leaves to ``make broad``, or both."""

Item = TypeVar("Item")


def examples(count: int) -> int:
    """Examples to try of a law that ``make laws`` tries on ``count``; never under four."""
    return count if WHOLE else max(count // 32, min(count, 4))


def part_asked(named: bool, *, said: str | None = os.environ.get("AGENTGPU_BROAD")) -> Part:
    """The part that ``AGENTGPU_BROAD`` asks for; where it says nothing, all of what is named, or else the share.

    Raises:
        ValueError: it asks for something else.
    """
    if not said:
        return "all" if named else "share"
    for part in get_args(Part):
        if said == part:
            return part  # type: ignore[no-any-return]
    raise ValueError(f"AGENTGPU_BROAD is {said!r}: it may be {', '.join(get_args(Part))}")


def parted(items: Iterable[tuple[Item, str, int | None]], part: Part) -> Iterator[tuple[Item, bool]]:
    """Each test with whether it belongs to the part.

    A test comes with the name of its function and, where it is broad, with the number ``every`` of its mark: the share is the
    first of the function's cases and every so-many-th after it; none of them where ``every`` is 0.
    """
    met: Counter[str] = Counter()
    for item, function, every in items:
        in_share = every is None or (every > 0 and met[function] % every == 0)
        met[function] += 1
        yield item, part == "all" or in_share == (part == "share")
