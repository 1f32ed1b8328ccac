"""Step times for a fleet: the same figures as ``sizing.speed``, with what does not change from step to step asked once."""

from __future__ import annotations

import math

from agentgpu_iac.sizing.speed import Speed

_FAR_TOKENS = 65_536.0


class StepLines:
    """A decode step is a straight line over the mean context, for each number of requests: kept as two figures.

    Not where attention reads a selection, the host launches each kernel, or a pipeline waits for its slowest stage.
    """

    __slots__ = ("_is_plain", "_is_straight", "_lines", "accepted_tokens", "attention_groups", "speed", "stages")

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.attention_groups = speed.attention_groups
        self.accepted_tokens = speed.accepted_tokens
        self.stages = speed.stages
        self._is_straight = not speed.sparse_attention and not speed.eager_launch_ms and speed.stages == 1
        self._is_plain = self._is_straight and not speed.experts and speed.attention_groups == 1 == speed.group_fullness
        self._lines: dict[float, tuple[float, float]] = {}

    def step_ms(self, requests: float, context_tokens: float, prompt_tokens: float, token_pairs: float) -> float:
        """A step that also reads prompts: ``Speed.step_ms``, whose terms of experts, groups and stages are nothing here."""
        speed = self.speed
        if not self._is_plain or prompt_tokens <= 0:
            return speed.step_ms(requests, context_tokens, prompt_tokens, token_pairs)
        arithmetic = requests * speed.dense_ms_per_token + requests * speed.expert_ms_per_token
        arithmetic += prompt_tokens * speed.prompt_ms_per_token + token_pairs * speed.attention_ms_per_token_pair
        on_accelerator = (
            math.hypot(arithmetic, speed.dense_weights_ms)
            + requests * (context_tokens * speed.kv_ms_per_token + speed.kv_ms_per_session)
            + requests * speed.all_reduce_ms_per_token
        )
        captured = requests + prompt_tokens <= speed.captured_tokens
        launch_ms = speed.captured_launch_ms if captured else speed.prompt_launch_ms
        return launch_ms + on_accelerator + requests * speed.sequence_ms

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """A step that gives each running request one token, at their mean context."""
        return self.stretch_ms(requests, context_tokens, 0.0, 1)[0]

    def stretch_ms(self, requests: float, context_tokens: float, tokens: float, steps: int) -> tuple[float, float]:
        """The first of so many such steps, and the growth from one to the next."""
        line = self._lines.get(requests)
        if line is None:
            if not self._is_straight:
                return self.speed.stretch_ms(requests, context_tokens, tokens, steps)
            base = self.speed.decode_ms(requests, 0.0)
            line = self._lines[requests] = (base, (self.speed.decode_ms(requests, _FAR_TOKENS) - base) / _FAR_TOKENS)
        base, slope = line
        first = base + slope * context_tokens
        if steps == 1:
            return first, 0.0
        return first, (base + slope * (context_tokens + tokens * (steps - 1)) - first) / (steps - 1)


class SharedLines:
    """The same on a card that several engines compute on by turns: a step takes as many times as engines are busy there."""

    __slots__ = ("_lines", "accepted_tokens", "attention_groups", "busy", "stages")

    def __init__(self, lines: StepLines) -> None:
        self._lines = lines
        self.attention_groups = lines.attention_groups
        self.accepted_tokens = lines.accepted_tokens
        self.stages = lines.stages
        self.busy = 1

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """A step that gives each running request one token."""
        return self.busy * self._lines.decode_ms(requests, context_tokens)

    def stretch_ms(self, requests: float, context_tokens: float, tokens: float, steps: int) -> tuple[float, float]:
        """The first of so many such steps, and the growth from one to the next."""
        first = self.decode_ms(requests, context_tokens)
        if steps == 1:
            return first, 0.0
        return first, (self.decode_ms(requests, context_tokens + tokens * (steps - 1)) - first) / (steps - 1)

    def step_ms(self, requests: float, context_tokens: float, prompt_tokens: float, token_pairs: float) -> float:
        """A step that also reads prompts."""
        return self.busy * self._lines.step_ms(requests, context_tokens, prompt_tokens, token_pairs)
