"""Versions, for comparison: read once, by ``packaging``.

A pre-release, a development build and a build of its own (``0.33.0rc1``, ``1.0.dev3``, ``0.33.0+cu129``) count as the
release that they lead to or are made from: they have its code. A text that only begins as a version (``0.5.9-cu126``)
counts as what it begins with. What is none at all (empty, ``latest``, ``nightly``) is an unknown version: it is neither
at least nor before any other.
"""

from __future__ import annotations

import re
from functools import cache

from packaging.version import InvalidVersion, Version

__all__ = ("Version", "at_least", "before", "order", "version_of")

_BEGINS_AS_A_VERSION = re.compile(r"\s*v?(\d+(?:\.\d+)*)")
_OLDEST = Version("0")


@cache
def version_of(text: str) -> Version | None:
    """The version that a text names, without what follows its numbers; None where it names none."""
    try:
        return Version(Version(text).base_version)
    except InvalidVersion:
        found = _BEGINS_AS_A_VERSION.match(text)
        return None if found is None else Version(found[1])


@cache
def at_least(text: str, first: str) -> bool:
    """Whether a version is ``first`` or newer; an unknown one is not."""
    known, limit = version_of(text), version_of(first)
    return known is not None and limit is not None and known >= limit


@cache
def before(text: str, limit: str) -> bool:
    """Whether a version is older than ``limit``; an unknown one is not."""
    return version_of(text) is not None and not at_least(text, limit)


def order(text: str) -> Version:
    """Where a version stands among others; an unknown one stands first."""
    return version_of(text) or _OLDEST
