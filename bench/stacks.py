"""Stacks for the measurements of the market: alike for the same seed, of few agents or many, as people write them."""

from __future__ import annotations

import random

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-14B",
    "Qwen/Qwen2.5-Coder-32B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen3-4B",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "openai/gpt-oss-20b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507",
    "Qwen/Qwen3-32B",
)
TARGETS = ("eks", "kubernetes", "kubernetes", "spheron", "compose", "skyserve")


def generated(seed: int) -> str:
    """A stack of two to eight agents on one of the targets."""
    draw = random.Random(seed)
    target = draw.choice(TARGETS)
    lines = [
        "apiVersion: agentgpu.dev/v1alpha1",
        "kind: AgentStack",
        f"metadata: {{name: generated-{seed}}}",
        "spec:",
        f"  target: {target}",
    ]
    if target == "spheron":
        lines += ["  hosts: {callerRanges: [203.0.113.0/24]}", "  security: {apiKeySecret: agents-api-key}"]
    lines += ["  capacity: {burstWithoutNotice: " + draw.choice(("reject", "accept")) + "}"]
    lines += ["  modelCache: {tokenSecret: hf-token}", "  agents:"]
    for number in range(draw.randint(2, 8)):
        background = draw.random() < 0.25
        budget = draw.choice((1000, 2000, 4000))
        concurrent, burst = draw.choice((2, 5, 10, 25, 60, 150)), draw.choice((1, 2, 3, 5, 10))
        model, turns = draw.choice(MODELS), draw.randint(1, 8)
        tokens, ramp_s = draw.choice((100, 300, 800, 2000)), draw.choice((60, 300, 900))
        lines += [
            f"    - name: agent-{number}",
            f"      model: {model}",
            f"      latencyClass: {'background' if background else 'chat'}",
            "      interruptible: true" if background else f"      ttftMs: {budget}",
            f"      sessions: {{concurrent: {concurrent}}}",
            f"      conversation: {{turns: {turns}, inputTokensPerTurn: {tokens}}}",
            f"      traffic: {{conversationsPerDay: {100 * concurrent}, burstFactor: {burst}, rampS: {ramp_s}}}",
        ]
    return "\n".join(lines) + "\n"


_TEAM_MODELS = (
    "Qwen/Qwen3-32B",
    "Qwen/Qwen3-14B",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-30B-A3B-Instruct-2507",
    "Qwen/Qwen2.5-Coder-32B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
)
_TEAM_TARGETS = ("eks", "eks", "eks", "kubernetes", "kubernetes", "spheron", "compose", "skyserve")
_ROLES = ("planner", "coder", "critic", "researcher", "writer", "support")
_NIGHTLY = '      schedule: {timezone: Etc/GMT-1, windows: [{opens: "22:00", closes: "04:00"}]}'


def team(seed: int) -> str:
    """A team of two to six agents, as people run them with LangGraph: one model for all, two, or one for each.

    Its fields are those that the planner of before knows too, but for ``schedule`` of some of the background agents.
    """
    draw = random.Random(f"team {seed}")
    target = draw.choice(_TEAM_TARGETS)
    lines = [
        "apiVersion: agentgpu.dev/v1alpha1",
        "kind: AgentStack",
        f"metadata: {{name: team-{seed}}}",
        "spec:",
        f"  target: {target}",
    ]
    if target == "spheron":
        lines += ["  hosts: {callerRanges: [203.0.113.0/24]}", "  security: {apiKeySecret: agents-api-key}"]
    if draw.random() < _WITHOUT_NOTICE:
        lines.append("  capacity: {burstWithoutNotice: accept}")
    lines += ["  modelCache: {tokenSecret: hf-token}", "  agents:"]
    roles = _ROLES[: draw.randint(2, 6)]
    models = draw.sample(_TEAM_MODELS, draw.choice((1, 1, 2, len(roles))))
    think_time_s = draw.choice((0, 5, 10, 30, 60))
    for number, role in enumerate(roles):
        lines += _member(draw, role, models[number % len(models)], think_time_s, target)
    return "\n".join(lines) + "\n"


_WITHOUT_NOTICE = 0.3
"""Share of the teams whose bursts may run on spot that is taken without notice."""
_IN_BACKGROUND = 0.2
_ON_SCHEDULE = 0.3
"""Share of the background agents that run at night."""


def _member(draw: random.Random, role: str, model: str, think_time_s: int, target: str) -> list[str]:
    background, is_small = draw.random() < _IN_BACKGROUND, target == "compose"
    concurrent = draw.choice((1, 2, 4, 8) if is_small else (2, 4, 8, 16, 40, 80))
    burst = 1 if background or is_small else draw.choice((1, 1, 2, 3, 5, 10))
    turns, tokens = draw.choice((1, 3, 5, 8)), draw.choice((100, 300, 800, 2000))
    output, prompt = draw.choice((100, 200, 400, 800)), draw.choice((500, 1500, 4000))
    tools = draw.choice((0, 0, 1, 2))
    seconds = draw.choice((1, 2, 5, 15))
    shape = [
        f"turns: {turns}, inputTokensPerTurn: {tokens}, outputTokensPerTurn: {output}",
        f"systemPromptTokens: {prompt}, thinkTimeS: {0 if background else think_time_s}",
    ]
    if tools:
        shape.append(f"toolCalls: {{perTurn: {tools}, seconds: {seconds}, resultTokens: 400}}")
    lines = [
        f"    - name: {role}",
        f"      model: {model}",
        f"      latencyClass: {'background' if background else 'chat'}",
        "      interruptible: true" if background else f"      ttftMs: {draw.choice((1000, 2000, 4000))}",
        f"      sessions: {{concurrent: {concurrent}}}",
        f"      conversation: {{{', '.join(shape)}}}",
    ]
    if burst > 1:
        lines.append(f"      traffic: {{burstFactor: {burst}, rampS: {draw.choice((60, 300, 900))}}}")
    if background and target in ("eks", "kubernetes") and draw.random() < _ON_SCHEDULE:
        lines.append(_NIGHTLY)
    return lines
