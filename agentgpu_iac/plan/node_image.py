"""Where AWS publishes the images of EKS's nodes: parameters of Systems Manager that anybody may read."""

from __future__ import annotations

from agentgpu_iac.plan.node_pool import NodePool

NEWEST = "recommended"
"""The name under which AWS keeps the image that it recommends now."""


def release_parameter(pool: NodePool, release: str | None = None) -> str:
    """The parameter that holds the release version of a pool's image: of one release (``v20261119``), else of the newest.

    A value is ``<Kubernetes patch version>-<date>``, such as ``1.35.2-20261119``. The folder is that of AWS's user guide
    (eks/latest/userguide/retrieve-ami-id.html); one release's name in it is the one that Karpenter asks for
    (karpenter-provider-aws 1.14.1, pkg/providers/amifamily/al2023.go). Both read 2026-11-27.
    """
    version, variant = pool.kubernetes_version, "nvidia"
    name = NEWEST if release is None else f"amazon-eks-node-al2023-{pool.architecture}-{variant}-{version}-{release}"
    return f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{pool.architecture}/{variant}/{name}/release_version"
