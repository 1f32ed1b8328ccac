"""Each rule is needed: without it a spec that it forbids would be accepted. Counted over the code, so that none is left out."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.spec import (
    agent_rules,
    commitment_rules,
    namespace_rules,
    provider_rules,
    rules,
    schedule_rules,
    tenancy_rules,
)
from tests.spec.files import SMALLEST, faults_of, with_agent, with_spec


def with_second(*lines: str, second: str = "name: other, model: Qwen/Qwen3-14B") -> str:
    return with_agent(*lines) + f"    - {{{second}}}\n"


GATEWAY = "gateway: {name: g, namespace: n}"
STORE = "externalSecrets: {store: vault}"
GITOPS = "gitops: {tool: flux, repository: 'https://example.org/r', path: p}"
PUBLIC = "hosts: {callerRanges: [10.0.0.0/8]}"
SCHEDULE = "scaling: {{schedule: [{{agent: {agent}, start: {start}, end: 0 9 * * *, replicas: 1}}]}}"

NIGHT = "schedule: {windows: [{opens: '22:00', closes: '06:00'}]}"
BATCH = ("latencyClass: background", NIGHT)
AT_NIGHT = f"name: other, model: Qwen/Qwen3-14B, latencyClass: background, {NIGHT}"

WINDOW = "capacity: {{maintenanceWindow: {{{}}}}}"

SCALER = "scaling: {{{}machines: {{image: a, secret: s, pulumiStack: burst}}}}"

TEAM = "teams: [{{name: desk, keySecret: desk-key{}}}]"
PAID = "paidFallback: {{apiModel: openai/gpt-5-mini, keySecret: seller-key{}}}"
REDIS = "proxy: {redisSecret: redis}"
KEYED = "security: {apiKeySecret: agents-api-key}"
PRICED = ", usdPerMillionInput: 1, usdPerMillionOutput: 2"

RESERVED = "kind: reserved, machine: a, count: 1, usdPerHour: 1"
RATES = "rates: [{machine: a, usdPerHour: 1}]"


def committed(stated: str) -> str:
    return with_spec(f"capacity: {{commitments: [{{{stated}}}]}}")


BAD = (
    ("team_rules", "teams[1].name", with_spec("teams: [{name: a, keySecret: k}, {name: a, keySecret: l}]")),
    ("team_rules", "teams[1].keySecret", with_spec("teams: [{name: a, keySecret: k}, {name: b, keySecret: k}]")),
    ("_one_window", "teams[0].usdPerMonth", with_spec(TEAM.format(", usdPerDay: 1, usdPerMonth: 2"))),
    ("team_rules", "teams[0].agents[0]", with_spec(TEAM.format(", agents: [suport]"))),
    ("team_rules", "teams[0].agents[1]", with_spec(TEAM.format(", agents: [support, support]"))),
    (
        "team_rules",
        "teams[0].agents[0]",
        with_spec(TEAM.format(", agents: [support]")) + "      requests: {perS: 1}\n",
    ),
    ("_one_window", "agents[0].paidFallback", with_spec(REDIS) + f"      {PAID.format(PRICED)}\n"),
    ("paid_fallback_rules", "agents[0].paidFallback", with_spec(REDIS) + f"      {PAID.format(', usdPerDay: 1')}\n"),
    (
        "_one_window",
        "agents[0].paidFallback.usdPerMonth",
        with_spec(REDIS) + f"      {PAID.format(f', usdPerDay: 1, usdPerMonth: 2{PRICED}')}\n",
    ),
    ("proxy_rules", "agents[0].paidFallback", with_agent(PAID.format(f", usdPerDay: 1{PRICED}"))),
    ("proxy_rules", "teams", with_spec("target: skyserve", TEAM.format(""))),
    ("proxy_rules", "teams", with_spec("target: compose", TEAM.format(""))),
    ("proxy_rules", "proxy.use", with_spec("proxy: {use: none}", TEAM.format(""))),
    ("proxy_rules", "proxy.redisSecret", with_spec("proxy: {redisSecret: redis}")),
    ("proxy_rules", "teams", with_spec(f"network: {{router: gateway, {GATEWAY}}}", TEAM.format(""))),
    ("proxy_rules", "security.networkPolicies", with_spec("security: {networkPolicies: false}", TEAM.format(""))),
    ("_accelerator_rules", "accelerators.deny[0]", with_spec("accelerators: {allow: [l4], deny: [l4]}")),
    (
        "_inventory_rules",
        "capacity.inventory[1].machine",
        with_spec("target: compose", "capacity: {inventory: [{machine: a, count: 1}, {machine: a, count: 2}]}"),
    ),
    ("_beyond_rules", "capacity.beyondInventory", with_spec("target: kubernetes", "capacity: {beyondInventory: rent}")),
    ("_plan_rules", "capacity.commitments[0].kind", committed("kind: savings-plan, usdPerHour: 1")),
    *(
        (
            "_plan_rules",
            f"capacity.commitments[0].{key}",
            committed(f"kind: savings-plan, usdPerHour: 1, {RATES}, {key}: {v}"),
        )
        for key, v in (("machine", "a"), ("count", "1"), ("upfrontUsd", "1"))
    ),
    (
        "_plan_rules",
        "capacity.commitments[0].rates[1].machine",
        committed(
            "kind: savings-plan, usdPerHour: 1, rates: [{machine: a, usdPerHour: 1}, {machine: a, usdPerHour: 2}]"
        ),
    ),
    ("_machine_rules", "capacity.commitments[0].kind", committed("kind: reserved, machine: a, usdPerHour: 1")),
    ("_machine_rules", "capacity.commitments[0].rates", committed(f"{RESERVED}, {RATES}")),
    (
        "_term_rules",
        "capacity.commitments[0].kind",
        committed("kind: capacity-block, machine: a, count: 1, usdPerHour: 1"),
    ),
    ("_term_rules", "capacity.commitments[0].upfrontUsd", committed(f"{RESERVED}, upfrontUsd: 5")),
    ("_day_rules", "capacity.commitments[0].ends", committed(f"{RESERVED}, starts: '2027-01-02', ends: '2027-01-02'")),
    (
        "_place_rules",
        "capacity.commitments",
        with_spec(
            "target: compose", f"capacity: {{inventory: [{{machine: a, count: 1}}], commitments: [{{{RESERVED}}}]}}"
        ),
    ),
    (
        "_zone_rules",
        "capacity.survive",
        with_spec("capacity: {survive: zone}", "clusterObjects: {topologySpread: false}"),
    ),
    ("_zone_rules", "capacity.maxSharePerPool", with_spec("capacity: {maxSharePerPool: 0.5, spot: never}")),
    ("_target_rules", "capacity.nodeUpdates", with_spec("target: kubernetes", "capacity: {nodeUpdates: surge}")),
    (
        "_target_rules",
        "capacity.systemNodes",
        with_spec("target: kubernetes", "capacity: {systemNodes: {machine: m7i.large}}"),
    ),
    ("_target_rules", "cluster", with_spec("target: kubernetes", "cluster: existing")),
    (
        "_cluster_rules",
        "capacity.systemNodes",
        with_spec("cluster: existing", "capacity: {systemNodes: {machine: m7i.large}}"),
    ),
    ("_target_rules", "capacity.survive", with_spec("target: compose", "capacity: {survive: zone}")),
    ("_target_rules", "capacity.maxSharePerPool", with_spec("target: skyserve", "capacity: {maxSharePerPool: 0.5}")),
    (
        "_quota_rules",
        "capacity.quotas[1].code",
        with_spec("capacity: {quotas: [{code: L-417A185B, vcpus: 8}, {code: L-417A185B, vcpus: 9}]}"),
    ),
    ("_foreign", "providers[1]", with_spec("providers: [aws, vast]")),
    ("_foreign", "providers[0]", with_spec("providers: [Amazon Web Services]")),
    ("_foreign", "providers[0]", with_spec("providers: [spheron]", KEYED)),
    ("_machines_from", "capacity.machinesFrom[0]", with_spec("target: kubernetes", "capacity: {machinesFrom: [aws]}")),
    (
        "_inventory_places",
        "capacity.inventory[0].region",
        with_spec(
            "target: kubernetes",
            "regions: [us-east-1]",
            "capacity: {inventory: [{machine: a, count: 1, region: here}]}",
        ),
    ),
    ("_scaler_rules", "scaling.machines", with_spec("target: compose", SCALER.format(""))),
    ("_scaler_rules", "scaling.machines", with_spec(SCALER.format(""))),
    ("_scaler_rules", "scaling.method", with_spec("providers: [aws, spheron]", KEYED, SCALER.format("method: none, "))),
    (
        "_scaler_rules",
        "scaling.machines",
        with_spec(
            "providers: [aws, spheron]",
            KEYED,
            SCALER.format("prometheusAuth: {method: aws-sigv4, awsRegion: eu-central-1}, "),
        ),
    ),
    (
        "_machines_from",
        "capacity.machinesFrom[0]",
        with_spec("target: skyserve", "capacity: {machinesFrom: [spheron]}"),
    ),
    ("_beside_a_cluster", "providers[1]", with_spec("providers: [aws, spheron]")),
    (
        "_beside_a_cluster",
        "capacity.machinesFrom[0]",
        with_spec("target: kubernetes", "capacity: {machinesFrom: [spheron]}"),
    ),
    ("_beside_a_cluster", "network.router", with_spec("providers: [aws, spheron]", KEYED, "network: {router: none}")),
    (
        "_beside_a_cluster",
        "modelCache.source",
        with_spec("providers: [aws, spheron]", KEYED, "modelCache: {source: s3, bucket: s3://models}"),
    ),
    ("_observed_rules", "observed.days", with_spec("observed: {days: 1}")),
    ("_model_source_rules", "modelCache.source", with_spec("modelCache: {source: s3}")),
    ("_model_source_rules", "modelCache.bucket", with_spec("modelCache: {bucket: s3://models}")),
    (
        "_model_source_rules",
        "modelCache.tokenSecret",
        with_spec("modelCache: {source: s3, bucket: s3://models, tokenSecret: hub}"),
    ),
    ("_model_source_rules", "modelCache.stream", with_spec("modelCache: {stream: auto}")),
    (
        "_model_source_rules",
        "modelCache.loader",
        with_spec("modelCache: {source: s3, bucket: s3://models, stream: always, loader: fastsafetensors}"),
    ),
    (
        "_target_rules",
        "modelCache.stream",
        with_spec("target: kubernetes", "modelCache: {source: s3, bucket: s3://models, stream: always}"),
    ),
    (
        "_prometheus_auth_rules",
        "scaling.prometheusAuth",
        with_spec("scaling: {method: hpa, prometheusAuth: {method: bearer, secret: prometheus}}"),
    ),
    (
        "_prometheus_auth_rules",
        "scaling.prometheusAuth.method",
        with_spec("scaling: {prometheusAuth: {method: bearer}}"),
    ),
    (
        "_prometheus_auth_rules",
        "scaling.prometheusAuth.secret",
        with_spec("scaling: {prometheusAuth: {method: aws-sigv4, awsRegion: eu-central-1, secret: prometheus}}"),
    ),
    ("_secret_rules", "security.externalSecrets", with_spec(f"security: {{{STORE}}}")),
    (
        "_secret_rules",
        "security.apiKeySecret",
        with_spec("modelCache: {tokenSecret: one}", "security: {apiKeySecret: one}"),
    ),
    ("_target_rules", "security.apiKeySecret", with_spec("target: spheron", PUBLIC)),
    ("_target_rules", "hosts.callerRanges", with_spec("target: spheron", "security: {apiKeySecret: k}")),
    ("_router_rules", "network.router", with_spec("network: {router: gateway}")),
    ("_router_rules", "network.gateway", with_spec(f"network: {{{GATEWAY}}}")),
    ("_router_rules", "network.gateway", with_spec(f"network: {{router: nginx, {GATEWAY}}}")),
    (
        "_queue_rules",
        "agents[0].overrides.maxWaitingRequests",
        with_spec(f"network: {{router: gateway, {GATEWAY}}}") + "      overrides: {maxWaitingRequests: 4}\n",
    ),
    ("_range_rules", "hosts.callerRanges[0]", with_spec("hosts: {callerRanges: [10.0.0.1/8]}")),
    ("_range_rules", "hosts.adminRanges[0]", with_spec("hosts: {adminRanges: [10.0.0.1/8]}")),
    ("_target_rules", "network.router", with_spec("target: compose", "network: {router: none}")),
    ("_target_rules", "network.router", with_spec("target: compose", f"network: {{router: gateway, {GATEWAY}}}")),
    (
        "_target_rules",
        "network.router",
        with_spec("target: spheron", PUBLIC, "security: {apiKeySecret: k}", "network: {router: none}"),
    ),
    (
        "_target_rules",
        "modelCache.source",
        with_spec("target: compose", "modelCache: {source: s3, bucket: s3://models}"),
    ),
    ("_target_rules", "network.router", with_spec("target: skyserve", "network: {router: nginx}")),
    ("_target_rules", "network.router", with_spec("target: skyserve", f"network: {{router: gateway, {GATEWAY}}}")),
    (
        "_target_rules",
        "scaling.schedule",
        with_spec("target: skyserve", SCHEDULE.format(agent="support", start="0 8 * * *")),
    ),
    (
        "_target_rules",
        "security.externalSecrets",
        with_spec("target: compose", f"security: {{apiKeySecret: k, {STORE}}}"),
    ),
    (
        "_target_rules",
        "security.externalSecrets",
        with_spec("target: skyserve", f"security: {{apiKeySecret: k, {STORE}}}"),
    ),
    ("_target_rules", "gitops", with_spec("target: compose", GITOPS)),
    ("_target_rules", "gitops", with_spec("target: skyserve", GITOPS)),
    (
        "_caller_rules",
        "security.callersNeedLabel",
        with_spec(f"network: {{router: gateway, {GATEWAY}}}", "security: {callersNeedLabel: true}"),
    ),
    (
        "_caller_rules",
        "security.callersNeedLabel",
        with_spec("security: {callersNeedLabel: true, networkPolicies: false}"),
    ),
    ("_name_rules", "agents[1].name", with_second(second="name: support, model: m")),
    ("_name_rules", "agents[1].name", with_second(second="name: support-burst, model: m")),
    ("namespace_rules", "metadata.name", SMALLEST.replace("customer-service", "kube-system")),
    (
        "namespace_rules",
        "metadata.name",
        with_spec("security: {callers: [customer-service]}"),
    ),
    ("adapter_rules", "agents[0].loraAdapters[0].name", with_agent("loraAdapters: [{name: support, source: o/s}]")),
    (
        "adapter_rules",
        "agents[0].loraAdapters[1].name",
        with_agent("loraAdapters: [{name: x, source: o/s}, {name: x, source: o/t}]"),
    ),
    (
        "_image_rules",
        "pins.engineImage",
        with_second(second="name: other, model: m, engine: sglang").replace(
            "spec:\n", f"spec:\n  pins: {{engineImage: e@sha256:{'1' * 64}}}\n"
        ),
    ),
    ("_fallback_rules", "agents[0].fallback", with_agent("fallback: support")),
    ("_fallback_rules", "agents[0].fallback", with_agent("fallback: nobody")),
    (
        "_fallback_rules",
        "agents[0].fallback",
        with_second("fallback: other", second="name: other, model: m, fallback: support"),
    ),
    ("_schedule_rules", "scaling.schedule[0].agent", with_spec(SCHEDULE.format(agent="nobody", start="0 8 * * *"))),
    ("_schedule_rules", "scaling.schedule[0].start", with_spec(SCHEDULE.format(agent="support", start="0 25 * * *"))),
    ("_schedule_rules", "scaling.schedule[0].end", with_spec(SCHEDULE.format(agent="support", start="0 9 * * *"))),
    ("_window_rules", "capacity.maintenanceWindow.start", with_spec(WINDOW.format("start: 0 2 1 * *, hours: 4"))),
    ("_window_rules", "capacity.maintenanceWindow.start", with_spec(WINDOW.format("start: 0 25 * * *, hours: 4"))),
    (
        "_window_rules",
        "capacity.maintenanceWindow.timezone",
        with_spec(WINDOW.format("start: 0 2 * * *, hours: 4, timezone: Europe/Berlin")),
    ),
    ("_window_rules", "capacity.maintenanceWindow.hours", with_spec(WINDOW.format("start: 0 2 * * *, hours: 4.1"))),
    ("_window_rules", "capacity.maintenanceWindow.hours", with_spec(WINDOW.format("start: 0 2 * * *, hours: 24"))),
    ("budget_rules", "agents[0].ttftMs", with_agent("ttftMs: 0.3")),
    ("engine_rules", "agents[0].engine", with_agent("engine: ollama")),
    ("speculative_rules", "agents[0].speculative.method", with_agent("speculative: {method: draft-model}")),
    ("speculative_rules", "agents[0].speculative.method", with_agent("speculative: {method: eagle3}")),
    ("speculative_rules", "agents[0].speculative.model", with_agent("speculative: {method: ngram, model: o/d}")),
    ("speculative_rules", "agents[0].speculative.weightsGib", with_agent("speculative: {method: mtp, weightsGib: 1}")),
    (
        "speculative_rules",
        "agents[0].speculative.acceptedTokens",
        with_agent("speculative: {method: ngram, tokens: 3, acceptedTokens: 4.1}"),
    ),
    ("session_rules", "agents[0].sessions.peak", with_agent("sessions: {concurrent: 10, peak: 9}")),
    (
        "_context_holds_a_turn",
        "agents[0].conversation.maxContextTokens",
        with_agent("conversation: {maxContextTokens: 799}"),
    ),
    (
        "_conversation_is_finite",
        "agents[0].conversation.turns",
        with_agent("conversation: {turns: 1000000, outputTokensPerTurn: 851}"),
    ),
    (
        "fan_out_rules",
        "agents[0].fanOut[0].agent",
        with_agent("fanOut: [{agent: nobody}]"),
    ),
    ("fan_out_rules", "agents[0].fanOut[0].agent", with_agent("fanOut: [{agent: support}]")),
    ("fan_out_rules", "agents[0].fanOut[1].agent", with_second("fanOut: [{agent: other}, {agent: other}]")),
    ("fan_out_rules", "agents[0].fanOut", with_second("latencyClass: background", "fanOut: [{agent: other}]")),
    (
        "fan_out_rules",
        "agents[0].fanOut[0].agent",
        with_second(
            "fanOut: [{agent: other}]", second="name: other, model: Qwen/Qwen3-14B, fanOut: [{agent: support}]"
        ),
    ),
    (
        "_prompt_holds_its_shared_part",
        "agents[0].conversation.sharedPrefixTokens",
        with_agent("conversation: {sharedPrefixTokens: 501, systemPromptTokens: 500}"),
    ),
    (
        "_times_are_a_distribution",
        "agents[0].conversation.thinkTimeQuantiles",
        with_agent(
            "conversation: {thinkTimeS: 4, thinkTimeQuantiles: [{percent: 50, seconds: 2}, {percent: 95, seconds: 9}]}"
        ),
    ),
    (
        "_times_are_a_distribution",
        "agents[0].conversation.toolCalls.quantiles",
        with_agent("conversation: {toolCalls: {quantiles: [{percent: 50, seconds: 2}]}}"),
    ),
    (
        "_times_are_a_distribution",
        "agents[0].conversation.toolCalls.quantiles[1].percent",
        with_agent("conversation: {toolCalls: {quantiles: [{percent: 95, seconds: 2}, {percent: 50, seconds: 9}]}}"),
    ),
    ("thinking_rules", "agents[0].thinking", with_agent("thinking: off", "conversation: {reasoningTokensPerTurn: 1}")),
    ("thinking_rules", "agents[0].thinking", with_agent("thinking: on", "conversation: {reasoningTokensPerTurn: 0}")),
    ("request_rules", "agents[0].sessions", with_agent("requests: {perS: 1}", "sessions: {concurrent: 2}")),
    (
        "request_rules",
        "agents[0].traffic.burstFactor",
        with_second("requests: {callers: [{agent: other}]}", "traffic: {burstFactor: 2}"),
    ),
    ("request_rules", "agents[0].requests", with_agent("requests: {inputTokens: 3}")),
    ("caller_rules", "agents[0].requests.callers[0].agent", with_agent("requests: {callers: [{agent: nobody}]}")),
    (
        "caller_rules",
        "agents[0].requests.callers[1].agent",
        with_second("requests: {callers: [{agent: other}, {agent: other}]}"),
    ),
    (
        "request_rules",
        "agents[0].requests.longestInputTokens",
        with_agent("requests: {perS: 1, inputTokens: 2, longestInputTokens: 1}"),
    ),
    (
        "_fallback_rules",
        "agents[0].fallback",
        with_second("fallback: other", second="name: other, model: m, requests: {perS: 1}"),
    ),
    (
        "zone_rules",
        "agents[0].schedule.timezone",
        with_agent("schedule: {timezone: Europe/Berlim, windows: [{opens: '22:00', closes: '06:00'}]}"),
    ),
    (
        "zone_rules",
        "scaling.schedule[0].timezone",
        with_spec(SCHEDULE.format(agent="support, timezone: Nowhere/Land", start="0 8 * * *")),
    ),
    (
        "_window_is_open",
        "agents[0].schedule.windows[0].closes",
        with_agent("schedule: {windows: [{opens: '22:00', closes: '22:00'}]}"),
    ),
    (
        "_window_is_open",
        "agents[0].schedule.windows[0].opens",
        with_agent("schedule: {windows: [{opens: '24:00', closes: '06:00'}]}"),
    ),
    ("agent_schedule_rules", "agents[0].schedule", with_agent(NIGHT).replace("spec:", "spec:\n  target: compose")),
    (
        "agent_schedule_rules",
        "agents[0].schedule",
        with_agent(NIGHT).replace("spec:", "spec:\n  scaling: {method: none}"),
    ),
    (
        "agent_schedule_rules",
        "agents[0].schedule.replicasOutside",
        with_agent(NIGHT[:-1] + ", replicasOutside: 3}", "overrides: {baselineReplicas: 2}"),
    ),
    ("work_rules", "agents[0].work", with_agent(*BATCH, "work: {requests: 9, tokens: 9}")),
    ("work_rules", "agents[0].work", with_agent(NIGHT, "work: {requests: 9}")),
    ("work_rules", "agents[0].work", with_agent("latencyClass: background", "work: {requests: 9}")),
    ("work_rules", "agents[0].sessions", with_agent(*BATCH, "sessions: {concurrent: 4}", "work: {requests: 9}")),
    (
        "work_rules",
        "agents[0].traffic.conversationsPerDay",
        with_agent(*BATCH, "traffic: {conversationsPerDay: 9}", "work: {tokens: 9}"),
    ),
    ("work_rules", "agents[0].work.by", with_agent(*BATCH, "work: {requests: 9, by: '06:30'}")),
    ("cover_rules", "agents[0].fallback", with_second("fallback: other", second=AT_NIGHT)),
    (
        "cover_rules",
        "agents[0].fanOut[0].agent",
        with_second(
            *BATCH[:1],
            NIGHT,
            "traffic: {conversationsPerDay: 9}",
            "fanOut: [{agent: other}]",
            second=f"{AT_NIGHT}, work: {{requests: 9}}",
        ),
    ),
    (
        "peak_hours_rules",
        "scaling.schedule[0].start",
        with_agent(NIGHT).replace("spec:", "spec:\n  " + SCHEDULE.format(agent="support", start="0 8 * * *")),
    ),
)
"""(The rule, where it finds a fault below ``spec``, a stack with that fault alone)."""

ALLOWED = (
    with_spec("providers: [aws, spheron]", KEYED, SCALER.format("")),
    with_spec("providers: [aws, spheron]", KEYED),
    with_spec("target: kubernetes", "capacity: {machinesFrom: [spheron]}", KEYED),
    with_spec("security: {callersNeedLabel: true}"),
    with_spec("accelerators: {allow: [l4], deny: [l40s]}"),
    with_spec("target: spheron", PUBLIC, "security: {apiKeySecret: k}"),
    with_spec("target: spheron", PUBLIC, "security: {apiKeySecret: k}", "network: {router: nginx}"),
    with_spec(f"network: {{router: gateway, {GATEWAY}}}"),
    with_spec("target: skyserve", "network: {router: none}"),
    with_spec(GITOPS, f"security: {{apiKeySecret: k, {STORE}}}"),
    with_spec(SCHEDULE.format(agent="support", start="0 8 * * *")),
    with_spec(WINDOW.format("start: 0 2 * * 1-5, hours: 24, timezone: Etc/GMT-1")),
    with_second(second="name: other, model: m, engine: sglang"),
    with_agent("speculative: {method: ngram, tokens: 3, acceptedTokens: 4}"),
    with_agent("speculative: {method: eagle3, model: o/d, weightsGib: 1}"),
    with_agent("speculative: {method: mtp}"),
    with_agent("thinking: off", "conversation: {reasoningTokensPerTurn: 0}"),
    with_agent("thinking: on", "conversation: {reasoningTokensPerTurn: 1}"),
    with_agent("thinking: auto", "conversation: {reasoningTokensPerTurn: 0}"),
    with_second(second="name: burst, model: m"),
    with_second("requests: {callers: [{agent: other, perTurn: 2}]}"),
    with_second("fanOut: [{agent: other, count: 3}]"),
    with_second(
        "latencyClass: background",
        "traffic: {conversationsPerDay: 10}",
        "fanOut: [{agent: other, freshContext: false}]",
    ),
    with_agent(
        "requests: {perS: 0.5, inputTokens: 2, longestInputTokens: 2}", "e2eMs: 100", "traffic: {burstFactor: 2}"
    ),
    with_agent(NIGHT),
    with_agent(NIGHT[:-1] + ", replicasOutside: 2}", "overrides: {baselineReplicas: 2}"),
    with_agent("schedule: {windows: [{opens: '00:00', closes: '24:00'}]}"),
    with_agent(*BATCH, "work: {requests: 9, by: '06:00'}"),
    with_agent(*BATCH, "work: {tokens: 9}"),
    with_second("fallback: other", second=AT_NIGHT[:-1] + ", replicasOutside: 1}"),
    with_second(*BATCH, "fallback: other", second=AT_NIGHT),
    with_agent(NIGHT).replace("spec:", "spec:\n  " + SCHEDULE.format(agent="support", start="0 5 * * *")),
    SMALLEST.replace("customer-service", "kube").replace("spec:", "spec:\n  target: kubernetes"),
)
"""Close to what is forbidden, and not."""

MODULES = (rules, agent_rules, commitment_rules, namespace_rules, provider_rules, schedule_rules, tenancy_rules)
TREES = {module: ast.parse(Path(module.__file__).read_text(encoding="utf-8")) for module in MODULES}


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_what_a_rule_forbids_is_accepted_without_it(
    rule: str, path: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = faults_of(text)
    assert fault.split(": ")[1] == (path if path.startswith("metadata.") else f"spec.{path}")
    for module in MODULES:
        if hasattr(module, rule):
            monkeypatch.setattr(module, rule, lambda *arguments: iter(()))
    assert faults_of(text) == []


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_close_to_it_is_allowed(text: str) -> None:
    assert faults_of(text) == []


def test_every_rule_has_a_stack_that_breaks_it() -> None:
    functions = {node.name: node for tree in TREES.values() for node in tree.body if isinstance(node, ast.FunctionDef)}
    finding = {
        name
        for name, node in functions.items()
        if any(isinstance(inner, ast.Call) and ast.unparse(inner.func) in MAKERS for inner in ast.walk(node))
    }
    assert finding - {"duplicate"} == {rule for rule, *_ in BAD}


MAKERS = ("Violation", "duplicate")


def test_every_place_that_finds_a_fault_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each construction of a fault in the code is one thing that is forbidden."""
    places = {
        (module.__name__, node.lineno)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS
    }
    reached: set[tuple[str, int]] = set()

    def noticing(make: Any) -> Any:
        def made(*arguments: Any, **fields: Any) -> Any:
            caller = sys._getframe(1)
            reached.add((caller.f_globals["__name__"], caller.f_lineno))
            return make(*arguments, **fields)

        return made

    for module in MODULES:
        for maker in MAKERS:
            if hasattr(module, maker):
                monkeypatch.setattr(module, maker, noticing(getattr(module, maker)))
    for _, _, text in BAD:
        faults_of(text)
    assert reached == places
