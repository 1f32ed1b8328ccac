"""How a large file travels in a cloud-init, and how long a cloud-init may be.

What renders one and what sends one to a machine must mean the same. Which bytes a text is packed into depends on the zlib
that Python was built with, so nothing compares packed bytes: what is compared is the text.
"""

from __future__ import annotations

import base64
import gzip
import zlib
from typing import Final

from agentgpu_iac.units import counted

PACKED: Final = "gz+b64"
"""The ``encoding`` of a packed file: gzip, then base64. cloud-init and Spheron's API both call it so."""
LEAST_PACKED_BYTES: Final = 768
"""Shorter files stay as they are: they are read where they stand, and packing them saves little."""
MOST_CLOUD_INIT_BYTES: Final = 49_149
"""The longest user data that OpenStack's Nova takes: 65,535 characters of base64. Azure takes 65,535 bytes before base64, VMware
65,536, EC2 16,384, which no machine's files fit. Suppliers on a marketplace stand on clouds like these, and do not say which."""

_LEVEL: Final = 9


def is_packed(content: str) -> bool:
    """Whether a file of this text travels packed."""
    return len(content.encode()) >= LEAST_PACKED_BYTES


def packed(content: str) -> str:
    """A text in the encoding ``gz+b64``. No time stands in it."""
    return base64.b64encode(gzip.compress(content.encode(), _LEVEL, mtime=0)).decode("ascii")


def unpacked(content: str) -> str:
    """The text again. Raises ValueError for what was not packed so."""
    try:
        return gzip.decompress(base64.b64decode(content, validate=True)).decode()
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"is not {PACKED}: {error}") from None


def too_long(path: str, size_bytes: int) -> str | None:
    """A sentence where clouds would refuse a cloud-init of this length; None where they take it."""
    if size_bytes <= MOST_CLOUD_INIT_BYTES:
        return None
    return (
        f"{path} is {counted(size_bytes, 'byte')} long, and many clouds take {MOST_CLOUD_INIT_BYTES:,} of user data at most: "
        "copy its folder to the machine and run setup.sh there, or plan fewer models or engines for a machine"
    )
