"""A marketplace: how it sells, and which accelerator it means by the names that it gives a GPU, its memory and its form.

A marketplace passes on what its many suppliers sell, each in words of its own: ``H100_SXM5``, ``NVIDIA H100 80GB SXM5``,
``H100`` with the interconnect beside it. Where that could be two accelerators, it is none: a wrong card is worse than no card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentgpu_iac.catalog.join import ANY_PROVIDER, NoAcceleratorError
from agentgpu_iac.catalog.model import Accelerator, GpuAlias
from agentgpu_iac.catalog.naming import words_of
from agentgpu_iac.spec.vocabulary import CapacityType

MARKETPLACE: Final = "spheron"
"""The provider whose machines are bought offer by offer."""

SpheronInstanceType = Literal["SPOT", "DEDICATED", "CLUSTER"]

SOLD_AS: Final[dict[CapacityType, tuple[SpheronInstanceType, ...]]] = {
    "spot": ("SPOT",),
    "on-demand": ("DEDICATED", "CLUSTER"),
    "reserved": (),
}
"""Neither a DEDICATED machine nor one of a CLUSTER is taken back; nothing is sold by reservation."""

MEMORY_TOLERANCE_RATIO = 0.1
"""Sellers count memory as it is on the label, as CUDA sees it, or in GiB. Cards of one name differ by more than this."""

_FORMS = frozenset({"sxm", "pcie", "nvl"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldGpu:
    """A GPU as a marketplace describes it."""

    names: tuple[str, ...]
    """The most exact first."""
    memory_gb: float | None
    """Of one GPU; unset where the seller does not say."""
    interconnect: str = ""
    """For example ``SXM5`` or ``PCIe``; empty where the seller does not say."""


def accelerator_sold(
    gpu: SoldGpu, provider: str, accelerators: Sequence[Accelerator], aliases: Iterable[GpuAlias]
) -> Accelerator:
    """The one accelerator that this can only be.

    Raises:
        NoAcceleratorError: the catalog knows none of these names, or cannot tell which of several it is.
    """
    known = {row.id: row for row in accelerators}
    named = [row for row in aliases if row.provider in (provider, ANY_PROVIDER) and row.instance_type is None]
    seen: set[str] = set()
    for name in gpu.names:
        ids = _by_alias(name, named) or _by_name(name, gpu, accelerators)
        left = [ident for ident in ids if ident in known and _fits(known[ident], gpu)]
        if len(left) == 1:
            return known[left[0]]
        seen.update(left)
    words = f"{gpu.names[0] if gpu.names else 'a GPU without a name'}{_memory(gpu)}"
    if seen:
        raise NoAcceleratorError(f"{words} may be {' or '.join(sorted(seen))}")
    raise NoAcceleratorError(f"{words} is not known to be an accelerator of the catalog")


def _by_alias(name: str, aliases: Iterable[GpuAlias]) -> tuple[str, ...]:
    words = words_of(name)
    for row in aliases:
        if words_of(row.gpu) == words:
            return row.accelerators
    return ()


def _by_name(name: str, gpu: SoldGpu, accelerators: Iterable[Accelerator]) -> tuple[str, ...]:
    """Accelerators all of whose words are said, and that leave no other word unexplained."""
    said = words_of(name)
    about = words_of(gpu.interconnect) | ({f"{gpu.memory_gb:g}gb"} if gpu.memory_gb else frozenset())
    found: list[str] = []
    for row in accelerators:
        its = words_of(row.name)
        unexplained = said - its - _FORMS - {word for word in said if re.fullmatch(r"\d+gb", word)}
        if its <= said | about and not unexplained:
            found.append(row.id)
    return tuple(found)


def _fits(accelerator: Accelerator, gpu: SoldGpu) -> bool:
    """Whether memory and form are those of the accelerator; what is not said speaks for no one."""
    if gpu.memory_gb and abs(gpu.memory_gb / accelerator.memory_gb - 1) > MEMORY_TOLERANCE_RATIO:
        return False
    form = words_of(gpu.interconnect) & _FORMS
    its = words_of(accelerator.name) & _FORMS
    return not form or not its or bool(form & its) or (its == {"nvl"} and form == {"pcie"})


def _memory(gpu: SoldGpu) -> str:
    parts = [f"{gpu.memory_gb:g} GB" if gpu.memory_gb else "", gpu.interconnect]
    said = ", ".join(part for part in parts if part)
    return f" ({said})" if said else ""
