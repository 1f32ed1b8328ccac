"""Addresses that nothing of ours may be led to: one list for the policies of a cluster and the firewall of a machine."""

from __future__ import annotations

from typing import Final

METADATA: Final = ("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
"""Where clouds answer for the machine itself outside of link-local addresses: Alibaba, Azure (its agent's), Oracle."""
LINK_LOCAL: Final = (*METADATA, "169.254.0.0/16", "fd00:ec2::/32", "fe80::/10")
"""The instance metadata services among others: nobody may ask them for the machine's credentials or its user data."""
PRIVATE: Final = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Networks of somebody's own."""
NOWHERE: Final = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::1/128", "ff00::/8")
"""What is no host on the way to the internet: this machine, groups, and what is reserved."""


def of_family(ranges: tuple[str, ...], version: int) -> tuple[str, ...]:
    """Those of a version of IP, 4 or 6."""
    return tuple(each for each in ranges if (":" in each) == (version == 6))
