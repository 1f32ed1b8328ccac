"""Models that are no chat models, told by their names or by their config.json: they are not planned yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_BY_NAME: Final[Mapping[str, str]] = {
    "a reranker": r"rerank|cross-encoder|ms-marco",
    "an embedding model": (
        r"embed|sentence-transformers/|(^|[/_-])(bge|gte|e5|minilm|mpnet|stella|colbert|splade|sfr|uae|mxbai)([-_.\d]|$)"
    ),
    "a speech model": r"whisper|parakeet|wav2vec|[-_]tts\b|[-_]asr\b|kokoro",
    "an image or video model": r"stable-diffusion|sdxl|[-_/]flux|text-to-(image|video)|qwen-image|wan2\.",
}
"""What it is -> words of its name; the first that fits counts."""

_BY_CONFIG: Final[Mapping[str, str]] = {
    "a reranker or classifier": r"ForSequenceClassification$|ForTokenClassification$|ForRewardModel$",
    "an embedding model": r"[Bb]ert\w*(?:Model|ForMaskedLM)$|^(?:MPNet|Gte|New)Model$|EmbeddingModel$",
    "a speech model": r"^Whisper|ForCTC$|ForSpeech",
}
"""What it is -> its class in ``architectures``."""


def other_kind_by_name(name: str) -> str | None:
    """What a model is that its name tells to be no chat model; None where it does not tell."""
    return next((kind for kind, words in _BY_NAME.items() if re.search(words, name, re.IGNORECASE)), None)


def other_kind_by_class(name: str) -> str | None:
    """What a model is whose class is none of a chat model; None where it may be one."""
    return next((kind for kind, form in _BY_CONFIG.items() if re.search(form, name)), None)


def not_planned(name: str, kind: str) -> str:
    """The sentence that says so."""
    return f"{name!r} is {kind}, and such models are not planned yet: an agent needs a model that chats"
