"""Bursts under the real controller of HorizontalPodAutoscalers: what the plan's queries answer becomes replicas.

The controller runs in the real controller manager, asks every second instead of every fifteen, and gets the series of the
rendered HPA through the real aggregation layer from a double of the adapter.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from agentgpu_iac.plan import ScalingPlan, Workload
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.metrics_adapter import Look, Series, metrics_adapter
from tests.e2e.cluster.trees import Tree, tree_of_text
from tests.e2e.cluster.workloads import burst, deployment, is_ready, pods_of

QUIET_S = 3
"""Three looks."""
WINDOW_S, PERIOD_S = 4, 3
"""For the minutes of the plan, where they are waited for."""
LOOK_S = 1
STACK = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: peaks}
spec:
  target: eks
  scaling: {method: hpa}
  capacity: {fastBurst: turn-away}
  agents:
    - name: support
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 100}
      conversation: {thinkTimeS: 0}
      traffic: {burstFactor: 6, rampS: 3600}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    looks = f"--horizontal-pod-autoscaler-sync-period={LOOK_S}s"
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), controllers=(looks,)) as running:
        yield running


@pytest.fixture(scope="module")
def made() -> Tree:
    return tree_of_text(STACK)


@pytest.fixture(scope="module")
def workload(made: Tree) -> Workload:
    (found,) = burst(made)
    assert found.replicas.max > 3
    return found


@pytest.fixture(scope="module")
def scaling(workload: Workload) -> ScalingPlan:
    assert workload.scaling is not None
    return workload.scaling


@pytest.fixture(scope="module")
def values(made: Tree) -> dict[Series, float]:
    """What the series of the rendered HPA have: normal load."""
    (scaler,) = made.of_kind("HorizontalPodAutoscaler")
    return {series(made, metric["external"]["metric"]): 0.0 for metric in scaler["spec"]["metrics"]}


@pytest.fixture(scope="module")
def looks(cluster: ControlPlane, values: dict[Series, float]) -> Iterator[list[Look]]:
    with metrics_adapter(cluster, values) as answers:
        yield answers


@pytest.fixture(scope="module")
def served(cluster: ControlPlane, made: Tree, workload: Workload, looks: list[Look]) -> ControlPlane:
    """The burst tier with its scaler, at normal load. No node is there: none of its replicas ever starts."""
    for body in made.of_kind("Namespace", "PriorityClass", "ServiceAccount"):
        cluster.put(body)
    cluster.put(made.named("Deployment", workload.name))
    cluster.put(made.named("HorizontalPodAutoscaler", workload.name))
    assert not looks
    cluster.until("the controller has asked", lambda: is_active(cluster.get(scaler(cluster, made))))
    return cluster


def series(made: Tree, metric: Object) -> Series:
    chosen = metric["selector"]["matchLabels"]
    return made.plan.stack, metric["name"], ",".join(f"{key}={value}" for key, value in chosen.items())


def scaler(cluster: ControlPlane, made: Tree) -> str:
    (body,) = made.of_kind("HorizontalPodAutoscaler")
    return cluster.place(body)


def is_active(body: Object) -> bool:
    conditions = body.get("status", {}).get("conditions", ())
    return any((each["type"], each["status"]) == ("ScalingActive", "True") for each in conditions)


def load(values: dict[Series, float], name: str, value: float) -> None:
    """What a query answers from now on; the others stay at normal load."""
    (found,) = (each for each in values if each[1] == name)
    values[found] = value


def sixfold(workload: Workload, scaling: ScalingPlan) -> float:
    """What the query of requests gives when all sessions of the peak ask at once, the refused ones with them."""
    return workload.sessions_peak - scaling.baseline_replicas * scaling.seats_per_replica * scaling.utilization_ratio


def steps(cluster: ControlPlane, made: Tree) -> list[str]:
    """What the controller says that it has done."""
    events = cluster.items(f"/api/v1/namespaces/{made.plan.stack}/events")
    return [each["message"] for each in events if each["reason"] == "SuccessfulRescale"]


def test_normal_load_asks_for_the_one_replica_that_an_hpa_keeps(
    served: ControlPlane, made: Tree, workload: Workload, scaling: ScalingPlan
) -> None:
    time.sleep(QUIET_S)
    assert served.get(deployment(made, workload))["spec"]["replicas"] == scaling.min_replicas == 1
    assert steps(served, made) == []


def test_a_sixfold_burst_is_asked_for_whole_at_the_first_look_and_stays(
    served: ControlPlane, made: Tree, workload: Workload, scaling: ScalingPlan, values: dict[Series, float]
) -> None:
    """Not the step after the last cold start: no replica has started, and the controller waits for none."""
    load(values, "agentgpu_burst_requests", sixfold(workload, scaling))
    history = served.history(f"/apis/apps/v1/namespaces/{made.plan.stack}/deployments")
    grown = next(found for each in history if (found := each[workload.name]["spec"]["replicas"]) != 1)
    assert grown == workload.replicas.max
    (step,) = served.until("the controller says so", lambda: steps(served, made))
    assert step.startswith(f"New size: {workload.replicas.max};"), step
    pods = served.until("pods are made", lambda: pods_of(served, made, workload))
    assert not any(is_ready(pod) for pod in pods)
    load(values, "agentgpu_burst_requests", 0.0)
    time.sleep(QUIET_S)
    assert served.get(deployment(made, workload))["spec"]["replicas"] == workload.replicas.max
    (message,) = (
        each["message"]
        for each in served.get(scaler(served, made))["status"]["conditions"]
        if each["reason"] == "ScaleDownStabilized"
    )
    assert "recent recommendations were higher" in message


def test_one_replica_goes_at_a_time_and_none_before_the_window_is_over(
    served: ControlPlane,
    made: Tree,
    workload: Workload,
    scaling: ScalingPlan,
    values: dict[Series, float],
    looks: list[Look],
) -> None:
    """The rules are the rendered ones; their seconds, which are the plan's, are shortened so that the test sees them end."""
    (body,) = made.of_kind("HorizontalPodAutoscaler")
    down = body["spec"]["behavior"]["scaleDown"]
    (policy,) = down["policies"]
    assert down["stabilizationWindowSeconds"] == scaling.scale_down_stabilization_s
    assert policy["periodSeconds"] == scaling.scale_down_period_s
    load(values, "agentgpu_burst_requests", sixfold(workload, scaling))
    shorter = {**down, "stabilizationWindowSeconds": WINDOW_S, "policies": [{**policy, "periodSeconds": PERIOD_S}]}
    served.merge(scaler(served, made), {"spec": {"behavior": {"scaleDown": shorter}}})
    shortened = time.monotonic()
    served.until("the controller sees the load", lambda: any(at > shortened and value > 0 for at, value in looks))
    load(values, "agentgpu_burst_requests", 0.0)
    sizes, times = [workload.replicas.max], []
    for each in served.history(f"/apis/apps/v1/namespaces/{made.plan.stack}/deployments"):
        size = each[workload.name]["spec"]["replicas"]
        if size != sizes[-1]:
            sizes.append(size)
            times.append(time.monotonic())
        if len(times) == 3:
            break
    assert sizes == [workload.replicas.max - gone for gone in range(4)]
    assert times[0] - max(at for at, value in looks if value > 0) >= WINDOW_S
    assert all(later - before >= PERIOD_S - LOOK_S for before, later in itertools.pairwise(times)), times


def test_a_series_that_is_missing_lets_no_replica_go(
    served: ControlPlane, made: Tree, workload: Workload, values: dict[Series, float]
) -> None:
    """The others say that one is enough."""
    assert len(values) > 1
    (missing,) = (each for each in values if each[1] == "agentgpu_burst_requests")
    del values[missing]
    served.until("the controller misses it", lambda: not is_active(served.get(scaler(served, made))))
    size = served.get(deployment(made, workload))["spec"]["replicas"]
    assert size > 1
    time.sleep(QUIET_S + PERIOD_S)
    assert served.get(deployment(made, workload))["spec"]["replicas"] == size
