"""Node user data for Amazon Linux 2023: what a GPU node does before its kubelet starts.

It is a MIME multipart document, the form that EKS merges with its own part. nodeadm, the node's bootstrap program,
runs *after* the shell parts of user data, and only then mounts the NVMe array: a directory made directly by the shell
would vanish beneath that mount. So the shell part makes no directory; it tells systemd to make it each time
before the kubelet starts, which nodeadm does last.
"""

from __future__ import annotations

import base64

from agentgpu_iac.plan.nodes import PARALLEL_PULL_GATE, cache_directory_script

_BOUNDARY = "agentgpu-node"

_NODE_CONFIG = """\
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  instance:
    localStorage:
      strategy: RAID0
"""


_PARALLEL_PULL = f"""\
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  featureGates:
    {PARALLEL_PULL_GATE}: true
"""


def gpu_node_user_data(*, cache_path: str, nvme: bool, parallel_pull: bool = False) -> str:
    """The user data of a GPU node, as MIME text.

    The node's instance-store disks, where it has any, become one RAID0 array at ``/mnt/k8s-disks/0`` that also
    carries the container images and ephemeral storage. ``parallel_pull`` has SOCI fetch the layers of images side by side:
    nodeadm merges the parts. The model cache directory belongs to the engines' user.
    """
    script = _part('text/x-shellscript; charset="us-ascii"', cache_directory_script(cache_path))
    array = _part("application/node.eks.aws", _NODE_CONFIG) if nvme else ""
    gate = _part("application/node.eks.aws", _PARALLEL_PULL) if parallel_pull else ""
    header = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'
    return f"{header}{array}{gate}{script}--{_BOUNDARY}--\n"


def encoded(user_data: str) -> str:
    """User data as launch templates require it: base64."""
    return base64.b64encode(user_data.encode("ascii")).decode("ascii")


def _part(content_type: str, body: str) -> str:
    return f"--{_BOUNDARY}\nContent-Type: {content_type}\n\n{body}\n"
