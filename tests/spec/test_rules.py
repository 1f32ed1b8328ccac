"""Rules that join several fields, and that they are reported beside every other fault."""

from __future__ import annotations

import pytest

from agentgpu_iac.spec.rules import violations
from tests.spec.files import LARGE, SMALLEST, faults_of, with_agent, with_spec


def agents(*flow: str) -> str:
    """A stack of these agents, each a flow mapping; the first stands on line 6, and its brace in column 7."""
    return SMALLEST[: SMALLEST.index("    - name")] + "".join(f"    - {{{agent}}}\n" for agent in flow)


def test_good_stacks_break_no_rule() -> None:
    assert faults_of(SMALLEST) == []
    assert faults_of(LARGE) == []


def test_agents_have_different_names() -> None:
    text = agents("name: a, model: m", "name: b, model: m", "name: a, model: m", "name: a, model: m")
    assert faults_of(text) == [
        "stack.yaml:8:14: spec.agents[2].name: duplicate agent name 'a' (first on line 6)",
        "stack.yaml:9:14: spec.agents[3].name: duplicate agent name 'a' (first on line 6)",
    ]


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        ("a", "an agent cannot be its own fallback (name another agent)"),
        ("beta", "no agent of this stack is named 'beta' (did you mean 'bet'?)"),
        ("x", "no agent of this stack is named 'x'"),
    ],
)
def test_a_fallback_is_another_agent(fallback: str, message: str) -> None:
    text = agents(f"name: a, model: m, fallback: {fallback}", "name: bet, model: m")
    assert faults_of(text) == [f"stack.yaml:6:37: spec.agents[0].fallback: {message}"]


def test_fallbacks_do_not_go_round_in_a_circle() -> None:
    text = agents(
        "name: a, model: m, fallback: b",
        "name: b, model: m, fallback: c",
        "name: c, model: m, fallback: b",
        "name: d, model: m, fallback: c",
    )
    assert faults_of(text) == [
        (
            "stack.yaml:7:37: spec.agents[1].fallback: the fallbacks go round in a circle: b -> c -> b "
            "(one agent of the circle must do without a fallback)"
        )
    ]


def test_a_chain_of_fallbacks_is_fine() -> None:
    assert (
        faults_of(agents("name: a, model: m, fallback: b", "name: b, model: m, fallback: c", "name: c, model: m")) == []
    )


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            ["sessions: {concurrent: 10, peak: 9}"],
            "8:40: spec.agents[0].sessions.peak: peak must be at least concurrent, 10 sessions; not 9",
        ),
        (
            ["conversation: {maxContextTokens: 1000, reasoningTokensPerTurn: 201}"],
            (
                "8:40: spec.agents[0].conversation.maxContextTokens: 1,000 tokens cannot hold the system prompt "
                "and one turn, 1,001 tokens (500 system prompt + 150 input + 150 output + 201 reasoning)"
            ),
        ),
        (
            ["conversation: {turns: 1000000, outputTokensPerTurn: 851}"],
            (
                "8:29: spec.agents[0].conversation.turns: 1,000,000 turns would add 1,001,000,000 tokens to the context; "
                "at most 1,000,000,000 are planned for"
            ),
        ),
        (
            ["conversation: {turns: 1000000, toolCalls: {perTurn: 3.5005}}"],
            (
                "8:29: spec.agents[0].conversation.turns: 1,000,000 turns would add 1,000,100,000 tokens to the context; "
                "at most 1,000,000,000 are planned for"
            ),
        ),
        (
            ["engine: ollama"],
            (
                "8:15: spec.agents[0].engine: Ollama is for local development only, and the target is 'eks' "
                "(use engine: vllm)"
            ),
        ),
        (
            ["loraAdapters: [{name: x, source: o/s}, {name: x, source: o/t}]"],
            "8:53: spec.agents[0].loraAdapters[1].name: duplicate adapter name 'x' (first on line 8)",
        ),
        (
            ["loraAdapters: [{name: support, source: o/s}]"],
            (
                "8:29: spec.agents[0].loraAdapters[0].name: the adapter 'support' has the name of an agent "
                "(the agent is on line 6)"
            ),
        ),
    ],
)
def test_a_rule_about_an_agent(lines: list[str], fault: str) -> None:
    assert faults_of(with_agent(*lines)) == [f"stack.yaml:{fault}"]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            ["accelerators:", "  allow: [l4, h100-sxm]", "  deny: [a10g, h100-sxm]"],
            "7:18: spec.accelerators.deny[1]: 'h100-sxm' is both allowed and denied (allowed on line 6)",
        ),
        (
            ["observed: {days: 30}"],
            (
                "5:20: spec.observed.days: 30 days are observed, but 'baselineSessions' is missing "
                "(write how many sessions were held at any time over those days)"
            ),
        ),
        (
            ["modelCache: {source: s3}"],
            (
                "5:24: spec.modelCache.source: models come from S3, but 'bucket' is missing "
                "(write bucket: s3://<bucket>/<prefix>)"
            ),
        ),
        (
            ["modelCache: {bucket: s3://acme-models}"],
            (
                "5:24: spec.modelCache.bucket: a bucket is named, but models come from Hugging Face "
                "(write source: s3, or take the bucket out)"
            ),
        ),
        (
            ["modelCache: {source: s3, bucket: s3://acme-models, tokenSecret: hub}"],
            (
                "5:67: spec.modelCache.tokenSecret: a Hugging Face token opens no bucket "
                "(take it out; the ServiceAccount model-cache is what S3 lets in)"
            ),
        ),
        (
            ["security: {externalSecrets: {store: vault}}"],
            (
                "5:31: spec.security.externalSecrets: a store is named, but no Secret that it should make "
                "(name one in security.apiKeySecret or modelCache.tokenSecret)"
            ),
        ),
        (
            ["modelCache: {tokenSecret: one}", "security: {apiKeySecret: one}"],
            (
                "6:28: spec.security.apiKeySecret: the Secret 'one' holds the models' token already "
                "(on line 5; whoever may read one need not read the other)"
            ),
        ),
        (
            ["target: compose", "network: {router: none}"],
            (
                "6:21: spec.network.router: on virtual machines NGINX is what callers reach "
                "(write router: nginx, or leave it out)"
            ),
        ),
        (
            ["target: compose", "modelCache: {source: s3, bucket: s3://acme-models}"],
            (
                "6:24: spec.modelCache.source: a virtual machine has no identity that opens a bucket "
                "(use source: huggingface, or put the models into the machine's cache yourself)"
            ),
        ),
        (
            ["target: compose", "security: {apiKeySecret: key, externalSecrets: {store: vault}}"],
            (
                "6:50: spec.security.externalSecrets: a store makes Secrets in a cluster, and virtual machines have none "
                "(leave it out; each machine reads /etc/agentgpu/secrets.env)"
            ),
        ),
        (
            ["target: compose", "gitops: {tool: flux, repository: https://example.org/r, path: p}"],
            (
                "6:11: spec.gitops: a GitOps tool applies manifests to a cluster, and the target 'compose' has none "
                "(leave it out)"
            ),
        ),
        (
            ["target: compose", "hosts: {callerRanges: [10.0.0.0/8, 10.0.0.1/8]}"],
            (
                "6:38: spec.hosts.callerRanges[1]: '10.0.0.1/8' is no address range "
                "(write the first address and the length of its prefix, for example 203.0.113.0/24)"
            ),
        ),
    ],
)
def test_a_rule_about_the_stack(lines: list[str], fault: str) -> None:
    assert faults_of(with_spec(*lines)) == [f"stack.yaml:{fault}"]


@pytest.mark.parametrize(
    "text",
    [
        with_agent("latencyClass: background", "ttftMs: 9000"),
        with_agent("sessions: {peak: 1}"),
        with_agent("sessions: {concurrent: 7, peak: 7}"),
        with_agent("conversation: {maxContextTokens: 800}"),
        with_agent("conversation: {turns: 1000000, outputTokensPerTurn: 850}"),
        with_spec("observed: {days: 30, baselineSessions: 0}"),
        with_spec("observed: {days: 0}"),
        with_spec("modelCache: {source: s3, bucket: s3://acme-models/agents}"),
        with_spec("modelCache: {tokenSecret: hub}", "security: {externalSecrets: {store: vault}}"),
        with_spec("security: {apiKeySecret: key, externalSecrets: {store: vault}}"),
        with_spec("target: compose") + "      engine: ollama\n",
        with_spec(
            "target: compose", "hosts: {callerRanges: [10.0.0.0/8, '2001:db8::/32']}", "network: {router: nginx}"
        ),
        agents(
            "name: a, model: m, loraAdapters: [{name: x, source: o/s}]",
            "name: b, model: m, loraAdapters: [{name: x, source: o/s}]",
        ),
    ],
)
def test_what_the_rules_allow(text: str) -> None:
    assert faults_of(text) == []


def test_rules_are_reported_beside_structural_faults() -> None:
    faults = faults_of(with_agent("sessions: {concurrent: 10, peak: 9, extra: 1}", "engine: ollama", "modle: x"))
    assert [fault.split(" ")[0] for fault in faults] == [
        "stack.yaml:8:40:",
        "stack.yaml:8:43:",
        "stack.yaml:9:15:",
        "stack.yaml:10:7:",
    ]


def test_rules_pass_over_what_is_malformed() -> None:
    malformed = (
        None,
        5,
        {"spec": 5},
        {"spec": {"agents": {"a": 1}}},
        {"spec": {"agents": (5, None, {"name": 5, "fallback": 6, "sessions": "x", "loraAdapters": (1, {"name": 2})})}},
        {"spec": {"agents": ({"sessions": {"concurrent": True, "peak": -1}, "conversation": {"turns": "many"}},)}},
        {"spec": {"agents": ({"conversation": {"toolCalls": {"perTurn": True}}},), "observed": {"days": "30"}}},
        {
            "spec": {
                "modelCache": {"source": 5, "tokenSecret": (1,)},
                "security": {"externalSecrets": 5, "apiKeySecret": 7},
            }
        },
        {"spec": {"agents": ({"engine": "ollama"},), "target": "nowhere", "accelerators": {"allow": 5, "deny": (5,)}}},
    )
    assert [list(violations(data)) for data in malformed] == [[] for _ in malformed]


def test_routes_need_a_gateway_and_a_gateway_needs_routes() -> None:
    assert faults_of(with_spec("network: {router: gateway, gateway: {name: agents, namespace: gateways}}")) == []
    assert faults_of(with_spec("network: {router: gateway}")) == [
        (
            "stack.yaml:5:21: spec.network.router: routes of a Gateway need one to attach to, but 'gateway' is missing "
            "(write gateway: {name: ..., namespace: ...}, or use router: nginx)"
        )
    ]
    (fault,) = faults_of(with_spec("network: {gateway: {name: agents, namespace: gateways}}"))
    assert "a Gateway is named, but the router is not 'gateway'" in fault


def test_skyserve_needs_no_router_clock_store_or_gitops_tool() -> None:
    text = with_spec(
        "target: skyserve",
        "network: {router: nginx}",
        "scaling: {schedule: [{agent: support, start: 45 7 * * *, end: 0 9 * * *, replicas: 2}]}",
        "security: {apiKeySecret: key, externalSecrets: {store: vault}}",
        "gitops: {tool: flux, repository: 'https://example.com/x.git', path: x}",
    )
    assert [fault.split(":")[3].strip() for fault in faults_of(text)] == [
        "spec.network.router",
        "spec.scaling.schedule",
        "spec.security.externalSecrets",
        "spec.gitops",
    ]
    assert faults_of(with_spec("target: skyserve", "network: {router: none, routing: round-robin}")) == []
