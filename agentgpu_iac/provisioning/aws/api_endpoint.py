"""The cluster's API endpoint: who may reach it at all, before it asks who they are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentgpu_iac.errors import Fault

_KEY = "agentgpu:apiEndpoint"
_RANGES_KEY = "agentgpu:apiAllowedCidrs"

PUBLIC_AND_PRIVATE: Literal["public-and-private"] = "public-and-private"
PRIVATE: Literal["private"] = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEndpoint:
    """Where the API answers. The private endpoint is always there: nodes use it."""

    kind: str = PUBLIC_AND_PRIVATE
    allowed_cidrs: tuple[str, ...] = ()
    """Who may reach it: from the internet a public one, from inside the network and what is joined to it a private one."""

    @property
    def is_public(self) -> bool:
        """Whether the API also answers outside of the network."""
        return self.kind == PUBLIC_AND_PRIVATE

    def faults(self, source: str) -> Iterator[Fault]:
        """What cannot be carried out, or should not be without saying so."""
        if self.kind not in (PUBLIC_AND_PRIVATE, PRIVATE):
            yield Fault(
                source=source,
                path=_KEY,
                message=f"{self.kind!r} is no kind of API endpoint",
                hint=f"write {PUBLIC_AND_PRIVATE} or {PRIVATE}",
            )
        elif self.is_public and not self.allowed_cidrs:
            yield Fault(
                source=source,
                path=_RANGES_KEY,
                message="the cluster's API endpoint is public, and no address range says who may reach it",
                hint=f"pulumi config set --path '{_RANGES_KEY}[0]' YOUR_RANGE; 0.0.0.0/0 opens it to everybody",
            )
        elif not self.allowed_cidrs:
            yield Fault(
                source=source,
                path=_RANGES_KEY,
                message="a private API endpoint answers nodes alone until an address range is let in, and Pulumi must reach it",
                hint=f"pulumi config set --path '{_RANGES_KEY}[0]' RANGE_OF_YOUR_NETWORK",
            )
        for cidr in self.allowed_cidrs:
            if not _is_range(cidr):
                yield Fault(
                    source=source,
                    path=_RANGES_KEY,
                    message=f"{cidr!r} is no IPv4 address range",
                    hint="write the first address and the length, such as 203.0.113.0/24",
                )


def _is_range(text: str) -> bool:
    try:
        return "/" in text and ipaddress.IPv4Network(text) is not None
    except ValueError:
        return False
