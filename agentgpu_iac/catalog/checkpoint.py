"""The published checkpoint of a model: its parts in the formats that its files say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from agentgpu_iac.catalog.engine_versions import Lack
from agentgpu_iac.catalog.model import CacheMethod, Model, ModelFacts, Option, QuantisationMethod, Repack
from agentgpu_iac.catalog.quantisation import Scheme, quantised, scheme_of
from agentgpu_iac.catalog.quantisation.linears import FeedForward, Layer, Mixer, linears_of
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES, Engine, KvCacheDtype, Precision


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


def with_repacks(model: Model, rows: Iterable[Repack]) -> Model:
    """The model with the published checkpoints of its family in other precisions."""
    alike = [
        (_likeness(model, row), row)
        for row in rows
        if row.has_experts == bool(model.experts) and row.precision != model.native_precision
    ]
    best: dict[Precision, int] = {}
    for likeness, row in alike:
        best[row.precision] = max(likeness, best.get(row.precision, 1))
    return model.model_copy(
        update={"repacks": tuple(row for likeness, row in alike if likeness == best[row.precision])}
    )


def _likeness(model: Model, row: Repack) -> int:
    """How much of the model's type a row names: that of the nearest family counts, qwen3_5 before qwen3."""
    return max((len(name) for name in row.architectures if model.architecture.startswith(name)), default=0)


def cache_dtype(asked: KvCacheDtype, model: Model, precision: Precision, can: Callable[[Option], bool]) -> KvCacheDtype:
    """The number format that the KV cache is kept in: as asked for, or for ``auto`` as the checkpoint asks.

    Args:
        asked: What the engine is told.
        model: The model; its own checkpoint counts, and only where it is run in its own precision.
        precision: Of the weights.
        can: Whether the engine's version heeds such a word.
    """
    cache = model.checkpoint_cache
    if asked != "auto" or cache is None or precision != model.native_precision or cache.precision != "fp8":
        return asked
    heeds: Option | None = _HEEDS.get((cache.method, model.kv_lora_rank is not None))
    return "fp8" if heeds is not None and can(heeds) else asked


_HEEDS: Mapping[tuple[CacheMethod, bool], Option] = {
    ("modelopt", False): "checkpoint-cache-modelopt",
    ("modelopt", True): "checkpoint-cache-modelopt",
    ("compressed-tensors", False): "checkpoint-cache-compressed-tensors",
    ("compressed-tensors", True): "checkpoint-cache-compressed-tensors-latent",
}
"""What an engine must be able to, by the method and whether attention is compressed. None heeds Quark's."""


def lack_of_method(
    rows: Iterable[QuantisationMethod], engine: Engine, version: str, model: Model, precision: Precision
) -> Lack | None:
    """Why a version is refused that does not run the checkpoint's quantisation; None where it does, or nobody knows."""
    if model.quantisation is None or precision != model.native_precision:
        return None
    own = [row for row in rows if row.engine == engine]
    if not own:
        return None
    title, what = f"{ENGINE_TITLES[engine]} {version}", f"checkpoints that are quantised by {model.quantisation}"
    row = next((row for row in own if row.method == model.quantisation), None)
    if row is None:
        return Lack(message=f"{title} does not run {what}, and no release read does", version=version, since=None)
    if row.before is not None and at_least(row.before, version):
        return Lack(message=f"{title} does not run {what}; {row.since} and newer do", version=version, since=row.since)
    if row.after is not None and at_least(version, row.after):
        message = f"{title} does not run {what} any more; {row.last} and older do"
        return Lack(message=message, version=version, since=row.last)
    return None
