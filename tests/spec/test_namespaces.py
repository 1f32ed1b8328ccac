"""A stack has a namespace of its own: no system's, and none that its spec names for somebody else."""

from __future__ import annotations

import pytest

from tests.spec.files import SMALLEST, faults_of, with_spec

TAKEN = (
    *(
        "default",
        "kube-system",
        "kube-public",
        "kube-node-lease",
        "monitoring",
        "argocd",
        "flux-system",
        "keda",
        "karpenter",
    ),
    *(
        "cert-manager",
        "gpu-operator",
        "istio-system",
        "lws-system",
        "kueue-system",
        "external-secrets",
        "ingress-nginx",
    ),
    *("istio-ingress", "knative-serving", "tekton-pipelines", "tigera-operator", "kyverno", "kubeflow", "metallb"),
    *("kubernetes-dashboard", "nginx-ingress", "prometheus-operator", "argo-rollouts", "longhorn", "minio", "lws"),
    *("openshift-monitoring", "gke-managed-system", "amazon-cloudwatch", "system", "system-agents"),
)
NAMED = {
    "callers": "security: {callers: [web, customer-service]}",
    "monitoring": "security: {monitoringNamespace: customer-service}",
    "GitOps": "gitops: {tool: flux, path: a, repository: 'https://example.org/a', namespace: customer-service}",
    "Gateway": "network: {router: gateway, gateway: {name: g, namespace: customer-service}}",
    "Prometheus": "scaling: {prometheusUrl: 'http://prometheus.customer-service.svc:9090'}",
    "Prometheus by two words": "scaling: {prometheusUrl: 'http://prometheus.customer-service:9090'}",
    "Prometheus by its pod": "scaling: {prometheusUrl: 'http://p-0.prometheus.customer-service.svc:9090'}",
    "Prometheus by its whole name": "scaling: {prometheusUrl: 'http://p.customer-service.svc.cluster.local:9090/x'}",
}


@pytest.mark.parametrize("name", TAKEN)
def test_namespaces_of_others_are_refused(name: str) -> None:
    (fault,) = faults_of(SMALLEST.replace("customer-service", name))
    assert fault.startswith("stack.yaml:3:18: metadata.name: the namespace")


@pytest.mark.parametrize("line", NAMED.values(), ids=NAMED.keys())
def test_namespaces_that_the_spec_itself_names_are_refused(line: str) -> None:
    (fault,) = faults_of(with_spec(line))
    assert fault.startswith("stack.yaml:3:18: metadata.name: 'customer-service' is also the namespace of ")
    assert "on line 5" in fault


@pytest.mark.parametrize(
    "name",
    ["customer-service", "support-desk", "defaults", "monitor", "ecosystem", "kubed", "istion", "argonaut", "nvidias"],
)
def test_names_of_agents_work_are_names(name: str) -> None:
    assert faults_of(SMALLEST.replace("customer-service", name)) == []


@pytest.mark.parametrize("target", ["compose", "skyserve"])
def test_without_a_cluster_there_is_no_namespace(target: str) -> None:
    faults = faults_of(with_spec(f"target: {target}").replace("customer-service", "monitoring"))
    assert not any("namespace" in fault for fault in faults)
