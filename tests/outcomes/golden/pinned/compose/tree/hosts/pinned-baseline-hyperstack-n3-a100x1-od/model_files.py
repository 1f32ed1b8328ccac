"""Which files of a repository an engine reads: one rule for listing, counting, downloading, verifying and cleaning.

A repository often holds its weights more than once, in other formats or for other programs. Engines read one set: what
the index of the safetensors names; without an index the safetensors themselves; files of PyTorch where there are no
safetensors. Mistral's own ``consolidated*`` files are read where Transformers' set lacks its configuration or its
tokenizer; where both are there, one of them must not be on the disk, since vLLM decides by what it finds.

Read in vLLM 0.33.0: ``DefaultModelLoader._prepare_weights`` and ``weight_utils``; ``is_mistral_model_repo``, which looks
for ``consolidated*.safetensors``; ``LoRAModel.from_local_checkpoint`` for adapters. Its Run:ai loader reads every
``*.safetensors`` of a folder without asking the index, so whatever else lay there would be loaded too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase

ADAPTER = "adapter"
"""The kind of a repository that holds a LoRA adapter. A draft model is a model."""

SAFETENSORS, PYTORCH, MISTRAL = "model.safetensors", "pytorch_model.bin", "consolidated.safetensors"
_INDEX = ".index.json"

_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
"""In the order in which an engine looks for them."""

_NO_WEIGHTS = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt")
"""What a training leaves beside weights; vLLM passes over files that end so."""

_HF_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "*.tiktoken", "tiktoken.model")

_SMALL = (
    *("*.json", "*.jinja", "*.model", "tokenizer.model.v*", "*.tiktoken", "*.bpe", "*.spm", "*.vocab"),
    *("merges.txt", "vocab.txt"),
)
"""Configuration, tokenizer, processor and chat template, in the repository's own folder."""

_CHAT_TEMPLATES = "additional_chat_templates/*.jinja"

_NOT_READ = (f"*{_INDEX}", "trainer_state.json", "adapter_config.json")
"""Small files that are not read: indexes of other sets, a training's log, and what makes Transformers take a model for an
adapter."""

_OTHER_PROGRAMS = frozenset({"original", "metal", "onnx", "openvino", "gguf", "flax", "tf", "coreml", ".cache"})
"""Folders of copies for other programs."""


class NoWeightsError(Exception):
    """The repository holds no weights that an engine reads, or not all of those that its index names."""


def engine_files(
    names: Iterable[str], read: Callable[[str], bytes], kind: str = "model", *, runs_code: bool = False
) -> tuple[str, ...]:
    """The files that an engine reads, in the order of their names.

    ``read`` gives the content of a file, and is asked for an index at most. ``runs_code``: the engine was told to trust
    the repository's code. Raises NoWeightsError.
    """
    every = frozenset(names)
    own = frozenset(name for name in every if "/" not in name)
    weights = _adapter_weights(own) if kind == ADAPTER else _weights(every, own, read)
    chosen = {*weights, *_small_files(every, own, kind)}
    if runs_code:
        chosen |= {name for name in every if name.endswith(".py") and name.split("/")[0] not in _OTHER_PROGRAMS}
    for name in chosen:
        if not is_safe(name):
            raise NoWeightsError(f"{name!r} cannot name a file of a model")
    return tuple(sorted(chosen))


def is_safe(name: str) -> bool:
    """Whether a name stays inside the model's folder, and outside of the notes that are kept there."""
    parts = name.split("/")
    return not ({"", ".", ".."} & set(parts)) and parts[0] != ".cache" and "\\" not in name and "\0" not in name


def _adapter_weights(own: Collection[str]) -> set[str]:
    found = next((name for name in _ADAPTER_WEIGHTS if name in own), None)
    if found is None or "adapter_config.json" not in own:
        raise NoWeightsError("it is no LoRA adapter: adapter_config.json or adapter_model.safetensors is missing")
    return {found}


def _weights(every: Collection[str], own: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    of_mistral = {name for name in own if fnmatchcase(name, "consolidated*.safetensors")}
    complete = "config.json" in own and any(_matches(name, _HF_TOKENIZERS) for name in own)
    found: set[str] = set()
    if complete or not of_mistral:
        found = _safetensors(every, {name for name in own if name.endswith(".safetensors")} - of_mistral, read)
    if not found and of_mistral:
        return _indexed(MISTRAL, every, read) or of_mistral
    found = found or _pytorch(every, own, read)
    if not found:
        formats = sorted({name.rpartition(".")[2] for name in every if _matches(name, ("*.gguf", "*.pth", "*.onnx"))})
        instead = f" but .{' and .'.join(formats)} files" if formats else ""
        raise NoWeightsError(f"it holds no weights that an engine reads (safetensors, else .bin or .pt){instead}")
    return found


def _safetensors(every: Collection[str], loose: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    if indexed := _indexed(SAFETENSORS, every, read):
        return indexed
    return {SAFETENSORS} if SAFETENSORS in loose else set(loose) - set(_ADAPTER_WEIGHTS)


def _pytorch(every: Collection[str], own: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    """A ``.bin`` set, else a ``.pt`` set."""
    if indexed := _indexed(PYTORCH, every, read):
        return indexed
    if PYTORCH in own:
        return {PYTORCH}
    loose = {name for name in own if not name.endswith(_NO_WEIGHTS) and name not in _ADAPTER_WEIGHTS}
    return {name for name in loose if name.endswith(".bin")} or {name for name in loose if name.endswith(".pt")}


def _indexed(weights: str, every: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    """The index of a set and every file that it names; nothing where there is no index, or an empty one."""
    index = f"{weights}{_INDEX}"
    if index not in every:
        return set()
    try:
        named = set(json.loads(read(index))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoWeightsError(f"{index} is not an index of weights") from None
    missing = sorted(str(name) for name in named if name not in every)
    if missing:
        raise NoWeightsError(f"{index} names {missing[0]}, which is not there ({len(missing)} of {len(named)} missing)")
    return {index, *named} if named else set()


def _small_files(every: Collection[str], own: Collection[str], kind: str) -> set[str]:
    not_read = [pattern for pattern in _NOT_READ if kind != ADAPTER or pattern != "adapter_config.json"]
    small = {name for name in own if _matches(name, _SMALL) and not _matches(name, not_read)}
    return small | {name for name in every if fnmatchcase(name, _CHAT_TEMPLATES)}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
