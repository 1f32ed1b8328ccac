"""What the weight files beside a config say: bytes and formats of every tensor, from the headers of safetensors files.

A file begins with the length of its header (8 bytes, little endian) and a JSON object: tensor, format, shape, place. An
index (``model.safetensors.index.json``) says the size of all files together, and which tensors they hold. Where they lie
beside a config.json they are the truth for bytes. Nothing but headers is read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.model import Model, Module, ModuleKind
from agentgpu_iac.catalog.quantisation.formats import SIXTEEN_BIT
from agentgpu_iac.errors import BadInput, shortened
from agentgpu_iac.inputs import json_of
from agentgpu_iac.units import GIB, counted

INDEX: Final = "model.safetensors.index.json"
PATTERN: Final = "*.safetensors"
LENGTH_BYTES: Final = 8
_LARGEST_FILE: Final = 10**15
LARGEST_HEADER: Final = 100 * 2**20
"""Readers of the format refuse larger headers."""

_LOADED_IN_16_BIT: Final = {"F32": 0.5, "F64": 0.25}
"""Formats that engines load in 16 bit, and the share of their bytes that is left."""
_KNOWN_FORMATS: Final = frozenset(
    {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F4", "I16", "U16", "F16", "BF16", "I32", "U32", "I64", "U64"}
) | frozenset(_LOADED_IN_16_BIT)
_ROUNDING: Final = 0.001
_DIFFERS: Final = 0.03
"""Parts that the files and the shape count differently by more than this share are said."""

_KINDS: Final[Mapping[ModuleKind, str]] = {
    "draft": r"(^|\.)(mtp|nextn|eagle|medusa)(\.|_)",
    "tower": r"(^|\.)(visual|vision\w*|audio\w*|multi_modal_projector|mm_projector|embed_vision|embed_audio|patch_\w+)\.",
    "table": r"embed_tokens_per_layer|ngram|(^|\.)ple\.",
    "output_head": r"(^|\.)lm_head\.|(^|\.)output\.weight$",
    "embedding": r"(embed_tokens|word_embeddings|tok_embeddings|\.wte|^embeddings?|embedding)\b",
    "shared_experts": r"shared_expert|share_expert|shared_mlp",
    "router": r"\.(mlp|ffn|mixer|block_sparse_moe|feed_forward|moe)\.(gate|router)\b(?!_)|\.router\.|e_score_correction",
    "routed_experts": r"\.experts?\.|\.experts_|switch_mlp",
    "recurrent": (
        r"linear_attn|\.mamba|\.conv\.|in_proj_(qkv|z|b|a)|A_log|dt_bias|conv1d|\.ssm|\.kda|\.mixer\.(in_proj|out_proj|norm|D\b)"
    ),
    "attention": r"self_attn|attention|\.attn\.|[qkvo]_proj|\bwq|\bwk|\bwv|\bwo|indexer",
    "feed_forward": r"\.mlp\.|feed_forward|\.ffn\.|(gate|up|down)_proj|\bw[123]\b|\.mixer\.",
}
"""The part of a model that a tensor belongs to, by words of its name: the first that fits."""
_SMALL: Final = 0.01
"""A part of less than this share of the weights may have no tensors of its own name."""
_LAYER: Final = re.compile(r"(?:^|\.)layers\.(\d+)\.")


class UnreadableError(Exception):
    """A file is no weight file. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a file."""

    name: str
    file_bytes: int
    """What it takes of the file."""
    loaded_bytes: float
    """What an engine holds of it: 32-bit floats are loaded in 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFiles:
    """What lies beside a config: the tensors of all files, and the size that an index states."""

    tensors: tuple[Tensor, ...] = ()
    total_bytes: int | None = None


def header_length(first: bytes, file_bytes: int) -> int:
    """The length of the header, from the first eight bytes of a file of this size.

    Raises:
        UnreadableError: it is cut off, or claims more than the file holds.
    """
    if len(first) < LENGTH_BYTES:
        raise UnreadableError("is cut off before its header")
    length = int.from_bytes(first[:LENGTH_BYTES], "little")
    if length > min(LARGEST_HEADER, file_bytes - LENGTH_BYTES):
        raise UnreadableError(f"claims a header of {counted(length, 'byte')}, and has {file_bytes:,} in all")
    return length


def tensors_of(header: bytes) -> tuple[Tensor, ...]:
    """The tensors that a header describes.

    Raises:
        UnreadableError: it is no such header, or contradicts itself.
    """
    try:
        entries = json_of(header, "")
    except BadInput as error:
        raise UnreadableError(f"has a header that {error.faults[0].message}") from error
    if not isinstance(entries, dict):
        raise UnreadableError("has a header that is no object")
    return tuple(_tensor(name, entry) for name, entry in entries.items() if name != "__metadata__")


def _tensor(name: str, entry: object) -> Tensor:
    form, place = (entry.get("dtype"), entry.get("data_offsets")) if isinstance(entry, dict) else (None, None)
    if not isinstance(form, str) or form not in _KNOWN_FORMATS:
        raise UnreadableError(
            f"has a tensor {shortened(name)!r} in a format that is not known: {shortened(str(form))!r}"
        )
    first, last = place if isinstance(place, list) and [type(each) for each in place] == [int, int] else (1, 0)
    if not 0 <= first <= last <= _LARGEST_FILE:
        raise UnreadableError(f"has a tensor {shortened(name)!r} without a place in the file")
    size = last - first
    return Tensor(name=name, file_bytes=size, loaded_bytes=size * _LOADED_IN_16_BIT.get(str(form), 1.0))


def index_bytes(content: bytes | str) -> int | None:
    """The size of all weights that an index states; nothing where it states none.

    Raises:
        UnreadableError: it is no index.
    """
    try:
        found = json_of(content, "")
    except BadInput as error:
        raise UnreadableError(error.faults[0].message) from error
    stated = found.get("metadata") if isinstance(found, dict) else None
    size = stated.get("total_size") if isinstance(stated, dict) else None
    return int(size) if isinstance(size, int | float) and not isinstance(size, bool) and 0 < size < 10**16 else None


def checked(files: WeightFiles) -> WeightFiles:
    """The files, if they are all that the index states.

    Raises:
        UnreadableError: some are missing, or they are not those of the index.
    """
    held, stated = sum(tensor.file_bytes for tensor in files.tensors), files.total_bytes
    if held and stated and abs(held / stated - 1) > _ROUNDING:
        raise UnreadableError(
            f"states {counted(stated, 'byte')}, and the weight files beside it hold {held:,}: fetch all of them, or none"
        )
    return files


def kind_of(name: str, layers: int) -> ModuleKind:
    """The part that a tensor belongs to; layers beyond the model's own are for speculation."""
    number = _LAYER.search(name)
    if number and int(number[1]) >= layers:
        return "draft"
    return next((kind for kind, words in _KINDS.items() if re.search(words, name)), "other")


def with_files(model: Model, files: WeightFiles) -> Model:
    """The model with the bytes that its files hold.

    Each part of the shape has the bits that its tensors take; what the files hold of other parts is added in 16 bit. The
    layers for speculation are a part of their own, which engines do not load otherwise. An index alone says the total.
    """
    if not files.tensors:
        return model if files.total_bytes is None else model.model_copy(update={"checkpoint_bytes": files.total_bytes})
    found = Counter[ModuleKind]()
    for tensor in files.tensors:
        found[kind_of(tensor.name, _layer_count(model))] += round(tensor.loaded_bytes)
    loaded = sum(size for kind, size in found.items() if kind != "draft")
    if any(module.parameters > _SMALL * model.params_total and not found[module.kind] for module in model.modules):
        return model.model_copy(update={"checkpoint_bytes": loaded})  # its names do not tell its parts: the total does
    parts = tuple(_part(module, model, found) for module in model.modules)
    known = {module.kind for module in model.modules}
    more = tuple(
        Module(kind=kind, parameters=size // 2, precision="bf16")
        for kind, size in sorted(found.items())
        if kind not in known and size >= 2
    )
    return model.model_copy(update={"modules": (*parts, *more), "unread": (*model.unread, *_odd(model, found))})


def _layer_count(model: Model) -> int:
    """Layers of any kind; where some hold attention and a recurrent layer side by side, too many, which does no harm."""
    layers = model.layers
    return layers.full + layers.sliding + layers.recurrent + layers.stateless + layers.shared


def _part(module: Module, model: Model, found: Mapping[ModuleKind, int]) -> Module:
    """A part with the bits that its tensors take; in several formats it keeps what its quantisation says of each."""
    alone = sum(1 for other in model.modules if other.kind == module.kind) == 1
    size = found.get(module.kind, 0)
    if not (alone and size and module.parameters):
        return module
    bits = 8 * size / module.parameters
    return module.model_copy(update={"bits": bits}) if 0 < bits <= 32 else module


def _odd(model: Model, found: Mapping[ModuleKind, int]) -> Iterable[str]:
    """Sentences on parts in 16 bit that the files and the shape count differently."""
    for module in model.modules:
        size, expected = found.get(module.kind, 0), module.parameters * 2
        is_plain = module.precision in SIXTEEN_BIT and module.bits is None and module.kind != "other"
        if is_plain and expected and abs(size / expected - 1) > _DIFFERS:
            words = module.kind.replace("_", " ")
            yield f"its files hold {size / GIB:.2f} GiB of {words}, and its config counts {expected / GIB:.2f}"
