"""What people call an accelerator or a model, and what that may mean: ids, display names, a model without its publisher."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def accelerators_meant(word: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Ids of the accelerators that a word may mean: the one whose id or name it is, in any case and with hyphens, underscores
    or spaces between its words; else all whose name begins with it.

    Args:
        word: What was written.
        names: Each id with the name that people call it by.
    """
    folded = _folded(word)
    own = tuple(key for key, name in names.items() if folded in (_folded(key), _folded(name)))
    return own or tuple(key for key, name in names.items() if folded and _folded(name).startswith(f"{folded}-"))


def is_exact(word: str, key: str, name: str) -> bool:
    """Whether a word is the id or the name of an accelerator, and not only its beginning."""
    return _folded(word) in (_folded(key), _folded(name))


def models_meant(word: str, ids: Iterable[str]) -> tuple[str, ...]:
    """Ids of the models that a name without a publisher may mean."""
    folded = word.casefold()
    return () if "/" in word else tuple(each for each in ids if each.casefold().rpartition("/")[2] == folded)


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "-", word.casefold()).strip("-")
