"""The cloud-init that puts all files on a bare machine and starts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan.machine_paths import FIREWALL, MACHINE_FOLDER, SETUP, SETUP_FILE
from agentgpu_iac.plan.packed_files import PACKED, is_packed, packed
from agentgpu_iac.rendering.context import Context

_EXECUTABLE = frozenset((SETUP, FIREWALL))

_PACKAGES = ("ca-certificates", "curl", "mdadm", "nftables", "openssl")

CLOUD_INIT_HEADER = """\
# A bare Debian or Ubuntu machine with the NVIDIA driver becomes one of pool {pool}.
# Secrets are not in here: put them into {secrets} on the machine (mode 0600).
# Files under "encoding" are packed, so that clouds take this as user data; to be read they lie beside this file.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInitContext(Context):
    """All files of a machine, and the command that starts them."""

    template: ClassVar[str] = "cloud-init.yaml.j2"
    packages: tuple[str, ...]
    files: tuple[tuple[str, str, tuple[str, ...], str], ...]
    """Path, permissions, encoding (none: the text as it is) and content."""
    setup: str


def cloud_init(texts: dict[str, str]) -> CloudInitContext:
    """All files of the machine in one document."""
    return CloudInitContext(
        packages=_PACKAGES,
        files=tuple(
            (f"{MACHINE_FOLDER}/{name}", "0755" if name in _EXECUTABLE else "0644", *_encoded(text))
            for name, text in sorted(texts.items())
        ),
        setup=SETUP_FILE,
    )


def _encoded(text: str) -> tuple[tuple[str, ...], str]:
    return ((PACKED,), packed(text)) if is_packed(text) else ((), text)
