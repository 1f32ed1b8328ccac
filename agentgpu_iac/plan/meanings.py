"""What each code of a plan says, and what to do about it: the table of ``docs/plan.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

from agentgpu_iac.plan.codes import Constraint, DriverConstraint, WarningCode


class Meaning(NamedTuple):
    """One code in words."""

    says: str
    """Of a warning, what is so. Of a constraint, what need and limit are, or why there is none."""
    remedy: str
    """What a reader can do about it."""


WARNINGS: Final[Mapping[WarningCode, Meaning]] = {
    "without-effect": Meaning(
        "keys that the spec writes and that change nothing for its target, and why",
        "leave them out, or take a target that has a place for them",
    ),
    "kubernetes-support-ends": Meaning(
        "the cluster's Kubernetes version is past its standard support, or within three months of its end, on the "
        "catalog's newest date",
        "set `pins.kubernetesVersion` to one of those that the message names",
    ),
    "weight-only-precision": Meaning(
        "the accelerator has no units for the precision: kernels unpack the weights as they are read",
        "measure the speed there with `agentgpu calibrate`, or allow accelerators that have the units",
    ),
    "image-registry": Meaning(
        "the engine's image lies in a registry that its name lacks",
        "name the full reference with its digest in `pins.engineImage`, or let the nodes mirror it",
    ),
    "image-size-unknown": Meaning(
        "the image's size was not found; the cold start counts another engine's",
        "measure a cold start and set `overrides.coldStartS`",
    ),
    "unpinned": Meaning("an image, AMI or model revision is not exact", "set the pin that the message names"),
    "undated-price": Meaning(
        "a price has no date in its source", "put a price of your own with its date into a catalog overlay"
    ),
    "old-prices": Meaning(
        "prices that were read longer ago than `capacity.maxPriceAgeDays`, on the day given with `--today`, else on the "
        "catalog's newest date",
        "ask for those of today with `agentgpu catalog update`, or raise the limit",
    ),
    "commitment-beyond-baseline": Meaning(
        "more is committed, or may be, than the baseline uses: what that is, and what the rest costs",
        "commit as much as the baseline uses, or let more agents run on such machines",
    ),
    "commitment-ended": Meaning(
        "a commitment has ended by the day of the plan, and is not counted", "take it out of `capacity.commitments`"
    ),
    "commitment-on-a-forecast": Meaning(
        "the plan signs a commitment before 30 days of production have shown that the load is there",
        "measure first (`observed`), or sign for less",
    ),
    "skyserve-clouds": Meaning(
        "sellers that SkyPilot does not know, and whose offerings are left out",
        "nothing, or take another target for those sellers",
    ),
    "skyserve-controller": Meaning("SkyServe's own machine, which is not in the cost", "add it to your budget"),
    "skyserve-endpoint": Meaning(
        "who can call a service, and that it speaks plain HTTP",
        "set `security.apiKeySecret`, and close the controller's ports 30001-30020 to others in its cloud",
    ),
    "skyserve-routing": Meaning(
        "SkyServe brings no session back to its context; the prefix hit ratio that is counted",
        "take a target with the project's own router where long contexts return",
    ),
    "skyserve-one-command": Meaning(
        "SkyServe starts burst replicas with the arguments of the baseline", "nothing: the plan counts with it"
    ),
    "skyserve-not-scaled": Meaning(
        "no rate of requests is known by which SkyServe could scale the agent",
        "state `traffic.conversationsPerDay`, or keep the peak warm with `overrides.baselineReplicas`",
    ),
    "skyserve-twice": Meaning(
        "on-demand replicas that run while spot replicas start, and their price",
        "add them to your budget, or set `capacity.spot: never`",
    ),
    "skyserve-drain": Meaning(
        "a replica's longest answer takes longer than SkyServe waits", "generate shorter answers, or retry lost ones"
    ),
    "unpriced": Meaning(
        "nodes of the plan have a price that nobody knows (`policy.allowUnpriced`), and what was counted instead",
        "put a price of your own into a catalog overlay",
    ),
    "fixed-size-pool": Meaning(
        "a pool shares accelerators, so no autoscaler may change it",
        "nothing, or set `capacity.shareAccelerators: never`",
    ),
    "several-machines": Meaning(
        "the target `compose` takes several machines, each with an address of its own",
        "spread callers yourself, or take the target `spheron`, which puts one NGINX in front of all",
    ),
    "callers-not-asked": Meaning(
        "who calls a virtual machine from the ranges named is served without a key", "set `security.apiKeySecret`"
    ),
    "callers-on-the-machine": Meaning(
        "no range is named from which a virtual machine may be called", "name callers in `hosts.callerRanges`"
    ),
    "nobody-logs-in": Meaning(
        "no range is named from which one may log in to a virtual machine", "name who may in `hosts.adminRanges`"
    ),
    "beside-not-in-regions": Meaning(
        "a provider whose machines may stand beside the cluster sells none in the regions that the stack names",
        "name regions of that provider too, or leave the provider out",
    ),
    "burst-beside-cluster": Meaning(
        "machines beside the cluster carry the burst, and they take minutes to start: who starts and ends them",
        "run `agentgpu scale` every minute, or have a CronJob do it (`scaling.machines`); `scaling.schedule` is for known hours",
    ),
    "burst-not-scaled": Meaning(
        "nothing raises the burst tier from 0 replicas, and why",
        "scale it yourself, or keep the peak warm with `overrides.baselineReplicas`",
    ),
    "metrics-not-scraped": Meaning(
        "burst tiers scale on series that nothing rendered scrapes: which labels they need",
        "scrape the engines as the message says, or set `observability.monitors: prometheus-operator`",
    ),
    "hpa-keeps-one": Meaning(
        "an HPA cannot scale to 0: what the replica that always runs costs", "set `scaling.method: keda`"
    ),
    "schedule-capped": Meaning(
        "a schedule wants more burst replicas than the plan has nodes for",
        "raise the agent's peak, or lower the schedule's `replicas`",
    ),
    "schedule-not-followed": Meaning(
        "an agent's windows change nothing, and why", "do what the message names, or remove the schedule"
    ),
    "schedule-saves-no-nodes": Meaning(
        "replicas go outside their windows, and nodes that are paid around the clock stay, and why",
        "nothing, or what the message names",
    ),
    "schedule-needs-autoscaler": Meaning(
        "nodes are counted for the hours of a schedule, and nothing of ours takes them away",
        "have an autoscaler of yours make and end them, or count 720 h",
    ),
    "nobody-outside-schedule": Meaning(
        "an agent that somebody waits for has no replica outside its windows",
        "nothing where that is meant, or set `schedule.replicasOutside: 1`",
    ),
    "schedule-ignored": Meaning("a schedule that nothing keeps, and why", "do what the message names, or remove it"),
    "gitops-overlay": Meaning(
        "Karpenter makes none of the nodes, so the GitOps tool is told to apply another overlay than the spec names",
        "nothing, or set `gitops.overlay` to the one that the message names",
    ),
    "unknown-engine-version": Meaning(
        "the version is not in the catalog and is accounted for as the nearest earlier one; nobody checked that its image "
        "exists",
        "leave `engineVersion` out, or try the image before you rely on it",
    ),
    "sharing-not-exhaustive": Meaning(
        "too many small agents to try every group of them on one accelerator",
        "nothing: groups filled one after another were considered",
    ),
    "too-few-seats": Meaning(
        "numbers set by hand leave sessions without a seat", "raise the figures under `overrides`, or leave them out"
    ),
    "inventory-idle": Meaning(
        "machines of yours stand idle while others are rented",
        "see what an agent costs on yours alone (without `beyondInventory: rent`), or have them carry agents with smaller models",
    ),
    "burst-absorbed": Meaning(
        "the burst outruns the cold start; warm replicas take it",
        "nothing, or set `capacity.fastBurst: turn-away` to pay for fewer and turn callers away",
    ),
    "burst-outruns-cold-start": Meaning(
        "the burst outruns the cold start; a share is turned away until the burst tier is up",
        "set `capacity.fastBurst: absorb`, or schedule burst replicas before the peak",
    ),
    "burst-shares-gateway": Meaning(
        "warm replicas hold whoever comes while one new node fills its cache; if all nodes of the burst fill theirs at once, "
        "through one gateway, some callers are turned away",
        "set `modelCache.source: s3`, which goes round the gateway, or raise `overrides.baselineReplicas`",
    ),
    "bucket-not-streamed": Meaning(
        "a first start on a fresh node is planned faster if the engine streams its weights from the bucket than if the node's "
        "cache is filled first",
        "set `modelCache.stream: auto` where bursts wait for new nodes; nothing where restarts on the same node matter more",
    ),
    "latency-risk": Meaning(
        "a planned latency and the upper half of its stated error do not fit the budget together; how likely a miss is",
        "set `latency.margin`, or run `agentgpu calibrate` on a run of yours, which narrows the error",
    ),
    "pair-template": Meaning(
        "a reranker made from a chat model was trained on pairs in the words of a template that its files do not hold",
        "have callers send query and documents in the words of its model card, or serve an image with the template",
    ),
    "prompts-queue": Meaning(
        "if all sessions send at once, their prompts queue, and some miss the TTFT budget",
        "nothing where they do not, else lower `overrides.maxNumSeqs`",
    ),
    "other-instance-types": Meaning(
        "other instance types may stand in for a planned one that is sold out, and what they may cost",
        "lower `capacity.priceCapRatio` where that is too dear; 1 keeps to the planned price",
    ),
    "renewed-at-any-hour": Meaning(
        "a new AMI makes Karpenter renew the node of an agent's only replica, at whatever hour it appears",
        "set `capacity.maintenanceWindow`, or pin the AMI with `pins.amiAlias` and change it when it suits you",
    ),
    "fallback-demand": Meaning(
        "what an agent's sessions ask of its fallback while it is down, and what of that finds no seat there",
        "raise `sessions.peak` of the fallback, add a `paidFallback`, or let callers wait",
    ),
    "fallback-elsewhere": Meaning(
        "an agent and its fallback are on different virtual machines, and the LiteLLM of one knows no address of the other",
        "let callers ask the fallback, as `endpoints.json` says, or bring both onto one machine",
    ),
    "proxy-alone": Meaning(
        "one LiteLLM stands in front of the agents; what it counts in its memory is forgotten when it starts anew",
        "name a Redis in `proxy.redisSecret`",
    ),
    "proxy-full": Meaning(
        "the agents generate more tokens a second than one LiteLLM streams",
        "name a Redis in `proxy.redisSecret`, or `proxy: {use: none}` where neither teams nor paid fallbacks need it; on virtual "
        "machines let smaller ones run, of which more do",
    ),
    "budget-not-counted": Meaning(
        "a team has a budget, and agents that it may call have no price of their tokens",
        "set `traffic.conversationsPerDay` of those agents",
    ),
    "single-replica": Meaning(
        "how long a rollout, by what it changes, and a lost node leave nobody to serve; and the price of a second replica, where "
        "callers are led to it",
        "set `overrides.baselineReplicas: 2` where that is not acceptable; on machines of your own start another whole stack, "
        "and lead callers to both",
    ),
    "cache-miss": Meaning(
        "a session whose prefix cache was lost waits longer than the budget",
        "nothing where that is rare, else state a lower `conversation.prefixHitRatio`",
    ),
    "router-needed": Meaning(
        "the sums count on session-affine routing and the spec leaves the router out",
        "set `network.router: auto`, or `network.routing: round-robin` to have the misses counted",
    ),
    "key-not-everywhere": Meaning(
        "engines answer prompts on a path that asks for no API key, and no NGINX stands before them",
        "set `network.router: nginx`, or name who may call in `security.callers`",
    ),
    "gateway-address": Meaning(
        "the Gateway has no host name in the spec, so the addresses in `endpoints` pass by the endpoint picker",
        "set `network.gateway.hostname`",
    ),
    "answer-over-2s": Meaning(
        "a complete chat answer takes longer than 2 s; how many tokens would fit", "set `e2eMs` to make it a budget"
    ),
    "spot-without-notice": Meaning(
        "a reclaimed node loses answers at once",
        "retry on the caller's side, or set `capacity.burstWithoutNotice: reject`",
    ),
    "uncalibrated": Meaning(
        "no measured run on this accelerator, or over several nodes, backs its latency",
        "run `vllm bench serve` once and give its result to `agentgpu calibrate`",
    ),
    "efa-image": Meaning(
        "the nodes of a replica use EFA only if the engine image has its libraries",
        "name an image that has them with `pins.engineImage`",
    ),
    "held-capacity": Meaning(
        "which pools use capacity that you hold, and how it is counted",
        "tag or name the reservation as the message says",
    ),
    "storage": Meaning(
        "weights would load faster, or as fast for less, from elsewhere than where the plan keeps them",
        "set `modelCache.storage` or `modelCache.loader` where the cold start matters",
    ),
    "calibrated-by-you": Meaning(
        "figures follow a run that you measured; which, and by how much", "nothing, while the run is like production"
    ),
    "weights-not-filled": Meaning(
        "the model is known by a local config only",
        "put its weights and then the marker into the model cache of each node",
    ),
    "gate-unknown": Meaning(
        "nobody is known to say whether the hub asks for a token before it gives the weights",
        "look at the model's page on the hub; if it asks for a licence, set `modelCache.tokenSecret`",
    ),
    "quantised-at-load": Meaning(
        "the engine makes FP8 weights itself", "check answer quality, or name a published FP8 checkpoint as the model"
    ),
    "other-checkpoint": Meaning(
        "the precision needs a checkpoint that is published under another id, and such checkpoints differ in what they "
        "leave in 16 bit",
        "name the config.json of that checkpoint as the model",
    ),
    "checkpoint-cache": Meaning(
        "the checkpoint keeps its KV cache in 8 bit, and so the plan does", "`kvCacheDtype: bf16` keeps it in 16 bit"
    ),
    "quantisation-unclear": Meaning(
        "the quantisation of a checkpoint names modules that are not known of its architecture",
        "compare the weights with what the engine logs at start, and tell us",
    ),
    "shape-unclear": Meaning(
        "the config of a model says something of its shape that is not counted",
        "compare weights and KV cache with what the engine logs at start, and tell us",
    ),
    "attention-groups": Meaning(
        "the sessions of a replica are divided over attention groups, each with seats and a cache of its own",
        "have callers send the session header; write `overrides.attentionDataParallelSize: 1` to do without groups",
    ),
    "engine-suggestion": Meaning("another engine may serve this agent better", "try it and compare"),
    "no-tool-parser": Meaning(
        "no tool-call parser of the engine is known for the model: requests with tools get HTTP 400 from vLLM, and their calls "
        "as text from the others",
        "set `toolCallParser`, or parse the calls in your own code; `toolCallParser: none` where no tools are used",
    ),
    "thinking-off": Meaning(
        "the model reasons before it answers unless told not to, and for the latency class it is told not to",
        "write `thinking: off`, or `thinking: on` and its tokens",
    ),
    "thinking-estimated": Meaning(
        "the model reasons before each answer, and its typical figure stands in for yours",
        "measure and set `conversation.reasoningTokensPerTurn`",
    ),
    "thinking-by-callers": Meaning(
        "the plan counts on callers to switch the model's thinking, since the engine cannot be told",
        "send what the message says with each request; `endpoints.json` has it too",
    ),
    "thinking-by-prompt": Meaning(
        "reasoning tokens are counted for a model that has no mode for them",
        "nothing where your prompt asks for a chain of thought, else leave them out",
    ),
    "thinking-unknown": Meaning(
        "nothing is known of whether the model reasons before it answers",
        "set `conversation.reasoningTokensPerTurn`, or add a row `thinking` to a catalog overlay",
    ),
    "hybrid-not-cached": Meaning(
        "the engine keeps no prefixes of a model with recurrent layers, or by large pages: what is read again",
        "leave `engineVersion` out, or measure and state `conversation.prefixHitRatio`",
    ),
    "no-reasoning-parser": Meaning(
        "the engine has no counterpart of the model's reasoning parser",
        "set `reasoningParser`, or strip the reasoning in your own code",
    ),
    "speculative-unmeasured": Meaning(
        "speculative decoding is counted in memory only", "measure the tokens of a step and set `acceptedTokens`"
    ),
    "loader-unmeasured": Meaning(
        "no measured run of this loader on this storage; the cold start counts the default loader",
        "measure a cold start and set `overrides.coldStartS`",
    ),
    "queue-not-limited": Meaning(
        "the engine cannot limit its queue, so the planned limit is not enforced by it",
        "limit requests in front of it: the project's NGINX does",
    ),
}
"""Every warning that a plan may hold."""

CONSTRAINTS: Final[Mapping[Constraint, Meaning]] = {
    "memory": Meaning(
        "GiB on one accelerator; the limit is its capacity less `capacity.memoryReserveRatio` of it",
        "allow larger accelerators or a lower precision, shorten the conversation, or lower that ratio where the message says so",
    ),
    "ttft": Meaning(
        "ms to the first token of a single session; the limit is the budget",
        "raise `ttftMs`, shorten the prompt, or allow faster accelerators",
    ),
    "tpot": Meaning(
        "ms for each token of a single session; the limit is the budget", "raise `tpotMs`, or allow faster accelerators"
    ),
    "e2e": Meaning(
        "ms for the whole answer of a single session; the limit is the budget", "raise `e2eMs`, or ask for fewer tokens"
    ),
    "context-length": Meaning(
        "tokens of a session; the model's longest context", "shorten the conversation, or take another model"
    ),
    "precision": Meaning("no kernels for these weights", "take another precision, or another accelerator"),
    "parallelism": Meaning(
        "no machine on offer has enough accelerators for a legal size, or sizes set by hand that the model or the engine does "
        "not allow",
        "allow larger machines, or a lower precision; leave out the size that the message names",
    ),
    "wide-experts": Meaning(
        "accelerators of attention groups set by hand; those of the largest machine: experts are not shared between machines",
        "lower `overrides.attentionDataParallelSize` or `tensorParallelSize`, or allow larger machines",
    ),
    "no-latency-data": Meaning(
        "no sourced TFLOPS figure, or no measured run of the engine, so latency or throughput cannot be predicted",
        "set `overrides.ttftMs`, `tpotMs` and `outputTokensPerS` from a run of yours",
    ),
    "batched-tokens": Meaning(
        "sequences that the engine must batch; `overrides.maxNumBatchedTokens`", "raise that figure, or leave it out"
    ),
    "replicas": Meaning("more than 100,000 replicas", "state less load, or allow larger accelerators"),
    "capacity-type": Meaning(
        "the machine is not sold in a way that the tier may use",
        "nothing, or mark the agent `interruptible` where it is",
    ),
    "whole-machine": Meaning(
        "accelerators of a SkyServe replica, which is a machine of its own; those of the machine",
        "nothing: a machine with fewer accelerators is looked for",
    ),
    "skypilot": Meaning(
        "SkyPilot has no name for the provider or for these accelerators of it, so SkyServe cannot ask for them; one for "
        "each provider",
        "take another target for those sellers",
    ),
    "several-nodes": Meaning(
        "no replica goes over several machines without a cluster", "take another target, or a lower precision"
    ),
    "weights": Meaning(
        "nobody could fetch the model's weights on a SkyServe replica", "set `modelCache.source: s3` with a bucket"
    ),
    "container": Meaning(
        "the provider rents out containers (`rentsContainers` in the catalog), and the target needs machines; one for each "
        "provider",
        "nothing, or take the target `skyserve`",
    ),
    "unpriced": Meaning(
        "the machine is on offer at a price that nobody knows, and `policy.allowUnpriced` is off or no price of its "
        "accelerator is known",
        "put a price of your own into a catalog overlay, or set `policy.allowUnpriced`",
    ),
    "engine": Meaning(
        "the engine is not for clusters, or does not run on the accelerator", "take another engine or accelerator"
    ),
    "engine-feature": Meaning(
        "the agent asks for what this version of the engine cannot do; see [engines](engines.md)",
        "ask for another engine or version, or do without",
    ),
    "speculative": Meaning("the model has no multi-token head that is known", "take another `speculative.method`"),
    "host-memory": Meaning(
        "GiB of host memory for KV cache moved there and the engine; a replica's part of the machine",
        "lower `kvOffloadGib`",
    ),
    "no-fabric": Meaning(
        "Gbps between machines for a replica over several of them; what the machine's EFA interfaces have (0: none)",
        "allow machines with EFA, or a model that fits one machine",
    ),
    "engine-version": Meaning(
        "the engine's version cannot go over several nodes", "ask for a newer `engineVersion`, or leave it out"
    ),
    "sharing": Meaning(
        "accelerators in a node for engines to share one: 1; what the machine has. For SkyServe: a replica is a machine of "
        "its own",
        "nothing: it is planned on accelerators of its own",
    ),
    "spot-baseline": Meaning(
        "why the chosen machine's spot price was not taken for the baseline",
        "mark the agent `interruptible` where it is",
    ),
    "spot-notice": Meaning(
        "why the chosen machine's spot price was not taken: seconds of the drain; the provider gives no notice",
        "set `capacity.burstWithoutNotice: accept` to take the risk",
    ),
    "spot-drain": Meaning(
        "why the chosen machine's spot price was not taken: seconds of the drain; of the notice",
        "generate shorter answers",
    ),
    "reserved-days": Meaning(
        "why its reserved price was not taken: days of traffic that it needs; those observed",
        "state `observed` once there are enough",
    ),
    "reserved-stability": Meaning(
        "why its reserved price was not taken: lowest over mean load that it needs; that observed",
        "nothing: on-demand is cheaper for traffic that varies",
    ),
}
"""Every constraint that a rejection may name."""


Rank = Literal["serving", "safety-and-cost", "to-know"]
"""What a warning is about at worst: agents that do not answer, money or access, or what is good to know."""

RANK_ORDER: Final[tuple[Rank, ...]] = get_args(Rank)
"""The worst first."""

RANKS: Final[Mapping[WarningCode, Rank]] = {
    "answer-over-2s": "serving",
    "burst-beside-cluster": "serving",
    "burst-not-scaled": "serving",
    "burst-outruns-cold-start": "serving",
    "burst-shares-gateway": "serving",
    "cache-miss": "serving",
    "fallback-demand": "serving",
    "fallback-elsewhere": "serving",
    "gitops-overlay": "serving",
    "latency-risk": "serving",
    "metrics-not-scraped": "serving",
    "no-reasoning-parser": "serving",
    "no-tool-parser": "serving",
    "nobody-logs-in": "serving",
    "nobody-outside-schedule": "serving",
    "prompts-queue": "serving",
    "proxy-alone": "serving",
    "proxy-full": "serving",
    "queue-not-limited": "serving",
    "router-needed": "serving",
    "schedule-capped": "serving",
    "schedule-ignored": "serving",
    "several-machines": "serving",
    "single-replica": "serving",
    "skyserve-drain": "serving",
    "skyserve-not-scaled": "serving",
    "spot-without-notice": "serving",
    "too-few-seats": "serving",
    "weights-not-filled": "serving",
    "budget-not-counted": "safety-and-cost",
    "callers-not-asked": "safety-and-cost",
    "callers-on-the-machine": "safety-and-cost",
    "commitment-beyond-baseline": "safety-and-cost",
    "commitment-ended": "safety-and-cost",
    "commitment-on-a-forecast": "safety-and-cost",
    "hpa-keeps-one": "safety-and-cost",
    "inventory-idle": "safety-and-cost",
    "image-registry": "safety-and-cost",
    "key-not-everywhere": "safety-and-cost",
    "kubernetes-support-ends": "safety-and-cost",
    "old-prices": "safety-and-cost",
    "schedule-needs-autoscaler": "safety-and-cost",
    "schedule-not-followed": "safety-and-cost",
    "skyserve-controller": "safety-and-cost",
    "skyserve-endpoint": "safety-and-cost",
    "skyserve-twice": "safety-and-cost",
    "undated-price": "safety-and-cost",
    "unpinned": "safety-and-cost",
    "unpriced": "safety-and-cost",
    "attention-groups": "to-know",
    "beside-not-in-regions": "to-know",
    "bucket-not-streamed": "to-know",
    "burst-absorbed": "to-know",
    "calibrated-by-you": "to-know",
    "checkpoint-cache": "to-know",
    "efa-image": "to-know",
    "engine-suggestion": "to-know",
    "fixed-size-pool": "to-know",
    "gate-unknown": "to-know",
    "gateway-address": "to-know",
    "held-capacity": "to-know",
    "hybrid-not-cached": "to-know",
    "image-size-unknown": "to-know",
    "loader-unmeasured": "to-know",
    "other-checkpoint": "to-know",
    "other-instance-types": "to-know",
    "pair-template": "to-know",
    "quantisation-unclear": "to-know",
    "quantised-at-load": "to-know",
    "renewed-at-any-hour": "to-know",
    "schedule-saves-no-nodes": "to-know",
    "shape-unclear": "to-know",
    "sharing-not-exhaustive": "to-know",
    "skyserve-clouds": "to-know",
    "skyserve-one-command": "to-know",
    "skyserve-routing": "to-know",
    "speculative-unmeasured": "to-know",
    "storage": "to-know",
    "thinking-by-callers": "to-know",
    "thinking-by-prompt": "to-know",
    "thinking-estimated": "to-know",
    "thinking-off": "to-know",
    "thinking-unknown": "to-know",
    "uncalibrated": "to-know",
    "unknown-engine-version": "to-know",
    "weight-only-precision": "to-know",
    "without-effect": "to-know",
}
"""Rank of every code."""

DRIVERS: Final[Mapping[DriverConstraint, Meaning]] = {
    "kv-memory": Meaning(
        "GiB on one accelerator with one replica less; the limit is what may be in use",
        "shorten the context, keep it in FP8 (`kvCacheDtype`), move that of pauses away (`pausedCache`), or keep less in reserve",
    ),
    "paused-cache": Meaning(
        "requests that may generate at once while the context of the others is away; the limit is what the accelerators hold",
        "shorten the context, or keep less in reserve",
    ),
    "ttft": Meaning("ms to the first token with one replica less; the limit is the budget", "raise `ttftMs`"),
    "tpot": Meaning("ms for each token with one replica less; the limit is the budget", "raise `tpotMs`"),
    "e2e": Meaning("ms for a whole answer with one replica less; the limit is the budget", "raise `e2eMs`"),
    "output-rate": Meaning(
        "tokens generated in a second at the peak; the limit is what one replica less would generate",
        "fewer conversations a day, or shorter answers",
    ),
    "prompt-rate": Meaning(
        "tokens of prompts in a second at the peak; the limit is what one replica less would read",
        "fewer conversations a day or requests, or shorter prompts",
    ),
    "cold-start": Meaning(
        "seconds that a new replica takes at worst; the limit is what one warm replica less would allow",
        "shorten the start (`agentgpu explain` lists the ways), a longer ramp, or `capacity.fastBurst: turn-away`",
    ),
    "survive": Meaning(
        "replicas that are warm; the limit is those that normal load needs", "`capacity.survive: nothing`"
    ),
    "card": Meaning(
        "what the next cheaper machine would take; the limit is what it may: `refused` says of what",
        "what the rejection's own constraint says",
    ),
    "inventory": Meaning(
        "machines of yours that a cheaper way takes by itself; the limit is how many there are",
        "more of them (`capacity.inventory`), or what another agent on them could stand on instead",
    ),
    "quota": Meaning(
        "vCPUs that a cheaper way takes by itself; the limit is what the account may run at once",
        "a larger quota (`capacity.quotas`)",
    ),
    "by-hand": Meaning("replicas as set by hand; the limit is those that are computed", "leave `overrides` out"),
    "least": Meaning(
        "nothing: one replica is the least there is, and no limit with a figure keeps it from a cheaper machine",
        "share it with other agents, or call the model by the token",
    ),
}
"""Everything that the price of a deployment may stand at."""
