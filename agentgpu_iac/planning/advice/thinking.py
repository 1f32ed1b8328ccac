"""Warnings about models that reason before they answer: what was assumed, what it costs, and who has to say so."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.model import Thinking
from agentgpu_iac.plan import Warning, Workload
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.thinking import typical_tokens_per_turn
from agentgpu_iac.units import counted


def thinking_warnings(candidate: Candidate, baseline: Workload) -> Iterator[Warning]:
    """What the plan took for granted about the agent's model."""
    demand, plan, facts = candidate.demand, baseline.thinking, candidate.demand.model.thinking
    if plan is None:
        return
    name, model = demand.name, demand.model.id
    if facts is None:
        yield warning(
            "thinking-unknown",
            f"whether {model} reasons before it answers is not known: "
            f"{counted(plan.tokens_per_turn, 'reasoning token')} a turn are "
            "counted and the engine is told nothing; if it does, state conversation.reasoningTokensPerTurn, or describe the "
            "model in a catalog overlay (thinking)",
            name,
        )
        return
    if facts.thinks == "never" and plan.tokens_per_turn:
        yield warning(
            "thinking-by-prompt",
            f"{model} has no mode that reasons before it answers: the "
            f"{counted(plan.tokens_per_turn, 'reasoning token')} a turn come only "
            "where the prompt asks for them, and they stand in the answer",
            name,
        )
    if plan.reason == "latency-class":
        yield warning("thinking-off", _switched_off(candidate, baseline, facts), name)
    if plan.tokens_error_factor is not None:
        yield warning(
            "thinking-estimated",
            f"{model} reasons before each answer: {counted(plan.tokens_per_turn, 'token')} a turn are its typical "
            "figure, and yours may "
            f"be {plan.tokens_error_factor:g} times less or more; measure it and state conversation.reasoningTokensPerTurn"
            + ("" if facts.switch is None else ", or write thinking: off"),
            name,
        )
    yield from _by_callers(candidate, baseline)


def _switched_off(candidate: Candidate, baseline: Workload, facts: Thinking) -> str:
    """What was switched off, and what it would cost to have it."""
    agent, tpot = candidate.demand.agent, baseline.latency.tpot_ms
    tokens = max(typical_tokens_per_turn(member.agent, facts) for member in candidate.demand.served)
    wait = f", {(facts.typical_tokens or 0) * tpot / 1000:,.0f} s before the first word" if tpot is not None else ""
    return (
        f"{candidate.demand.model.id} reasons before it answers unless told not to: for the latency class "
        f"{agent.latency_class} it is told not to. thinking: on has it think, at about {counted(tokens, 'token')} "
        f"more a turn{wait}; "
        "thinking: off keeps it so without this line"
    )


def _by_callers(candidate: Candidate, baseline: Workload) -> Iterator[Warning]:
    """The engine cannot be told what the plan counts."""
    plan, engine = baseline.thinking, baseline.engine
    if plan is None or (plan.callers_send is None and plan.callers_write is None):
        return
    cannot = f"{PORTS[engine.name].title} {engine.version} cannot be told"
    how = f"each request must carry {plan.callers_send}"
    if plan.callers_write is not None:
        cannot = f"{candidate.demand.model.id} takes it from its system prompt alone"
        how = f"the system prompt must hold {plan.callers_write!r}"
    yield warning(
        "thinking-by-callers",
        f"the plan counts with thinking {plan.mode} ({counted(plan.tokens_per_turn, 'token')} a turn), which is not what "
        f"{candidate.demand.model.id} does unasked, and {cannot}: {how}",
        baseline.agent,
    )
