"""The control plane of these suites is what it claims to be."""

from __future__ import annotations

from tests.e2e.cluster.control_plane import ControlPlane, is_established


def test_it_is_the_version_that_we_claim(cluster: ControlPlane) -> None:
    assert cluster.get("/version")["gitVersion"] == "v1.36.3"


def test_custom_resources_are_established(equipped_cluster: ControlPlane) -> None:
    definitions = equipped_cluster.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    served = {each["spec"]["names"]["kind"] for each in definitions if is_established(each)}
    assert served >= {
        *("NodePool", "NodeClaim", "EC2NodeClass", "KWOKNodeClass"),
        *("ScaledObject", "TriggerAuthentication", "LeaderWorkerSet"),
        *("Gateway", "HTTPRoute", "InferencePool", "PodMonitor", "ServiceMonitor", "PrometheusRule"),
        *("ExternalSecret", "Application", "Kustomization", "GitRepository"),
    }
