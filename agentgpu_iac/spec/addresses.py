"""Addresses to which keys and tokens are sent."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from agentgpu_iac.spec.model.fields import HOST

_ADDRESS: Final = re.compile(rf"(https?)://(?P<host>{HOST})(:[0-9]{{1,5}})?([/?#][!-~]*)?", re.IGNORECASE)


def keeps_secrets(address: str) -> bool:
    """Whether nobody on the way can read what is sent there: by HTTPS, or on this machine; and nobody signs in by the address."""
    found = _ADDRESS.fullmatch(address)
    return found is not None and (found[1].lower() == "https" or _is_this_machine(found["host"].strip("[]").lower()))


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
