"""What each layer of a model is made of: its mixer of tokens, and its feed-forward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentgpu_iac.catalog.huggingface.fields import MOST_FAULTS, MOST_LAYERS, Config, is_list
from agentgpu_iac.catalog.model import LayerCounts
from agentgpu_iac.errors import shortened
from agentgpu_iac.units import counted

Mixer = Literal["full", "sliding", "recurrent", "both", "none"]
"""``both``: attention over the whole context and a recurrent layer, side by side."""
FeedForward = Literal["dense", "experts", "none"]

_WORDS: Final[Mapping[str, Mixer]] = {
    "full_attention": "full",
    "attention": "full",
    "global_attention": "full",
    "global": "full",
    "chunked_attention": "full",  # engines keep the whole cache unless told otherwise
    "minimax_m3_sparse": "full",
    "deepseek_sparse_attention": "full",
    "sparse": "full",
    "indexed_attention": "full",
    "sliding_attention": "sliding",
    "sliding": "sliding",
    "local": "sliding",
    "linear_attention": "recurrent",
    "kimi_delta_attention": "recurrent",
    "kda": "recurrent",
    "mamba": "recurrent",
    "mamba2": "recurrent",
    "conv": "recurrent",
    "short_conv": "recurrent",
    "hybrid": "both",
    "mlp": "none",
    "moe": "none",
}
"""Words of ``layer_types`` and ``layers_block_type``."""
_ALONE: Final[Mapping[str, FeedForward]] = {"mlp": "dense", "moe": "experts", "-": "dense", "E": "experts"}
"""Words and letters of layers that are a feed-forward alone."""
_LETTERS: Final[Mapping[str, Mixer]] = {"*": "full", "M": "recurrent", "-": "none", "E": "none"}
"""Letters of ``hybrid_override_pattern``."""
_EXPERT_WORDS: Final = frozenset({"sparse", "moe", "experts", "hash_moe"})

_EVERY: Final[Mapping[str, int]] = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3_text": 6,
    "gemma3n": 5,
    "gemma3n_text": 5,
    "gemma4": 6,
    "gemma4_text": 6,
    "gemma4_unified_text": 6,
    "gpt_oss": 2,
    "cohere2": 4,
    "olmo3": 4,
    "exaone4": 4,
    "exaone_moe": 4,
    "afmoe": 4,
    "mellum": 4,
}
"""Model types that alternate without saying so: one layer in so many is full, the others slide (transformers 5.24)."""
_FULL_EVERY: Final[Mapping[str, int]] = {
    "qwen3_next": 4,
    "qwen3_5_text": 4,
    "qwen3_5_moe_text": 4,
    "qwen3_5": 4,
    "olmo_hybrid": 4,
}
"""The same for recurrent layers in place of sliding ones."""


_FIRST_DENSE: Final[Mapping[str, int]] = {"laguna": 1, "hy_v4": 1}
"""Model types whose first layers have no experts where no field says so (transformers 5.24)."""
_STATES_KINDS: Final = frozenset({"flint", "lfm3"})
"""Model types whose kinds of layers follow no period: they must be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer."""

    mixer: Mixer
    feed_forward: FeedForward
    shares_cache: bool = False
    """Its attention reads the cache of an earlier layer."""


_TELLING: Final = (
    "layer_types",
    "layers_block_type",
    "hybrid_override_pattern",
    "full_attention_interval",
    "layer_group_size",
    "attn_layer_period",
    "attn_layer_offset",
    "attn_layer_indices",
    "full_attn_idxs",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "sliding_window_pattern",
    "global_attn_every_n_layers",
    "mlp_layer_types",
    "moe_layers_enum",
    "moe_layers",
    "moe_layer_freq",
    "mlp_only_layers",
    "first_k_dense_replace",
    "num_dense_layers",
    "moe_layer_start_index",
    "moe_layer_end_index",
    "moe_layer_interval",
    "decoder_sparse_step",
    "interleave_moe_layer_step",
    "expert_layer_period",
    "expert_layer_offset",
)
"""Fields that tell what layers are made of: the most explicit counts, and the others then say the same in other words."""


def layers_of(config: Config, *, has_experts: bool) -> tuple[Layer, ...]:
    """Every layer in order, from whichever field tells, in the order of how explicit they are."""
    config.read.update(_TELLING)
    words = _listed(config) or _pattern(config)
    if max(len(words), _count(config)) > MOST_LAYERS:
        config.fault("num_hidden_layers", f"no model has more than {MOST_LAYERS:,} layers")
        return ()
    if not words and config.text("model_type") in _STATES_KINDS:
        config.fault("layer_types", "is missing: which layers look at a window follows no rule in this architecture")
    kinds = _mixers_of_words(config, words) or _first_told(config, len(words) or _count(config))
    count = _checked_count(config, kinds)
    if not kinds:
        kinds = _all("full", count)
    if not config.faults and len(kinds) != count:
        config.fault("num_hidden_layers", f"is {count}, but what is described is {counted(len(kinds), 'layer')}")
    alone = [_ALONE.get(word) for word in words] if words else []
    told_alone = any(alone)
    dense = _dense(config, count) if has_experts else frozenset(range(count))
    shared = _shared(config, count)
    return tuple(
        Layer(
            mixer=kind,
            feed_forward=(alone[number] or "none") if told_alone else "dense" if number in dense else "experts",
            shares_cache=number >= count - shared and kind in ("full", "sliding"),
        )
        for number, kind in enumerate(kinds)
    )


def _first_told(config: Config, count: int) -> tuple[Mixer, ...]:
    for read in _READERS:
        if found := read(config, count):
            return found
    return ()


def counts_of(layers: Sequence[Layer]) -> LayerCounts:
    """Layers by the state that they keep; one that holds attention and a recurrent layer counts as both."""
    own = Counter(layer.mixer for layer in layers if not layer.shares_cache)
    return LayerCounts(
        full=own["full"] + own["both"],
        sliding=own["sliding"],
        recurrent=own["recurrent"] + own["both"],
        stateless=own["none"],
        shared=sum(1 for layer in layers if layer.shares_cache),
    )


def _count(config: Config) -> int:
    """The number of layers that is stated; a fault where it is more than any model has, and none then."""
    stated = config.integer("num_hidden_layers", "n_layer", "num_layers") or 0
    if stated > MOST_LAYERS:
        if not any(path == f"{config.prefix}num_hidden_layers" for path, _ in config.faults):
            config.fault("num_hidden_layers", f"is {stated}, and no model has more than {MOST_LAYERS:,} layers")
        return 1
    return stated


def _checked_count(config: Config, kinds: Sequence[Mixer]) -> int:
    """The number of layers: stated, or that of the list of them."""
    stated = _count(config)
    if not stated and not kinds:
        return config.required("num_hidden_layers")
    return stated or len(kinds)


def _listed(config: Config) -> tuple[str, ...]:
    """A word per layer."""
    for name in ("layer_types", "layers_block_type"):
        words = config.listed(name)
        if words:
            return tuple(str(word) for word in words)
    return ()


def _pattern(config: Config) -> tuple[str, ...]:
    """A letter per layer, as in Nemotron-H."""
    return tuple(config.text("hybrid_override_pattern"))


def _mixers_of_words(config: Config, words: Sequence[str]) -> tuple[Mixer, ...]:
    known = {**_WORDS, **_LETTERS}
    name = next(
        (each for each in ("layer_types", "layers_block_type") if config.listed(each)), "hybrid_override_pattern"
    )
    for unknown in sorted(set(words) - set(known))[:MOST_FAULTS]:
        config.fault(name, f"layers of the kind {shortened(unknown)!r} are unknown: their memory cannot be computed")
    return tuple(known[word] for word in words if word in known)


def _kimi(config: Config, _: int) -> tuple[Mixer, ...]:
    """Lists of layer numbers, counted from 1, as in Kimi Linear."""
    lists = config.section("linear_attn_config")
    full, recurrent = lists.listed("full_attn_layers"), lists.listed("kda_layers")
    if not (full and recurrent):
        return ()
    if not all(isinstance(number, int) for number in (*full, *recurrent)):
        config.fault("linear_attn_config", "full_attn_layers and kda_layers must be lists of layer numbers")
        return ()
    both = dict.fromkeys(full, "full") | dict.fromkeys(recurrent, "recurrent")
    if len(both) != len(full) + len(recurrent):
        config.fault("linear_attn_config", "a layer is both in full_attn_layers and in kda_layers")
    return _recurrent_but([both[number] == "full" for number in sorted(both, key=_number)].__getitem__, len(both))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _marked(config: Config, _: int) -> tuple[Mixer, ...]:
    """A 1 per sliding layer and a 0 per full one, as in MiMo."""
    return _sliding_but([mark != 1 for mark in config.listed("hybrid_layer_pattern")])


def _of_type(config: Config, count: int) -> tuple[Mixer, ...]:
    """Kinds that a model type fixes."""
    name = config.text("model_type")
    if name == "falcon_h1":
        return _all("both", count)
    return ()


def _periodic(config: Config, count: int) -> tuple[Mixer, ...]:
    """Attention every so many layers or at the listed ones, Mamba or short convolutions elsewhere."""
    period = config.integer("attn_layer_period")
    if period:
        offset = config.integer("attn_layer_offset") or 0
        return _recurrent_but(lambda number: number % period == offset, count)
    for name in ("attn_layer_indices", "full_attn_idxs"):
        listed = config.listed(name)
        if listed:
            return _recurrent_but(listed.__contains__, count)
    return _all("recurrent", count) if config.text("model_type") == "bamba" else ()


def _all(kind: Mixer, count: int) -> tuple[Mixer, ...]:
    return (kind,) * count


def _sliding_but(full: Sequence[bool]) -> tuple[Mixer, ...]:
    kinds: list[Mixer] = ["full" if is_full else "sliding" for is_full in full]
    return tuple(kinds)


def _recurrent_but(full: Callable[[int], bool], count: int) -> tuple[Mixer, ...]:
    kinds: list[Mixer] = ["full" if full(number) else "recurrent" for number in range(count)]
    return tuple(kinds)


def _every_so_many(config: Config, count: int) -> tuple[Mixer, ...]:
    """Every so many layers one of full attention, the others linear, as in Qwen3-Next."""
    interval = config.integer("full_attention_interval", "layer_group_size") or _FULL_EVERY.get(
        config.text("model_type")
    )
    if interval is None:
        return ()
    return _recurrent_but(lambda number: (number + 1) % interval == 0, count)


def _windowed(config: Config, count: int) -> tuple[Mixer, ...]:
    """A window that is in use, and the layers that it applies to."""
    window = config.integer("sliding_window")
    context = config.integer("max_position_embeddings")
    if window is None or config.get("use_sliding_window") is False or (context and window >= context):
        return ()
    pattern = config.get("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:  # EXAONE: L and G
        letters = (pattern[number % len(pattern)] for number in range(count))
        return _sliding_but([letter == "G" for letter in letters])
    every = (
        config.integer("global_attn_every_n_layers", "sliding_window_pattern")
        if not isinstance(pattern, str)
        else config.integer("global_attn_every_n_layers")
    ) or _EVERY.get(config.text("model_type"))
    if every:
        return _sliding_but([number % every == 0 for number in range(1, count + 1)])
    first = min(count, config.integer("max_window_layers") or 0)
    return _sliding_but([number < first for number in range(count)])


_READERS: Final[tuple[Callable[[Config, int], tuple[Mixer, ...]], ...]] = (
    _kimi,
    _marked,
    _of_type,
    _periodic,
    _every_so_many,
    _windowed,
)
"""Where the kinds of layers may stand, the most explicit first."""


def _dense(config: Config, count: int) -> frozenset[int]:
    """The numbers of the layers without experts."""
    for name in ("mlp_layer_types", "moe_layer_freq"):
        listed = config.get(name)
        if is_list(listed):
            return frozenset(number for number, mark in enumerate(listed) if not _has_experts(mark))
    chosen = config.get("moe_layers_enum") or config.get("moe_layers")
    if isinstance(chosen, str):
        chosen = [int(word) for word in chosen.split(",") if word.strip().isdigit()]
    if is_list(chosen):
        return frozenset(range(count)) - {number for number in chosen if isinstance(number, int)}
    return _dense_by_rule(config, count)


def _has_experts(mark: object) -> bool:
    """Whether a mark of a layer says that it has experts: a word, or a 1."""
    return mark in _EXPERT_WORDS if isinstance(mark, str) else mark == 1


def _dense_by_rule(config: Config, count: int) -> frozenset[int]:
    """Layers without experts: at the start and the end, listed, or all but every so many."""
    numbers = {number for number in config.listed("mlp_only_layers") if isinstance(number, int)}
    leading = config.integer("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index") or _FIRST_DENSE.get(
        config.text("model_type"), 0
    )
    numbers.update(range(min(leading, count)))
    last = config.get("moe_layer_end_index")
    if isinstance(last, int) and last > 0:
        numbers.update(range(last + 1, count))
    period = config.integer("expert_layer_period")
    if period:
        offset = config.integer("expert_layer_offset") or 0
        numbers.update(number for number in range(count) if number % period != offset)
    step = (
        config.integer("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", "moe_layer_freq") or 1
    )
    numbers.update(number for number in range(count) if (number + 1) % step)
    return frozenset(number for number in numbers if 0 <= number < count)


def _shared(config: Config, count: int) -> int:
    """Layers at the end that read the cache of an earlier one."""
    shared = config.integer("num_kv_shared_layers") or 0
    if shared >= count > 0:
        config.fault("num_kv_shared_layers", f"is {shared}, and of {counted(count, 'layer')} none would keep a cache")
        return 0
    return shared
