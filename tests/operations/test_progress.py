from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.operations.progress import WorkloadProgress
from agentgpu_iac.operations.report import Report
from agentgpu_iac.operations.snapshot import Snapshot
from agentgpu_iac.operations.status_view import progress_line, rest_line
from agentgpu_iac.operations.waiting import duration_s, wait
from tests.operations.scenes import (
    DEPLOYMENT,
    FILLER,
    ago,
    down,
    healthy,
    judged,
    merged,
    node,
    plan,
    pod,
    ref,
    unplaced,
    unready,
    waiting,
    with_object,
)

COLD = plan().workloads[0].cold_start_s


def of(snapshot: Snapshot) -> WorkloadProgress:
    [found] = judged(snapshot).workloads
    return found


def engine(**changes: Any) -> dict[str, Any]:
    return {**pod()["status"]["containerStatuses"][0], "ready": False, "started": False, **changes}


def test_each_stage_has_its_time_in_the_cluster_and_in_the_plan() -> None:
    filling = {"name": "wait-for-model", "state": {"running": {"startedAt": ago(40)}}}
    stages = {
        "node": (unplaced("no nodes"), 300, COLD.node + COLD.driver),
        "image": (
            unready(initContainerStatuses=[{"name": "wait-for-model", "state": {"waiting": {}}}]),
            200,
            COLD.image,
        ),
        "weights": (unready(initContainerStatuses=[filling]), 40, COLD.cache_fill),
        "loading": (unready(containerStatuses=[engine()]), 55, COLD.warm_node_total),
    }
    for stage, (body, since_s, planned_s) in stages.items():
        found = of(down(body, nodes=(node(),)))
        assert (found.stage, found.since_s, found.planned_s) == (stage, since_s, planned_s)
        assert found.waiting_for
    found = of(healthy())
    assert (found.stage, found.waiting_for, found.ready, found.wanted) == ("ready", None, 1, 1)


def test_between_the_init_container_and_the_engine_its_image_is_waited_for() -> None:
    assert (of(down(waiting("PodInitializing"))).stage, of(down(waiting("PodInitializing"))).since_s) == ("image", 60)


def test_the_slowest_replica_gives_the_stage() -> None:
    first, second = (
        unready(containerStatuses=[engine()]),
        merged(unplaced("no nodes"), {"metadata": {"name": "second"}}),
    )
    snapshot = with_object(down(first, second), DEPLOYMENT, spec={"replicas": 2})
    assert (of(snapshot).stage, of(snapshot).wanted) == ("node", 2)


def test_what_is_not_in_the_cluster_has_not_begun() -> None:
    found = of(replace(healthy(), objects={}))
    assert (found.stage, found.waiting_for) == ("objects", "it is not in the cluster")


def test_a_quota_is_what_it_waits_for() -> None:
    words = "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"
    failure = {"type": "ReplicaFailure", "status": "True", "message": words}
    found = of(with_object(down(), DEPLOYMENT, status={"conditions": [failure]}))
    assert found.stage == "node"
    assert found.waiting_for == "ResourceQuota q has pods=0 and pods=0 is used; a pod asks for pods=1"


def test_a_line_has_the_stage_the_time_the_plan_and_the_reason() -> None:
    line = progress_line(of(down(unplaced("no nodes"), nodes=())))
    assert line.startswith("support: node for 300 s (plan: 89 s), 0 of 1 ready: ")
    assert "has no node" in line


def test_the_rest_is_what_the_lines_of_workloads_do_not_say() -> None:
    assert rest_line(judged(healthy())) == ""
    assert rest_line(judged(down(unplaced("no nodes"), nodes=(node(),)))) == ""
    missing = replace(healthy(), objects={each: body for each, body in healthy().objects.items() if each != FILLER})
    assert rest_line(judged(missing)) == f"missing: {FILLER}: is not in the cluster"


class Clock:
    """A clock that moves when somebody pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def waited(answers: list[Report | OutsideFailure], timeout_s: float = 60) -> tuple[Report, list[Report], float]:
    clock, shown = Clock(), list[Report]()
    rest = iter(answers)

    def read() -> Report:
        answer = next(rest)
        if isinstance(answer, OutsideFailure):
            raise answer
        return answer

    return wait(read, shown.append, timeout_s=timeout_s, clock=clock, pause=clock.pause), shown, clock.now


BUSY, DONE = judged(down(unplaced("no nodes"))), judged(healthy())
AWAY = OutsideFailure("does not answer")


def test_waiting_ends_when_all_is_well() -> None:
    report, shown, seconds = waited([BUSY, BUSY, DONE])
    assert report is DONE
    assert shown == [BUSY, BUSY, DONE]
    assert seconds == 6


def test_waiting_ends_at_its_timeout_with_the_last_report() -> None:
    report, _, seconds = waited([BUSY] * 10, timeout_s=4)
    assert report is BUSY
    assert seconds == 4


def test_a_timeout_of_nothing_still_reads_once() -> None:
    assert waited([BUSY], timeout_s=0)[0] is BUSY


def test_an_api_server_that_comes_back_is_waited_for_and_one_that_stays_away_is_not() -> None:
    assert waited([BUSY, AWAY, AWAY, DONE])[0] is DONE
    with pytest.raises(OutsideFailure):
        waited([BUSY, *[AWAY] * 9])


def test_what_may_not_be_read_is_not_waited_for() -> None:
    closed = judged(replace(healthy(), forbidden={ref("Service", "support").kind: "no"}))
    assert waited([closed, DONE])[0] is closed


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0", 0)])
def test_a_duration_reads_as_people_write_it(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ("", "soon", "1d", "-3m", "1.5h", "m"))
def test_another_text_is_no_duration(text: str) -> None:
    with pytest.raises(BadInput, match="30m, 90s or 1h30m"):
        duration_s(text)
