"""Models that generate nothing, read from their files: shapes to the parameter, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.model import LayerCounts
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput

BERT_LARGE: dict[str, Any] = {
    "architectures": ["BertModel"],
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
XLMR_LARGE = {
    **BERT_LARGE,
    "architectures": ["XLMRobertaModel"],
    "model_type": "xlm-roberta",
    "max_position_embeddings": 8194,
    "type_vocab_size": 1,
    "vocab_size": 250002,
}
RANKER = {**XLMR_LARGE, "architectures": ["XLMRobertaForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
MODERN_BERT: dict[str, Any] = {
    "architectures": ["ModernBertModel"],
    "model_type": "modernbert",
    "vocab_size": 50368,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "local_attention": 128,
    "global_attn_every_n_layers": 3,
    "max_position_embeddings": 8192,
}
QWEN3: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "vocab_size": 151665,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def read(config: dict[str, Any], pooling: dict[str, Any] | None = None) -> Any:
    return model_from_config(json.dumps(config), "local", pooling_text="" if pooling is None else json.dumps(pooling))


@pytest.mark.parametrize(
    ("config", "published", "longest"),
    [
        (BERT_LARGE, 335_141_888, 512),
        (XLMR_LARGE, 567_754_752, 8192),
        (RANKER, 567_755_777, 8192),
        (MODERN_BERT, 149_014_272, 8192),
    ],
    ids=["bge-large-en-v1.5", "bge-m3", "bge-reranker-v2-m3", "gte-modernbert-base"],
)
def test_parameters_of_published_encoders_to_the_last(config: dict[str, Any], published: int, longest: int) -> None:
    found = read(config)
    assert found.params_total == published
    assert found.max_context_tokens == longest
    assert not found.keeps_kv
    assert found.native_precision == "fp16"


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("BAAI/bge-large-en-v1.5", BERT_LARGE),
        ("BAAI/bge-m3", XLMR_LARGE),
        ("BAAI/bge-reranker-v2-m3", RANKER),
        ("Alibaba-NLP/gte-modernbert-base", MODERN_BERT),
    ],
)
def test_a_row_of_the_catalog_is_what_its_config_says(model: str, config: dict[str, Any]) -> None:
    row, found = load_catalog().model(model), read(config)
    what = {"id", "family", "sources", "note", "license", "gated", "is_local"}
    assert found.model_dump(exclude=what) == row.model_dump(exclude=what)


def test_a_modern_bert_has_windows() -> None:
    assert read(MODERN_BERT).layers == LayerCounts(full=8, sliding=14)


def test_what_sentence_transformers_put_beside_makes_an_embedding_model_of_a_decoder() -> None:
    chats, embeds = read(QWEN3), read(QWEN3, {"pooling_mode_lasttoken": True})
    assert chats.pooling is None
    assert embeds.pooling.kind == "embedding"
    assert embeds.keeps_kv
    assert not embeds.pooling.whole_inputs
    assert chats.params_total - embeds.params_total == QWEN3["vocab_size"] * QWEN3["hidden_size"]


def test_the_mean_of_a_decoder_is_read_at_once() -> None:
    assert read(QWEN3, {"pooling_mode_mean_tokens": True}).pooling.whole_inputs


def test_a_decoder_that_looks_both_ways_keeps_nothing() -> None:
    gemma = {**QWEN3, "architectures": ["Gemma3TextModel"], "use_bidirectional_attention": True}
    llama = {**QWEN3, "architectures": ["LlamaBidirectionalModel"], "pooling": "avg"}
    for config in (gemma, llama):
        assert not read(config).keeps_kv
        assert read(config).pooling.pooled == "mean"


@pytest.mark.parametrize("name", ["InternVLChatModel", "ChatGLMModel", "GPT2LMHeadModel"])
def test_a_class_that_chats_is_no_embedding_model_for_its_last_syllable(name: str) -> None:
    assert read({**QWEN3, "architectures": [name]}).pooling is None


def test_several_labels_make_a_classifier() -> None:
    assert read({**RANKER, "id2label": {"0": "no", "1": "yes"}}).pooling.kind == "classifier"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"auto_map": {"AutoModel": "modeling.XLMRobertaLoRA"}}, "auto_map"),
        ({"architectures": ["BertForQuestionAnswering"]}, "architectures"),
        ({"architectures": []}, "architectures"),
        ({"vocab_size": None}, "vocab_size"),
        ({"vocab_size": -5}, "vocab_size"),
        ({"num_attention_heads": 7}, "num_attention_heads"),
        ({"is_decoder": True}, "is_decoder"),
        ({"hidden_size": "wide"}, "hidden_size"),
    ],
)
def test_what_cannot_be_read_is_a_fault_at_its_field(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        read({**BERT_LARGE, **changes})
    assert [fault.path for fault in caught.value.faults] == [path]


def test_the_folder_of_a_local_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN3))
    assert load_catalog(base_directory=tmp_path).model("config.json").pooling is None
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    found = load_catalog(base_directory=tmp_path).model("config.json")
    assert found.pooling is not None
    assert found.pooling.kind == "embedding"


PUBLISHED = {
    "BAAI/bge-base-en-v1.5": 109_482_240,
    "BAAI/bge-small-en-v1.5": 33_360_000,
    "Qwen/Qwen3-Embedding-0.6B": 595_776_512,
    "Qwen/Qwen3-Embedding-4B": 4_021_774_336,
    "Qwen/Qwen3-Embedding-8B": 7_567_295_488,
    "intfloat/e5-mistral-7b-instruct": 7_110_660_096,
    "intfloat/multilingual-e5-large": 559_890_432,
    "nomic-ai/nomic-embed-text-v1.5": 136_731_648,
    "sentence-transformers/all-MiniLM-L6-v2": 22_713_216,
}
"""Parameters of the published checkpoints."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_the_rows(name: str) -> None:
    assert load_catalog().model(name).params_total == PUBLISHED[name]


def test_every_row_says_how_it_pools_and_each_lone_reader_of_inputs_looks_both_ways() -> None:
    rows = [row for row in load_catalog().models if row.pooling is not None]
    assert len(rows) == 28
    for row in rows:
        assert row.pooling is not None
        assert row.tied_embeddings
        assert row.pooling.bidirectional or row.pooling.pooled == "last"


@pytest.mark.parametrize("name", ["jinaai/jina-embeddings-v3", "jinaai/jina-embeddings-v4"])
def test_models_of_code_of_their_own_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(BadInput, match=r"its repository brings|code of its own"):
        load_catalog().model(name)
