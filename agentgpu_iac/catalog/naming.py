"""What people call an accelerator or a model, and what that may mean: ids, display names, a model without its publisher."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from agentgpu_iac.catalog.model import Accelerator, Provider
from agentgpu_iac.errors import did_you_mean


def accelerators_meant(word: str, cards: Iterable[Accelerator]) -> tuple[str, ...]:
    """Ids of the accelerators that a word may mean: those that it names in full (``is_exact``); else all that have each of its
    words in their name, in the name that the driver gives them, or as their memory.

    Args:
        word: What was written.
        cards: The accelerators that there are.
    """
    known, said = tuple(cards), words_of(word)
    own = tuple(card.id for card in known if is_exact(word, card))
    return own or tuple(card.id for card in known if said and said <= _words_about(card))


def is_exact(word: str, card: Accelerator) -> bool:
    """Whether a word names an accelerator in full: its id, its name, or the driver's name for it, in any case and with hyphens,
    underscores or spaces between words; or its name with the maker or its memory beside it (``NVIDIA H100 80GB SXM``).
    """
    if _folded(word) in {_folded(name) for name in (card.id, card.name, card.product_label) if name}:
        return True
    its, said = words_of(card.name), words_of(word)
    return bool(its) and its <= said <= _words_about(card)


def _words_about(card: Accelerator) -> frozenset[str]:
    return words_of(card.name) | words_of(card.product_label or "") | {f"{card.memory_gb:g}gb"}


_SAYS_NOTHING: Final = frozenset({"nvidia", "geforce", "tesla", "gpu", "tensor", "core", "nvlink", "amd", "instinct"})
"""Words of makers and series, which tell no card from another."""


def words_of(name: str) -> frozenset[str]:
    """The words of an accelerator's name, as the catalog spells them."""
    spaced = re.sub(r"\brtx(?=\d)", "rtx ", re.sub(r"[^a-z0-9]+", " ", name.casefold()))
    words = (re.sub(r"^sxm\d$", "sxm", re.sub(r"^(\d+)g$", r"\1gb", word)) for word in spaced.split())
    return frozenset(words) - _SAYS_NOTHING


def provider_meant(word: str, providers: Iterable[Provider]) -> str | None:
    """Id of the provider whose id or name a word is, in any case; None: it is neither of any."""
    folded = _folded(word)
    return next((each.id for each in providers if folded in (_folded(each.id), _folded(each.name))), None)


def models_meant(word: str, ids: Iterable[str]) -> tuple[str, ...]:
    """Ids of the models that a name without a publisher may mean."""
    folded = word.casefold()
    return () if "/" in word else tuple(each for each in ids if each.casefold().rpartition("/")[2] == folded)


_MOST_NEAR: Final = 3


def model_hint(reference: str, ids: Iterable[str]) -> str:
    """What to write for a model that is not known: ids spelt like it; else those that have each of its words in their name."""
    known = sorted(ids)
    if near := did_you_mean(reference, known):
        return near
    said = _name_words(reference)
    found = [each for each in known if said and said <= _name_words(each)]
    found = sorted(found, key=lambda each: (len(each), each))[:_MOST_NEAR]
    if not found:
        return "agentgpu catalog list models names them; for a model of your own write the path of its config.json"
    return f"did you mean {' or '.join(map(repr, found))}?"


def _name_words(reference: str) -> frozenset[str]:
    return frozenset(re.findall("[a-z0-9]+", reference.casefold().rpartition("/")[2]))


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "-", word.casefold()).strip("-")
