"""Virtual machines: the files of one machine of each node pool, and the cloud-init that puts them on a bare one.

Everything stands in ``hosts/<pool>/``. What a machine needs beside these files is the NVIDIA driver and, where the plan names
secrets, their values in ``/etc/agentgpu/secrets.env``, which nothing here writes.
"""

from agentgpu_iac.rendering.hosts.compose import COMPOSE
from agentgpu_iac.rendering.hosts.tree import hosts_tree

__all__ = ("COMPOSE", "hosts_tree")
