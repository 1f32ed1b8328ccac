"""The Kubernetes version of a stack's cluster: the one it pins, else the usual one of the catalog."""

from __future__ import annotations

from typing import get_args

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.spec.model import KubernetesVersion, Pins, StackSpec


def with_kubernetes_version(spec: StackSpec, catalog: Catalog) -> StackSpec:
    """The spec with a version in its pins.

    Raises:
        BadInput: none is pinned, and the catalog knows none with support that a stack can pin.
    """
    if spec.pins.kubernetes_version is not None:
        return spec
    usual = catalog.usual_kubernetes_version(get_args(KubernetesVersion))
    values = {**dict(spec.pins), "kubernetes_version": usual}
    pins = Pins.model_construct(spec.pins.model_fields_set, **values)  # it stays a field that nobody wrote
    return StackSpec.model_construct(spec.model_fields_set, **{**dict(spec), "pins": pins})


def kubernetes_version(spec: StackSpec) -> str:
    """The version, of a spec that was given one."""
    version = spec.pins.kubernetes_version
    if version is None:
        raise ValueError("the spec has no Kubernetes version yet")
    return version
