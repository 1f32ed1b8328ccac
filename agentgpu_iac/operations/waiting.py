"""Wait until a stack serves as planned: read, show progress, pause, repeat."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from agentgpu_iac.clusters.port import Body, Cluster
from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.operations.cluster import read_snapshot
from agentgpu_iac.operations.report import Report, report
from agentgpu_iac.operations.snapshot import Ref
from agentgpu_iac.plan import Plan

POLL_S = 3.0

_FAILURES_IN_A_ROW = 5
"""So many readings may fail before the cluster counts as gone: an API server that restarts comes back sooner."""

_DURATION = re.compile(r"(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


def duration_s(text: str) -> int:
    """``90``, ``90s``, ``30m`` or ``1h30m`` in seconds. Raises BadInput."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadInput.one("--timeout", f"{text!r} is not a time", hint="30m, 90s or 1h30m")
    hours, minutes, seconds = (int(each or 0) for each in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def reader(cluster: Cluster, plan: Plan, planned: Mapping[Ref, Body]) -> Callable[[], Report]:
    """What reads the cluster and judges it, each time that it is called."""
    pools = tuple(pool.name for pool in plan.in_cluster.node_pools)

    def read() -> Report:
        snapshot = read_snapshot(cluster, plan.stack, pools, planned)
        return report(plan, planned, snapshot, datetime.now(UTC))

    return read


def wait(
    read: Callable[[], Report],
    show: Callable[[Report], None],
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Report:
    """Read until everything exists and is healthy, or the time is up; returns the last report.

    Raises OutsideFailure if the cluster stays unreachable.
    """
    end = clock() + timeout_s
    failures = 0
    while True:
        try:
            found = read()
        except OutsideFailure:
            failures += 1
            if failures >= _FAILURES_IN_A_ROW or clock() >= end:
                raise
        else:
            failures = 0
            show(found)
            if found.is_settled or not found.is_complete or clock() >= end:
                return found
        pause(min(POLL_S, max(0.0, end - clock())))
