"""Grafana dashboards: single figures over the chosen agents, then each agent's budgets, memory, queue, replicas and cost.

They are built as data. A ConfigMap holds one dashboard of a few agents, since an object may not hold a thousand; Grafana's
sidecar loads those that carry its label. A virtual machine has one in a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from agentgpu_iac.plan import HostPlan, Plan, Workload, tiers_by_agent
from agentgpu_iac.plan.series import AGENT_SERIES_LABEL, CLUSTER_LABEL
from agentgpu_iac.rendering.context import ConfigMapContext, Draft
from agentgpu_iac.rendering.names import MONITORING, labels
from agentgpu_iac.rendering.panels import Panel, Steps, agent_panels, overview
from agentgpu_iac.rendering.watched import Watched

SIDECAR_LABEL = ("grafana_dashboard", "1")
_AGENTS_ON_A_PAGE = 8
_SCHEMA_VERSION = 39
_WIDTH, _HEIGHT, _ACROSS = 8, 7, 3
"""Size of a panel on Grafana's grid of 24 columns, and panels beside one another."""
_FIGURES_ACROSS, _FIGURE_WIDTH, _FIGURE_HEIGHT = 8, 3, 4
"""The first row: single figures."""
_CHOSEN = f'{AGENT_SERIES_LABEL}=~"$agent"'
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = Mapping[str, Any]


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
        labels=(*labels(plan.stack, MONITORING, name=name), SIDECAR_LABEL),
        data=(
            (
                f"{plan.stack}-{number}.json",
                _text(_dashboard(_seen(plan, None), title, number, agents)),
            ),
        ),
    )


def machine_dashboard(plan: Plan, host: HostPlan) -> str:
    """The dashboard of one machine, as a file: the agents that have engines there."""
    watched = _seen(plan, host)
    agents = tuple(tiers_by_agent(watched.workloads).values())
    return _text(_dashboard(watched, f"{plan.stack} on {host.node_pool}", 1, agents))


def _seen(plan: Plan, host: HostPlan | None) -> Watched:
    return Watched(plan=plan, host=host, cluster=None if plan.watching.cluster is None else "$cluster")


def _text(dashboard: Json) -> str:
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"


def _dashboard(watched: Watched, title: str, number: int, agents: Sequence[Sequence[Workload]]) -> Json:
    plan = watched.plan
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
        "templating": {"list": list(_variables(watched, [tiers[0].agent for tiers in agents]))},
        "annotations": {"list": []},
        "panels": list(_placed(watched, agents)),
    }


def _variables(watched: Watched, agents: Sequence[str]) -> Iterator[Json]:
    """The data source, the cluster where its name is known, and the agents of the first row."""
    yield {
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
    cluster = watched.plan.watching.cluster
    if cluster is not None:
        yield _choice(CLUSTER_LABEL, "Cluster", (cluster,), is_several=False)
    yield _choice("agent", "Agents of the first row", agents, is_several=True)


def _choice(name: str, label: str, words: Sequence[str], *, is_several: bool) -> Json:
    """Words to choose from; where several may be, all of them are chosen at first."""
    options = [{"text": word, "value": word, "selected": not is_several} for word in words]
    everything = {"text": ["All"], "value": ["$__all"]}
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": ",".join(words),
        "current": everything if is_several else {"text": words[0], "value": words[0]},
        "options": options,
        "includeAll": is_several,
        "multi": is_several,
        "hide": 0,
    }


def _placed(watched: Watched, agents: Sequence[Sequence[Workload]]) -> Iterator[Json]:
    """The first row, then each agent's heading and its panels below, three beside one another."""
    ids = count(1)
    for place, figure in enumerate(overview(watched, agents, _CHOSEN)):
        place_in_grid = _grid(place, _FIGURES_ACROSS, _FIGURE_WIDTH, _FIGURE_HEIGHT, 0)
        yield {
            **_panel(figure, next(ids), place_in_grid),
            "type": "stat",
            "fieldConfig": {
                "defaults": {"unit": figure.unit, "thresholds": _thresholds(figure.steps)},
                "overrides": [],
            },
            "options": {
                "colorMode": "value",
                "graphMode": "area",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            },
        }
    top = _FIGURE_HEIGHT
    for tiers in agents:
        workload = tiers[0]
        yield {
            "id": next(ids),
            "type": "row",
            "title": f"{workload.title}: {workload.model} on {workload.accelerators_per_replica} x {workload.accelerator}",
            "collapsed": False,
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": top},
            "panels": [],
        }
        top += 1
        shown = tuple(agent_panels(watched, tiers))
        for place, panel in enumerate(shown):
            yield _panel(panel, next(ids), _grid(place, _ACROSS, _WIDTH, _HEIGHT, top))
        top += -(-len(shown) // _ACROSS) * _HEIGHT


def _grid(place: int, across: int, width: int, height: int, top: int) -> Json:
    return {"h": height, "w": width, "x": place % across * width, "y": top + place // across * height}


def _thresholds(steps: Steps) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}


def _panel(panel: Panel, identity: int, grid: Json) -> Json:
    return {
        "id": identity,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": grid,
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
