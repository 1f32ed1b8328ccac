"""An example of each value that an agent stack may hold, for editors that show one: what a default is, or one that makes sense.

Each is valid where it stands (``tests/spec/test_schema_examples.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DIGEST: Final = "sha256:" + "0123456789abcdef" * 4
_COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"

_BY_KEY: Final[Mapping[str, Any]] = {
    "agent": "support",
    "apiKeySecret": "agents-api-key",
    "attentionDataParallelSize": 4,
    "baselineReplicas": 2,
    "burstReplicas": 3,
    "closes": "18:00",
    "coldStartS": 240,
    "contextTokens": 4096,
    "count": 2,
    "end": "0 18 * * 1-5",
    "expertParallelSize": 2,
    "keySecret": "team-key",
    "kvBytesPerToken": 163840,
    "machine": "g6e.xlarge",
    "maxModelLen": 8192,
    "maxNumBatchedTokens": 4096,
    "maxNumSeqs": 32,
    "maxWaitingRequests": 64,
    "name": "support",
    "namespace": "agents",
    "opens": "08:00",
    "outputTokensPerS": 900,
    "overheadGib": 3,
    "pipelineParallelSize": 1,
    "prefillTokensPerS": 5000,
    "provider": "aws",
    "region": "us-east-1",
    "replicas": 2,
    "requiredOutputTokensPerS": 500,
    "requiredPrefillTokensPerS": 600,
    "secret": "prometheus-auth",
    "start": "0 8 * * 1-5",
    "tensorParallelSize": 2,
    "tpotMs": 50,
    "ttftMs": 500,
    "usdPerDay": 20,
    "usdPerHour": 1.25,
    "usdPerMonth": 500,
    "weightsGib": 30,
}
"""By the key, wherever it stands."""

_BY_PLACE: Final[Mapping[str, Any]] = {
    "MachineScaler.image": f"registry.example.com/agents/burst@{_DIGEST}",
    "MachineScaler.pulumiStack": "burst",
    "AccountQuota.code": "L-417A185B",
    "AccountQuota.vcpus": 192,
    "Agent.e2eMs": 8000,
    "Agent.engineVersion": "0.33.0",
    "Agent.fallback": "small",
    "Agent.kvOffloadGib": 32,
    "Agent.model": "Qwen/Qwen3-14B",
    "Agent.modelRevision": _COMMIT,
    "Agent.reasoningParser": "qwen3",
    "Agent.role": "orchestrator",
    "Agent.toolCallParser": "hermes",
    "AgentSchedule.replicasOutside": 1,
    "Capacity.budgetUsdPerMonth": 5000,
    "Capacity.maxSharePerPool": 0.5,
    "Capacity.priceCapRatio": 2,
    "Commitment.ends": "2027-06-30",
    "Commitment.starts": "2027-06-01",
    "Commitment.termMonths": 12,
    "Conversation.maxContextTokens": 16384,
    "Conversation.prefixHitRatio": 0.9,
    "Conversation.reasoningTokensPerTurn": 1000,
    "Conversation.sharedPrefixTokens": 2000,
    "ExternalSecrets.store": "vault",
    "GatewayRef.hostname": "agents.example.com",
    "GatewayRef.name": "public",
    "GitOps.path": "stacks/support",
    "GitOps.repository": "https://git.example.com/acme/stacks.git",
    "Latency.margin": 0.2,
    "LoraAdapter.revision": _COMMIT,
    "LoraAdapter.source": "acme/polite",
    "MaintenanceWindow.hours": 4,
    "MaintenanceWindow.start": "0 2 * * 0",
    "ModelCache.bucket": "s3://acme-models/agents",
    "ModelCache.tokenSecret": "hf-token",
    "ModelProxy.redisSecret": "litellm-redis",
    "Observability.cluster": "production",
    "Observability.runbookBaseUrl": "https://runbooks.example.com/agents",
    "PaidFallback.apiModel": "openai/gpt-5-mini",
    "PaidFallback.baseUrl": "https://api.example.com/v1",
    "PaidFallback.keySecret": "paid-api-key",
    "PaidFallback.usdPerMillionInput": 0.25,
    "PaidFallback.usdPerMillionOutput": 2,
    "Pins.amiAlias": "al2023@v20260915",
    "Pins.dcgmExporterImage": f"nvcr.io/nvidia/k8s/dcgm-exporter@{_DIGEST}",
    "Pins.engineImage": f"docker.io/vllm/vllm-openai@{_DIGEST}",
    "Pins.grafanaImage": f"docker.io/grafana/grafana@{_DIGEST}",
    "Pins.ollamaImage": f"docker.io/ollama/ollama@{_DIGEST}",
    "Pins.prometheusImage": f"quay.io/prometheus/prometheus@{_DIGEST}",
    "Pins.proxyImage": f"ghcr.io/berriai/litellm@{_DIGEST}",
    "Pins.routerExporterImage": f"docker.io/nginx/nginx-prometheus-exporter@{_DIGEST}",
    "Pins.routerImage": f"docker.io/nginxinc/nginx-unprivileged@{_DIGEST}",
    "PrometheusAuth.awsRegion": "us-east-1",
    "Quantile.percent": 95,
    "Quantile.seconds": 12.5,
    "Requests.longestInputTokens": 8192,
    "Requests.perS": 14,
    "Sessions.peak": 50,
    "Speculative.acceptedTokens": 2.5,
    "Speculative.model": "Qwen/Qwen3-0.6B",
    "Speculative.modelRevision": _COMMIT,
    "Speculative.weightsGib": 0.8,
    "Team.requestsPerMinute": 60,
    "Team.tokensPerMinute": 100000,
    "Traffic.conversationsPerDay": 10000,
    "Work.by": "06:00",
    "Work.requests": 20000,
    "Work.tokens": 50000000,
}
"""By the part and the key."""


def with_examples(schema: dict[str, Any], root: str) -> dict[str, Any]:
    """A schema whose fields of one value each show an example, behind what the models say."""
    parts = {name: _part(name, part) for name, part in schema.get("$defs", {}).items()}
    return {**_part(root, schema), "$defs": parts}


def _part(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    fields = part.get("properties")
    if fields is None:
        return dict(part)
    return {**part, "properties": {key: _field(name, key, field) for key, field in fields.items()}}


def _field(part: str, key: str, field: Mapping[str, Any]) -> dict[str, Any]:
    example = _example(part, key, field)
    return dict(field) if example is None or "examples" in field else {**field, "examples": [example]}


def _example(part: str, key: str, field: Mapping[str, Any]) -> Any:
    """The example of a field of one value; None for one that holds a part or a list."""
    choices = [each for each in field.get("anyOf", (field,)) if each.get("type") != "null"]
    kind = choices[0]
    if "$ref" in kind or kind.get("type") in ("array", "object"):
        return None
    if f"{part}.{key}" in _BY_PLACE:
        return _BY_PLACE[f"{part}.{key}"]
    if field.get("default") is not None:
        return field["default"]
    closed = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
    return closed[0] if closed else _BY_KEY.get(key)
