"""What a rollout costs, and how long it leaves nobody to serve."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.sizing.ledger import Line

SECTION = "Rollout"

_PHASES = ("a warm start", "filling the cache + a warm start", "a cold start")


def rollout_lines(workload: Workload, idle_s: int) -> Iterator[Line]:
    """The outage by what is changed; then the nodes that come for a rollout, where any do."""
    rollout, start = workload.rollout, workload.cold_start_s
    inputs = (f"{start.warm_node_total:g}", f"{start.cache_fill:g} + {start.warm_node_total:g}", f"{start.total:g}")
    here, fixed = rollout.outages, rollout.fixed_nodes_outages
    for change, phases, terms, other in zip(
        () if here is None else here.by_change, _PHASES, inputs, () if fixed is None else fixed.by_change, strict=False
    ):
        name, seconds = change
        apart = "" if other[1] == seconds else f"; {other[1]:g} s where node groups make the nodes"
        yield Line(
            name=f"outage with {name}",
            formula=f"{phases} of the replicas that go at once; 0 where another one serves",
            inputs=terms if seconds or other[1] else "",
            value=seconds,
            result=f"{seconds:g} s{apart}",
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
