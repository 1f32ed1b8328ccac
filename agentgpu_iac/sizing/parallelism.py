"""Which parallelism a model allows, whatever the engine."""

from __future__ import annotations


def tensor_parallel_is_legal(attention_heads: int, kv_heads: int, tensor_parallel: int) -> bool:
    """Whether a tensor-parallel size splits the heads evenly (KV heads may be replicated instead)."""
    if attention_heads % tensor_parallel:
        return False
    return kv_heads % tensor_parallel == 0 or tensor_parallel % kv_heads == 0
