"""The dashboards are Grafana's: its own types read them whole, and the real promtool answers every panel of theirs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.rendering.render import render
from tests.e2e.rules.promtool import test_rules
from tests.e2e.rules.scenes import STEP_S, Series, growing, of_agent, series, steady
from tests.e2e.rules.worlds import rollout
from tests.plans import make_machines_plan, make_route, make_router, make_watched_plan
from tools.install import path as tool

GATEWAY = p.GatewayPlan(name="g", namespace="n", hostname=None, scheme="https")
PLANS = {
    "keda": lambda: make_watched_plan("keda", router=make_router()),
    "hpa": lambda: make_watched_plan("hpa", cluster="eu.prod-1"),
    "gateway": lambda: make_watched_plan(
        "keda", router=make_router(kind="gateway", exporter=None, gateway=GATEWAY, routes=(make_route(port=None),))
    ),
    "machines": lambda: make_machines_plan(observability={"grafana": True}),
}
ASKED_AT_S = 2_400


def dashboards(plan: p.Plan) -> list[dict[str, Any]]:
    """Every dashboard that is rendered: in a ConfigMap of a cluster, or in a file of a machine."""
    found = []
    for file in render(plan):
        content = file.content.decode()
        if "dashboard" in file.path and file.path.endswith(".json"):
            found.append(json.loads(content))
        elif "grafana-dashboard-" in file.path:
            found += [json.loads(text) for text in yaml.safe_load(content)["data"].values()]
    return found


@pytest.mark.parametrize("name", PLANS)
def test_grafanas_own_types_read_a_dashboard_and_lose_nothing(name: str) -> None:
    rendered = dashboards(PLANS[name]())
    assert rendered
    done = subprocess.run(
        [tool("grafana-python"), Path(__file__).with_name("read_by_grafana.py")],
        input=json.dumps(rendered),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(lost(rendered, json.loads(done.stdout))) == []


def lost(ours: Any, read: Any, place: str = "") -> Iterator[str]:
    """What is in ours and not in what was read: a misspelt field, or a value of another kind."""
    if isinstance(ours, dict) and isinstance(read, dict):
        for key, value in ours.items():
            if key in read:
                yield from lost(value, read[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}"
    elif isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        for at, (left, right) in enumerate(zip(ours, read, strict=True)):
            yield from lost(left, right, f"{place}[{at}]")
    elif ours != read:
        yield f"{place}: {ours!r} is read as {read!r}"


@pytest.mark.parametrize("name", PLANS)
def test_every_query_of_every_panel_is_answered(name: str, tmp_path: Path) -> None:
    """A stack that serves: no query is refused, and none answers with nothing."""
    plan = PLANS[name]()
    queries = [
        (f"{panel['title']} {target['refId']}", filled(target["expr"], dashboard))
        for dashboard in dashboards(plan)
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]
    assert len(queries) > 10
    given = [{"series": key, "values": values} for key, values in serving(plan).items()]
    asked = [
        {
            "expr": f"clamp_max(count({query}), 1)",
            "eval_time": f"{ASKED_AT_S}s",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for _, query in queries
    ]
    test_rules([{"interval": f"{STEP_S}s", "input_series": given, "promql_expr_test": asked}], [], tmp_path)


def filled(query: str, dashboard: dict[str, Any]) -> str:
    """A query with Grafana's variables filled in, all agents chosen."""
    values = {"__rate_interval": "1m", "__range": "1h", "__interval": "15s", "__range_s": "3600"}
    for variable in dashboard["templating"]["list"]:
        words = [option["value"] for option in variable["options"] if option["value"] != "$__all"]
        if words:
            values[variable["name"]] = f"({'|'.join(map(re.escape, words))})"
    found = re.sub(r"\$(?:{(\w+)}|(\w+))", lambda match: values[match[1] or match[2]], query)
    return found.replace("\\-", "-").replace("\\.", ".")


def serving(plan: p.Plan) -> Series:
    """Everything that is scraped of a stack that serves, and what its engines count beside what alerts read."""
    found = rollout(plan)
    for workload in plan.workloads:
        metrics = workload.metrics
        if metrics is None:
            continue
        for pod in ("a", "b"):
            labels = of_agent(plan, workload.agent, agentgpu_dev_tier=workload.tier_label, pod=pod)
            found |= {series("up", **labels): steady(1)}
            for gauge in (metrics.running, metrics.waiting, metrics.kv_usage):
                if gauge is not None:
                    found[series(gauge, **labels)] = steady(0.5)
            for counter in (
                metrics.generation_tokens,
                metrics.prompt_tokens,
                metrics.prefix_cache_hits,
                metrics.prefix_cache_queries,
                metrics.preemptions,
                metrics.rejections,
                metrics.success,
            ):
                if counter is not None:
                    found[series(counter, **labels)] = growing(100)
            for histogram, edge in ((metrics.ttft, metrics.ttft_edge_s), (metrics.tpot, metrics.tpot_edge_s)):
                if histogram is not None:
                    found[series(f"{histogram}_count", **labels)] = growing(100)
                    for le in ("+Inf", *(() if edge is None else (repr(edge),))):
                        found[series(f"{histogram}_bucket", **labels, le=le)] = growing(100)
    return found
