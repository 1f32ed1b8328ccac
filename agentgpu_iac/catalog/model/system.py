"""What a cluster needs beside its accelerator nodes: machines for its own pods, and what those pods ask for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Count, ReadOn, Sources
from agentgpu_iac.spec.document import Document, Money

ClusterPart = Literal["eks", "node-health", "karpenter", "keda", "lws", "efa"]
"""What brings pods into a cluster: the service itself, or something that a plan may use."""


class SystemMachine(Document):
    """A machine without accelerators, for pods that need none."""

    provider: str
    """Provider id."""
    name: str
    """The provider's name for the machine."""
    vcpu: Count
    """Virtual CPUs."""
    allocatable_cpu_milli: Count
    """CPU that pods can have, in millicores."""
    allocatable_memory_mib: Count
    """Memory that pods can have."""
    pods: Count
    """Pods that it may run."""
    region: str
    """Region that the price is from; it stands for the others, and plans say so."""
    usd_per_hour: Annotated[Money, Field(gt=0)]
    """Price of one, on demand."""
    date: ReadOn
    """When the price was read."""
    sources: Sources
    """Where size and price are from."""
    note: str | None = None
    """What a reader should know about it."""


class ClusterPod(Document):
    """Pods that run in a cluster beside those of a stack, and what each of them asks for."""

    name: str
    """Name of the Deployment or DaemonSet."""
    comes_with: ClusterPart
    """What brings it."""
    on: Literal["every-node", "accelerator-nodes", "system-nodes"]
    """Where it runs. The first two are DaemonSets, with a pod on each such node."""
    replicas: Count
    """How many; of a DaemonSet on each node."""
    cpu_milli: Annotated[int, Field(ge=0)]
    """CPU that one asks for."""
    memory_mib: Annotated[int, Field(ge=0)]
    """Memory that one asks for."""
    date: ReadOn
    """When the sources were read."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about it."""
