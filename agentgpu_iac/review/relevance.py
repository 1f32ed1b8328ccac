"""What a change is about, and whether it is one that somebody who answers for security must see first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Section: TypeAlias = Literal["demand", "sizing", "capacity", "latency", "running", "money"]
"""demand: what is asked. sizing: what one replica needs and holds. capacity: how many there are, and on what nodes. latency:
against the budgets. running: how it is served, watched and applied. money: what lines cost."""

_SECTIONS: Final[Mapping[str, Section]] = {
    "agents": "demand",
    "workloads.sessionsConcurrent": "demand",
    "workloads.sessionsPeak": "demand",
    "workloads.requestsPerSession": "demand",
    "workloads.pace": "demand",
    "workloads.latencyClass": "demand",
    "workloads.role": "demand",
    "workloads.model": "demand",
    "workloads.thinking": "demand",
    "workloads.pooling": "demand",
    "workloads.openHours": "demand",
    "overrides": "demand",
    "assumptions": "demand",
    "target": "demand",
    "pattern": "demand",
    "workloads.memory": "sizing",
    "workloads.throughput": "sizing",
    "workloads.generating": "sizing",
    "workloads.maxModelLen": "sizing",
    "workloads.maxNumSeqs": "sizing",
    "workloads.maxNumSeqsPerGroup": "sizing",
    "workloads.maxNumBatchedTokens": "sizing",
    "workloads.kvCacheMemoryBytes": "sizing",
    "workloads.kvCacheDtype": "sizing",
    "workloads.precision": "sizing",
    "workloads.pausedCache": "sizing",
    "workloads.pausedFoundRatio": "sizing",
    "workloads.residentSessions": "sizing",
    "workloads.gpuMemoryUtilization": "sizing",
    "workloads.waitingRoom": "sizing",
    "workloads.admission": "sizing",
    "workloads.pod": "sizing",
    "workloads.latency": "latency",
    "workloads.coldStartS": "latency",
    "workloads.replicas": "capacity",
    "workloads.accelerator": "capacity",
    "workloads.acceleratorsPerReplica": "capacity",
    "workloads.tensorParallelSize": "capacity",
    "workloads.pipelineParallelSize": "capacity",
    "workloads.attentionDataParallelSize": "capacity",
    "workloads.expertParallelSize": "capacity",
    "workloads.nodesPerReplica": "capacity",
    "workloads.nodePool": "capacity",
    "workloads.shareGroup": "capacity",
    "workloads.tier": "capacity",
    "workloads.interruptible": "capacity",
    "workloads.replicaUsdPerHour": "money",
    "nodePools": "capacity",
    "nodePools.usdPerHour": "money",
    "nodePools.fallbackUsdPerHour": "money",
    "nodePools.dearestUsdPerHour": "money",
    "nodePools.types": "money",
    "nodePools.market": "money",
    "vcpuQuotas": "capacity",
    "quota": "capacity",
    "architecture": "capacity",
    "cost": "money",
}
"""Field of a plan, or the beginning of its path -> what it is about; whatever stands here by no beginning is ``running``."""


def section_of(place: str) -> Section:
    """What a field is about, by its path without names of items."""
    steps = place.split(".")
    for length in range(len(steps), 0, -1):
        found = _SECTIONS.get(".".join(steps[:length]))
        if found is not None:
            return found
    return "running"


SECURITY_FIELDS: Final[Mapping[str, str]] = {
    "security": "who may reach what, and which Secrets are read",
    "policy": "what the spec allows and forbids",
    "gitops": "who applies the manifests, and from where",
    "target": "where the stack runs",
    "priorityClasses": "what may push other pods out",
    "clusterObjects": "what guards the namespace",
    "proxy.image": "a program that sees every request",
    "proxy.version": "a program that sees every request",
    "proxy.redisSecret": "a Secret that is read",
    "proxy.routes": "whom the proxy sends requests to",
    "proxy.paid": "which paid API is asked, with whose key",
    "proxy.teams": "who may ask, with which key",
    "router.image": "a program that sees every request",
    "router.kind": "a program that sees every request",
    "router.gateway": "where requests come in",
    "workloads.engine.image": "a program that sees every request",
    "workloads.engine.command": "what is started",
    "workloads.engine.secretEnvironment": "a Secret that is read",
    "workloads.engine.environment": "what the engine is told",
    "workloads.engine.files": "what the engine is told",
    "workloads.model": "whose weights answer",
    "workloads.modelCache.source": "where weights come from",
    "workloads.modelCache.path": "whose weights answer",
    "workloads.modelCache.revision": "whose weights answer",
    "workloads.modelCache.adapters": "whose weights answer",
    "workloads.modelCache.draft": "whose weights answer",
    "workloads.modelCache.tokenSecret": "a Secret that is read",
    "workloads.modelCache.streamedFrom": "where weights come from",
    "nodePools.cachedModels": "whose weights answer, and whether code comes with them",
    "nodePools.filler.bucket": "where weights come from",
    "nodePools.provider": "whose machines they are",
    "nodePools.owned": "whose machines they are",
    "nodePools.region": "where data goes",
    "nodePools.capacityTypes": "whether nodes can be taken away",
    "nodePools.amiAlias": "what nodes boot",
    "nodePools.market.regions": "where data goes",
    "nodePools.kubernetesVersion": "which Kubernetes",
    "hosts.listen": "who may reach the machine",
    "hosts.tls": "whether requests are encrypted",
    "hosts.callerRanges": "who may call the machine",
    "hosts.adminRanges": "who may log in to the machine",
    "hosts.secrets": "a Secret that is read",
    "hosts.proxy": "whom the proxy sends requests to, and which paid API it asks",
    "hosts.kernelSettings": "how the machine is set up",
    "hosts.tuning": "what tune.sh would set",
    "hosts.prometheus": "a program on the machine",
    "hosts.dcgmExporter": "a program on the machine",
    "hosts.grafana": "a program on the machine",
    "hosts.ollama": "a program on the machine",
    "front": "which machine is in front",
    "skyServices.secrets": "a Secret that is read",
    "skyServices.places": "where data goes",
    "skyServices.onSpot": "whether replicas can be taken away",
}
"""Field of a plan, or the beginning of its path -> why it comes first in a review."""

_WORDS: Final = re.compile(
    r"secret|ranges$|^tls$|^callers|repository|bucket$|baseUrl$|runsCode$|keyVariable$", re.IGNORECASE
)
"""How fields are called that come first wherever they stand, also those that no row names yet."""
_FLAGS: Final = re.compile(
    r"--(?:trust|api-key|allow|ssl|enable-auto|download|hf-token|disable-log|cors|served|host\b)"
)
"""Options of engines that open something, or let code in."""


def is_image(place: str) -> bool:
    """Whether a field of a plan names an image; how long one takes to be pulled has its name too."""
    return place.rpartition(".")[2] == "image" and not place.startswith("workloads.coldStartS.")


def security_reason(place: str, path: str) -> str:
    """Why a change comes first; empty where it does not."""
    steps = place.split(".")
    for length in range(len(steps), 0, -1):
        found = SECURITY_FIELDS.get(".".join(steps[:length]))
        if found is not None:
            return found
    if is_image(place) or _WORDS.search(steps[-1]):
        return "an image, a Secret, an address or who may reach it"
    if place.startswith("workloads.engine.") and _FLAGS.search(path):
        return "an option that opens something or lets code in"
    return ""
