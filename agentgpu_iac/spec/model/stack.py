"""The stack as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.agent import Agent
from agentgpu_iac.spec.model.capacity import AcceleratorChoice, Capacity, ModelCache, Observed
from agentgpu_iac.spec.model.cluster import ClusterObjects, GitOps, Hosts, Pins
from agentgpu_iac.spec.model.fields import LISTED, MOST_AGENTS, Name, Text
from agentgpu_iac.spec.model.safety import Policy, Security
from agentgpu_iac.spec.model.serving import Latency, Network, Observability, Scaling
from agentgpu_iac.spec.model.tenancy import ModelProxy, Team
from agentgpu_iac.spec.vocabulary import Target


class Metadata(Document):
    """What the stack is called."""

    name: Name
    """Name of the stack: also the Kubernetes namespace and the prefix of its node pools."""


class StackSpec(Document):
    """The agents and the rules that hold for all of them."""

    target: Target = "eks"
    """Where the stack runs."""
    cluster: Literal["new", "existing"] | None = None
    """Whose EKS cluster it is. new (what unset means for eks): one is made for the stack, with network and system nodes.
    existing: one that you have, which the setting ``agentgpu:cluster`` names. Nodes and agents go into it; its control plane,
    add-ons, network and other nodes stay as they are, and are no cost of the stack."""
    providers: Annotated[tuple[Text, ...], LISTED] = ()
    """Providers that may be used. Empty: those that fit the target (eks: aws; spheron: spheron; others: all)."""
    regions: Annotated[tuple[Text, ...], LISTED] = ()
    """Regions that may be used. Empty: us-east-1 for eks; any region elsewhere."""
    accelerators: AcceleratorChoice = AcceleratorChoice()
    """Accelerators that may be used."""
    capacity: Capacity = Capacity()
    """How capacity may be bought."""
    observed: Observed = Observed()
    """What production has shown so far."""
    model_cache: ModelCache = ModelCache()
    """Where weights are kept."""
    network: Network = Network()
    """Where the callers are."""
    latency: Latency = Latency()
    """What the latency budgets promise."""
    scaling: Scaling = Scaling()
    """What raises and lowers the burst tier."""
    observability: Observability = Observability()
    """How the stack is watched."""
    security: Security = Security()
    """Who may reach what."""
    gitops: GitOps | None = None
    """Who applies the manifests. Unset: you do."""
    cluster_objects: ClusterObjects = ClusterObjects()
    """What may be left out for a cluster."""
    hosts: Hosts = Hosts()
    """Who may reach virtual machines."""
    teams: Annotated[tuple[Team, ...], LISTED] = ()
    """Callers with keys, limits and budgets of their own. Empty: all callers are alike."""
    proxy: ModelProxy = ModelProxy()
    """What stands in front of the agents to know teams and to ask fallbacks."""
    policy: Policy = Policy()
    """What is refused."""
    pins: Pins = Pins()
    """Exact versions of images, machines and models."""
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, max_length=MOST_AGENTS)]
    """The agents of the stack. More than one stack takes are several stacks: only agents of one model and engine gain by standing
    in one."""


class AgentStack(Document):
    """One declarative agent stack."""

    api_version: Literal["agentgpu.dev/v1alpha1"]
    """Version of this format."""
    kind: Literal["AgentStack"]
    """What the file is: always AgentStack."""
    metadata: Metadata
    """What the stack is called."""
    spec: StackSpec
    """What is wanted."""
