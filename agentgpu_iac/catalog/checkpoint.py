"""The published checkpoint of a model: its parts in the formats that its files say."""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.catalog.model import Model, ModelFacts
from agentgpu_iac.catalog.quantisation import Scheme, quantised, scheme_of
from agentgpu_iac.catalog.quantisation.linears import FeedForward, Layer, Mixer, linears_of


def stored(
    model: Model, facts: ModelFacts, scheme: Scheme, layers: Sequence[Layer], faults: list[tuple[str, str]]
) -> Model:
    """The model with its parts as a quantisation stores them.

    Args:
        model: Its parts counted, in the format of its plain tensors.
        facts: Its shape.
        scheme: What its files say.
        layers: What each layer is made of, in order.
        faults: Where faults are noted: (path, message).
    """
    found = quantised(scheme, model.modules, linears_of(facts, layers), faults)
    return model.model_copy(
        update={
            "modules": found.modules,
            "native_precision": found.native,
            "quantisation": scheme.method,
            "checkpoint_cache": scheme.cache,
            "unclear": found.warnings,
        }
    )


def stored_as_listed(model: Model, facts: ModelFacts) -> Model:
    """The model of a catalog row whose quantisation is listed; the order of its layers is not known, and not needed.

    Raises:
        ValueError: the row contradicts itself.
    """
    if facts.quantization is None:
        return model
    faults: list[tuple[str, str]] = []
    scheme = scheme_of({"quantization_config": facts.quantization}, None, faults)
    found = model if scheme is None else stored(model, facts, scheme, _layers(facts), faults)
    if faults:
        raise ValueError("; ".join(f"{path}: {message}" for path, message in faults))
    return found


def _layers(facts: ModelFacts) -> tuple[Layer, ...]:
    """The layers by kind, in any order."""
    counts = facts.layers
    if counts is None:
        return ()
    alone, dense = counts.stateless, facts.dense_layers or 0
    mixers: list[Mixer] = ["full"] * counts.full
    mixers += ["sliding"] * counts.sliding
    mixers += ["recurrent"] * counts.recurrent
    feed: list[FeedForward] = [
        "experts" if facts.experts and number >= dense else "dense" for number in range(alone or len(mixers))
    ]
    if alone:
        made = [Layer(mixer=mixer, feed_forward="none") for mixer in mixers]
        return (*made, *(Layer(mixer="none", feed_forward=kind) for kind in feed))
    return tuple(Layer(mixer=mixer, feed_forward=kind) for mixer, kind in zip(mixers, feed, strict=True))
