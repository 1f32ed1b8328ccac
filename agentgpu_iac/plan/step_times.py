"""What a step of a replica takes: the coefficients of the model that sized it, so that who reads a plan can step its replicas.

They are those of ``sizing.speed.Speed``, a field each, and mean the same; a bench of the plan against traffic needs no catalog.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self

from agentgpu_iac.sizing.speed import Speed, Stage
from agentgpu_iac.spec.document import Document


class StageTimes(Document):
    """How unevenly pipeline stages share a step."""

    fullest_share: float = 1.0
    """Share of the layers in the stage with the most of them."""
    last_share: float = 1.0
    """Share of the layers in the last one."""
    head_ms: float = 0.0
    """Reading the output's head there."""
    own_ms: float = 0.0
    """What each stage takes for itself."""


class StepTimesPlan(Document):
    """Coefficients of one replica's steps, in ms; see docs/sizing.md."""

    dense_weights_ms: float
    """Reading all weights that every token touches, once."""
    expert_weights_ms: float
    """Reading all routed experts, once."""
    experts: int
    """Routed experts of a layer; 0: none."""
    experts_per_token: int
    """Of those, how many a token is sent to."""
    routing_shape: float | None
    """How evenly tokens choose experts: the shape of a gamma distribution; null: all alike."""
    kv_ms_per_token: float
    """Reading the growing KV cache of one context token."""
    kv_ms_per_session: float
    """Reading what a session holds regardless of its length."""
    sparse_attention: bool
    """Attention reads a selection of the context."""
    dense_ms_per_token: float
    """Arithmetic of one token in the layers that every token touches."""
    expert_ms_per_token: float
    """Arithmetic of one token in its experts."""
    prompt_ms_per_token: float
    """One prompt token among many."""
    attention_ms_per_token_pair: float
    """One prompt token that attends to one earlier token."""
    own_prompt_ms_per_token: float
    """One token of a prompt that one attention group reads alone."""
    own_attention_ms_per_token_pair: float
    """The same for attending."""
    launches_ms: float
    """Launching one step whose kernels are in a graph."""
    all_reduce_ms_per_token: float
    """All-reduces of one decode token."""
    sequence_ms: float
    """Host and sampler work of one running sequence."""
    prompt_launch_ms: float
    """Launches of one prompt chunk whose kernels are in no graph."""
    captured_launch_ms: float
    """The same where all but attention is in graphs."""
    captured_tokens: int
    """Largest step with prompts for which that holds."""
    eager_launch_ms: float
    """The host launching a decode step without graphs; 0: it has some."""
    first_token_ms: float
    """Server, tokeniser and scheduler, before and after a prompt."""
    first_token_steps: float
    """Decode steps between the end of a prompt and its first token."""
    host_ms_per_request: float
    """Host time of a request in a process that takes one after another."""
    accepted_tokens: float
    """Tokens that a step yields for a request."""
    attention_groups: int
    """Groups with requests of their own."""
    stages: int
    """Pipeline stages."""
    stage: StageTimes
    """How unevenly they share a step."""
    max_batched_tokens: int
    """Most tokens of a step, of each attention group."""
    prompts_apart: bool
    """Prompts are read in steps of their own, and decoding waits."""
    bandwidth_share: float
    """Part of the memory bandwidth that dense layers reach."""
    tflops_share: float
    """Part of the dense TFLOPS that they reach with many tokens."""
    own_tables: bool
    """The kernel tables are of this very accelerator."""
    calibrated: bool
    """Measured runs used this accelerator."""
    ttft_error_ratio: float
    """Stated error of the TTFT."""
    tpot_error_ratio: float
    """Stated error of the TPOT."""
    group_fullness: float = 1.0
    """Requests of the fullest attention group over those of a mean one."""
    measured_ttft_ratio: float = 1.0
    """Measured / predicted TTFT of a run of your own; 1 without."""
    measured_tpot_ratio: float = 1.0
    """The same for TPOT."""

    @classmethod
    def of(cls, speed: Speed) -> Self:
        """The coefficients of a replica's speed."""
        values: dict[str, Any] = {each.name: getattr(speed, each.name) for each in dataclasses.fields(speed)}
        if math.isinf(speed.routing_shape):
            values["routing_shape"] = None
        values["stage"] = StageTimes(**dataclasses.asdict(speed.stage))
        return cls(**values)

    def speed(self) -> Speed:
        """The speed that they are of."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        if self.routing_shape is None:
            values["routing_shape"] = math.inf
        values["stage"] = Stage(**self.stage.model_dump())
        return Speed(**values)
