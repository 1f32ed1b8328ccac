"""What a rollout costs, and how long it leaves nobody to serve."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.sizing.ledger import Line

SECTION = "Rollout"

_PHASES = {
    "same-weights": "a warm start",
    "new-revision": "filling the cache + a warm start",
    "new-pool": "a cold start",
}


def rollout_lines(workload: Workload, idle_s: int) -> Iterator[Line]:
    """The outage by what is changed; then the nodes that come for a rollout, where any do."""
    rollout, start = workload.rollout, workload.cold_start_s
    inputs = {
        "same-weights": f"{start.warm_node_total:g}",
        "new-revision": f"{start.cache_fill:g} + {start.warm_node_total:g}",
        "new-pool": f"{start.total:g}",
    }
    for outage in rollout.outages:
        fixed = outage.fixed_nodes_seconds
        apart = "" if fixed == outage.seconds else f"; {fixed:g} s where node groups make the nodes"
        yield Line(
            name=f"outage, {outage.change}",
            formula=f"{_PHASES[outage.change]} of the only replica; 0 where another one serves",
            inputs=inputs[outage.change] if outage.seconds or fixed else "",
            value=outage.seconds,
            result=f"{outage.seconds:g} s{apart}",
            unit="s",
            source="the phases of the cold start",
        )
    if rollout.surge_usd:
        replicas, drain_s = workload.replicas.max, workload.drain.grace_period_s
        yield Line(
            name="surgeUsd",
            formula="USD/h x nodes of a replica x hours: cold start + drain + (replicas - 1) x (warm start + drain) + idle time",
            inputs=f"({start.total:g} + {drain_s} + {replicas - 1} x ({start.warm_node_total:g} + {drain_s}) + {idle_s}) / 3,600",
            value=float(rollout.surge_usd),
            result=f"USD {rollout.surge_usd:,.2f} a rollout",
            unit="USD",
            source="price of the pool's nodes; an empty node stays for the idle time",
        )
