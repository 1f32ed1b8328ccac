"""Models that are no chat models, told by their names or by their config.json, and that the catalog does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

EMBEDDING_MODEL: Final = "an embedding model"
RERANKER: Final = "a reranker"

_BY_NAME: Final[Mapping[str, str]] = {
    RERANKER: r"rerank|cross-encoder|ms-marco",
    EMBEDDING_MODEL: (
        r"embed|sentence-transformers/|(^|[/_-])(bge|gte|e5|minilm|mpnet|stella|colbert|splade|sfr|uae|mxbai)([-_.\d]|$)"
    ),
    "a speech model": r"whisper|parakeet|wav2vec|[-_]tts\b|[-_]asr\b|kokoro",
    "an image or video model": r"stable-diffusion|sdxl|[-_/]flux|text-to-(image|video)|qwen-image|wan2\.",
}
"""What it is -> words of its name; the first that fits counts."""

_BY_CONFIG: Final[Mapping[str, str]] = {
    "a reward model": r"ForRewardModel$",
    "an embedding model of a shape that is not read": r"(?:MPNet|Gte|New|Nomic|Deberta\w*|Distil\w*|Electra|Albert|T5Encoder)"
    r"\w*(?:Model|ForMaskedLM|ForSequenceClassification)$|EmbeddingModel$",
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
    if kind in (EMBEDDING_MODEL, RERANKER):
        return f"{name!r} seems to be {kind} that the catalog does not know"
    return f"{name!r} is {kind}, and such models are not planned: an agent needs a model that chats, embeds or ranks"


def what_to_do(kind: str) -> str:
    """What one writes instead."""
    if kind in (EMBEDDING_MODEL, RERANKER):
        return "give the path of its config.json instead, or name one of `agentgpu catalog list models`"
    return "serve it beside the stack, and leave it out here"
