"""What Gemma 3n and 4 have beside layers: embeddings of every layer, and residual streams that predict each other."""

from __future__ import annotations

from agentgpu_iac.catalog.huggingface.fields import Config
from agentgpu_iac.catalog.model import ExtraWeights


def tables_of(config: Config, hidden_size: int, layer_count: int) -> list[ExtraWeights]:
    """A table with a short vector for every token and layer, and what brings it into the layers."""
    width = config.integer("hidden_size_per_layer_input")
    vocabulary = config.integer("vocab_size_per_layer_input")
    if width is None:
        return []
    rows = vocabulary or config.required("vocab_size_per_layer_input")
    projections = layer_count * width * hidden_size * 3  # one from the embedding for each layer; and in each to and fro
    return [
        ExtraWeights(kind="table", parameters=rows * layer_count * width, what="embeddings of every layer"),
        ExtraWeights(kind="feed_forward", parameters=projections, what="projections of the embeddings of every layer"),
    ]


def streams_of(config: Config, hidden_size: int, layer_count: int) -> list[ExtraWeights]:
    """Gemma 3n: several residual streams with a matrix each to and fro, and a low-rank path beside every layer."""
    streams, rank = config.integer("altup_num_inputs") or 1, config.integer("laurel_rank") or 0
    parameters = 2 * (streams - 1) * hidden_size**2 + layer_count * 2 * hidden_size * rank
    return [ExtraWeights(kind="other", parameters=parameters, what="residual streams")] if parameters else []
