"""Where the files of a virtual machine lie: in the rendered tree, and on the machine.

What renders them and what sends them to a machine must mean the same places, and so must ``setup.sh``, which tests hold to
these names.
"""

from __future__ import annotations

from typing import Final

HOSTS_FOLDER: Final = "hosts"
"""Folder of the rendered tree with one folder for each node pool."""
CLOUD_INIT: Final = "cloud-init.yaml"
CLOUD_CONFIG_HEADER: Final = "#cloud-config"
"""The first line by which cloud-init knows what it reads."""
SETUP: Final = "setup.sh"
FIREWALL: Final = "firewall.nft"
TUNE: Final = "tune.sh"
"""Beside the others in the tree, and not in the cloud-init: a machine is tuned by whoever means to."""

MACHINE_FOLDER: Final = "/opt/agentgpu"
"""Where the rendered files lie on the machine."""
SETUP_FILE: Final = f"{MACHINE_FOLDER}/{SETUP}"
FIREWALL_FILE: Final = f"{MACHINE_FOLDER}/{FIREWALL}"
TUNE_FILE: Final = f"{MACHINE_FOLDER}/{TUNE}"

SECRETS_FILE: Final = "/etc/agentgpu/secrets.env"
"""Where a machine reads its secrets, a line ``NAME=value`` each; the rendered files only name the variables."""
TLS_FOLDER: Final = "/etc/agentgpu/tls"
CERTIFICATE_FILE: Final = f"{TLS_FOLDER}/tls.crt"
CERTIFICATE_KEY_FILE: Final = f"{TLS_FOLDER}/tls.key"
"""What callers are shown. The setup makes both itself where they are not there."""
WORD_FILE: Final = "/etc/agentgpu/word"
"""What a machine knows of whoever made it when it starts, to sign its host keys with; then the file is gone."""
PROOF_FILE: Final = "/etc/agentgpu/proof"
"""Its host keys, signed with that word: a line each."""
PROVE_FILE: Final = f"{MACHINE_FOLDER}/prove.py"
"""What signs them."""
MACHINES_FOLDER: Final = "/etc/agentgpu/machines"
"""On the front machine: which others run, their certificate, and what the setup makes of it for NGINX."""
MACHINES_LIST_FILE: Final = f"{MACHINES_FOLDER}/list"
MACHINES_CERTIFICATE_FILE: Final = f"{MACHINES_FOLDER}/tls.crt"
FRONT_FILE: Final = "/etc/agentgpu/front"
"""On every other machine: the address of the one in front."""
FIREWALL_RULES_FOLDER: Final = "/etc/agentgpu/firewall.d"
"""Rules that the firewall takes up beside its own."""
TUNED_FILE: Final = "/etc/agentgpu/tuned"
"""What the tuning found, by which it is undone."""
MODELS_FOLDER: Final = "/var/lib/agentgpu/models"
"""The model cache, whatever is mounted there."""


def pool_folder(node_pool: str) -> str:
    """Folder of the rendered tree with the files of each machine of a pool."""
    return f"{HOSTS_FOLDER}/{node_pool}"


def cloud_init_path(node_pool: str) -> str:
    """The rendered file that makes a bare machine one of the pool."""
    return f"{pool_folder(node_pool)}/{CLOUD_INIT}"
