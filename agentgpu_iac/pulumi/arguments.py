"""What an agent stack is told by a program; what a program does not say is read from the Pulumi stack's configuration.

Annotations are evaluated here, since Pulumi reads the schema for other languages from them.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import pulumi

NAMESPACE: Final = "agentgpu"
"""Of the settings in a Pulumi stack's configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStackArgs:
    """Which agents, and the settings of their deployment: each is the key ``agentgpu:`` of the same name in camel case.

    Paths are relative to the folder of Pulumi.yaml. Values that must be secret (``agentgpu:secrets``,
    ``agentgpu:spheronApiKey``, ``agentgpu:sshPrivateKey``) are read from the configuration alone, which encrypts them.
    """

    spec: str | None = None
    """Path of the stack spec. One of spec and plan is needed."""
    plan: str | None = None
    """Path of a saved plan instead: what was reviewed is what is applied."""
    catalog: str | None = None
    """Path of your own catalog rows. With a plan: those that it was made with, which is then held against them."""
    target: str | None = None
    """The target that the plan must be for; left out, any."""
    api_allowed_cidrs: list[str] | None = None
    """Address ranges that may reach the cluster's API endpoint. None is refused."""
    api_endpoint: str | None = None
    """public-and-private, or private."""
    admin_role_arns: list[str] | None = None
    """IAM roles that administer the cluster besides whoever runs the first pulumi up."""
    cluster: str | None = None
    """Name of an EKS cluster that is there, for a spec with cluster existing; it stays as it is."""
    node_role_arn: str | None = None
    """In that cluster, the IAM role of nodes in node groups; left out, one is made."""
    karpenter_version: str | None = None
    """In that cluster, the version of the Karpenter that runs there; left out, it is installed where it makes the nodes."""
    karpenter_node_role: str | None = None
    """Name of the IAM role that this Karpenter gives its nodes."""
    vpc_id: str | None = None
    """A network that you have; nothing is made in it."""
    private_subnet_ids: list[str] | None = None
    """Private subnets of that network or cluster, one in each zone; for a new cluster two at least."""
    tag_subnets: bool | None = None
    """Whether those subnets get the tag by which Karpenter finds them."""
    interface_endpoints: bool | None = None
    """Private ways to ECR and STS in a new network, billed by the hour."""
    capacity_reservation_ids: dict[str, str] | None = None
    """By node pool, the reservation or Capacity Block that its nodes are launched into."""
    capacity_reservation_zones: dict[str, str] | None = None
    """By node pool, the zone of its on-demand capacity reservation."""
    node_group_generations: dict[str, int] | None = None
    """By node pool, 2 for new node groups in place of the first, then 3."""
    kubernetes_support: str | None = None
    """What EKS does at the end of a version's standard support: extended or standard."""
    vpc_cidr: str | None = None
    """Address range of the network that is made."""
    deletion_protection: bool | None = None
    """Whether EKS refuses to delete the cluster."""
    protect: bool | None = None
    """Whether Pulumi refuses to delete it."""
    session_manager: bool | None = None
    """Whether sessions may be opened on nodes by Systems Manager."""
    reserve: bool | None = None
    """Whether to reserve on-demand capacity for the baseline's reserved nodes, billed from its creation on."""
    budget_emails: list[str] | None = None
    """Who gets a letter when the stack costs more than planned. Nobody makes no budget."""
    kubeconfig: str | None = None
    """For the target kubernetes, path of a kubeconfig; left out, the one that kubectl would use."""
    context: str | None = None
    """For the target kubernetes, context of the kubeconfig; left out, its current one."""
    installed_api_groups: list[str] | None = None
    """API groups of operators that are installed in the cluster; their objects are applied too."""
    charts: dict[str, str] | None = None
    """Where Helm finds the charts to install in the cluster, by their names, such as keda."""
    nodes: str | None = None
    """What makes the nodes of pools whose size may change: node-groups or karpenter."""
    karpenter_chart: str | None = None
    """Where Helm finds Karpenter's chart; needed with nodes karpenter."""
    model_bucket: str | None = None
    """Whether the plan's bucket of models is there already or to be made: existing or create."""
    delete_model_bucket: bool | None = None
    """Whether pulumi destroy deletes the bucket that it made, with every model in it."""
    spheron_team_id: str | None = None
    """Spheron team that pays; left out, the key's current team."""
    spheron_ssh_key_id: str | None = None
    """An SSH key that Spheron has. It or the public key is needed."""
    ssh_public_key: str | None = None
    """An SSH key of yours, for virtual machines."""
    burst_nodes: int | None = None
    """Machines of each burst pool that run now, on Spheron or beside a cluster."""
    burst_machines: dict[str, int] | None = None
    """The same by pool, where pools differ."""
    burst_listed: dict[str, int] | None = None
    """By pool, how many of them the cluster is told of; the others drain."""
    burst_apart: bool | None = None
    """Whether machines beside the cluster are in a Pulumi stack of their own; this one then makes none."""
    part: str | None = None
    """burst for a stack of the machines beside the cluster alone; left out, everything."""
    way_out: str | None = None
    """For a network that you have: the public address by which it asks machines beside the cluster."""
    spheron_url: str | None = None
    """Address of Spheron's API; left out, the public one."""


def camel(name: str) -> str:
    """A name as configuration spells it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


class Answers(pulumi.Config):
    """A Pulumi stack's configuration, under what a program says itself."""

    def __init__(self, args: AgentStackArgs) -> None:
        super().__init__(NAMESPACE)
        values = {camel(field.name): getattr(args, field.name) for field in fields(args)}
        self._said = {key: value for key, value in values.items() if value is not None}

    def get(self, key: str, default: Any = None) -> Any:
        """A text."""
        return self._said.get(key, super().get(key, default))

    def get_bool(self, key: str, default: Any = None) -> Any:
        """Yes or no."""
        return self._said.get(key) if key in self._said else super().get_bool(key, default)

    def get_int(self, key: str, default: Any = None) -> Any:
        """A whole number."""
        return self._said.get(key) if key in self._said else super().get_int(key, default)

    def get_object(self, key: str, default: Any = None) -> Any:
        """A list or a mapping."""
        return self._said.get(key) if key in self._said else super().get_object(key, default)
