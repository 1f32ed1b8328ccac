"""Where in the plan each number of a rendered file comes from, as a short comment beside it.

The table is the one home: a field of an object (by the keys that lead to it, the last ones) or an option of an engine's command
line, and the field of the plan that it is. ``agentgpu explain`` prints the sum behind that field. What is the same in every
plan, such as the uid of a container, has no row, and no comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

Steps = tuple[str, ...]
Reasons = Mapping[Steps, str]


def _asked_and_given(resource: str, why: str) -> Reasons:
    """A resource of a container whose limit is what it asks for."""
    return {("containers", "resources", part, resource): why for part in ("requests", "limits")}


_POD: Final[Reasons] = MappingProxyType(
    {
        ("spec", "replicas"): "replicas.min",
        ("leaderWorkerTemplate", "size"): "nodesPerReplica",
        ("rollingUpdate", "maxSurge"): "rollout.maxSurge",
        ("rollingUpdate", "maxUnavailable"): "rollout.maxUnavailable",
        ("rolloutStrategy", "rollingUpdateConfiguration", "maxSurge"): "rollout.maxSurge",
        ("rolloutStrategy", "rollingUpdateConfiguration", "maxUnavailable"): "rollout.maxUnavailable",
        ("spec", "progressDeadlineSeconds"): "coldStartS, with its margin",
        ("spec", "terminationGracePeriodSeconds"): "drain.gracePeriodS",
        ("sleep", "seconds"): "drain.preStopS",
        **_asked_and_given("cpu", "pod.cpuMilli"),
        **_asked_and_given("memory", "pod.memoryMib"),
        **_asked_and_given("nvidia.com/gpu", "pod.accelerators"),
        **_asked_and_given("vpc.amazonaws.com/efa", "pod.efaInterfaces"),
        ("startupProbe", "periodSeconds"): "probes.startupPeriodS",
        ("startupProbe", "failureThreshold"): "probes.startupFailureThreshold: the longest start, in periods",
        ("readinessProbe", "periodSeconds"): "probes.readinessPeriodS",
        ("livenessProbe", "periodSeconds"): "probes.livenessPeriodS",
        ("livenessProbe", "failureThreshold"): "probes.livenessFailureThreshold",
        ("volumes", "shm", "emptyDir", "sizeLimit"): "pod.shmMib",
        ("containers", "ports", "containerPort"): "port",
        ("stop_grace_period",): "drain.gracePeriodS",
        ("cpus",): "pod.cpuMilli",
        ("mem_limit",): "pod.memoryMib",
        ("shm_size",): "pod.shmMib",
        ("ulimits", "nofile"): "hosts.openFiles",
        ("devices", "device_ids"): "hosts.engines.accelerators",
        ("healthcheck", "interval"): "probes.livenessPeriodS",
        ("healthcheck", "retries"): "probes.livenessFailureThreshold",
        ("healthcheck", "start_period"): "probes.startupPeriodS x startupFailureThreshold",
    }
)

_ROUTER: Final[Reasons] = MappingProxyType(
    {
        ("spec", "replicas"): "router.replicas",
        ("spec", "terminationGracePeriodSeconds"): "router.drain.gracePeriodS",
        ("sleep", "seconds"): "router.drain.preStopS",
        **_asked_and_given("cpu", "router.cpuMilli"),
        **_asked_and_given("memory", "router.memoryMib"),
        ("containers", "ports", "containerPort"): "router.routes.port",
        ("volumes", "tmp", "emptyDir", "sizeLimit"): "router.scratchMib",
        ("stop_grace_period",): "router.drain.gracePeriodS",
        ("mem_limit",): "router.memoryMib + scratchMib",
        ("ulimits", "nofile"): "hosts.openFiles",
    }
)

_PICKER: Final[Reasons] = MappingProxyType(
    {
        ("spec", "replicas"): "router.replicas",
        ("spec", "terminationGracePeriodSeconds"): "router.drain.gracePeriodS",
        **_asked_and_given("cpu", "router.cpuMilli"),
        **_asked_and_given("memory", "router.memoryMib"),
        ("timeouts", "request"): "router.routes.answerTimeoutS",
        ("targetPorts", "number"): "port",
    }
)
"""Its ports are those of its release, the same in every plan."""

_FILLER: Final[Reasons] = MappingProxyType(
    {
        ("containers", "resources", "requests", "cpu"): "nodePools.filler.cpuMilli",
        ("containers", "resources", "requests", "memory"): "nodePools.filler.memoryMib",
        ("containers", "resources", "limits", "memory"): "nodePools.filler.memoryLimitMib",
        ("capacity", "storage"): "nodePools.cacheCapacityGib",
        ("requests", "storage"): "nodePools.cacheCapacityGib",
        ("mem_limit",): "nodePools.filler.memoryLimitMib",
    }
)

_NODES: Final[Reasons] = MappingProxyType(
    {
        ("ebs", "iops"): "nodePools.rootVolumeIops",
        ("ebs", "throughput"): "nodePools.rootVolumeMibPerS",
        ("ebs", "volumeSize"): "nodePools.rootVolumeGib",
        ("limits", "nvidia.com/gpu"): "(nodePools.max + surgeNodes) x acceleratorsPerNode",
        ("spec", "replicas"): "nodePools.min",
        ("limits", "nodes"): "nodePools.max",
    }
)

_SCALING: Final[Reasons] = MappingProxyType(
    {
        ("spec", "minReplicas"): "scaling.minReplicas",
        ("spec", "maxReplicas"): "scaling.maxReplicas",
        ("spec", "minReplicaCount"): "scaling.minReplicas, or openHours.replicasOutside of a baseline",
        ("spec", "maxReplicaCount"): "scaling.maxReplicas, or replicas.max of a baseline",
        ("spec", "pollingInterval"): "scaling.pollingIntervalS, or openHours.pollingIntervalS of a baseline",
        ("spec", "cooldownPeriod"): "scaling.cooldownS, or none by the clock",
        ("fallback", "failureThreshold"): "scaling.fallbackFailures",
        ("fallback", "replicas"): "scaling.fallbackReplicas",
        ("scaleDown", "stabilizationWindowSeconds"): "scaling.scaleDownStabilizationS, or none by the clock",
        ("scaleDown", "policies", "periodSeconds"): "scaling.scaleDownPeriodS, or all at once by the clock",
        ("scaleUp", "policies", "value"): "scaling.maxReplicas: all at once",
        ("target", "averageValue"): "scaling.triggers.threshold",
        ("metadata", "threshold"): "scaling.triggers.threshold",
        ("metadata", "desiredReplicas"): "scaling.schedules.replicas, or openHours.windows.replicas of a baseline",
    }
)

_STACK: Final[Reasons] = MappingProxyType(
    {
        ("hard", "pods"): "quota.pods",
        ("hard", "requests.cpu"): "quota.cpuMilli",
        ("hard", "requests.memory"): "quota.memoryMib",
        ("hard", "limits.memory"): "quota.memoryLimitMib",
        ("hard", "requests.nvidia.com/gpu"): "quota.accelerators",
        ("value",): "priorityClasses.value",
        ("spec", "ports", "port"): "port",
        ("replicas",): "nodePools.slotsPerAccelerator",
    }
)

_MONITORING: Final[Reasons] = MappingProxyType(
    {
        ("podMetricsEndpoints", "interval"): "watching.scrapeIntervalS",
        ("podMetricsEndpoints", "scrapeTimeout"): "watching.scrapeIntervalS",
        ("endpoints", "interval"): "watching.scrapeIntervalS",
        ("endpoints", "scrapeTimeout"): "watching.scrapeIntervalS",
    }
)

_SKY: Final[Reasons] = MappingProxyType(
    {
        ("readiness_probe", "initial_delay_seconds"): "skyServices.initialDelayS",
        ("readiness_probe", "timeout_seconds"): "skyServices.probeTimeoutS",
        ("readiness_probe", "endpoint_probe_interval_seconds"): "skyServices.probeIntervalS",
        ("readiness_probe", "consecutive_failure_threshold_timeout"): "skyServices.failureThresholdS",
        ("replica_policy", "min_replicas"): "skyServices.minReplicas",
        ("replica_policy", "max_replicas"): "skyServices.maxReplicas",
        ("replica_policy", "target_qps_per_replica"): "skyServices.requestsPerSPerReplica",
        ("replica_policy", "upscale_delay_seconds"): "skyServices.upscaleDelayS",
        ("replica_policy", "downscale_delay_seconds"): "skyServices.downscaleDelayS",
        ("replica_policy", "base_ondemand_fallback_replicas"): "skyServices.onDemandReplicas",
        ("load_balancer", "stream_timeout_seconds"): "skyServices.streamTimeoutS",
        ("resources", "disk_size"): "skyServices.diskGib",
        ("resources", "memory"): "skyServices.memoryGib",
        ("resources", "max_hourly_cost"): "skyServices.maxUsdPerHour",
        ("resources", "ports"): "port",
    }
)

_OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--max-model-len": "maxModelLen",
        "--context-length": "maxModelLen",
        "--max_seq_len": "maxModelLen",
        "--max-total-tokens": "maxModelLen",
        "--max-input-tokens": "maxModelLen, less one token of the answer",
        "--max-num-seqs": "maxNumSeqs: sessions on one replica",
        "--max-running-requests": "maxNumSeqs: sessions on one replica",
        "--max_batch_size": "maxNumSeqs: sessions on one replica",
        "--max-batch-size": "maxNumSeqs: sessions on one replica",
        "--max-num-batched-tokens": "maxNumBatchedTokens",
        "--max-batch-prefill-tokens": "maxNumBatchedTokens",
        "--chunked-prefill-size": "maxNumBatchedTokens",
        "--max_num_tokens": "maxNumBatchedTokens",
        "--max-num-queued-reqs": "admission.maxQueuedRequests",
        "--max-queued-requests": "admission.maxQueuedRequests",
        "--max-concurrent-requests": "admission.maxQueuedRequests",
        "--max-num-queued-tokens": "admission.maxQueuedTokens",
        "--gpu-memory-utilization": "gpuMemoryUtilization",
        "--mem-fraction-static": "gpuMemoryUtilization",
        "--kv_cache_free_gpu_memory_fraction": "gpuMemoryUtilization",
        "--kv-cache-memory-bytes": "kvCacheMemoryBytes",
        "--kv-offloading-size": "agents.kvOffloadGib, for all accelerators",
        "--max-lora-rank": "the largest rank of loraAdapters",
        "--max-loras": "loraAdapters",
        "--max-loras-per-batch": "loraAdapters",
        "--pipeline-parallel-size": "pipelineParallelSize",
        "--pp-size": "pipelineParallelSize",
        "--pp_size": "pipelineParallelSize",
        "--tensor-parallel-size": "tensorParallelSize",
        "--tp-size": "tensorParallelSize",
        "--tp_size": "tensorParallelSize",
        "--num-shard": "tensorParallelSize",
        "--nnodes": "nodesPerReplica",
        "--shutdown-timeout": "drain.shutdownTimeoutS",
        "--graceful-termination-timeout": "drain.shutdownTimeoutS",
        "--distributed-timeout-seconds": "coldStartS: all nodes of a replica must join",
        "--port": "port",
    }
)

_BY_COMPONENT: Final[Mapping[str, Reasons]] = MappingProxyType(
    {
        "engine": _POD,
        "router": _ROUTER,
        "endpoint-picker": _PICKER,
        "model-cache": _FILLER,
        "node-pool": _NODES,
        "scaling": _SCALING,
        "quota": _STACK,
        "priority": _STACK,
        "device-plugin": _STACK,
        "monitoring": _MONITORING,
        "sky": _SKY,
    }
)
_PROXY: Final[Reasons] = MappingProxyType(
    {
        ("stop_grace_period",): "proxy.drain.gracePeriodS",
        ("mem_limit",): "proxy.memoryMib, and its scratch",
        ("healthcheck", "start_period"): "proxy.startS",
    }
)
_SERVICES: Final = (("engine-", _POD), ("nginx", _ROUTER), ("model-cache", _FILLER), ("model-proxy", _PROXY))
"""What in a Compose file each service is, by how its name begins."""

NUMBER: Final = re.compile(r"['\"]?[0-9][0-9.]*(m|s|Mi|Gi|Ki|[a-z]?|\+)['\"]?")
"""A number as files spell it, with its unit."""
_LINE: Final = re.compile(
    r"(?P<indent> *)(?P<dashes>(?:- )*)(?:(?P<key>'[^']*'|\"[^\"]*\"|[^\s'\"#:][^:]*?):(?: |$))?(?P<value>.*)"
)
_BLOCK: Final = re.compile(r"[|>][-+0-9]*")


def commented(text: str, component: str) -> str:
    """A rendered document with a comment at each number that its component's table knows."""
    reasons = _BY_COMPONENT.get(component)
    return (
        text if reasons is None else _with(text, {number: why for number, steps, why in _found(text, reasons) if why})
    )


def commented_compose(text: str) -> str:
    """A Compose file with a comment at each planned number of its services."""
    return _with(text, dict(_compose_reasons(text)))


def _compose_reasons(text: str) -> Iterator[tuple[int, str]]:
    for number, steps, _, option in numbers(text):
        if len(steps) > 2 and steps[0] == "services":
            reasons = next((reasons for start, reasons in _SERVICES if steps[1].startswith(start)), None)
            why = None if reasons is None else _reason(reasons, steps[2:], option)
            if why:
                yield number, why


def _found(text: str, reasons: Reasons) -> Iterator[tuple[int, Steps, str]]:
    for number, steps, _, option in numbers(text):
        why = _reason(reasons, steps, option)
        if why:
            yield number, steps, why


def _reason(reasons: Reasons, steps: Steps, option: str) -> str:
    """The field of the plan that a number is: by the option before it, or by the last keys on the way to it."""
    if option:
        return _OPTIONS.get(option, "")
    known = (key for key in (steps[start:] for start in range(len(steps))) if key in reasons)
    direct = next((reasons[key] for key in known), "")
    return direct or next((why for key, why in reasons.items() if _leads_to(key, steps)), "")


def _leads_to(key: Steps, steps: Steps) -> bool:
    """Whether the last key is the same and the others are passed on the way, in their order."""
    if key[-1] != steps[-1]:
        return False
    way = iter(steps[:-1])
    return all(part in way for part in key[:-1])


def numbers(text: str) -> Iterator[tuple[int, Steps, str, str]]:
    """Each number of a document that we printed: line from 0, the keys that lead to it, its text, and the option before it.

    The name of a volume counts as a key, since only it says what the volume is for.
    """
    stack: list[tuple[int, str]] = []
    block_from, before = -1, ""
    for number, line in enumerate(text.split("\n")):
        indent = len(line) - len(line.lstrip(" "))
        if 0 <= block_from < indent:
            continue  # a dashboard has thousands of such lines
        found = _LINE.fullmatch(line)
        if found is None or not line.strip() or line.startswith("#"):
            continue
        block_from = -1
        inner = indent + len(found["dashes"])
        while stack and (stack[-1][0] > indent or (stack[-1][0] == indent and not found["dashes"])):
            stack.pop()
        key, value = found["key"], found["value"]
        if key is not None:
            if key == "name" and stack and stack[-1][1] == "volumes":
                stack.append((inner - 1, value))
            stack.append((inner, key.strip("'\"")))
        if _BLOCK.fullmatch(value):
            block_from = indent
        elif NUMBER.fullmatch(value):
            yield number, tuple(step for _, step in stack), value, "" if key is not None else before
        before = value if key is None and value.startswith("--") else ""


def _with(text: str, whys: Mapping[int, str]) -> str:
    if not whys:
        return text
    lines = text.split("\n")
    for number, why in whys.items():
        lines[number] = f"{lines[number]} # plan: {why}"
    return "\n".join(lines)
