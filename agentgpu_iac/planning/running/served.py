"""What the plan says of each agent, whether a deployment serves it alone or beside others: its name there, its budgets and the
figures beside them, and its part of the load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agentgpu_iac.plan import AgentPlan, TalkPlan, Workload, WorkPlan
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.requests import largest_prompt, mean_request
from agentgpu_iac.planning.choosing.service import prefill_ms, whole_answer_ms
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.opening import work_seconds
from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.units import rounded


def served_names(demand: Demand) -> tuple[str, ...]:
    """The agents of a deployment, in the order of the stack."""
    return tuple(member.name for member in demand.served)


def agent_plans(
    placed: Sequence[Placed],
    tiers: Mapping[str, Sequence[Workload]],
    order: Sequence[str],
) -> tuple[AgentPlan, ...]:
    """Every agent in the given order."""
    found = {
        each.name: each for member in placed for each in _of_deployment(member, tiers[member.candidate.demand.name][0])
    }
    return tuple(found[name] for name in order)


def _of_deployment(member: Placed, baseline: Workload) -> Iterator[AgentPlan]:
    candidate = member.candidate
    demand, parts = candidate.demand, member.parts("baseline")
    for served, ratio in zip(demand.served, load_ratios(demand), strict=True):
        agent = served.agent
        ttft_ms, e2e_ms = (_slowest(each) for each in zip(*(_own_latency(part, served) for part in parts), strict=True))
        yield AgentPlan(
            name=agent.name,
            deployment=demand.name,
            role=agent.role,
            latency_class=agent.latency_class,
            user_facing=served.user_facing,
            served_model_name=served_as(baseline, agent.name),
            adapters=tuple(adapter.name for adapter in agent.lora_adapters),
            sessions_concurrent=served.concurrent,
            sessions_peak=served.peak,
            context_tokens=served.context_tokens,
            requests_per_session=1.0
            if served.load is not None
            else rounded(agent.conversation.turns * served.shape.requests_per_turn),
            budget_ttft_ms=served.budget_ttft_ms,
            budget_tpot_ms=served.budget_tpot_ms,
            budget_e2e_ms=served.budget_e2e_ms,
            ttft_at_percentile_ms=_optional(ttft_ms, 1),
            tpot_at_percentile_ms=_optional(_slowest([part.candidate.service.tpot_at_ms for part in parts]), 2),
            e2e_ms=_optional(e2e_ms, 1),
            work=_work_plan(served, baseline),
            fallback=agent.fallback,
            talk=None
            if served.load is not None
            else TalkPlan(conversation=agent.conversation, traffic=agent.traffic, fan_out=agent.fan_out),
            load_ratio=rounded(ratio, 6),
        )


def _slowest(times_ms: Sequence[float | None]) -> float | None:
    """Of a baseline on two kinds of machine: what holds for whoever is on the slower one."""
    known = [each for each in times_ms if each is not None]
    return max(known) if len(known) == len(times_ms) else None


def _work_plan(served: Demand, baseline: Workload) -> WorkPlan | None:
    if served.agent.work is None:
        return None
    seconds, rate = work_seconds(served.agent), served.requests_per_s(peak=False)
    return WorkPlan(
        requests_per_window=rounded(rate * seconds, 3),
        seconds=seconds,
        requests_per_s=rounded(rate, 6),
        sessions=served.concurrent or baseline.replicas.max * baseline.max_num_seqs,
    )


def served_as(baseline: Workload, agent: str) -> str:
    """The name by which requests ask for an agent: its own where the engine takes several names, else the engine's only one."""
    return agent if PORTS[baseline.engine.name].takes_several_names else baseline.served_model_name


def load_ratios(demand: Demand) -> list[float]:
    """Each agent's part of the KV cache that all sessions of the peak hold; 1 for an agent by itself."""
    held = [member.peak * member.context_tokens for member in demand.served]
    return [part / sum(held) for part in held] if demand.members else [1.0]


def _own_latency(member: Placed, served: Demand) -> tuple[float | None, float | None]:
    """TTFT at the percentile and the time of a complete answer of one agent, whose longest prompt is its own."""
    candidate = member.candidate
    service = candidate.service
    if not candidate.demand.members or service.ttft_at_ms is None or service.ttft_ms is None:
        return service.ttft_at_ms, service.e2e_ms
    less_ms = _prompt_ms(candidate, candidate.demand) - _prompt_ms(candidate, served)
    less_ms *= member.option.engines_per_accelerator
    return service.ttft_at_ms - less_ms, whole_answer_ms(served.shape, service.ttft_ms - less_ms, service.tpot_ms)


def _prompt_ms(candidate: Candidate, demand: Demand) -> float:
    engine = candidate.full_speed
    if engine is None:
        return 0.0
    request = mean_request(candidate.demand, candidate.prefix_hit_ratio)
    prompt = largest_prompt(demand, candidate.longest_prompt_hit_ratio)
    generating = candidate.service.generating
    decode_ms = engine.decode_ms(generating, request.context_tokens)
    return prefill_ms(engine, request, generating, *prompt, decode_ms=decode_ms)


def _optional(value: float | None, digits: int) -> float | None:
    return None if value is None else rounded(value, digits)
