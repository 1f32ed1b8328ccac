"""Nodes without accelerators, and the pods that stand on them."""

from __future__ import annotations

from typing import Final, Literal

from agentgpu_iac.spec.document import Document, Money

KARPENTER_PODS: Final = "karpenter"
"""What Karpenter's controller is called among the pods: its chart is told what they ask for."""


class SystemPod(Document):
    """Pods of one kind on the system nodes, and what each of them asks for."""

    name: str
    """Of the Deployment or DaemonSet."""
    pods: int
    """How many there are at most at once, in the middle of a rollout; of a DaemonSet on each node."""
    placed: Literal["each-node", "anywhere"]
    """each-node: a DaemonSet, with one on every node."""
    cpu_milli: int
    """CPU that one asks for, the largest of its init containers included."""
    memory_mib: int
    """Memory that one asks for."""


class SystemNodesPlan(Document):
    """The nodes that carry the router, the cluster's own pods and operators."""

    instance_type: str
    """The provider's name."""
    instance_types: tuple[str, ...]
    """The same, then those that hold as much and may stand in where a zone does not sell it, cheapest first."""
    count: int
    """How many, in different zones."""
    allocatable_cpu_milli: int
    """CPU that pods can have on one of them."""
    allocatable_memory_mib: int
    """Memory that pods can have on one of them."""
    pods: tuple[SystemPod, ...]
    """What was counted. A tenth of the CPU and 15 % of the memory stay free beside it, for pods that declare no request and
    operators of yours."""
    root_volume_gib: int
    """gp3 root volume: 30 GiB, and the scratch volumes of the pods that one node may carry."""
    usd_per_hour: Money
    """One of them, on demand."""
    usd_per_month: Money
    """All of them over 720 h."""
    formula: str
    """Where the number of nodes and the price come from."""
    price_date: str
    """When the price was read."""
    price_source: str
    """Where it is from."""
    chosen_by: Literal["plan", "spec"] = "plan"
    """spec: ``capacity.systemNodes`` names machine or count."""

    def requests_of(self, name: str) -> tuple[int, int] | None:
        """CPU in millicores and memory in MiB that pods of that name ask for; None where there are none."""
        return requests_among(self.pods, name)


class ExistingClusterPlan(Document):
    """An EKS cluster that is there already, and what the plan puts beside its own pods."""

    pods: tuple[SystemPod, ...]
    """Pods that ask for no accelerator, in the middle of a rollout: they need nodes of the cluster without the accelerators'
    taint."""
    cpu_milli: int
    """CPU that they ask for together."""
    memory_mib: int
    """Memory that they ask for together."""

    def requests_of(self, name: str) -> tuple[int, int] | None:
        """CPU in millicores and memory in MiB that pods of that name ask for; None where there are none."""
        return requests_among(self.pods, name)


def requests_among(pods: tuple[SystemPod, ...], name: str) -> tuple[int, int] | None:
    """CPU in millicores and memory in MiB that pods of that name ask for; None where there are none."""
    return next(((pod.cpu_milli, pod.memory_mib) for pod in pods if pod.name == name), None)
