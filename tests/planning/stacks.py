"""Random small stacks for the laws."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.planning.scenes import make_agent

conversations = st.fixed_dictionaries(
    {
        "turns": st.integers(1, 8),
        "inputTokensPerTurn": st.sampled_from([20, 150, 1500]),
        "outputTokensPerTurn": st.sampled_from([20, 150, 1200]),
        "systemPromptTokens": st.sampled_from([0, 500, 2000]),
        "reasoningTokensPerTurn": st.sampled_from([0, 0, 600]),
        "thinkTimeS": st.sampled_from([0.0, 10.0, 60.0]),
    },
    optional={
        "prefixHitRatio": st.sampled_from([0.0, 0.5, 0.9]),
        "toolCalls": st.fixed_dictionaries(
            {"perTurn": st.sampled_from([1.0, 3.0]), "seconds": st.just(2.0), "resultTokens": st.just(300)}
        ),
    },
)


def agents(
    *,
    classes: tuple[str, ...] = ("voice", "chat", "background"),
    models: tuple[str, ...] = ("test/tiny", "test/dense", "test/big"),
) -> st.SearchStrategy[dict[str, Any]]:
    """One agent; some with a daily volume beside their sessions."""
    traffic = st.fixed_dictionaries(
        {"burstFactor": st.sampled_from([1.0, 2.0, 5.0, 10.0]), "rampS": st.sampled_from([0.0, 60.0, 300.0, 3000.0])},
        optional={"conversationsPerDay": st.sampled_from([1000, 50_000, 1_000_000])},
    )
    return st.builds(
        lambda latency_class, model, concurrent, conversation, traffic: make_agent(
            model=model,
            isolation="shared",
            latencyClass=latency_class,
            sessions={"concurrent": concurrent},
            conversation=conversation,
            traffic=traffic,
        ),
        st.sampled_from(classes),
        st.sampled_from(models),
        st.sampled_from([1, 2, 5, 10, 30, 100, 300]),
        conversations,
        traffic,
    )


def stacks(most: int = 3, **choices: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    """One to ``most`` agents with names of their own."""
    return st.lists(agents(**choices), min_size=1, max_size=most).map(
        lambda found: [{**agent, "name": f"agent-{number}"} for number, agent in enumerate(found)]
    )


features = st.fixed_dictionaries(
    {"engine": st.sampled_from(["vllm", "sglang"])},
    optional={
        "speculative": st.sampled_from(
            [
                {"method": "ngram", "tokens": 7},
                {"method": "draft-model", "model": "test/tiny", "acceptedTokens": 2.0},
                {"method": "eagle3", "model": "org/eagle", "weightsGib": 1.5, "tokens": 5},
            ]
        ),
        "kvOffloadGib": st.sampled_from([16, 60]),
        "kvCacheDtype": st.just("fp8"),
    },
)
"""Engines and options whose memory is counted."""


rules = st.fixed_dictionaries(
    {
        "capacity": st.fixed_dictionaries(
            {
                "fastBurst": st.sampled_from(["absorb", "turn-away"]),
                "burstHoursPerMonth": st.sampled_from([0.0, 72.0, 720.0]),
                "shareAccelerators": st.sampled_from(["auto", "never"]),
                "spot": st.sampled_from(["auto", "never"]),
                "onDemandFloorRatio": st.sampled_from([0.0, 0.0, 0.5]),
            }
        ),
        "observed": st.sampled_from(
            [
                {"days": 0},
                {"days": 60, "baselineRatio": 0.9, "baselineSessions": 7},
                {"days": 60, "baselineRatio": 1.0, "baselineSessions": 1000},
            ]
        ),
        "network": st.fixed_dictionaries({"routing": st.sampled_from(["session-affine", "round-robin"])}),
    }
)
"""Rules of a stack, as they stand in the spec."""

unreserved = rules.map(lambda spec: {name: value for name, value in spec.items() if name != "observed"})
"""Rules under which nothing is reserved: how much may be depends on the sessions observed and on the normal load."""
