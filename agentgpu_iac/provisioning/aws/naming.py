"""Names, tags and labels that the AWS resources of one stack share.

Physical names are left to Pulumi wherever AWS allows it (logical name + a random suffix): only then can a changed
node group be created beside the old one before that goes away.
"""

from __future__ import annotations

import hashlib

from agentgpu_iac.plan import NodePool
from agentgpu_iac.plan.nodes import POOL_LABEL, STACK_LABEL, TIER_LABEL

NODE_GROUP_NAME_LIMIT = 63

_RANDOM_SUFFIX = 8
_DIGEST = 8


def stack_tags(stack: str) -> dict[str, str]:
    """Tags of everything that the stack owns, for cost allocation (activate them once in the billing console)."""
    return {STACK_LABEL: stack}


def pool_tags(stack: str, pool: NodePool) -> dict[str, str]:
    """Tags of everything that one node pool owns, its instances and volumes among them."""
    return {STACK_LABEL: stack, POOL_LABEL: pool.name, TIER_LABEL: pool.tier}


def fitted(name: str, limit: int) -> str:
    """A logical name short enough that AWS still accepts it with Pulumi's random suffix.

    A longer name keeps its beginning and ends in a digest of the whole, so that two long names stay apart.
    """
    room = limit - _RANDOM_SUFFIX
    if len(name) <= room:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: room - _DIGEST - 1].rstrip('-')}-{digest}"
