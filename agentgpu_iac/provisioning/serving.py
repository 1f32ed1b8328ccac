"""The agents' workloads: the rendered manifests, applied to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.manifests import Manifest, Manifests

_REPLICAS = "spec.replicas"

_WORKLOADS = frozenset(
    {"kubernetes:apps/v1:Deployment", "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingArgs:
    """What serving needs to know."""

    manifests: Manifests
    kubeconfig: pulumi.Input[str] | None = None
    """Content or path. None: what kubectl would use here."""
    context: str | None = None
    """Context of the kubeconfig. None: its current one."""
    scaled: frozenset[str] = frozenset()
    """Names of the workloads whose replicas are set by others."""
    operators: tuple[pulumi.Resource, ...] = ()
    """What brings the kinds and namespaces of others that some of the objects need; empty: they are there."""


class Serving(pulumi.ComponentResource):
    """The objects of the rendered Kustomize base, as they are, under Pulumi's care.

    One ``ConfigGroup`` holds all objects of kinds that any cluster knows: the Kubernetes provider creates the Namespace before
    what lies in it, and deletes in reverse. During the first preview of a cluster that is only being made there is nobody to
    ask yet, so these show up only in the update itself; from the second preview on, each object has its own diff.

    Objects of operators stand beside it, one by one: a group asks the cluster what each kind is, before the operator is there
    to say. They come after the group and after the operators, and go before them.

    They are applied server-side, so that each field belongs to who set it. Replicas of a burst tier are set by a scaler,
    or by hand: they count at creation, and are left alone afterwards. A changed ConfigMap is changed in its place; the
    provider's own way would be to delete it first, under the pods that read it.

    ``pulumi up`` does not wait for engines to become ready (``skip_await``). They cannot before the device plugin
    runs, which cannot be installed before the cluster exists; and a first replica that pulls an image and reads its
    weights may take longer than Pulumi's patience. Readiness is the probes' business: watch the Deployments.
    """

    provider: kubernetes.Provider
    """By which it reaches the cluster."""

    def __init__(self, name: str, args: ServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:kubernetes:Serving", name, None, opts)
        self.provider = provider = kubernetes.Provider(
            name,
            kubeconfig=args.kubeconfig,
            context=args.context,
            enable_server_side_apply=True,
            enable_config_map_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )

        def left_to_others(
            asked: pulumi.ResourceTransformArgs,
        ) -> pulumi.ResourceTransformResult | None:
            if not _sets_replicas(asked, args.scaled):
                return None
            opts = pulumi.ResourceOptions.merge(asked.opts, pulumi.ResourceOptions(ignore_changes=[_REPLICAS]))
            return pulumi.ResourceTransformResult(props=asked.props, opts=opts)

        options = pulumi.ResourceOptions(
            parent=self,
            provider=provider,
            transforms=[left_to_others] if args.scaled else None,
        )
        group = kubernetes.yaml.v2.ConfigGroup(
            name,
            objs=[dict(manifest.content) for manifest in args.manifests.applied if not manifest.is_beside],
            skip_await=True,
            opts=options,
        )
        # Each answers to the name that it had in the group too: what is there is taken over, not made anew.
        beside = pulumi.ResourceOptions(depends_on=[group, *args.operators], aliases=[pulumi.Alias(parent=group)])
        for manifest in args.manifests.applied:
            if manifest.is_beside:
                _object(f"{name}:{manifest.place}", manifest, pulumi.ResourceOptions.merge(options, beside))
        self.register_outputs({})


def _object(name: str, manifest: Manifest, opts: pulumi.ResourceOptions) -> None:
    """An object that an operator serves, or looks for in its own namespace."""
    content = manifest.content
    if manifest.kind == "ConfigMap":
        kubernetes.core.v1.ConfigMap(name, metadata=content["metadata"], data=content["data"], opts=opts)
        return
    kubernetes.apiextensions.CustomResource(
        name,
        api_version=content["apiVersion"],
        kind=manifest.kind,
        metadata=content["metadata"],
        spec=content.get("spec"),
        opts=opts,
    )


def scaled_by_others(plan: Plan) -> frozenset[str]:
    """Names of the workloads whose replicas a scaler sets, or you by hand: the burst tiers."""
    return frozenset(workload.name for workload in plan.workloads if workload.tier == "burst")


def _sets_replicas(asked: pulumi.ResourceTransformArgs, scaled: frozenset[str]) -> bool:
    """Whether a resource is one of the workloads that others scale."""
    metadata = asked.props.get("metadata")
    return asked.type_ in _WORKLOADS and isinstance(metadata, Mapping) and metadata.get("name") in scaled
