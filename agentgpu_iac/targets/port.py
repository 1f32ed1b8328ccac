"""What the planner asks of a target, whichever it is: abilities as data, and the few answers in which targets differ.

A port knows the spec, the catalog and the plan, and nothing of how a plan is made: candidates, machines with prices and
pools belong to ``planning/``, which asks here what the target can do with them. The abilities are those of
``spec/abilities.py``, since the rules of a spec ask them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.catalog.model import ChargeId, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Constraint, Plan
from agentgpu_iac.spec.abilities import ABILITIES, Abilities
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.units import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class OnOffer:
    """An instance type that the spec allows, before anybody asks whether the target can use it."""

    provider: str
    instance_type: str
    accelerator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What of a provider a target cannot use, and why."""

    constraint: Constraint
    """Code of the rejection."""
    message: str
    instance_types: frozenset[OnOffer]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPriced:
    """Something that is billed beside the nodes, of whose cost a plan knows nothing."""

    what: str
    why: str
    """What it depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Keys of a spec that change nothing for a target, and why."""

    keys: tuple[str, ...]
    """Ways from the spec to a value, such as ``pins.amiAlias``."""
    reason: str

    def written(self, spec: StackSpec) -> Iterator[str]:
        """The keys among them that the spec holds, and that ask for something."""
        for key in self.keys:
            if _is_asked_for(spec, key.split(".")):
                yield key


def _is_asked_for(document: Document, keys: Sequence[str]) -> bool:
    """Whether the file holds a value there that is not off, empty or none: what is not wanted is not missed."""
    first, *rest = keys
    name = next(name for name, field in type(document).model_fields.items() if (field.alias or name) == first)
    if name not in document.model_fields_set:
        return False
    value = getattr(document, name)
    if rest:
        return isinstance(value, Document) and _is_asked_for(value, rest)
    return value not in (None, False, (), "none") and value != {}


def uses_existing_cluster(spec: StackSpec) -> bool:
    """Whether the cluster is one that somebody has, where a target could make one."""
    return spec.cluster == "existing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPort:
    """One target. What differs is data; a function stands where an answer hangs on the spec or the catalog."""

    name: Target
    title: str
    """How sentences name it."""
    providers: tuple[str, ...] | None = None
    """Who sells its machines where the spec names nobody; None: everybody may."""
    regions: tuple[str, ...] | None = None
    """Where its machines are where the spec names no place; None: anywhere."""
    price_cap_ratio: float = 1.25
    """``capacity.priceCapRatio`` where the spec names none."""
    node_error_ratio: float
    """How much longer than predicted a node may take there until its accelerators are registered, as a part of it."""
    why_no_local_zone: str = ""
    """Why its machines are in no local zone of a region: the second half of a sentence; empty where they may be."""
    why_not_over_nodes: str = ""
    """Why no replica goes over several machines: the second half of a sentence; empty where one may."""
    why_not_shared_in_part: Callable[[StackSpec], str]
    """Why nothing shares an accelerator of a machine that has several: the second half of a sentence."""
    why_not_shared: str = ""
    """Why nothing shares an accelerator at all: the second half of a sentence; empty where something may."""
    why_not_scaled: str = ""
    """Why nothing raises burst tiers; empty where KEDA or an HPA does."""
    left_out: Callable[[Sequence[OnOffer], Catalog, Target], Sequence[LeftOut]]
    """What the target cannot use of what is on offer."""
    weights_fault: Callable[[Model, StackSpec], str | None] = lambda _model, _spec: None
    """Why replicas would never get the model's weights."""
    settled: Callable[[StackSpec], StackSpec] = lambda spec: spec
    """The spec with what nobody wrote down filled in as it is there; what somebody wrote and the target cannot do, the
    rules of the spec have refused before."""
    charges: tuple[ChargeId, ...] = ()
    """What is billed beside its nodes at a price that the catalog knows."""
    charges_of_new_cluster: frozenset[ChargeId] = frozenset()
    """Those of them that come with a cluster which is made for the stack, and not with one that is there."""
    bills_root_volumes: bool = False
    """Whether the nodes' disks are network volumes, which are billed by themselves."""
    not_priced: tuple[NotPriced, ...]
    """What is billed beside them all at a price that nobody knows here."""
    idle: tuple[Idle, ...] = ()
    """What a spec may hold without any effect there."""

    @property
    def can(self) -> Abilities:
        """Its abilities."""
        return ABILITIES[self.name]

    def is_target_of(self, plan: Plan) -> bool:
        """Whether the plan is one for this target."""
        return plan.target == self.name

    def makes_nodes_of(self, provider: str) -> bool:
        """Whether an autoscaler makes and ends single nodes of that provider."""
        return self.can.makes_nodes_on_demand and provider in (self.providers or ())

    def billed_beside(self, spec: StackSpec) -> Iterator[ChargeId]:
        """What of its charges the stack brings about."""
        for charge in self.charges:
            if charge not in self.charges_of_new_cluster or not uses_existing_cluster(spec):
                yield charge

    def joined(self, spec: StackSpec) -> frozenset[str]:
        """Providers whose machines carry bursts beside the cluster: no nodes of it, but behind its NGINX."""
        meant = (*spec.capacity.machines_from, *(spec.providers if self.can.buys_from else ()))
        return frozenset(provider for provider in meant if provider in self.can.joins)

    def allowed_providers(self, spec: StackSpec) -> tuple[str, ...] | None:
        """Providers that the stack may use; None means all."""
        named = spec.providers or self.providers
        return None if named is None else tuple(dict.fromkeys((*named, *spec.capacity.machines_from)))

    def allowed_regions(self, spec: StackSpec) -> tuple[str, ...] | None:
        """Regions that the stack may use; None means all. Machines beside the cluster may be anywhere where none is named."""
        return spec.regions or self.regions


def containers_left_out(lack: str) -> Callable[[Sequence[OnOffer], Catalog, Target], Sequence[LeftOut]]:
    """Whoever rents out containers sells no machines; ``lack`` says what such a container does not do here."""

    def left_out(on_offer: Sequence[OnOffer], catalog: Catalog, target: Target) -> Sequence[LeftOut]:
        sold = by_provider(on_offer)
        return [
            LeftOut(
                constraint="container",
                message=f"{provider.name} rents out containers, {lack}: {left_out_count(sold[provider.id], target)}",
                instance_types=sold[provider.id],
            )
            for provider in catalog.providers
            if provider.rents_containers and provider.id in sold
        ]

    return left_out


def by_provider(on_offer: Iterable[OnOffer]) -> Mapping[str, frozenset[OnOffer]]:
    """What each provider sells."""
    found: dict[str, set[OnOffer]] = {}
    for sold in on_offer:
        found.setdefault(sold.provider, set()).add(sold)
    return {provider: frozenset(sold) for provider, sold in found.items()}


def left_out_count(sold: frozenset[OnOffer], target: Target) -> str:
    """How many instance types that is: the end of a sentence."""
    count = len({offer.instance_type for offer in sold})
    return f"its {counted(count, 'instance type')} {'are' if count > 1 else 'is'} left out for target {target}"


CANNOT_BE_NODES = "which cannot be nodes of a cluster"


def no_choice_of_accelerator(spec: StackSpec) -> str:
    """Why pods do not share an accelerator of a node that has several.

    NVIDIA's DRA driver could let them, by time-slicing, which is alpha there and needs Kubernetes 1.36.
    """
    return (
        "the device plugin lets no pod choose which of them it shares. DRA claims would: sharing by them needs "
        f"Kubernetes 1.36 (pins.kubernetesVersion is {spec.pins.kubernetes_version}) and is alpha in NVIDIA's driver, so no "
        "plan uses it"
    )


HOSTS_IDLE = Idle(
    keys=(
        "hosts.callerRanges",
        "hosts.adminRanges",
        "observability.grafana",
        "pins.prometheusImage",
        "pins.dcgmExporterImage",
        "pins.grafanaImage",
        "pins.ollamaImage",
    ),
    reason="only virtual machines have it",
)
CLUSTER_IDLE = Idle(
    keys=(
        "clusterObjects.disruptionBudgets",
        "clusterObjects.priorityClasses",
        "clusterObjects.topologySpread",
        "clusterObjects.helmValues",
        "security.networkPolicies",
        "security.callers",
        "security.monitoringNamespace",
        "security.resourceQuota",
        "scaling.prometheusUrl",
    ),
    reason="only a cluster has it",
)
NODE_IMAGE_IDLE = Idle(keys=("pins.amiAlias",), reason="the image of its nodes is not chosen here")
RENEWAL_IDLE = Idle(keys=("capacity.maintenanceWindow",), reason="nothing renews its nodes by itself")
ROLLOUT_IDLE = Idle(keys=("capacity.rollout",), reason="no node comes for a rollout alone")
HELD_CAPACITY_IDLE = Idle(keys=("capacity.reservation",), reason="its machines use no EC2 capacity that is held")
