"""Step times for a fleet: the same figures as ``sizing.speed``, with what does not change from step to step asked once."""

from __future__ import annotations

from agentgpu_iac.sizing.speed import Speed

_FAR_TOKENS = 65_536.0


class StepLines:
    """A decode step is a straight line over the mean context, for each number of requests: kept as two figures.

    Not where attention reads a selection, the host launches each kernel, or a pipeline waits for its slowest stage.
    """

    __slots__ = ("_is_straight", "_lines", "accepted_tokens", "attention_groups", "speed", "stages", "step_ms")

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.attention_groups = speed.attention_groups
        self.accepted_tokens = speed.accepted_tokens
        self.stages = speed.stages
        self.step_ms = speed.step_ms
        self._is_straight = not speed.sparse_attention and not speed.eager_launch_ms and speed.stages == 1
        self._lines: dict[float, tuple[float, float]] = {}

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """A step that gives each running request one token, at their mean context."""
        line = self._lines.get(requests)
        if line is None:
            if not self._is_straight:
                return self.speed.decode_ms(requests, context_tokens)
            base = self.speed.decode_ms(requests, 0.0)
            line = self._lines[requests] = (base, (self.speed.decode_ms(requests, _FAR_TOKENS) - base) / _FAR_TOKENS)
        return line[0] + line[1] * context_tokens
