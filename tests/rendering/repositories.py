"""Repositories shaped as those that people serve, each with the files that an engine reads.

The shapes are from public listings: openai/gpt-oss-20b holds three copies, meta-llama's hold ``original/*.pth``,
mistralai's hold ``consolidated*`` beside or instead of Transformers' set. Contents are made up, and small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Repository:
    """Files by name, and which of them are read."""

    name: str
    files: dict[str, bytes]
    read: frozenset[str]
    kind: str = "model"

    @property
    def read_bytes(self) -> int:
        """What the read files weigh."""
        return sum(len(self.files[name]) for name in self.read)


def _index(*shards: str) -> bytes:
    return json.dumps(
        {"metadata": {}, "weight_map": {f"layer.{at}": shard for at, shard in enumerate(shards)}}
    ).encode()


def _repository(name: str, read: dict[str, bytes], beside: dict[str, bytes], kind: str = "model") -> Repository:
    return Repository(name, {**read, **beside}, frozenset(read), kind)


def _weights(*names: str, size: int = 3000) -> dict[str, bytes]:
    return {name: f"{name}|".encode() * (size // (len(name) + 1)) for name in names}


_CONFIG = {"config.json": b'{"model_type": "acme"}', "generation_config.json": b"{}"}
_TOKENIZER = {"tokenizer.json": b"{}", "tokenizer_config.json": b"{}", "special_tokens_map.json": b"{}"}
_PAPERS = {
    "README.md": b"# read me",
    "LICENSE": b"free",
    "USAGE_POLICY": b"be good",
    ".gitattributes": b"*",
    "a.png": b"p",
}
_SHARDS = ("model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors")

REPOSITORIES = (
    _repository(
        "openai/gpt-oss-20b",
        {**_CONFIG, **_TOKENIZER, "chat_template.jinja": b"{{ x }}", INDEX: _index(*_SHARDS), **_weights(*_SHARDS)},
        {
            **_PAPERS,
            "original/config.json": b"{}",
            "original/dtypes.json": b"{}",
            **_weights("original/model.safetensors", "metal/model.bin", size=6000),
        },
    ),
    _repository(
        "meta-llama/Llama-3.3-70B-Instruct",
        {**_CONFIG, **_TOKENIZER, INDEX: _index(*_SHARDS), **_weights(*_SHARDS)},
        {
            **_PAPERS,
            "original/params.json": b"{}",
            "original/tokenizer.model": b"t",
            "original/mp16/x.json": b"{}",
            **_weights("original/consolidated.00.pth", "original/consolidated.01.pth"),
        },
    ),
    _repository(
        "mistralai/both-sets",
        {
            **_CONFIG,
            **_TOKENIZER,
            "tekken.json": b"{}",
            "params.json": b"{}",
            INDEX: _index(*_SHARDS),
            **_weights(*_SHARDS),
        },
        {**_PAPERS, **_weights("consolidated.safetensors"), "consolidated.safetensors.index.json": _index()},
    ),
    _repository(
        "mistralai/no-tokenizer-of-transformers",
        {"config.json": b"{}", "params.json": b"{}", "tekken.json": b"{}", **_weights("consolidated.safetensors")},
        {**_PAPERS, INDEX: _index(*_SHARDS), **_weights(*_SHARDS)},
    ),
    _repository(
        "mistralai/consolidated-alone",
        {
            "params.json": b"{}",
            "tekken.json": b"{}",
            "consolidated.safetensors.index.json": _index("consolidated-00001-of-00001.safetensors"),
            **_weights("consolidated-00001-of-00001.safetensors"),
        },
        _PAPERS,
    ),
    _repository(
        "acme/single-with-another-precision",
        {**_CONFIG, **_TOKENIZER, **_weights("model.safetensors")},
        {**_weights("model.fp16.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"), **_PAPERS},
    ),
    _repository(
        "acme/shards-without-index",
        {**_CONFIG, **_TOKENIZER, **_weights(*_SHARDS)},
        {**_weights("onnx/model.onnx", "openvino/openvino_model.bin", "model.gguf", "adapter_model.safetensors")},
    ),
    _repository(
        "acme/pytorch",
        {
            **_CONFIG,
            "vocab.json": b"{}",
            "merges.txt": b"a b",
            "pytorch_model.bin.index.json": _index("pytorch_model-1.bin"),
            **_weights("pytorch_model-1.bin"),
        },
        {**_weights("training_args.bin", "optimizer.bin", "pytorch_model-old.bin"), "trainer_state.json": b"{}"},
    ),
    _repository(
        "acme/one-pytorch-file",
        {**_CONFIG, "tokenizer.model": b"t", **_weights("pytorch_model.bin")},
        {**_weights("training_args.bin", "a.pt")},
    ),
    _repository("acme/pt", {**_CONFIG, **_weights("model.pt")}, {**_weights("optimizer.pt", "scheduler.pt", "x.pth")}),
    _repository(
        "acme/vision",
        {
            **_CONFIG,
            **_TOKENIZER,
            "preprocessor_config.json": b"{}",
            "processor_config.json": b"{}",
            "tokenizer.model.v3": b"t",
            "additional_chat_templates/tool_use.jinja": b"{{ x }}",
            **_weights("model.safetensors"),
        },
        {"configuration_acme.py": b"print()", "examples/a.json": b"{}", "mtp/model.safetensors": b"x"},
    ),
    _repository(
        "acme/adapter",
        {"adapter_config.json": b"{}", "tokenizer.json": b"{}", **_weights("adapter_model.safetensors")},
        {
            **_weights("adapter_model.bin", "checkpoint-500/optimizer.pt", "model.safetensors", "training_args.bin"),
            "checkpoint-500/adapter_model.safetensors": b"older",
        },
        kind="adapter",
    ),
    _repository(
        "acme/old-adapter", {"adapter_config.json": b"{}", **_weights("adapter_model.bin")}, {}, kind="adapter"
    ),
    _repository("acme/draft", {"config.json": b"{}", **_weights("pytorch_model.bin")}, {"draft.pth": b"x"}),
)
