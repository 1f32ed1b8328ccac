"""``agentgpu status`` beside a real API server, scheduler and controllers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.status.scenes import Scene, container, now_text

Make = Callable[[str], Scene]


@pytest.fixture(scope="module")
def serving(equipped_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A stack that runs as planned. Tests that change it put it back."""
    made = Scene(equipped_cluster, tmp_path_factory.mktemp("serving"), "serving")
    made.apply()
    for _ in range(made.pool.min):
        made.add_node()
    made.until_in_line()
    yield made


def test_a_stack_that_runs_as_planned_is_in_line(serving: Scene) -> None:
    answer = serving.status()
    assert answer.code == 0
    assert answer.out.startswith("serving: in line with the plan.")
    assert [each["stage"] for each in serving.data()["workloads"]] == ["ready"] * len(serving.plan.workloads)


def test_a_deleted_service_is_missing(serving: Scene) -> None:
    serving.cluster.delete(f"{serving.core}/services/{serving.agent}")
    answer = serving.status("--format", "json")
    assert answer.code == 1
    assert [(each["kind"], each["object"]) for each in answer.data["findings"]] == [
        ("missing", f"Service serving/{serving.agent}")
    ]
    serving.apply()
    assert serving.status().code == 0


def test_a_changed_argument_is_told_with_its_path_and_both_values(serving: Scene) -> None:
    args = list(serving.plan.workloads[0].engine.args)
    position = args.index("--max-num-seqs") + 1
    place = f"/spec/template/spec/containers/0/args/{position}"
    change = json.dumps([{"op": "replace", "path": place, "value": "7"}])
    serving.cluster.kubectl(
        "--namespace", serving.name, "patch", "deployment", serving.agent, "--type=json", f"--patch={change}"
    )
    [found] = [each for each in serving.data()["findings"] if each["kind"] == "changed"]
    assert found["object"] == f"Deployment serving/{serving.agent}"
    assert found["path"] == "spec.template.spec.containers[engine].args[--max-num-seqs]"
    assert (found["planned"], found["live"]) == (args[position], "7")
    serving.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", serving.tree / "overlays/node-groups")
    serving.until_in_line()


def test_an_object_that_is_no_longer_planned_is_left_over(serving: Scene) -> None:
    labels = {"agentgpu.dev/stack": "serving"}
    serving.cluster.create(f"{serving.core}/configmaps", {"metadata": {"name": "old", "labels": labels}})
    serving.cluster.create(f"{serving.core}/configmaps", {"metadata": {"name": "someone-elses"}})
    assert serving.findings() == [("orphan", "ConfigMap serving/old", None)]
    assert serving.status().code == 1
    serving.cluster.delete(f"{serving.core}/configmaps/old")
    assert serving.status().code == 0


def test_a_label_taken_away_is_a_change_and_not_a_loss(serving: Scene) -> None:
    path = f"{serving.core}/configmaps/endpoints"
    serving.cluster.merge(path, {"metadata": {"labels": {"agentgpu.dev/stack": None}}})
    [found] = serving.data()["findings"]
    assert (found["kind"], found["path"], found["live"]) == ("changed", "metadata.labels[agentgpu.dev/stack]", None)
    serving.apply()
    assert serving.status().code == 0


def test_what_nobody_planned_and_the_server_adds_is_no_change(serving: Scene) -> None:
    serving.cluster.kubectl("--namespace", serving.name, "annotate", "service", serving.agent, "team=agents")
    assert serving.status().code == 0


def test_without_a_node_pods_pend_for_capacity(scene: Make) -> None:
    bare = scene("bare")
    bare.apply()
    found = bare.until_said("pending", "capacity")
    assert f"pool {bare.pool.name} has no node" in found["message"]
    assert bare.pool.instance_types[0] in found["hint"]
    assert found["detail"]
    assert len(found["pods"]) == bare.pool.min
    assert ("missing", f"Node pool {bare.pool.name}", "node") in bare.findings()


def test_a_full_node_is_capacity_too(scene: Make) -> None:
    full = scene("full")
    full.apply()
    full.add_node(accelerators=0)
    found = full.until_said("pending", "capacity")
    assert "nvidia.com/gpu" in found["message"]
    assert ("unhealthy", f"Node {full.name}", "accelerators") not in full.findings()
    assert any(each[0] == "unhealthy" and each[2] == "accelerators" for each in full.findings())


def test_a_quota_of_nothing_is_told_as_quota(scene: Make) -> None:
    poor = scene("poor")
    poor.cluster.add_namespace("poor")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}
    poor.cluster.create(f"{poor.core}/resourcequotas", quota)
    has_status = lambda: poor.cluster.get(f"{poor.core}/resourcequotas/none").get("status", {}).get("hard")  # noqa: E731
    poor.cluster.until("the quota counts", has_status)
    poor.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", poor.tree / "overlays/node-groups")
    poor.add_node()
    found = poor.until_said("pending", "quota")
    assert "ResourceQuota none has requests.nvidia.com/gpu=0" in found["message"]
    assert "exceeded quota" in found["detail"]


def test_a_taint_that_pods_do_not_tolerate_is_named(scene: Make) -> None:
    tainted = scene("tainted")
    tainted.apply()
    tainted.add_node(taints=({"key": "team", "value": "research", "effect": "NoSchedule"},))
    tainted.until_said("pending", "taint", "taint team=research:NoSchedule, which the pod does not tolerate")


def test_a_cordoned_node_is_told_as_cordoned(scene: Make) -> None:
    cordoned = scene("cordoned")
    node = cordoned.add_node()
    cordoned.cluster.kubectl("cordon", node)
    cordoned.apply()
    assert node in cordoned.until_said("pending", "cordoned")["message"]


def test_a_crash_loop_is_told_with_its_exit_code_and_last_words(scene: Make) -> None:
    crashing = scene("crashing")
    crashing.apply()
    crashing.add_node(played=True)
    ended = {"exitCode": 1, "reason": "Error", "message": "CUDA out of memory", "finishedAt": now_text()}
    done = container("wait-for-model", {"terminated": {"exitCode": 0, "finishedAt": now_text()}}, ready=True)
    engine = container(
        "engine", {"waiting": {"reason": "CrashLoopBackOff"}}, restarts=4, lastState={"terminated": ended}
    )
    crashing.play(phase="Running", initContainerStatuses=[done], containerStatuses=[engine])
    found = crashing.until_said("unhealthy", "crash-loop")
    assert "exit code 1" in found["message"]
    assert "4 restarts" in found["message"]
    assert found["detail"] == "CUDA out of memory"


def test_with_karpenter_the_missing_node_is_karpenters_to_explain(scene: Make) -> None:
    short = scene("short")
    short.apply("karpenter")
    claim = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": "short-1", "labels": {"karpenter.sh/nodepool": short.pool.name}},
        "spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": short.pool.name},
            "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}],
        },
    }
    short.cluster.create("/apis/karpenter.sh/v1/nodeclaims", claim)
    told = {
        "type": "Launched",
        "status": "Unknown",
        "reason": "LaunchFailed",
        "message": "creating instance, insufficient capacity, all requested instance types were unavailable",
        "lastTransitionTime": now_text(),
    }
    short.cluster.merge("/apis/karpenter.sh/v1/nodeclaims/short-1/status", {"status": {"conditions": [told]}})

    def said() -> Any:
        answer = short.status("--overlay", "karpenter", "--format", "json")
        return [each for each in answer.data["findings"] if "none to give" in each["message"]]

    [found] = short.cluster.until("status says capacity", said, pause_s=0.5)
    assert (found["kind"], found["reason"]) == ("pending", "capacity")
    assert not [each for each in short.findings() if each[0] == "missing" and "NodePool" in each[1]]


def test_karpenter_objects_are_left_over_where_the_other_overlay_is_meant(scene: Make) -> None:
    moved = scene("moved")
    moved.apply("karpenter")
    orphans = {each[1] for each in moved.findings() if each[0] == "orphan"}
    assert orphans == {f"NodePool {moved.pool.name}", f"EC2NodeClass {moved.pool.name}"}


def test_a_reader_without_rights_to_write_sees_the_same(serving: Scene) -> None:
    kubeconfig = _kubeconfig_of_a_reader(serving, "reader", cluster_wide=True)
    answer = serving.status("--kubeconfig", kubeconfig)
    assert answer.code == 0, answer.out + answer.err


def test_what_may_not_be_read_is_named_for_each_kind(serving: Scene) -> None:
    kubeconfig = _kubeconfig_of_a_reader(serving, "outsider", cluster_wide=False)
    answer = serving.status("--kubeconfig", kubeconfig, "--format", "json")
    assert answer.code == 3
    kinds = {each["object"]: each for each in answer.data["findings"] if each["kind"] == "forbidden"}
    assert "PersistentVolume (v1)" in kinds
    assert "cannot" in kinds["PersistentVolume (v1)"]["detail"]
    assert "Deployment (apps/v1)" not in kinds
    assert not [each for each in answer.data["findings"] if each["kind"] == "missing"]
    assert any("nodes" in note for note in answer.data["notes"])


def _kubeconfig_of_a_reader(scene: Scene, name: str, *, cluster_wide: bool) -> Path:
    """A service account that may read: by the role of docs/status.md, or by ``view`` in the stack's namespace alone."""
    cluster = scene.cluster
    subject = [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]
    cluster.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    if cluster_wide:
        text = (Path(__file__).parents[3] / "docs/status.md").read_text(encoding="utf-8")
        role = text.split("```yaml\n", 1)[1].split("```", 1)[0]
        cluster.kubectl("apply", "-f", "-", text=role)
        for granted in ("view", "agentgpu-status"):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": granted}
            body = {"metadata": {"name": f"{name}-{granted}"}, "subjects": subject, "roleRef": reference}
            cluster.create(f"{rbac}/clusterrolebindings", body)
        may = ("deployments.apps", "nodes")
    else:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        body = {"metadata": {"name": name}, "subjects": subject, "roleRef": reference}
        cluster.create(f"{rbac}/namespaces/{scene.name}/rolebindings", body)
        may = ("deployments.apps",)
    for kind in may:
        words = (
            "auth",
            "can-i",
            "list",
            kind,
            f"--as=system:serviceaccount:default:{name}",
            f"--namespace={scene.name}",
        )
        cluster.until("the role is in force", lambda asked=words: "yes" in cluster.kubectl(*asked, check=False))
    token = cluster.kubectl("--namespace=default", "create", "token", name).strip()
    config = json.loads(cluster.kubeconfig.read_text(encoding="utf-8"))
    config["users"] = [{"name": "admin", "user": {"token": token}}]
    path = scene.tree.parent / f"{name}.kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path
