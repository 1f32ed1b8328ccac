"""Providers that rent containers and no machines: only SkyServe starts engines in those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Provider
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.planning import sky
from agentgpu_iac.planning.pricing import Machine, Unpriced
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import VIRTUAL_MACHINES


@dataclass(frozen=True, slots=True, kw_only=True)
class OnOffer:
    """What a stack may use, what it may not for want of a price, and why it may not use the rest, for each provider of it."""

    machines: tuple[Machine, ...]
    unpriced: tuple[Unpriced, ...]
    left_out: tuple[str, ...]


def without_containers(
    machines: Sequence[Machine], unpriced: Sequence[Unpriced], catalog: Catalog, spec: StackSpec
) -> OnOffer:
    """The same without containers, where the target sets up machines of its own or joins them to a cluster."""
    rents = {one.id: one for one in catalog.providers if one.rents_containers and spec.target != sky.TARGET}
    found = sorted(
        {(one.instance.provider, one.instance.name) for one in machines}
        | {(one.provider, one.instance_type) for one in unpriced}
    )
    return OnOffer(
        machines=tuple(one for one in machines if one.instance.provider not in rents),
        unpriced=tuple(one for one in unpriced if one.provider not in rents),
        left_out=tuple(_reasons(rents, [provider for provider, _ in found], spec)),
    )


def _reasons(rents: dict[str, Provider], sellers: Sequence[str], spec: StackSpec) -> Iterator[str]:
    lack = (
        "in which neither systemd nor Docker runs"
        if spec.target in VIRTUAL_MACHINES
        else "which cannot be nodes of a cluster"
    )
    for provider in rents.values():
        count = sellers.count(provider.id)
        if count:
            yield (
                f"{provider.name} rents out containers, {lack}: its {count} instance type{'s are' if count > 1 else ' is'} "
                f"left out for target {spec.target}"
            )
