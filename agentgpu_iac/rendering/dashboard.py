"""Grafana dashboards: per agent its budgets, memory, queue, replicas and cost, each beside the plan's figure.

They are built as data. A ConfigMap holds one dashboard of a few agents, since an object may not hold a thousand; Grafana's
sidecar loads those that carry its label.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from agentgpu_iac.plan import MetricsPlan, Plan, Workload, tiers_by_agent
from agentgpu_iac.plan.series import decimal, selector
from agentgpu_iac.plan.watching import KV_CACHE_FULL
from agentgpu_iac.rendering.alerts import replicas_up
from agentgpu_iac.rendering.context import ConfigMapContext, Draft
from agentgpu_iac.rendering.names import MONITORING, labels
from agentgpu_iac.units import money_text

_SIDECAR_LABEL = ("grafana_dashboard", "1")
_AGENTS_ON_A_PAGE = 8
_SCHEMA_VERSION = 39
_WIDTH, _HEIGHT, _ACROSS = 8, 7, 3
"""Size of a panel on Grafana's grid of 24 columns, and panels beside one another."""
_RATE = "[$__rate_interval]"
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: lines, each with its name."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    """(name, PromQL)."""


def dashboard_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The dashboards, eight agents on each."""
    if not plan.watching.dashboard:
        return ()
    agents = tuple(tiers_by_agent(plan.workloads).values())
    pages = tuple(agents[at : at + _AGENTS_ON_A_PAGE] for at in range(0, len(agents), _AGENTS_ON_A_PAGE))
    return tuple(
        Draft(folder=MONITORING, context=_config_map(plan, number, len(pages), page))
        for number, page in enumerate(pages, start=1)
    )


def _config_map(plan: Plan, number: int, pages: int, agents: Sequence[Sequence[Workload]]) -> ConfigMapContext:
    name = f"grafana-dashboard-{number}"
    title = plan.stack if pages == 1 else f"{plan.stack} ({number} of {pages})"
    return ConfigMapContext(
        name=name,
        namespace=plan.stack,
        labels=(*labels(plan.stack, MONITORING, name=name), _SIDECAR_LABEL),
        data=(
            (
                f"{plan.stack}-{number}.json",
                json.dumps(_dashboard(plan, title, number, agents), indent=1, ensure_ascii=False) + "\n",
            ),
        ),
    )


def _dashboard(plan: Plan, title: str, number: int, agents: Sequence[Sequence[Workload]]) -> Json:
    return {
        "uid": hashlib.sha256(f"agentgpu/{plan.stack}/{number}".encode()).hexdigest()[:16],
        "title": f"Agents of {title}",
        "tags": ["agentgpu", plan.stack],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "options": [],
                    "refresh": 1,
                    "regex": "",
                    "includeAll": False,
                    "multi": False,
                    "hide": 0,
                }
            ]
        },
        "annotations": {"list": []},
        "panels": list(_placed(plan, agents)),
    }


def _placed(plan: Plan, agents: Sequence[Sequence[Workload]]) -> Iterator[Json]:
    """Each agent's heading and its panels below, three beside one another."""
    ids, top = count(1), 0
    for tiers in agents:
        workload = tiers[0]
        yield {
            "id": next(ids),
            "type": "row",
            "title": f"{workload.agent}: {workload.model} on {workload.accelerators_per_replica} x {workload.accelerator}",
            "collapsed": False,
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": top},
            "panels": [],
        }
        top += 1
        shown = tuple(panels(plan, tiers))
        for place, panel in enumerate(shown):
            across, down = place % _ACROSS, place // _ACROSS
            yield _panel(panel, next(ids), across * _WIDTH, top + down * _HEIGHT)
        top += -(-len(shown) // _ACROSS) * _HEIGHT


def _panel(panel: Panel, identity: int, left: int, top: int) -> Json:
    return {
        "id": identity,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _DATASOURCE,
        "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": left, "y": top},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _DATASOURCE, "expr": query, "legendFormat": name}
            for number, (name, query) in enumerate(panel.lines)
        ],
    }


def panels(plan: Plan, tiers: Sequence[Workload]) -> Iterator[Panel]:
    """An agent's panels, without those whose series are not known for the engine's version."""
    workload = tiers[0]
    if workload.metrics is not None:
        yield from _engine_panels(plan, workload, workload.metrics)
    yield _replicas(plan.stack, tiers)
    yield from _cost(plan.stack, tiers)


def _engine_panels(plan: Plan, workload: Workload, metrics: MetricsPlan) -> Iterator[Panel]:
    chosen, at = selector(plan.stack, workload.agent), workload.latency.percentile
    if metrics.ttft is not None:
        budget_ms = workload.latency.budget_ttft_ms
        left_ms = None if budget_ms is None else budget_ms - workload.latency.network_ms
        yield _latency("Time to first token, at the engine", metrics.ttft, chosen, left_ms, at)
    if metrics.tpot is not None:
        yield _latency("Time per output token", metrics.tpot, chosen, workload.latency.budget_tpot_ms, at)
    within = tuple(
        (
            name,
            f'sum(rate({series}_bucket{{{chosen},le="{edge_s!r}"}}{_RATE})) / sum(rate({series}_count{{{chosen}}}{_RATE}))',
        )
        for name, series, edge_s in (
            (f"TTFT within {_ms(metrics.ttft_edge_s)}", metrics.ttft, metrics.ttft_edge_s),
            (f"TPOT within {_ms(metrics.tpot_edge_s)}", metrics.tpot, metrics.tpot_edge_s),
        )
        if series is not None and edge_s is not None
    )
    if within:
        yield Panel(title="Requests within their budget", unit="percentunit", lines=within)
    if metrics.kv_usage is not None:
        yield Panel(
            title="KV cache in use",
            unit="percentunit",
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
            title=f"Requests and seats ({workload.max_num_seqs} a replica)",
            unit="short",
            lines=(
                ("running", f"sum({metrics.running}{{{chosen}}})"),
                ("waiting", f"sum({metrics.waiting}{{{chosen}}})"),
                ("seats", f"{workload.max_num_seqs} * sum(up{{{chosen}}})"),
            ),
        )
    troubles = tuple(
        (name, f"sum(increase({series}{{{chosen}}}{_RATE}))")
        for name, series in (("preempted", metrics.preemptions), ("rejected", metrics.rejections))
        if series is not None
    )
    if troubles:
        yield Panel(title="Requests preempted and rejected", unit="short", lines=troubles)
    tokens = tuple(
        (name, f"sum(rate({series}{{{chosen}}}{_RATE}))")
        for name, series in (("generated", metrics.generation_tokens), ("prompt", metrics.prompt_tokens))
        if series is not None
    )
    if tokens:
        yield Panel(title="Tokens/s", unit="short", lines=tokens)
    if metrics.prefix_cache_hits is not None and metrics.prefix_cache_queries is not None:
        hits, asked = (
            f"sum(rate({series}{{{chosen}}}{_RATE}))"
            for series in (metrics.prefix_cache_hits, metrics.prefix_cache_queries)
        )
        yield Panel(
            title="Prompt tokens found in the prefix cache", unit="percentunit", lines=(("found", f"{hits} / {asked}"),)
        )


def _latency(title: str, series: str, chosen: str, budget_ms: float | None, at: float) -> Panel:
    """The median and the percentile that the budget promises."""
    quantiles = tuple(
        (
            f"p{percent:g}",
            f"histogram_quantile({round(percent / 100, 4):g}, sum by (le) (rate({series}_bucket{{{chosen}}}{_RATE})))",
        )
        for percent in dict.fromkeys((50.0, at))
    )
    budget = () if budget_ms is None else (("budget", f"vector({decimal(budget_ms / 1000)})"),)
    return Panel(title=title, unit="s", lines=(*quantiles, *budget))


def _ms(edge_s: float | None) -> str:
    return "" if edge_s is None else f"{edge_s * 1000:g} ms"


def _replicas(stack: str, tiers: Sequence[Workload]) -> Panel:
    return Panel(
        title="Replicas that answer",
        unit="short",
        lines=tuple(
            line
            for workload in tiers
            for line in (
                (workload.tier, _running(stack, workload)),
                (f"{workload.tier}, planned at most", f"vector({workload.replicas.max})"),
            )
        ),
    )


def _cost(stack: str, tiers: Sequence[Workload]) -> Iterator[Panel]:
    """What the running replicas cost at the plan's prices, in total and per finished conversation."""
    workload = tiers[0]
    hourly = " + ".join(f"{money_text(each.replica_usd_per_hour)} * {_running(stack, each)}" for each in tiers)
    yield Panel(title="Cost per hour, at the plan's prices", unit="currencyUSD", lines=(("USD an hour", hourly),))
    if workload.metrics is not None and workload.metrics.success is not None:
        sessions = (
            f"(3600 * sum(rate({workload.metrics.success}{{{selector(stack, workload.agent)}}}[1h])) / "
            f"{decimal(workload.requests_per_session)})"
        )
        yield Panel(
            title=f"Cost per session of {workload.requests_per_session:g} requests, over the last hour",
            unit="currencyUSD",
            lines=(("USD a session", f"avg_over_time(({hourly})[1h:1m]) / {sessions}"),),
        )


def _running(stack: str, workload: Workload) -> str:
    return f"({replicas_up(stack, workload)} or vector(0))"
