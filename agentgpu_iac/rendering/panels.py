"""The panels of a dashboard: questions in PromQL, each beside the plan's figure, with what it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgpu_iac.plan import MetricsPlan, Workload, baselines
from agentgpu_iac.plan.series import TIER_SERIES_LABEL, decimal
from agentgpu_iac.plan.watching import ERRORS, KV_CACHE_FULL
from agentgpu_iac.rendering.watched import Watched
from agentgpu_iac.units import counted, money_text

RATE = "[$__rate_interval]"

Steps = tuple[tuple[float | None, str], ...]
"""From which value on a figure has which colour; None: from the least."""

GREEN, YELLOW, RED = "green", "yellow", "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: lines over time, each with its name; or one figure, with colours."""

    title: str
    unit: str
    description: str
    lines: tuple[tuple[str, str], ...]
    """(name, PromQL)."""
    steps: Steps = ()
    """Of a single figure."""


def agent_panels(watched: Watched, tiers: Sequence[Workload]) -> Iterator[Panel]:
    """An agent's panels, without those whose series are not known for the engine's version."""
    workload = tiers[0]
    if workload.metrics is not None:
        yield from _engine_panels(watched, tiers, workload.metrics)
    yield _replicas(watched, tiers)
    yield from _cost(watched, tiers)


def _engine_panels(watched: Watched, tiers: Sequence[Workload], metrics: MetricsPlan) -> Iterator[Panel]:
    workload = tiers[0]
    plan, chosen = watched.plan, watched.of_agent(workload.agent)
    if metrics.ttft is not None:
        yield _latency(
            watched,
            "Time to first token, at the engine" if workload.pooling is None else "Time of an answer, at the engine",
            "From a request's arrival at the engine to its first token. The budget is the agent's, less the network's part."
            if workload.pooling is None
            else "From an input's arrival at the engine to its answer. The budget is the agent's, less the network's part.",
            metrics.ttft,
            chosen,
            ttft_left_ms(workload),
        )
    if metrics.tpot is not None:
        yield _latency(
            watched,
            "Time per output token",
            "Of a request, after its first token. Longer contexts and fuller batches raise it.",
            metrics.tpot,
            chosen,
            workload.latency.budget_tpot_ms,
        )
    within = tuple(
        (
            name,
            f'sum(rate({series}_bucket{{{chosen},le="{edge_s!r}"}}{RATE})) / sum(rate({series}_count{{{chosen}}}{RATE}))',
        )
        for name, series, edge_s in (
            (
                f"{'TTFT' if workload.pooling is None else 'answers'} within {_ms(metrics.ttft_edge_s)}",
                metrics.ttft,
                metrics.ttft_edge_s,
            ),
            (f"TPOT within {_ms(metrics.tpot_edge_s)}", metrics.tpot, metrics.tpot_edge_s),
        )
        if series is not None and edge_s is not None
    )
    if within:
        yield Panel(
            title="Requests within their budget",
            unit="percentunit",
            description=f"Counted at the bucket edge of the budget; alerts ask for {plan.watching.percentile:g} %. While a "
            "rollout changes the edges it seems lower than it is.",
            lines=within,
        )
    if metrics.kv_usage is not None:
        yield Panel(
            title="KV cache in use",
            unit="percentunit",
            description="What running requests hold; what the prefix cache keeps beyond that does not count. The plan fills "
            f"{workload.memory.planned_kv_ratio:.0%} with its sessions.",
            lines=(
                ("fullest replica", f"max({metrics.kv_usage}{{{chosen}}})"),
                ("mean", f"avg({metrics.kv_usage}{{{chosen}}})"),
                *(
                    ("alert", f"vector({decimal(alert.threshold)})")
                    for alert in plan.watching.alerts
                    if alert.name == KV_CACHE_FULL and alert.agent == workload.agent
                ),
            ),
        )
    if metrics.running is not None and metrics.waiting is not None:
        yield Panel(
            title=f"{'Requests' if workload.pooling is None else 'Inputs'} and seats ({_seats_in_words(tiers)} a replica)",
            unit="short",
            description="Running requests take a seat each; waiting ones have none yet. Seats are the requests that "
            "replicas which answer may compute at once.",
            lines=(
                ("running", f"sum({metrics.running}{{{chosen}}})"),
                ("waiting", f"sum({metrics.waiting}{{{chosen}}})"),
                ("seats", _seats(tiers, chosen)),
            ),
        )
    troubles = tuple(
        (name, f"sum(increase({series}{RATE}))")
        for name, series in (
            ("preempted", _of(metrics.preemptions, chosen)),
            ("rejected", _of(metrics.rejections, chosen)),
            ("failed", None if metrics.failures is None else _of(metrics.answers, f"{chosen},{metrics.failures}")),
        )
        if series is not None
    )
    if troubles:
        yield Panel(
            title="Requests preempted and rejected",
            unit="short",
            description="Preempted: thrown out of the KV cache and read again. Rejected: turned away by a queue limit (503). "
            "Failed: answered with 5xx, the rejected ones among them.",
            lines=troubles,
        )
    tokens = tuple(
        (name, f"sum(rate({series}{{{chosen}}}{RATE}))")
        for name, series in (("generated", metrics.generation_tokens), ("prompt", metrics.prompt_tokens))
        if series is not None
    )
    if tokens:
        yield Panel(
            title="Tokens/s",
            unit="short",
            description="Of all replicas. Prompt tokens from the prefix cache count, though they are not read again.",
            lines=tokens,
        )
    if metrics.prefix_cache_hits is not None and metrics.prefix_cache_queries is not None:
        hits, asked = (
            f"sum(rate({series}{{{chosen}}}{RATE}))"
            for series in (metrics.prefix_cache_hits, metrics.prefix_cache_queries)
        )
        yield Panel(
            title="Prompt tokens found in the prefix cache",
            unit="percentunit",
            description="A fall means that sessions no longer return to the replica that holds their context.",
            lines=(("found", f"{hits} / {asked}"),),
        )


def _of(series: str | None, chosen: str) -> str | None:
    return None if series is None else f"{series}{{{chosen}}}"


def ttft_left_ms(workload: Workload) -> float | None:
    """What the network leaves the engine of the TTFT budget."""
    budget_ms = workload.latency.first_answer_budget_ms
    return None if budget_ms is None else budget_ms - workload.latency.network_ms


def quantile(series: str, chosen: str, percentile: float) -> str:
    """A percentile of a histogram, of all pods together."""
    return f"histogram_quantile({decimal(percentile / 100)}, sum by (le) (rate({series}_bucket{{{chosen}}}{RATE})))"


def _latency(
    watched: Watched, title: str, description: str, series: str, chosen: str, budget_ms: float | None
) -> Panel:
    promised = watched.plan.watching.percentile
    quantiles = tuple((f"p{percentile:g}", quantile(series, chosen, percentile)) for percentile in (50.0, promised))
    budget = () if budget_ms is None else (("budget", f"vector({decimal(budget_ms / 1000)})"),)
    return Panel(title=title, unit="s", description=description, lines=(*quantiles, *budget))


def _ms(edge_s: float | None) -> str:
    return "" if edge_s is None else f"{edge_s * 1000:g} ms"


def _replicas(watched: Watched, tiers: Sequence[Workload]) -> Panel:
    return Panel(
        title="Replicas that answer",
        unit="short",
        description="Of each tier, beside the most that the plan buys.",
        lines=tuple(
            line
            for workload in tiers
            for line in (
                (workload.tier_label, _running(watched, workload)),
                (f"{workload.tier_label}, planned at most", f"vector({workload.replicas.max})"),
            )
        ),
    )


def hourly(watched: Watched, tiers: Sequence[Workload]) -> str:
    """What the running replicas of an agent cost an hour at the plan's prices."""
    return " + ".join(f"{money_text(each.replica_usd_per_hour)} * {_running(watched, each)}" for each in tiers)


def _cost(watched: Watched, tiers: Sequence[Workload]) -> Iterator[Panel]:
    """What the running replicas cost at the plan's prices, in total and per finished conversation."""
    workload, sum_of = tiers[0], hourly(watched, tiers)
    served = [agent for agent in watched.plan.served_agents if agent.deployment == workload.agent]
    parts = tuple((f"of it {agent.name}", f"({sum_of}) * {decimal(agent.load_ratio)}") for agent in served)
    yield Panel(
        title="Cost per hour, at the plan's prices",
        unit="currencyUSD",
        description="Replicas that answer, each at its part of its machine. Idle machines and other bills are not in it."
        + (" Agents that share them have the parts of the planned load." if len(served) > 1 else ""),
        lines=(("USD an hour", sum_of), *(parts if len(served) > 1 else ())),
    )
    if workload.metrics is not None and workload.metrics.success is not None and workload.pooling is None:
        sessions = (
            f"(3600 * sum(rate({workload.metrics.success}{{{watched.of_agent(workload.agent)}}}[1h])) / "
            f"{decimal(workload.requests_per_session)})"
        )
        yield Panel(
            title=f"Cost per session of {counted(workload.requests_per_session, 'request', 'g')}, over the last hour",
            unit="currencyUSD",
            description="The cost of the last hour over the conversations that its finished requests make.",
            lines=(("USD a session", f"avg_over_time(({sum_of})[1h:1m]) / {sessions}"),),
        )


def _running(watched: Watched, workload: Workload) -> str:
    return f"({watched.replicas_up(workload)} or vector(0))"


def _seats(tiers: Sequence[Workload], chosen: str) -> str:
    """Seats of the replicas that answer: tier by tier where theirs differ."""
    if len({workload.most_generating for workload in tiers}) == 1:
        return f"{tiers[0].most_generating} * sum(up{{{chosen}}})"
    return " + ".join(
        f'{workload.most_generating} * (sum(up{{{chosen},{TIER_SERIES_LABEL}="{workload.tier_label}"}}) or vector(0))'
        for workload in tiers
    )


def _seats_in_words(tiers: Sequence[Workload]) -> str:
    return " or ".join(dict.fromkeys(str(workload.most_generating) for workload in tiers))


def overview(watched: Watched, agents: Sequence[Sequence[Workload]], chosen_by: str) -> Iterator[Panel]:
    """The first row: one figure each, over the agents that the variable chooses.

    An agent's part of a question holds its own names and figures, and is empty where the agent is not chosen.
    """
    plan = watched.plan
    known = [(tiers, tiers[0].metrics) for tiers in agents]
    engines = [(tiers, metrics) for tiers, metrics in known if metrics is not None]

    def of(tiers: Sequence[Workload]) -> str:
        return f"{watched.of_agent(tiers[0].agent)},{chosen_by}"

    def added(parts: Sequence[str]) -> str:
        return " + ".join(f"({part} or vector(0))" for part in parts)

    running = [
        (f"sum({metrics.running}{{{of(tiers)}}})", _seats(tiers, of(tiers)))
        for tiers, metrics in engines
        if metrics.running is not None
    ]
    if running:
        yield Panel(
            title="Seats in use",
            unit="percentunit",
            description="Running requests of the seats that replicas which answer have. Over 80 % the burst tier is asked for.",
            lines=(
                ("in use", f"({added([taken for taken, _ in running])}) / ({added([seats for _, seats in running])})"),
            ),
            steps=((None, GREEN), (0.8, YELLOW), (1.0, RED)),
        )
    slowest = [
        f"label_replace({quantile(metrics.ttft, of(tiers), plan.watching.percentile)} / {decimal(left_ms / 1000)}, "
        f'"agent", "{tiers[0].agent}", "", "")'
        for tiers, metrics in engines
        if metrics.ttft is not None and (left_ms := ttft_left_ms(tiers[0])) is not None and left_ms > 0
    ]
    if slowest:
        yield Panel(
            title=f"TTFT p{plan.watching.percentile:g} of its budget",
            unit="percentunit",
            description="The time to first token at the percentile that the plan promises, as part of the budget that the "
            "network leaves; of the agent that is worst.",
            lines=(("worst agent", f"max({' or '.join(slowest)})"),),
            steps=((None, GREEN), (0.8, YELLOW), (1.0, RED)),
        )
    answers = [
        (
            f"sum(rate({metrics.answers}{{{of(tiers)},{metrics.failures}}}[5m]))",
            f"sum(rate({metrics.answers}{{{of(tiers)}}}[5m]))",
        )
        for tiers, metrics in engines
        if metrics.answers is not None
    ]
    if answers:
        alerted = min((alert.threshold for alert in plan.watching.alerts if alert.name == ERRORS), default=0.02)
        yield Panel(
            title="Answers that are errors",
            unit="percentunit",
            description="5xx of the engines, refusals among them, of all answers in 5 minutes. Routers send a refused request "
            "on, so callers see fewer.",
            lines=(("5xx", f"({added([bad for bad, _ in answers])}) / ({added([every for _, every in answers])})"),),
            steps=((None, GREEN), (alerted / 2, YELLOW), (alerted, RED)),
        )
    caches = [f"max({metrics.kv_usage}{{{of(tiers)}}})" for tiers, metrics in engines if metrics.kv_usage is not None]
    if caches:
        full = min((alert.threshold for alert in plan.watching.alerts if alert.name == KV_CACHE_FULL), default=0.8)
        yield Panel(
            title="Fullest KV cache",
            unit="percentunit",
            description="Of the replica that has least room. Full caches preempt requests.",
            lines=(("fullest", _most(caches)),),
            steps=((None, GREEN), (full, YELLOW), (min(1.0, full + 0.1), RED)),
        )
    if engines:
        answering = [f"sum(up{{{of(tiers)}}})" for tiers, _ in engines]
        wanted = [f"{watched.warm_replicas(tiers)} * clamp_max(count(up{{{of(tiers)}}}), 1)" for tiers, _ in engines]
        yield Panel(
            title="Replicas of the warm ones planned",
            unit="percentunit",
            description="Replicas that answer, as part of those that the plan keeps whatever the load; over 100 % the burst tier "
            "is up.",
            lines=(("answer", f"({added(answering)}) / ({added(wanted)})"),),
            steps=((None, RED), (1.0, GREEN)),
        )
        refused = [
            f"sum(increase({metrics.rejections}{{{of(tiers)}}}[5m]))"
            for tiers, metrics in engines
            if metrics.rejections
        ]
        if refused:
            yield Panel(
                title="Refused in 5 min",
                unit="short",
                description="Requests that a queue limit turned away (503). A router tries another replica first.",
                lines=(("refused", added(refused)),),
                steps=((None, GREEN), (1.0, YELLOW), (10.0, RED)),
            )
    always = [each for tiers in agents for each in baselines(tiers)]
    baseline = sum(float(each.replica_usd_per_hour) * each.replicas.max for each in always)
    prices = [
        f'{money_text(each.replica_usd_per_hour)} * sum(up{{{of(tiers)},agentgpu_dev_tier="{each.tier_label}"}})'
        for tiers, _ in engines
        for each in tiers
    ]
    if prices:
        yield Panel(
            title="USD an hour",
            unit="currencyUSD",
            description=f"What the replicas that answer cost at the plan's prices; the baseline of all agents here is "
            f"USD {baseline:.2f}. Idle machines are not in it.",
            lines=(("USD an hour", added(prices)),),
            steps=((None, GREEN), (round(baseline * 1.01, 4), YELLOW)),
        )
    yield Panel(
        title="Alerts that fire",
        unit="short",
        description="Of the whole stack, whatever is chosen. The runbook has a section for each.",
        lines=(
            (
                "fire",
                f'count(ALERTS{{alertstate="firing",agentgpu_dev_stack="{plan.stack}"{watched.beside}}}) or vector(0)',
            ),
        ),
        steps=((None, GREEN), (1.0, RED)),
    )


def _most(parts: Sequence[str]) -> str:
    """The largest of several numbers; each is labelled, since samples alike would be one."""
    labelled = " or ".join(f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts))
    return f"max({labelled})"
