"""Ollama, for local development: no accounting of its own."""

from __future__ import annotations

from agentgpu_iac.sizing.engines.port import SizingPort
from agentgpu_iac.sizing.engines.vllm import default_max_num_batched_tokens, default_max_num_seqs, lora_slots

OLLAMA = SizingPort(
    engine="ollama",
    share_flag="share",
    support="ollama: accounted for as vLLM, although it allocates only the sequences it is told to serve",
    graphs_follow_release=True,
    lora_slots=lora_slots,
    default_seats=default_max_num_seqs,
    default_step_tokens=default_max_num_batched_tokens,
)
