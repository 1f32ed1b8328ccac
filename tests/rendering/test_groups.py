"""Replicas over several nodes: LeaderWorkerSets, whose pods are the Deployment's."""

from __future__ import annotations

from typing import Any

from agentgpu_iac import plan as p
from agentgpu_iac.plan.names import clashes
from tests.plans import make_grouped_plan, make_plan, make_workload
from tests.rendering.trees import of_kind, tree


def group(plan: p.Plan) -> dict[str, Any]:
    (found,) = of_kind(plan, "LeaderWorkerSet").values()
    return found


def pod(plan: p.Plan, role: str) -> dict[str, Any]:
    template = group(plan)["spec"]["leaderWorkerTemplate"][f"{role}Template"]
    assert isinstance(template, dict)
    return template


def engine(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def test_replicas_nodes_accelerators_and_interfaces_are_the_plans() -> None:
    plan = make_grouped_plan()
    (workload,) = plan.workloads
    spec = group(plan)["spec"]
    assert (spec["replicas"], spec["leaderWorkerTemplate"]["size"]) == (1, 2)
    assert of_kind(plan, "Deployment") == {}
    for role in ("leader", "worker"):
        limits = engine(pod(plan, role))["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == "8"
        assert limits["vpc.amazonaws.com/efa"] == "32"
    assert spec["leaderWorkerTemplate"]["size"] * 8 == workload.accelerators_per_replica


def test_the_leader_answers_and_the_worker_works_for_it() -> None:
    plan = make_grouped_plan()
    (workload,) = plan.workloads
    leader, worker = engine(pod(plan, "leader")), engine(pod(plan, "worker"))
    assert leader["args"] == list(workload.engine.args)
    assert worker["args"] == list(workload.engine.worker_args)
    answering = {"ports", "startupProbe", "readinessProbe", "livenessProbe"}
    assert answering <= set(leader)
    assert not answering & set(worker)


def test_the_pods_differ_in_nothing_else() -> None:
    """A hardening that reaches the Deployment reaches every pod of a group."""
    plan = make_grouped_plan()
    alike = {"args", "ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle"}
    kept = [
        {
            **pod(plan, role)["spec"],
            "containers": {key: value for key, value in engine(pod(plan, role)).items() if key not in alike},
        }
        for role in ("leader", "worker")
    ]
    assert kept[0] == kept[1]


def test_the_service_reaches_leaders_only() -> None:
    plan = make_grouped_plan()
    selector = of_kind(plan, "Service")["support"]["spec"]["selector"]
    leader, worker = (pod(plan, role)["metadata"]["labels"] for role in ("leader", "worker"))
    assert selector.items() <= leader.items()
    assert not selector.items() <= worker.items()


def test_a_drain_takes_one_pod_of_all_groups_at_once() -> None:
    plan = make_grouped_plan()
    (budget,) = of_kind(plan, "PodDisruptionBudget").values()
    wanted = budget["spec"]["selector"]["matchLabels"].items()
    (group,) = of_kind(plan, "LeaderWorkerSet").values()
    for name in ("leaderTemplate", "workerTemplate"):
        assert wanted <= group["spec"]["leaderWorkerTemplate"][name]["metadata"]["labels"].items()
    assert budget["spec"]["maxUnavailable"] == 1


def test_a_worker_outlives_the_drain_of_its_leader() -> None:
    plan = make_grouped_plan()
    (workload,) = plan.workloads
    seconds = engine(pod(plan, "worker"))["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = workload.drain
    assert drain.pre_stop_s + drain.shutdown_timeout_s <= seconds < drain.grace_period_s
    assert pod(plan, "worker")["spec"]["terminationGracePeriodSeconds"] == drain.grace_period_s


def test_a_group_stands_in_one_zone() -> None:
    plan = make_grouped_plan()
    for role in ("leader", "worker"):
        (term,) = pod(plan, role)["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "topology.kubernetes.io/zone"
        assert term["matchLabelKeys"] == ["leaderworkerset.sigs.k8s.io/group-key"]
        assert term["labelSelector"]["matchLabels"].items() <= pod(plan, role)["metadata"]["labels"].items()


def test_the_folder_of_groups_is_in_every_overlay() -> None:
    made = tree(make_grouped_plan())
    assert "groups/leaderworkerset-support.yaml" in made
    for overlay in ("karpenter", "node-groups"):
        assert "../../groups" in made[f"overlays/{overlay}/kustomization.yaml"]["resources"]


def test_drift_renews_the_nodes_of_a_replica_together() -> None:
    (pool,) = of_kind(make_grouped_plan(), "NodePool").values()
    budgets = {tuple(one["reasons"]): one["nodes"] for one in pool["spec"]["disruption"]["budgets"]}
    assert budgets[("Drifted",)] == "2"
    assert pool["spec"]["limits"] == {"nvidia.com/gpu": "16"}


def test_an_agent_named_like_a_groups_service_is_refused() -> None:
    plan = make_grouped_plan()
    other = make_workload(agent="support-0", name="support-0")
    both = plan.model_copy(
        update={
            "workloads": (*plan.workloads, other),
            "node_pools": (*plan.node_pools, *make_plan().node_pools),
        }
    )
    assert any("would both be the Service 'support-0'" in clash.message for clash in clashes(both))


def test_held_capacity_is_asked_for_by_tag() -> None:
    pool = (
        make_plan()
        .node_pools[0]
        .model_copy(update={"capacity_types": ("reserved", "on-demand"), "reservation": "on-demand"})
    )
    plan = make_plan(node_pools=(pool,))
    (node_class,) = of_kind(plan, "EC2NodeClass").values()
    (term,) = node_class["spec"]["capacityReservationSelectorTerms"]
    assert term == {"tags": {"karpenter.sh/discovery": "demo"}}


def test_karpenter_is_told_the_interface_of_each_network_card() -> None:
    """Left to itself it puts an EFA interface with IP onto every card from the first on."""
    plan = make_grouped_plan()
    (pool,) = plan.node_pools
    later = plan.model_copy(
        update={"node_pools": (pool.model_copy(update={"efa_interfaces": 16, "first_efa_card": 1}),)}
    )
    (node_class,) = of_kind(later, "EC2NodeClass").values()
    interfaces = node_class["spec"]["networkInterfaces"]
    assert interfaces[:2] == [
        {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"},
        {"networkCardIndex": 1, "deviceIndex": 0, "interfaceType": "efa-only"},
    ]
    assert len(interfaces) == 17
    (alone,) = of_kind(make_plan(), "EC2NodeClass").values()
    assert "networkInterfaces" not in alone["spec"]
