"""The agent stack: what a team writes down. Small specs stay small; every default is a stated assumption.

The field docstrings below are the reference: they become the descriptions in the exported JSON Schema, which
editors show while one types. Defaults that stand for an assumption about traffic say so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, LatencyClass, Precision, Storage, Target

MAX_COUNT = 10**9
"""Counts above this are a slip of the keyboard, not a plan."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)]
"""A DNS label that Services take too (RFC 1035): lower-case letters, digits and hyphens, a letter first; 40 at most,
so that suffixes fit into 63."""

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
PositiveCount = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=MAX_COUNT)]
NonNegative = Annotated[float, Field(ge=0, le=MAX_COUNT)]
ParserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\"'{}<>\\\\]+$", max_length=500)]
CronSpec = Annotated[str, StringConstraints(pattern=r"^\S+ \S+ \S+ \S+ \S+$", max_length=100)]
Labels = dict[
    Annotated[
        str,
        StringConstraints(
            pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
        ),
    ],
    Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")],
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=253)]
ADDRESS_RANGE = r"^[0-9a-fA-F.:]{2,39}/[0-9]{1,3}$"
AddressRange = Annotated[str, StringConstraints(pattern=ADDRESS_RANGE)]
"""An IP network such as 203.0.113.0/24."""


class Metadata(Document):
    """What the stack is called."""

    name: Name
    """Name of the stack: also the Kubernetes namespace and the prefix of its node pools."""


class ToolCalls(Document):
    """Tools that an agent calls while a session waits with its memory held."""

    per_turn: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Tool calls in one turn, on average. Each is a further request to the model."""
    seconds: NonNegative = 2.0
    """How long one tool call takes (an assumption: 2 s)."""
    result_tokens: Count = 200
    """Tokens of one tool result that enter the context (an assumption: 200)."""


class Conversation(Document):
    """The shape of one session: how its context grows, turn by turn."""

    turns: PositiveCount = 5
    """Turns of one conversation (an assumption: 5)."""
    input_tokens_per_turn: Count = 150
    """New tokens that the user or caller sends in one turn (an assumption: 150)."""
    output_tokens_per_turn: PositiveCount = 150
    """Tokens that the agent answers in one turn, without reasoning (an assumption: 150)."""
    system_prompt_tokens: Count = 500
    """System prompt and tool definitions, once per session (an assumption: 500)."""
    reasoning_tokens_per_turn: Count = 0
    """Reasoning tokens generated before each answer. They hold memory while generated, then leave the context."""
    max_context_tokens: PositiveCount | None = None
    """The most context that one session may hold. Set: memory is reserved for all of it in every session.
    Unset: memory is reserved for the context of the last turn."""
    think_time_s: NonNegative = 10.0
    """Pause of the user or caller between two turns (an assumption: 10 s)."""
    tool_calls: ToolCalls = ToolCalls()
    """Tool calls, during which the session keeps its memory."""
    prefix_hit_ratio: Ratio | None = None
    """Share of a session's earlier context found in the prefix cache at its next request. Unset: 1 with
    session-affine routing, since memory is reserved for every session; 1 / replicas with round robin."""


class Sessions(Document):
    """Conversations whose context is kept at the same time."""

    concurrent: PositiveCount = 1
    """Sessions held at normal load: the baseline tier carries these."""
    peak: PositiveCount | None = None
    """The most sessions at once: baseline and burst tier together carry these. Unset: concurrent x burstFactor."""


class Traffic(Document):
    """Volume over the day, and how suddenly it comes."""

    conversations_per_day: PositiveCount | None = None
    """Conversations started in 24 h. Unset: the demand follows from the sessions and their pace alone."""
    burst_factor: Annotated[float, Field(ge=1, le=100_000)] = 1.0
    """Peak load divided by normal load."""
    ramp_s: NonNegative = 60.0
    """Seconds from normal load to peak load (an assumption: 60 s). 0 means: at once, with no warning."""


class LoraAdapter(Document):
    """A LoRA adapter served beside the base model."""

    name: Name
    """Model name under which requests ask for the adapter."""
    source: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=200)]
    """Hugging Face id of the adapter."""
    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank of the adapter."""


class Speculative(Document):
    """Speculative decoding: a cheap draft proposes tokens, the model checks several of them in one step."""

    method: Literal["ngram", "draft-model", "eagle3", "mtp"]
    """ngram: from the text so far, no weights. mtp: the model's own multi-token head. draft-model and eagle3: another
    model, named by ``model``."""
    tokens: Annotated[int, Field(ge=1, le=16)] = 3
    """Tokens proposed in each step."""
    model: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=200)] | None
    ) = None
    """Hugging Face id of the draft; needed by draft-model and eagle3."""
    weights_gib: Positive | None = None
    """Weights of the draft. Unset: from the catalog, which must then hold the draft."""
    accepted_tokens: Annotated[float, Field(ge=1, le=17)] | None = None
    """Tokens that one step yields on average, as you measured it. Unset: no speed-up is counted."""


class Overrides(Document):
    """Every number that is computed for an agent can be set by hand here. The plan shows both figures."""

    context_tokens: PositiveCount | None = None
    """Context for which memory is reserved per session."""
    weights_gib: Positive | None = None
    """Model weights on one accelerator."""
    kv_bytes_per_token: PositiveCount | None = None
    """KV cache of one token on one accelerator."""
    overhead_gib: NonNegative | None = None
    """Activation peak, CUDA context and graphs on one accelerator."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Accelerators that share every layer."""
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Groups of layers that follow one another."""
    max_model_len: PositiveCount | None = None
    """The engine's --max-model-len."""
    max_num_seqs: PositiveCount | None = None
    """The engine's --max-num-seqs: sessions on one replica."""
    max_num_batched_tokens: PositiveCount | None = None
    """The engine's --max-num-batched-tokens."""
    ttft_ms: Positive | None = None
    """Time to first token, as you measured it."""
    tpot_ms: Positive | None = None
    """Time per output token, as you measured it."""
    output_tokens_per_s: Positive | None = None
    """Output tokens/s of one replica, as you measured it."""
    prefill_tokens_per_s: Positive | None = None
    """Prefill tokens/s of one replica, as you measured it."""
    required_output_tokens_per_s: NonNegative | None = None
    """Output tokens/s that the agent needs at its peak."""
    required_prefill_tokens_per_s: NonNegative | None = None
    """Prefill tokens/s that the agent needs at its peak."""
    baseline_replicas: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Replicas of the baseline tier."""
    burst_replicas: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Most replicas of the burst tier."""
    cold_start_s: Positive | None = None
    """Seconds from a missing node to a ready replica, as you measured it."""


class Agent(Document):
    """One role in the stack, served by one model."""

    name: Name
    """Name of the agent, unique in the stack."""
    role: Text | None = None
    """What the agent does. The words orchestrator, worker, router, classifier and reasoner are recognised when
    the plan names the stack's pattern and architecture."""
    model: Text
    """Hugging Face id of a model in the catalog (any case), or the path of a local config.json."""
    model_revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z._-]{1,64}$")] | None = None
    """Commit or tag of the model repository. Unset: ``main``, and the plan says ``unpinned``."""
    engine: Engine = "vllm"
    """Serving engine."""
    engine_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){1,2}$")] | None = None
    """Version of the engine. Unset: the newest in the catalog."""
    precision: Precision | None = None
    """Precision of the weights. Unset: the checkpoint's own."""
    kv_cache_dtype: KvCacheDtype = "auto"
    """Number format of the KV cache. auto: that of the activations (16 bit)."""
    latency_class: LatencyClass = "chat"
    """voice: TTFT 200 ms, TPOT 50 ms. chat: TTFT 500 ms, TPOT 50 ms. background: no latency budget."""
    ttft_ms: Positive | None = None
    """Budget for the time to first token, instead of the class's."""
    tpot_ms: Positive | None = None
    """Budget for the time per output token, instead of the class's."""
    e2e_ms: Positive | None = None
    """Budget for a complete answer. Binds only if set."""
    sessions: Sessions = Sessions()
    """Sessions held at once."""
    conversation: Conversation = Conversation()
    """Shape of one session."""
    traffic: Traffic = Traffic()
    """Volume and burst."""
    interruptible: bool = False
    """The agent's state is checkpointed, or its work can be retried: a lost replica costs time, not an answer."""
    fallback: Name | None = None
    """Agent of this stack that answers when this one cannot."""
    lora_adapters: tuple[LoraAdapter, ...] = ()
    """LoRA adapters served beside the model."""
    speculative: Speculative | None = None
    """Speculative decoding. Its memory is counted; its speed-up only where you measured it."""
    kv_offload_gib: Positive | None = None
    """Host memory of one replica into which the engine moves KV cache that the accelerator has no room for. It is counted in
    the pod's memory; the planned sessions still fit the accelerator without it."""
    tool_call_parser: ParserName | None = None
    """The engine's parser for tool calls. Unset: the model's, from the catalog."""
    reasoning_parser: ParserName | None = None
    """The engine's parser for reasoning. Unset: the model's, from the catalog."""
    trust_remote_code: bool = False
    """Let the engine run code from the model repository. Off unless you say so."""
    overrides: Overrides = Overrides()
    """Numbers set by hand."""


class AcceleratorChoice(Document):
    """Which accelerators may be used."""

    allow: tuple[Text, ...] = ()
    """Accelerator ids; empty: every one in the catalog."""
    deny: tuple[Text, ...] = ()
    """Accelerator ids never to be used."""


class Capacity(Document):
    """How capacity may be bought."""

    spot: Literal["auto", "never"] = "auto"
    """auto: spot where it is safe (background or interruptible agents; bursts that can drain in time)."""
    on_demand_floor_ratio: Ratio = 0.0
    """Share of a spot-eligible agent's replicas that stay on-demand all the same."""
    burst_without_notice: Literal["reject", "accept"] = "reject"
    """accept: user-facing bursts may run on spot of a provider that documents no interruption notice."""
    fast_burst: Literal["absorb", "turn-away"] = "absorb"
    """absorb: user-facing sessions that arrive before burst replicas can be ready are carried by warm replicas.
    turn-away: only normal load is kept warm, and admission control answers 503 until the burst tier is up."""
    budget_usd_per_month: Annotated[Money, Field(gt=0)] | None = None
    """The most that the baseline may cost in a month of 720 h."""
    burst_hours_per_month: Annotated[float, Field(ge=0, le=720)] = 72.0
    """Hours a month that the burst tier is expected to run, to weigh its price against the baseline's
    (an assumption: 72 h, a tenth of the month)."""
    reservation: Literal["none", "on-demand", "capacity-block"] = "none"
    """What EC2 capacity you hold, tagged for the stack: nodes use it first. on-demand: capacity reservations (ODCRs);
    capacity-block: EC2 Capacity Blocks, which end on their date. Planning buys none; ``agentgpu:reserve`` reserves
    on-demand capacity."""
    price_cap_ratio: Annotated[float, Field(ge=1, le=10)] = 1.25
    """The most that a machine may cost when it is created, as a multiple of the planned price: what you bid on a market
    whose prices move. A dearer offer is passed over (an assumption: 1.25)."""
    share_accelerators: Literal["auto", "never"] = "auto"
    """auto: several small models may stay resident on one accelerator where that is cheaper and safe."""


class Observed(Document):
    """What production has shown so far. Reserved capacity is bought on this, never on a forecast."""

    days: Count = 0
    """Days of production traffic measured."""
    baseline_ratio: Ratio = 0.0
    """Lowest daily load divided by the mean daily load over those days: 1 is perfectly stable."""
    baseline_sessions: Count = 0
    """Sessions that were held at any time over those days, summed over the stack's user-facing agents."""


class ModelCache(Document):
    """Where weights are kept close to the accelerators."""

    storage: Storage = "nvme"
    """nvme: the node's instance store as RAID0. ebs-gp3: the node's root volume."""
    source: Literal["huggingface", "s3"] = "huggingface"
    """Where a node's cache is filled from."""
    bucket: (
        Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$")] | None
    ) = None
    """For s3: bucket and prefix that hold one directory per model, for example s3://acme-models/agents. A directory is named
    as the plan's cachedModels name it."""
    loader: Literal["auto", "safetensors", "fastsafetensors", "runai-streamer"] = "auto"
    """How the engine reads weights from the cache. auto: the engine's default, or a streaming loader where it is faster."""
    token_secret: Name | None = None
    """Name of a Kubernetes Secret in the namespace whose key ``token`` is a Hugging Face token. Never the token."""


class GatewayRef(Document):
    """A Gateway that someone runs in the cluster."""

    name: DnsName
    """Name of the Gateway."""
    namespace: DnsName
    """Its namespace."""
    hostname: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] | None = (
        None
    )
    """Host name of the routes. Unset: any, and agents are called by their Services, past the endpoint picker."""
    scheme: Literal["http", "https"] = "https"
    """How callers speak to that host."""


class Network(Document):
    """Where the callers are."""

    round_trip_ms: NonNegative = 20.0
    """Round trip from the caller to the engine (an assumption: 20 ms, the short end of 10-50 ms each way)."""
    routing: Literal["session-affine", "round-robin"] = "session-affine"
    """session-affine: a session returns to the replica that holds its context."""
    router: Literal["auto", "nginx", "gateway", "none"] = "auto"
    """What spreads requests over an agent's replicas. nginx: NGINX in the namespace; gateway: Gateway API with an
    InferencePool and its endpoint picker; none: the Service alone. auto: nginx for agents with more than one replica at their
    peak or with an API key, none for the others."""
    session_header: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "x-session-id"
    """Request header that names the session, for session-affine routing."""
    gateway: GatewayRef | None = None
    """The Gateway that HTTPRoutes attach to; needed by ``router: gateway``."""
    max_request_mib: Annotated[int, Field(ge=1, le=1024)] = 8
    """Largest request body that the router takes (an assumption: 8 MiB)."""


class ScheduledScale(Document):
    """Burst replicas that are wanted at known hours, before the requests come."""

    agent: Name
    """Agent of this stack."""
    start: CronSpec
    """When the replicas are wanted, five cron fields. Put it a cold start before the peak."""
    end: CronSpec
    """When they may go."""
    timezone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+(/[A-Za-z0-9_+-]+)*$", max_length=64)] = "UTC"
    """IANA time zone of both."""
    replicas: PositiveCount
    """Burst replicas over that time, the agent's burst replicas at most."""


class Scaling(Document):
    """What raises and lowers the burst tier."""

    method: Literal["keda", "hpa", "none"] = "keda"
    """keda: ScaledObjects that ask Prometheus. hpa: HorizontalPodAutoscalers on metrics that an adapter of yours serves.
    none: nothing; you scale by hand."""
    prometheus_url: Url = "http://prometheus-operated.monitoring.svc.cluster.local:9090"
    """Prometheus that holds the engines' metrics."""
    utilization_ratio: Annotated[float, Field(ge=0.1, le=1)] = 0.8
    """Part of a replica's seats in use at which another replica is asked for (an assumption: 0.8)."""
    schedule: tuple[ScheduledScale, ...] = ()
    """Known peaks."""


class Observability(Document):
    """How the stack is watched."""

    monitors: Literal["prometheus-operator", "none"] = "prometheus-operator"
    """prometheus-operator: PodMonitors and PrometheusRules, in the operator's kinds."""
    alerts: bool = True
    """Alert rules with a runbook link each."""
    dashboard: bool = True
    """A Grafana dashboard in a ConfigMap that Grafana's sidecar loads."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which your Prometheus selects monitors and rules, for example ``release: kube-prometheus-stack``."""
    runbook_base_url: Url | None = None
    """Where the runbooks are; alerts link to ``<base>#<alert>``. Unset: the runbook page of this project's documentation."""


class ExternalSecrets(Document):
    """An External Secrets store from which the stack's Secrets are made."""

    store: DnsName
    """Name of the store."""
    kind: Literal["SecretStore", "ClusterSecretStore"] = "ClusterSecretStore"
    """Kind of the store."""
    path_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_.-]*$", max_length=200)] = ""
    """Put before a Secret's name to make its key in the store."""


class Security(Document):
    """Who may reach what, and where secrets come from. Secrets are named here, never given."""

    network_policies: bool = True
    """Deny all traffic of the namespace but what serving needs."""
    callers: tuple[DnsName, ...] = ()
    """Namespaces whose pods may call the agents. Empty: every namespace of the cluster."""
    monitoring_namespace: DnsName = "monitoring"
    """Namespace whose pods may read metrics."""
    api_key_secret: Name | None = None
    """Name of a Secret whose key ``key`` is the API key that engines ask for. Unset: no key is asked for."""
    external_secrets: ExternalSecrets | None = None
    """Make the named Secrets from this store. Unset: you make them."""
    resource_quota: bool = True
    """Limit the namespace to the accelerators, pods and memory of the plan."""


class GitOps(Document):
    """Who applies the manifests from a Git repository."""

    tool: Literal["argocd", "flux"]
    """argocd: an Application. flux: a GitRepository and a Kustomization."""
    repository: Annotated[str, StringConstraints(pattern=r"^(https://|ssh://|git@)[^\s\"'{}<>]+$", max_length=500)]
    """Repository that holds the rendered tree."""
    path: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=500)
    ]
    """Folder of the rendered tree in the repository."""
    revision: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=200)] = "main"
    """Branch or tag."""
    overlay: Literal["karpenter", "node-groups"] = "karpenter"
    """Overlay to apply."""
    namespace: DnsName | None = None
    """Namespace of the tool. Unset: argocd, or flux-system."""


class ClusterObjects(Document):
    """What is rendered for a cluster beside what serving cannot do without."""

    disruption_budgets: bool = True
    """PodDisruptionBudgets: one replica of an agent may be evicted at a time."""
    priority_classes: bool = True
    """PriorityClasses of the stack. Off: its pods have the cluster's default priority, and quotas or preemption of others
    apply to them as to all."""
    topology_spread: bool = True
    """Spread the replicas of an agent over zones and nodes where that costs no node."""
    cache_fillers: bool = True
    """Fill the model cache of each node. Off: whoever makes the nodes puts the models and their markers there."""
    helm_values: bool = True
    """Values for the charts of the GPU Operator and the device plugin."""


class Hosts(Document):
    """Virtual machines that run Docker Compose: the targets compose and spheron."""

    caller_ranges: tuple[AddressRange, ...] = ()
    """Address ranges that may call the agents. Empty: the machine itself alone."""
    admin_ranges: tuple[AddressRange, ...] = ()
    """Address ranges that may log in by SSH. Empty: nobody, once the machine is set up."""


class Policy(Document):
    """What ``pulumi up`` refuses unless you say otherwise here."""

    allow_unpriced: bool = False
    """Use offerings whose price is unknown. They count at the dearest known price of the same accelerators."""


KubernetesVersion = Literal["1.34", "1.35", "1.36"]
"""Versions whose manifests are validated, and that the catalog knows."""


class Pins(Document):
    """Exact versions that nobody can know offline. Unset: the plan says ``unpinned``."""

    router_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Router image by digest."""
    prometheus_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Prometheus image of virtual machines, by digest."""
    dcgm_exporter_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """DCGM exporter image of virtual machines, by digest."""
    engine_image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")] | None = None
    """Engine image by digest."""
    ami_alias: Annotated[str, StringConstraints(pattern=r"^al2023@v[0-9]{8}$")] | None = None
    """Amazon Linux 2023 release of the nodes, for example al2023@v20261105."""
    kubernetes_version: KubernetesVersion | None = None
    """Kubernetes version of the cluster. Unset: the oldest that the catalog knows to have standard support on EKS."""


class StackSpec(Document):
    """The agents and the rules that hold for all of them."""

    target: Target = "eks"
    """Where the stack runs."""
    providers: tuple[Text, ...] = ()
    """Providers that may be used. Empty: those that fit the target (eks: aws; spheron: spheron; others: all)."""
    regions: tuple[Text, ...] = ()
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
    policy: Policy = Policy()
    """What is refused."""
    pins: Pins = Pins()
    """Exact versions."""
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, max_length=10_000)]
    """The agents of the stack."""


class AgentStack(Document):
    """One declarative agent stack."""

    api_version: Literal["agentgpu.dev/v1alpha1"]
    """Version of this format."""
    kind: Literal["AgentStack"]
    """Always AgentStack."""
    metadata: Metadata
    """What the stack is called."""
    spec: StackSpec
    """What is wanted."""
