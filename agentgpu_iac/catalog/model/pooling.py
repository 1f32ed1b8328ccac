"""Models that answer with a vector or a score and generate nothing: embedding models, rerankers, classifiers."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import PoolingKind


class Pooling(Document):
    """How such a model reads an input, and what an engine must be told of it."""

    kind: PoolingKind
    """What it answers with: a vector, the relevance of a pair of texts, or the scores of classes."""
    bidirectional: bool = False
    """Every token attends to the whole input (encoders, and decoders that were made so). Engines then keep no KV cache and
    read an input in one step."""
    pooled: Literal["cls", "mean", "last"] = "last"
    """The token that the answer is taken from, or the mean of all."""
    hf_overrides: str | None = None
    """vLLM --hf-overrides that name what the checkpoint's own config.json does not: a JSON object."""
    own_code: bool = False
    """Its repository brings code that must run for its tokenizer or its config to load."""
    converted: bool = False
    """A chat model that the engine is told to take vectors from."""
    needs_pair_template: bool = False
    """Made from a chat model: it scores a pair of texts in the words of a template that its repository does not hold."""

    @property
    def whole_inputs(self) -> bool:
        """Whether an input must fit one step: engines cut prompts only where all tokens attend backwards and the last one
        answers (vLLM 0.33.0: ModelConfig.is_chunked_prefill_supported).
        """
        return self.pooled != "last" or self.bidirectional
