"""SkyServe: each agent as one service on the clouds that SkyPilot knows.

A SkyServe replica is a machine of its own that SkyPilot starts in whichever of the given places has one; its load balancer
knows no sessions (0.14.1: round robin and least load). Facts about SkyServe were read in SkyPilot 0.14.1: sky/serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.sizing import starting
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.targets.port import (
    CLUSTER_IDLE,
    HELD_CAPACITY_IDLE,
    HOSTS_IDLE,
    NODE_IMAGE_IDLE,
    RENEWAL_IDLE,
    ROLLOUT_IDLE,
    Idle,
    LeftOut,
    NotPriced,
    OnOffer,
    TargetPort,
    by_provider,
    left_out_count,
)


def names(catalog: Catalog) -> Mapping[tuple[str, str], str]:
    """SkyPilot's name of each accelerator, by provider and accelerator, where it knows both."""
    known = {provider.id for provider in catalog.providers if provider.skypilot_cloud is not None}
    return {(row.provider, row.accelerator): row.name for row in catalog.skypilot_names if row.provider in known}


def _left_out(on_offer: Sequence[OnOffer], catalog: Catalog, target: Target) -> Sequence[LeftOut]:
    """What SkyPilot cannot ask for: of each seller, the accelerators that it has no name for."""
    known = names(catalog)
    return [
        LeftOut(
            constraint="skypilot",
            message=f"{_why(catalog, seller, sold)}: {left_out_count(sold, target)}",
            instance_types=sold,
        )
        for seller, sold in sorted(
            by_provider(offer for offer in on_offer if (offer.provider, offer.accelerator) not in known).items()
        )
    ]


def _why(catalog: Catalog, seller: str, sold: frozenset[OnOffer]) -> str:
    provider = catalog.provider(seller)
    if provider.skypilot_cloud is None:
        return f"SkyPilot knows no cloud {provider.name}"
    unnamed = sorted({catalog.accelerator(offer.accelerator).name for offer in sold})
    return f"SkyPilot has no name for {', '.join(unnamed)} of {provider.name}"


def _no_weights(model: Model, spec: StackSpec) -> str | None:
    if not model.is_local or spec.model_cache.source == "s3":
        return None
    return (
        f"{model.id} is known by its config.json only, and each SkyServe replica fetches its weights by "
        "itself: put them into a bucket (modelCache.source: s3)"
    )


def _settled(spec: StackSpec) -> StackSpec:
    """SkyServe's own load balancer, without sessions, and its own autoscaler."""
    network = spec.network.model_copy(update={"routing": "round-robin", "router": "none"})
    scaling = spec.scaling.model_copy(update={"method": "none"})
    return spec.model_copy(update={"network": network, "scaling": scaling})


SKYSERVE: Final = TargetPort(
    name="skyserve",
    title="SkyServe",
    node_error_ratio=starting.NODE_ERROR_RATIO_ELSEWHERE,
    why_no_local_zone="SkyServe is given regions, and takes the zone there by itself",
    why_not_over_nodes="and a SkyServe replica over several machines is not planned",
    why_not_shared_in_part=lambda _spec: "a SkyServe replica is a machine of its own",
    why_not_shared="but a SkyServe replica is a machine of its own; target compose and kubernetes can share one",
    why_not_scaled="SkyServe scales by requests a second alone",
    left_out=_left_out,
    weights_fault=_no_weights,
    settled=_settled,
    not_priced=(
        NotPriced(what="SkyServe's controller", why="a machine of its own in a cloud that SkyPilot chooses"),
        NotPriced(what="disks, traffic and addresses of the replicas", why="each cloud bills them in its own way"),
    ),
    idle=(
        CLUSTER_IDLE,
        HOSTS_IDLE,
        NODE_IMAGE_IDLE,
        HELD_CAPACITY_IDLE,
        RENEWAL_IDLE,
        ROLLOUT_IDLE,
        Idle(
            keys=("network.sessionHeader", "network.maxRequestMib", "pins.routerImage"),
            reason="SkyServe's own load balancer stands before the replicas",
        ),
        Idle(
            keys=(
                "observability.monitors",
                "observability.alerts",
                "observability.dashboard",
                "observability.labels",
                "observability.accelerators",
                "observability.cluster",
                "observability.runbookBaseUrl",
                "pins.routerExporterImage",
            ),
            reason="nothing that is rendered for SkyServe watches its replicas",
        ),
        Idle(keys=("pins.kubernetesVersion",), reason="only a cluster has it"),
    ),
)
