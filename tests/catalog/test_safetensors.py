"""Weight files beside a config: their headers and their index are the truth for bytes."""

import dataclasses
import json

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.sizing.weights import weight_bytes

CATALOG = load_catalog()
CONFIG = {
    "model_type": "qwen3_moe",
    "num_hidden_layers": 1,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "intermediate_size": 128,
    "moe_intermediate_size": 32,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
LAYER = "model.layers.0"
TENSORS = {
    "model.embed_tokens.weight": ("BF16", 100 * 64 * 2),
    "lm_head.weight": ("BF16", 100 * 64 * 2),
    f"{LAYER}.self_attn.qkv_proj.weight": ("BF16", 64 * (64 + 64) * 2),
    f"{LAYER}.self_attn.o_proj.weight": ("BF16", 64 * 64 * 2),
    f"{LAYER}.mlp.gate.weight": ("F32", 4 * 64 * 4),
    f"{LAYER}.mlp.experts.0.w": ("U8", 4 * 3 * 64 * 32 // 2),
    f"{LAYER}.mlp.experts.0.w_scale": ("F8_E4M3", 4 * 3 * 64 * 32 // 16),
    "model.layers.1.eh_proj.weight": ("BF16", 5000),
}


def header(tensors):
    place, entries = 0, {"__metadata__": {"format": "pt"}}
    for name, (form, size) in tensors.items():
        entries[name] = {"dtype": form, "shape": [size], "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text, place


def write(folder, tensors=None, total=None, config=CONFIG):
    (folder / "config.json").write_text(json.dumps(config))
    if tensors is not None:
        head, size = header(tensors)
        (folder / "model-00001-of-00001.safetensors").write_bytes(head + bytes(size))
    if total is not None:
        index = {"metadata": {"total_size": total}, "weight_map": {}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return dataclasses.replace(CATALOG, base_directory=folder)


def refusal(catalog):
    with pytest.raises(BadInput) as caught:
        catalog.model("./config.json")
    return str(caught.value)


def test_parts_have_the_bits_of_their_tensors(tmp_path):
    model = write(tmp_path, TENSORS).model("./config.json")
    parts = {part.kind: part for part in model.modules}
    assert parts["routed_experts"].bits == pytest.approx(4.5)
    assert parts["attention"].bits == pytest.approx(16)
    assert parts["router"].bits == pytest.approx(16), "32-bit floats are loaded in 16"
    assert parts["draft"].parameters == 2500
    assert model.params_total == sum(part.parameters for kind, part in parts.items() if kind != "draft")


def test_the_weights_are_those_of_the_files(tmp_path):
    model = write(tmp_path, TENSORS).model("./config.json")
    files = sum(size for name, (_, size) in TENSORS.items() if "eh_proj" not in name) - 4 * 64 * 2
    assert weight_bytes(model, "bf16") == pytest.approx(files, rel=0.001)


def test_an_index_says_the_size_of_the_checkpoint(tmp_path):
    assert write(tmp_path, total=12_345_678).model("./config.json").checkpoint_bytes == 12_345_678
    assert write(tmp_path, total=0).model("./config.json").checkpoint_bytes is None


def test_files_without_a_name_that_is_known_count_in_all(tmp_path):
    strange = {f"blob.{number}": tensor for number, tensor in enumerate(TENSORS.values())}
    model = write(tmp_path, strange).model("./config.json")
    assert model.checkpoint_bytes == sum(size for _, size in TENSORS.values()) - 4 * 64 * 2


def test_a_part_that_the_shape_counts_otherwise_is_said(tmp_path):
    wider = TENSORS | {f"{LAYER}.self_attn.gate_proj.weight": ("BF16", 64 * 64 * 2)}
    (sentence,) = write(tmp_path, wider).model("./config.json").unread[:1]
    assert "attention" in sentence


def test_files_that_are_not_all_there_are_refused(tmp_path):
    message = refusal(write(tmp_path, TENSORS, total=10**9))
    assert "model.safetensors.index.json" in message
    assert "fetch all of them" in message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cut off"),
        (b"\x01\x02", "cut off"),
        ((10**9).to_bytes(8, "little") + b"{}", "claims a header"),
        ((2).to_bytes(8, "little") + b"{]", "not JSON"),
        ((2).to_bytes(8, "little") + b"[]", "no object"),
        ((40).to_bytes(8, "little") + b'{"x": {"dtype": "F8", "data_offsets": 3}}'[:40], ""),
        ((17).to_bytes(8, "little") + b'{"x": {"a": "b"}}', "not known"),
        ((48).to_bytes(8, "little") + b'{"x": {"dtype": "BF16", "data_offsets": [9, 1]}}', "without a place"),
    ],
)
def test_broken_and_hostile_files_name_themselves(tmp_path, content, why):
    catalog = write(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    message = refusal(catalog)
    assert "model.safetensors" in message
    assert why in message


def test_a_broken_index_names_itself(tmp_path):
    catalog = write(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert "model.safetensors.index.json" in refusal(catalog)


def test_an_encoder_of_32_bit_files_is_loaded_in_16(tmp_path):
    """Its layers have names of their own: the total tells, as for every model whose tensors do not tell their parts."""
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": 64,
        "intermediate_size": 256,
        "max_position_embeddings": 512,
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "vocab_size": 1000,
    }
    tensors = {
        "embeddings.word_embeddings.weight": ("F32", 1000 * 64 * 4),
        "encoder.layer.0.attention.self.query.weight": ("F32", 4 * 64 * 64 * 4),
        "encoder.layer.0.intermediate.dense.weight": ("F32", 2 * 64 * 256 * 4),
    }
    catalog = write(tmp_path, tensors=tensors, config=config)
    model = catalog.model("./config.json")
    assert weight_bytes(model, model.native_precision) == (1000 * 64 + 4 * 64 * 64 + 2 * 64 * 256) * 2
