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
