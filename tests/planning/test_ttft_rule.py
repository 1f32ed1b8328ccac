"""Three times the tokens/s at twice the TTFT loses where a user waits, and wins where nobody does."""

from __future__ import annotations

from agentgpu_iac.catalog.model import DenseTflops
from tests.planning.scenes import constraints, make_accelerator, make_agent, make_catalog, offerings, plan, workload

QUICK = make_accelerator("quick", 80.0, 1000.0, 700.0)
"""Reads a prompt fast and generates slowly."""
BROAD = make_accelerator("broad", 80.0, 5000.0, None).model_copy(
    update={"vendor_dense_tflops": DenseTflops(bf16=300.0)}
)
"""The other way round: a fifth of the time per token, more than twice the time to the first one."""
ROWS = (*offerings("q1", "quick", on_demand="3.00"), *offerings("b1", "broad", on_demand="1.00"))
CATALOG = make_catalog(ROWS, accelerators=(QUICK, BROAD))
CONVERSATION = {
    "turns": 1,
    "systemPromptTokens": 6000,
    "sharedPrefixTokens": 0,
    "inputTokensPerTurn": 500,
    "outputTokensPerTurn": 2000,
    "thinkTimeS": 60.0,
}


def figures(accelerator: str):
    agent = make_agent(latencyClass="background", sessions={"concurrent": 1}, conversation=CONVERSATION)
    return workload(plan(agent, catalog=CATALOG, accelerators={"allow": [accelerator]}, network={"roundTripMs": 0.0}))


def test_the_offer_is_as_the_rule_says():
    quick, broad = figures("quick"), figures("broad")
    assert broad.throughput.output_tokens_per_s >= 3 * quick.throughput.output_tokens_per_s
    assert broad.latency.ttft_ms >= 1.9 * quick.latency.ttft_ms
    assert broad.latency.tpot_ms <= quick.latency.tpot_ms / 3


def test_it_loses_where_a_user_waits():
    agent = make_agent(sessions={"concurrent": 1}, conversation=CONVERSATION, ttftMs=400.0)
    found = plan(agent, catalog=CATALOG)
    assert workload(found).accelerator == "quick"
    assert constraints(found)["broad"] == "ttft"
    refusal = next(one for one in found.rejections if one.accelerator == "broad")
    assert refusal.need > refusal.limit == 400.0


def test_at_no_price():
    free = make_catalog(
        (*offerings("q1", "quick", on_demand="300.00"), *offerings("b1", "broad", on_demand="0.01")),
        accelerators=(QUICK, BROAD),
    )
    agent = make_agent(sessions={"concurrent": 1}, conversation=CONVERSATION, ttftMs=400.0)
    assert workload(plan(agent, catalog=free)).accelerator == "quick"


def test_it_wins_where_nobody_waits():
    agent = make_agent(
        latencyClass="background",
        sessions={"concurrent": 8},
        conversation=CONVERSATION,
        traffic={"conversationsPerDay": 5_000},
    )
    found = plan(agent, catalog=CATALOG)
    assert workload(found).accelerator == "broad"
    quick = next(one for one in found.cost.alternatives if one.accelerator == "quick")
    assert quick.delta_usd_per_month > 0
