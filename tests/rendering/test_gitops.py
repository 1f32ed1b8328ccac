"""What tells a GitOps tool to apply a stack, and in which order Argo CD does."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.rendering.manifest import Manifest
from agentgpu_iac.rendering.sync_waves import ANNOTATION, LAST_WAVE, WAVE_OF_KIND, wave
from tests.plans import make_routed_plan, make_tiered_plan
from tests.rendering.trees import PLANS, tree


def make_gitops(**changes: Any) -> p.GitOpsPlan:
    fields: dict[str, Any] = dict(
        tool="argocd",
        repository="https://git.example.com/acme/stacks.git",
        revision="main",
        revision_kind="branch",
        path="stacks/demo/overlays/karpenter",
        namespace="argocd",
        timeout_s=898,
        others_scale=("support-burst",),
    )
    return p.GitOpsPlan(**{**fields, **changes})


def with_argocd() -> p.Plan:
    return make_tiered_plan().model_copy(update={"gitops": make_gitops()})


def with_flux(**changes: Any) -> p.Plan:
    gitops = make_gitops(tool="flux", namespace="flux-system", **changes)
    return make_tiered_plan().model_copy(update={"gitops": gitops})


def test_argo_cd_applies_the_overlay_and_leaves_others_their_replicas() -> None:
    made = tree(with_argocd())
    application = made["gitops/application-demo.yaml"]
    assert application["metadata"]["namespace"] == "argocd"
    spec = application["spec"]
    assert spec["source"] == {
        "repoURL": "https://git.example.com/acme/stacks.git",
        "targetRevision": "main",
        "path": "stacks/demo/overlays/karpenter",
    }
    assert "overlays/karpenter/kustomization.yaml" in made
    assert spec["destination"] == {"server": "https://kubernetes.default.svc", "namespace": "demo"}
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert {"ServerSideApply=true", "CreateNamespace=false", "RespectIgnoreDifferences=true"} == set(
        spec["syncPolicy"]["syncOptions"]
    )
    (ignored,) = spec["ignoreDifferences"]
    assert (ignored["kind"], ignored["name"], ignored["jsonPointers"]) == (
        "Deployment",
        "support-burst",
        ["/spec/replicas"],
    )


def test_flux_fetches_the_repository_and_waits_for_no_engine() -> None:
    made = tree(with_flux(others_scale=()))
    source, applied = made["gitops/gitrepository-demo.yaml"], made["gitops/kustomization-demo.yaml"]
    assert source["spec"]["ref"] == {"branch": "main"}
    assert applied["spec"]["sourceRef"] == {"kind": "GitRepository", "name": source["metadata"]["name"]}
    assert applied["spec"]["path"] == "./stacks/demo/overlays/karpenter"
    assert (applied["spec"]["prune"], applied["spec"]["wait"]) == (True, False)
    assert "ignore" not in applied["spec"]
    assert made["gitops/kustomization.yaml"]["resources"] == ["gitrepository-demo.yaml", "kustomization-demo.yaml"]


def test_flux_is_told_of_a_tag_and_of_replicas_that_someone_else_sets() -> None:
    made = tree(with_flux(revision="v1.2.0", revision_kind="tag"))
    assert made["gitops/gitrepository-demo.yaml"]["spec"]["ref"] == {"tag": "v1.2.0"}
    (ignored,) = made["gitops/kustomization-demo.yaml"]["spec"]["ignore"]
    assert ignored["target"] == {"kind": "Deployment", "namespace": "demo", "name": "support-burst"}
    assert ignored["paths"] == ["/spec/replicas"]


def test_no_overlay_applies_what_tells_the_tool_to_apply_it() -> None:
    for plan in (with_argocd(), with_flux()):
        for path, body in tree(plan).items():
            if path.startswith("overlays/"):
                assert "../../gitops" not in body["resources"]


def waves(plan: p.Plan) -> dict[str, int]:
    """The wave of each kind. Fails for an object of a cluster without one."""
    found: dict[str, int] = {}
    for path, body in tree(plan).items():
        annotations = body.get("metadata", {}).get("annotations", {})
        if ANNOTATION in annotations:
            found[body["kind"]] = int(annotations[ANNOTATION])
        else:
            assert path.startswith(("gitops/", "overlays/")) or path.endswith("kustomization.yaml"), path
    return found


def test_argo_cd_applies_what_others_need_first() -> None:
    found = waves(with_argocd())
    for first, then in (
        ("Namespace", "ConfigMap"),
        ("PriorityClass", "DaemonSet"),
        ("NetworkPolicy", "DaemonSet"),
        ("PersistentVolume", "PersistentVolumeClaim"),
        ("PersistentVolumeClaim", "DaemonSet"),
        ("ServiceAccount", "DaemonSet"),
        ("ConfigMap", "DaemonSet"),
        ("Service", "Deployment"),
    ):
        assert found[first] < found[then], (first, then)


def placed(kind: str, folder: str = "base", component: str = "engine") -> int:
    labels = {"app.kubernetes.io/component": component}
    return wave(Manifest(folder=folder, body={"kind": kind, "metadata": {"name": "a", "labels": labels}}))


WAITS_FOR_OTHERS = (
    ("Deployment", "base", "engine"),
    ("LeaderWorkerSet", "groups", "engine"),
    ("DaemonSet", "base", "model-cache"),
    ("NodePool", "karpenter", "node-pool"),
    ("EC2NodeClass", "karpenter", "node-pool"),
    ("ScaledObject", "scaling", "scaling"),
    ("HorizontalPodAutoscaler", "scaling", "scaling"),
    ("HTTPRoute", "gateway", "gateway"),
    ("ExternalSecret", "secrets", "secrets"),
)


@pytest.mark.parametrize(("kind", "folder", "component"), WAITS_FOR_OTHERS)
def test_nothing_comes_after_what_may_wait_for_ever(kind: str, folder: str, component: str) -> None:
    assert placed(kind, folder, component) == LAST_WAVE


def test_monitors_services_and_routers_come_before_engines() -> None:
    for kind, folder, component in (
        ("PodMonitor", "monitoring", "monitoring"),
        ("PrometheusRule", "monitoring", "monitoring"),
        ("ConfigMap", "monitoring", "dashboard"),
        ("Service", "base", "engine"),
        ("NetworkPolicy", "base", "engine"),
        ("Deployment", "base", "router"),
        ("Deployment", "gateway", "endpoint-picker"),
    ):
        assert placed(kind, folder, component) < placed("Deployment"), kind


def test_an_endpoint_picker_comes_after_its_pool_and_its_rights() -> None:
    picker = placed("Deployment", "gateway", "endpoint-picker")
    for kind in ("InferencePool", "Role", "RoleBinding", "ServiceAccount"):
        assert placed(kind, "gateway", "endpoint-picker") < picker


def test_burst_tiers_come_with_their_scaler() -> None:
    made = tree(with_argocd())
    burst = made["base/deployment-support-burst.yaml"]["metadata"]["annotations"][ANNOTATION]
    assert int(burst) == placed("ScaledObject", "scaling", "scaling")


def test_old_nodes_stay_until_what_took_their_place_serves() -> None:
    for plan, annotation, value in (
        (with_argocd(), "argocd.argoproj.io/sync-options", "PruneLast=true"),
        (with_flux(), "kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ):
        for body in tree(plan).values():
            last = body.get("metadata", {}).get("annotations", {}).get(annotation) == value
            assert last == (body["kind"] in ("NodePool", "EC2NodeClass")), body["kind"]


def test_flux_waits_for_the_router_alone() -> None:
    routed = make_routed_plan().model_copy(update={"gitops": make_gitops(tool="flux", namespace="flux-system")})
    for plan, names in ((with_flux(), []), (routed, ["traffic-router"])):
        spec = tree(plan)["gitops/kustomization-demo.yaml"]["spec"]
        assert spec["wait"] is False
        assert [each["name"] for each in spec.get("healthChecks", [])] == names


def test_every_kind_that_is_rendered_has_its_wave() -> None:
    kinds = {
        body["kind"]
        for make in PLANS.values()
        for path, body in tree(make()).items()
        if not path.startswith(("gitops/", "overlays/", "helm-values/", "monitoring/"))
    }
    assert kinds - {"Kustomization"} <= set(WAVE_OF_KIND)


def without_orders(plan: p.Plan) -> dict[str, dict[str, Any]]:
    made = {path: body for path, body in tree(plan).items() if not path.startswith("gitops/")}
    for body in made.values():
        annotations = body.get("metadata", {}).get("annotations", {})
        for key in (ANNOTATION, "argocd.argoproj.io/sync-options", "kustomize.toolkit.fluxcd.io/prune"):
            annotations.pop(key, None)
        if not annotations:
            body.get("metadata", {}).pop("annotations", None)
    return made


def test_waves_change_nothing_else() -> None:
    plain = tree(make_tiered_plan())
    assert without_orders(with_argocd()) == without_orders(with_flux()) == plain


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("plan", PLANS)
def test_without_a_tool_there_is_no_trace_of_one(plan: str) -> None:
    for path, body in tree(PLANS[plan]()).items():
        assert not path.startswith("gitops/")
        assert ANNOTATION not in body.get("metadata", {}).get("annotations", {})
