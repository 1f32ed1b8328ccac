"""Where a stack can run: a port for each target, one module each.

What a target cannot do is a sentence: in its row of ``spec/abilities.py``, which the spec's rules print with a place in the
file, or in its module here, which the planner turns into a rejection or a warning. Nothing is silently left out.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.targets.compose import COMPOSE
from agentgpu_iac.targets.eks import EKS
from agentgpu_iac.targets.kubernetes import KUBERNETES
from agentgpu_iac.targets.port import Idle, LeftOut, OnOffer, TargetPort
from agentgpu_iac.targets.skyserve import SKYSERVE
from agentgpu_iac.targets.spheron import SPHERON

TARGETS: Final[Mapping[Target, TargetPort]] = MappingProxyType(
    {port.name: port for port in (EKS, KUBERNETES, SPHERON, COMPOSE, SKYSERVE)}
)
"""Every target, by its name in a spec."""


def target_of(spec: StackSpec) -> TargetPort:
    """Where the stack runs."""
    return TARGETS[spec.target]


__all__ = ("TARGETS", "Idle", "LeftOut", "OnOffer", "TargetPort", "target_of")
