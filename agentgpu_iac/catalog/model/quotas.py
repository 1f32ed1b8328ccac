"""Quotas of an account: how many vCPUs of a kind of machine it may run at once."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import ReadOn, Sources
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import CapacityType

_FAMILY = re.compile(r"[a-z]+[0-9]*")


class VcpuQuota(Document):
    """A quota that counts the vCPUs of some families of machines, in each region by itself."""

    provider: str
    """Provider id."""
    families: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z]+[0-9]*$")], ...], Field(min_length=1)]
    """Families that it counts: the letters of an instance type's name (``g``), or those with its generation (``p5``)."""
    capacity_type: CapacityType
    """How the machines are bought."""
    name: str
    """What the provider's console calls it."""
    code: Annotated[str, Field(pattern=r"^L-[0-9A-F]{8}$")]
    """Its code, by which the provider's API asks for more."""
    date: ReadOn
    """When the source said so."""
    sources: Sources
    """Where name and code are from."""
    note: str | None = None
    """What a reader should know about it."""

    def counts(self, instance_type: str) -> bool:
        """Whether a machine of that type counts."""
        family = _FAMILY.match(instance_type.partition(".")[0])
        return family is not None and (family[0] in self.families or family[0].rstrip("0123456789") in self.families)
