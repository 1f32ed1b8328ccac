"""What each target can do, and what a spec may therefore not ask of it.

A spec is read in one go, and a person sees every fault of it at once: what is malformed, what contradicts itself and what
its target cannot do. So the rules of the spec must know the targets' abilities, while ``targets/``, which knows the
catalog and the plan as well, stands behind the spec and may not be imported here. Therefore this closed table is the one
home of the abilities: the rules ask it, and each target in ``targets/`` is built on its row.

An ability says what can be done there, never which target it is: who asks compares no names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.spec.yaml_tree import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A value that a spec may not hold for a target, with the reason and what to write instead."""

    at: Steps
    words: tuple[str, ...] = ()
    """The words that are refused. None: whatever is written, unless it is empty."""
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A value that a spec must hold for a target, with the reason and what to write."""

    at: Steps
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a target can do, and the parts of a spec that it refuses or needs."""

    has_cluster: bool
    """A Kubernetes cluster runs the stack: namespaces, quotas, policies, charts, GitOps."""
    runs_machines: bool
    """Each virtual machine of a pool runs the same Docker Compose project, behind an NGINX of its own that callers reach."""
    serves_by_sky: bool
    """Each agent becomes a service of SkyServe, which balances and scales it by itself."""
    shares_accelerators: bool
    """Engines of several agents may stay together on one accelerator."""
    shares_among_replicas: bool
    """Engines of one agent may, too: a rollout finds room there."""
    mixes_replicas: bool
    """Replicas of one agent may be on different accelerators, behind one address."""
    splits_baselines: bool
    """So may its warm replicas by themselves: on machines that are yours and on others."""
    spans_nodes: bool
    """A replica may go over several machines."""
    replica_fills_machine: bool
    """A replica is a machine of its own, so it must use all of its accelerators."""
    keeps_sessions: bool
    """A session can be brought back to the replica that holds its context."""
    scales_on_metrics: bool
    """KEDA or an HPA raises and lowers burst tiers, on series and by the clock."""
    one_region: bool
    """One cluster holds all of a stack, so a stack lies in one region: the cheapest of those that it may use."""
    fills_cache_by_hand: bool
    """Someone can put weights into the model cache of a node, for models that no public place holds."""
    chooses_node_image: bool
    """The nodes' image is chosen here: a spec may pin it, and it brings the driver."""
    runs_proxy: bool
    """LiteLLM's proxy can stand in front of the agents, in the path of every request."""
    why_no_proxy: str = ""
    """Why it cannot, where that is so."""
    makes_nodes_on_demand: bool
    """An autoscaler makes and ends single nodes of the target's own provider, and uses capacity that is held there first."""
    makes_machines: bool
    """Pulumi makes the machines and so can tell them of each other: one of them stands in front of all."""
    opens_buckets_to_pods: bool
    """The identity by which pods read a bucket is set up here."""
    makes_cluster: bool
    """The cluster is made for the stack, with nodes for what needs no accelerator."""
    serves_one_developer: bool
    """It is a developer's own machine too, on which Ollama stands in for the engines."""
    buys_from: tuple[str, ...] = ()
    """Whose machines it makes; those of others join none of them. Empty: whoever runs the stack joins what there is."""
    joins: tuple[str, ...] = ()
    """Whose machines may carry bursts beside its cluster: they are no nodes, and the cluster's NGINX sends requests to them."""
    refuses: tuple[Refusal, ...] = ()
    needs: tuple[Need, ...] = ()

    @property
    def changes_machines_in_place(self) -> bool:
        """A change is carried to machines that stay, where Compose replaces every engine that it touches at once."""
        return self.runs_machines and not self.makes_machines


def _no_cluster(target: Target, who_has: str, instead: str) -> tuple[Refusal, ...]:
    """Parts of the spec that mean nothing without a cluster; ``instead`` says where secrets come from."""
    return (
        Refusal(
            at=("spec", "security", "externalSecrets"),
            message=f"a store makes Secrets in a cluster, and {who_has} none",
            hint=f"leave it out; {instead}",
        ),
        Refusal(
            at=("spec", "gitops"),
            message=f"a GitOps tool applies manifests to a cluster, and the target {target!r} has none",
            hint="leave it out",
        ),
    )


_NO_EKS_AGENT: Final = Refusal(
    at=("spec", "observability", "nodeHealth"),
    words=("eks-agent",),
    message="the node monitoring agent is an add-on of EKS, and Karpenter is not installed by us here",
    hint="leave it out, or use target: eks; on an EKS cluster of yours install the add-on eks-node-monitoring-agent and set "
    "Karpenter's feature gate NodeRepair",
)
"""Only where nodes are made on demand is there something that could replace one."""

_NO_STREAM: Final = Refusal(
    at=("spec", "modelCache", "stream"),
    words=("auto", "always"),
    message="engines get the keys to a bucket by EKS Pod Identity, and the identity of pods is not set up by us here",
    hint="leave it out, so that the node's cache is filled, or use target: eks",
)

_NO_INVENTORY: Final = Refusal(
    at=("spec", "capacity", "inventory"),
    message="machines are made here when the stack is deployed, so none of them is there before",
    hint="use target: kubernetes for nodes or compose for machines that you have",
)

_NO_RENTED_BESIDE: Final = Refusal(
    at=("spec", "capacity", "beyondInventory"),
    words=("rent",),
    message="each of your machines is reached at an address of its own here, and nothing leads callers on to rented ones",
    hint="leave it out, or use target: kubernetes",
)

_NO_NODE_GROUPS: Final = Refusal(
    at=("spec", "capacity", "nodeUpdates"),
    words=("surge",),
    message="managed node groups are EKS's, and none is made here",
    hint="leave it out, or use target: eks",
)

_NO_SYSTEM_NODES: Final = Refusal(
    at=("spec", "capacity", "systemNodes"),
    message="the nodes without accelerators are yours here: no cluster is made for the stack",
    hint="leave it out, or use target: eks",
)


def _no_eks_cluster(message: str) -> Refusal:
    return Refusal(at=("spec", "cluster"), message=message, hint="leave it out, or use target: eks")


_NO_CLUSTER_TO_MAKE: Final = _no_eks_cluster("no cluster is made or looked up here, so there is nothing to choose")

_NO_ZONES: Final = (
    Refusal(
        at=("spec", "capacity", "survive"),
        words=("zone",),
        message="nothing here says in which zone a machine stands",
        hint="write survive: node, or use target: eks or kubernetes",
    ),
    Refusal(
        at=("spec", "capacity", "maxSharePerPool"),
        message="a pool of spot is one instance type in one zone, and nothing here says in which zone a machine stands",
        hint="leave it out (spot: never keeps the burst on demand), or use target: eks or kubernetes",
    ),
)

_NOTHING_SCALES_MACHINES: Final = "nothing scales virtual machines: whoever runs the stack starts and ends them"


def _on_machines(target: Target) -> tuple[Refusal, ...]:
    """What virtual machines cannot do."""
    return (
        Refusal(
            at=("spec", "network", "router"),
            words=("gateway", "none"),
            message="on virtual machines NGINX is what callers reach",
            hint="write router: nginx, or leave it out",
        ),
        Refusal(
            at=("spec", "modelCache", "source"),
            words=("s3",),
            message="a virtual machine has no identity that opens a bucket",
            hint="use source: huggingface, or put the models into the machine's cache yourself",
        ),
        Refusal(
            at=("spec", "scaling", "method"),
            words=("keda", "hpa"),
            message=_NOTHING_SCALES_MACHINES,
            hint="write method: none, or leave it out; overrides.baselineReplicas keeps more replicas warm",
        ),
        Refusal(
            at=("spec", "scaling", "schedule"),
            message=_NOTHING_SCALES_MACHINES,
            hint="leave it out; overrides.baselineReplicas keeps more replicas warm",
        ),
        _NO_EKS_AGENT,
        _NO_STREAM,
        _NO_SYSTEM_NODES,
        _NO_NODE_GROUPS,
        _NO_CLUSTER_TO_MAKE,
        *_NO_ZONES,
        *_no_cluster(target, "virtual machines have", "each machine reads /etc/agentgpu/secrets.env"),
    )


_EKS: Final = Abilities(
    has_cluster=True,
    runs_machines=False,
    serves_by_sky=False,
    shares_accelerators=True,
    shares_among_replicas=False,
    mixes_replicas=True,
    splits_baselines=True,
    spans_nodes=True,
    replica_fills_machine=False,
    keeps_sessions=True,
    scales_on_metrics=True,
    one_region=True,
    fills_cache_by_hand=True,
    chooses_node_image=True,
    runs_proxy=True,
    makes_nodes_on_demand=True,
    makes_machines=False,
    opens_buckets_to_pods=True,
    makes_cluster=True,
    serves_one_developer=False,
    buys_from=("aws",),
    joins=("spheron",),
    refuses=(_NO_INVENTORY,),
)

_KUBERNETES: Final = Abilities(
    has_cluster=True,
    runs_machines=False,
    serves_by_sky=False,
    shares_accelerators=True,
    shares_among_replicas=False,
    mixes_replicas=True,
    splits_baselines=True,
    spans_nodes=True,
    replica_fills_machine=False,
    keeps_sessions=True,
    scales_on_metrics=True,
    one_region=False,
    fills_cache_by_hand=True,
    chooses_node_image=False,
    runs_proxy=True,
    makes_nodes_on_demand=False,
    makes_machines=False,
    opens_buckets_to_pods=False,
    makes_cluster=False,
    serves_one_developer=False,
    joins=("spheron",),
    refuses=(
        _NO_EKS_AGENT,
        _NO_STREAM,
        _NO_SYSTEM_NODES,
        _NO_NODE_GROUPS,
        _no_eks_cluster("the cluster is one that you have, always, and agentgpu:context says which"),
    ),
)

_SPHERON: Final = Abilities(
    has_cluster=False,
    runs_machines=True,
    serves_by_sky=False,
    shares_accelerators=True,
    shares_among_replicas=True,
    mixes_replicas=True,
    splits_baselines=False,
    spans_nodes=False,
    replica_fills_machine=False,
    keeps_sessions=True,
    scales_on_metrics=False,
    one_region=False,
    fills_cache_by_hand=True,
    chooses_node_image=False,
    runs_proxy=False,
    why_no_proxy="machines there ask each other at each agent's own port, which callers reach as well, past every team's key",
    makes_nodes_on_demand=False,
    makes_machines=True,
    opens_buckets_to_pods=False,
    makes_cluster=False,
    serves_one_developer=False,
    buys_from=("spheron",),
    refuses=(*_on_machines("spheron"), _NO_INVENTORY, _NO_RENTED_BESIDE),
    needs=(
        Need(
            at=("spec", "security", "apiKeySecret"),
            message="machines on Spheron have public addresses, but no key is asked for: 'apiKeySecret' is missing",
            hint="write security: {apiKeySecret: agents-api-key}, the name of the secret that holds it",
        ),
        Need(
            at=("spec", "hosts", "callerRanges"),
            message="machines on Spheron have public addresses, but nobody may call: 'callerRanges' is missing",
            hint="write hosts: {callerRanges: [203.0.113.0/24]}, the ranges that callers come from",
        ),
    ),
)
"""Rented machines stand on the open internet: who may call must be said, and callers must prove who they are."""

_COMPOSE: Final = Abilities(
    has_cluster=False,
    runs_machines=True,
    serves_by_sky=False,
    shares_accelerators=True,
    shares_among_replicas=True,
    mixes_replicas=True,
    splits_baselines=False,
    spans_nodes=False,
    replica_fills_machine=False,
    keeps_sessions=True,
    scales_on_metrics=False,
    one_region=False,
    fills_cache_by_hand=True,
    chooses_node_image=False,
    runs_proxy=True,
    makes_nodes_on_demand=False,
    makes_machines=False,
    opens_buckets_to_pods=False,
    makes_cluster=False,
    serves_one_developer=True,
    refuses=(*_on_machines("compose"), _NO_RENTED_BESIDE),
)

_SKYSERVE: Final = Abilities(
    has_cluster=False,
    runs_machines=False,
    serves_by_sky=True,
    shares_accelerators=False,
    shares_among_replicas=False,
    mixes_replicas=False,
    splits_baselines=False,
    spans_nodes=False,
    replica_fills_machine=True,
    keeps_sessions=False,
    scales_on_metrics=False,
    one_region=False,
    fills_cache_by_hand=False,
    chooses_node_image=False,
    runs_proxy=False,
    why_no_proxy="SkyServe's services have addresses only once they run, and nothing else that we make would run LiteLLM",
    makes_nodes_on_demand=False,
    makes_machines=False,
    opens_buckets_to_pods=False,
    makes_cluster=False,
    serves_one_developer=False,
    refuses=(
        _NO_INVENTORY,
        _NO_RENTED_BESIDE,
        _NO_SYSTEM_NODES,
        _NO_NODE_GROUPS,
        _NO_CLUSTER_TO_MAKE,
        Refusal(
            at=("spec", "network", "router"),
            words=("nginx", "gateway"),
            message="SkyServe has a load balancer of its own, and no other stands before its replicas",
            hint="leave it out",
        ),
        Refusal(
            at=("spec", "network", "routing"),
            words=("session-affine",),
            message="SkyServe's load balancer knows no sessions: each request goes to the replica with the least to do",
            hint="write routing: round-robin, or leave it out",
        ),
        Refusal(
            at=("spec", "scaling", "method"),
            words=("keda", "hpa"),
            message="SkyServe scales by requests a second alone, with an autoscaler of its own",
            hint="write method: none, or leave it out",
        ),
        Refusal(
            at=("spec", "scaling", "schedule"),
            message="SkyServe scales by requests a second alone, never by the clock",
            hint="leave it out; overrides.baselineReplicas keeps more replicas warm",
        ),
        _NO_EKS_AGENT,
        _NO_STREAM,
        *_NO_ZONES,
        *_no_cluster("skyserve", "SkyServe has", "sky serve up takes each secret from your shell"),
    ),
)

ABILITIES: Final[Mapping[Target, Abilities]] = MappingProxyType(
    {"eks": _EKS, "kubernetes": _KUBERNETES, "spheron": _SPHERON, "compose": _COMPOSE, "skyserve": _SKYSERVE}
)
"""One row for each word of ``Target``."""


def abilities_of(target: str) -> Abilities | None:
    """The abilities of a target by its name; None where there is no such target."""
    return next((abilities for name, abilities in ABILITIES.items() if name == target), None)
