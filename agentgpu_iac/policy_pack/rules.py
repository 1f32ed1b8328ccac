"""What a resource of anybody's program may not be: the planner's refusals, read from inputs instead of from a plan.

Each rule yields one sentence for each thing that breaks it, with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.credentials import credential_in
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.units import HOURS_PER_MONTH

_AWS: Final = "aws"
_CLUSTER: Final = "aws:eks/cluster:Cluster"
_NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_INSTANCE: Final = "aws:ec2/instance:Instance"
_PROVIDER: Final = "pulumi:providers:"
_EVERYBODY: Final = frozenset({"0.0.0.0/0", "::/0"})
_POD_OWNERS: Final = re.compile(
    r"^kubernetes:.*:(Deployment|StatefulSet|DaemonSet|ReplicaSet|Job|CronJob|Pod|LeaderWorkerSet)$"
)
_CONTAINERS: Final = ("containers", "initContainers")
_SECRET_NAME: Final = re.compile(r"(?i)(^|_)(token|password|passwd|secret|api_?key|private_?key)$")
_DEPTH: Final = 40
"""Levels that are looked into: no object of Kubernetes has as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A resource as a program asks for it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    region: str = ""
    """Region of its AWS provider; empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """Machines with accelerators that always run, as a node group or an instance asks for them."""

    types: tuple[str, ...]
    capacity_type: CapacityType
    fewest: int


def public_api(seen: Seen, *, everybody: bool = False) -> Iterator[str]:
    """An EKS API endpoint that the internet reaches without an allow-list. Unset, AWS makes it public for everybody."""
    if seen.type != _CLUSTER:
        return
    access = _mapping(seen.inputs.get("vpcConfig"))
    if access.get("endpointPublicAccess") is False:
        return
    ranges = access.get("publicAccessCidrs") or ()
    if not ranges:
        yield (
            f"the API endpoint of {seen.name} is public, and nothing says who may reach it: "
            "set vpcConfig.publicAccessCidrs, or endpointPublicAccess to false"
        )
    elif not everybody and _EVERYBODY.intersection(map(str, ranges)):
        yield f"the API endpoint of {seen.name} is open to everybody: name the ranges that may reach it in publicAccessCidrs"


def spot_baseline(seen: Seen, facts: Catalog, *, interruptible: Sequence[str] = ()) -> Iterator[str]:
    """Accelerator nodes that always run, bought on spot: whoever waits for them loses them at any time."""
    bought = bought_by(seen, facts)
    if bought is None or bought.capacity_type != "spot" or bought.fewest == 0 or seen.name in interruptible:
        return
    yield (
        f"{seen.name} keeps {bought.fewest} x {' or '.join(bought.types) or 'its machines'} on spot, which may go at any "
        "time: buy them on-demand, let the least be 0, or name it in interruptible"
    )


def unpriced(seen: Seen, facts: Catalog) -> Iterator[str]:
    """Accelerator machines that no catalog row has a price for."""
    bought = bought_by(seen, facts)
    if bought is None:
        return
    for kind in bought.types:
        if usd_per_hour(facts, kind, seen.region, bought.capacity_type) is None:
            where = f" in {seen.region}" if seen.region else ""
            yield (
                f"nobody knows what {kind} of {seen.name} costs{where} as {bought.capacity_type}: "
                "add its price to your catalog rows, or choose a machine that has one"
            )


def unpinned_images(seen: Seen, *, digests: bool = False) -> Iterator[str]:
    """Containers whose image may be another one tomorrow: no tag, or latest; with ``digests``, whatever has no digest."""
    for container in containers_of(seen):
        image = str(container.get("image") or "")
        if not image or "@sha256:" in image:
            continue
        tag = image.rpartition("/")[2].partition(":")[2]
        if digests or tag in ("", "latest"):
            why = (
                "has no digest"
                if digests and tag not in ("", "latest")
                else f"is {tag or 'of no tag, which is latest'}"
            )
            yield f"the image {image} of {container.get('name')} in {seen.name} {why}: pin it, agentgpu pin finds the digest"


def secrets_in_clear(seen: Seen, *, marked: Sequence[str] = ()) -> Iterator[str]:
    """Credentials in inputs of a resource, and variables whose name says that their value is one.

    Pulumi's policy library hands over what a program marks as secret without its mark: ``marked`` names the resources that do.
    A provider is asked for with the credentials that it works with.
    """
    if seen.type.startswith(_PROVIDER) or seen.name in marked:
        return
    if seen.type.startswith("kubernetes:") and seen.type.endswith(":Secret"):
        return
    for container in containers_of(seen):
        for variable in _mappings(container.get("env")):
            name = str(variable.get("name"))
            if variable.get("value") and _SECRET_NAME.search(name):
                yield (
                    f"the variable {name} of {container.get('name')} in {seen.name} has its value in clear: "
                    "take it from a Secret with valueFrom.secretKeyRef"
                )
    for path, text in _texts(seen.inputs, ""):
        if (kind := credential_in(text)) is not None:
            yield (
                f"{path} of {seen.name} holds {kind}: take it from a Secret, or from the configuration with --secret "
                "and name the resource in marked"
            )


def over_budget(stack: Iterable[Seen], facts: Catalog, *, budget_usd_per_month: Decimal) -> Iterator[str]:
    """Accelerator machines that always run and together cost more a month than they may. Unpriced ones count for nothing here."""
    month, counted = Decimal(0), []
    for seen in stack:
        bought = bought_by(seen, facts)
        if bought is None or not bought.fewest:
            continue
        prices = [usd_per_hour(facts, kind, seen.region, bought.capacity_type) for kind in bought.types]
        known = [price for price in prices if price is not None]
        if known:
            month += max(known) * bought.fewest * HOURS_PER_MONTH
            counted.append(seen.name)
    if month > budget_usd_per_month:
        yield (
            f"{' and '.join(counted)} cost USD {month:,.2f} a month, over the budget of USD {budget_usd_per_month:,.2f}: "
            "raise the budget, or run fewer or smaller machines"
        )


def bought_by(seen: Seen, facts: Catalog) -> Bought | None:
    """The accelerator machines that a resource buys; None where it buys none."""
    if seen.type == _INSTANCE:
        kind = str(seen.inputs.get("instanceType") or "")
        market = _mapping(seen.inputs.get("instanceMarketOptions")).get("marketType")
        return _of_accelerators((kind,), seen, facts, "spot" if market == "spot" else "on-demand", 1)
    if seen.type != _NODE_GROUP:
        return None
    types = tuple(map(str, seen.inputs.get("instanceTypes") or ()))
    scaling = _mapping(seen.inputs.get("scalingConfig"))
    capacity = str(seen.inputs.get("capacityType") or "ON_DEMAND")
    fewest = int(scaling.get("minSize") or 0)
    return _of_accelerators(types, seen, facts, "spot" if capacity == "SPOT" else "on-demand", fewest)


def _of_accelerators(
    types: tuple[str, ...], seen: Seen, facts: Catalog, capacity: CapacityType, fewest: int
) -> Bought | None:
    image = str(seen.inputs.get("amiType") or "")
    tainted = any(taint.get("key") == ACCELERATOR_RESOURCE for taint in _mappings(seen.inputs.get("taints")))
    known = {offer.instance_type.name for offer in facts.offerings if offer.provider == _AWS}
    if not (tainted or "NVIDIA" in image or known.intersection(types)):
        return None
    return Bought(types=types, capacity_type=capacity, fewest=fewest)


def usd_per_hour(facts: Catalog, kind: str, region: str, capacity: CapacityType) -> Decimal | None:
    """The dearest known price of a machine of AWS, in a region or, where none is known, anywhere."""
    prices = [
        offer.usd_per_hour
        for offer in facts.offerings
        if offer.provider == _AWS
        and offer.instance_type.name == kind
        and offer.capacity_type == capacity
        and offer.usd_per_hour is not None
        and (not region or offer.region == region)
    ]
    return max(prices, default=None)


def containers_of(seen: Seen) -> Iterator[Mapping[str, Any]]:
    """The containers of the pods that an object of Kubernetes makes, wherever their template stands in it."""
    if _POD_OWNERS.match(seen.type):
        yield from _containers(seen.inputs, _DEPTH)


def _containers(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _CONTAINERS:
                yield from _mappings(inner)
            else:
                yield from _containers(inner, depth - 1)


def _texts(value: Any, path: str, depth: int = _DEPTH) -> Iterator[tuple[str, str]]:
    """Every text of the inputs with its place."""
    if depth == 0:
        return
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}" if path else str(key), depth - 1)
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{index}]", depth - 1)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Sequence):
        yield from (each for each in value if isinstance(each, Mapping))
