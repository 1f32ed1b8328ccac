"""The agents' workloads: the rendered manifests, applied to the cluster."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from agentgpu_iac.provisioning.manifests import Manifests


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingArgs:
    """What serving needs to know."""

    kubeconfig: pulumi.Input[str]
    manifests: Manifests


class Serving(pulumi.ComponentResource):
    """The objects of the rendered Kustomize base, as they are, under Pulumi's care.

    One ``ConfigGroup`` holds them all: the Kubernetes provider creates the Namespace before what lies in it, and
    deletes in reverse. During the first preview there is no cluster yet, so the objects show up only in the
    update itself; from the second preview on, each object has its own diff.

    ``pulumi up`` does not wait for engines to become ready (``skip_await``). They cannot before the device plugin
    runs, which cannot be installed before the cluster exists; and a first replica that pulls an image and reads its
    weights may take longer than Pulumi's patience. Readiness is the probes' business: watch the Deployments.
    """

    def __init__(self, name: str, args: ServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:Serving", name, None, opts)
        provider = kubernetes.Provider(name, kubeconfig=args.kubeconfig, opts=pulumi.ResourceOptions(parent=self))
        kubernetes.yaml.v2.ConfigGroup(
            name,
            objs=[dict(manifest.content) for manifest in args.manifests.applied],
            skip_await=True,
            opts=pulumi.ResourceOptions(parent=self, providers={"kubernetes": provider}),
        )
        self.register_outputs({})
