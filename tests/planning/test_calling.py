"""Rent or call: what a model costs by the token beside what its nodes cost, by sums that can be done by hand."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.catalog.model import EndpointPrice, TokenPrice
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import CallCost, Plan
from agentgpu_iac.planning.writing.calling import Tokens
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.plan_view import plan_view
from tests.planning.scenes import make_agent, make_catalog, offerings, plan
from tests.review.arithmetic import first_number, worked_out

TALK = {"turns": 4, "inputTokensPerTurn": 100, "outputTokensPerTurn": 50, "systemPromptTokens": 1000}
"""All prompts hold 4 x 1,000 + 4 x 100 + (1 + 2 + 3) x 150 = 5,300 tokens. 992 of the system prompt are whole blocks that all
sessions share; of the rest 8 + 400 are new in a conversation, and 4,892 were sent before."""


def price(seller: str, of_input: str, of_output: str | None, cached: str | None = None, **more: Any) -> TokenPrice:
    return TokenPrice(
        seller=seller,
        model=more.pop("model", "test/dense"),
        usd_per_million_input=Decimal(of_input),
        usd_per_million_cached=None if cached is None else Decimal(cached),
        usd_per_million_output=None if of_output is None else Decimal(of_output),
        date="2026-08-01",
        source="test",
        **more,
    )


def selling(*prices: TokenPrice) -> Catalog:
    return dataclasses.replace(make_catalog(offerings("s1", "small-40", on_demand="1.00")), token_prices=prices)


def calls(*prices: TokenPrice, **agent: Any) -> tuple[CallCost, ...]:
    return planned(*prices, **agent).cost.calls


def planned(*prices: TokenPrice, **agent: Any) -> Plan:
    return plan(make_agent(**{"conversation": TALK, **agent}), catalog=selling(*prices))


def test_a_conversation_is_counted_token_by_token() -> None:
    (call,) = calls(price("acme", "1", "10"), traffic={"conversationsPerDay": 100})
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (408, 4892, 200)
    assert call.usd_per_1000 == Decimal("7.3")  # 5,300 tokens at 1 + 200 at 10, in millionths
    assert call.usd_per_month == Decimal("21.90")
    assert call.self_hosted_usd_per_month == Decimal("720.00")
    assert call.times_as_dear == pytest.approx(720 / 21.9, abs=1e-4)


def test_cached_tokens_count_at_their_own_price() -> None:
    (call,) = calls(price("acme", "1", "10", cached="0.1"))
    assert call.usd_per_1000 == Decimal("2.8972")  # 408 at 1, 4,892 at 0.1, 200 at 10


def test_each_request_of_a_turn_sends_the_history_again() -> None:
    alone = calls(price("acme", "1", "10"))[0]
    tools = calls(
        price("acme", "1", "10"), conversation={**TALK, "toolCalls": {"perTurn": 1, "seconds": 1, "resultTokens": 100}}
    )[0]
    assert (alone.cached_tokens, tools.cached_tokens) == (4892, 10992)


def test_break_even_is_where_both_cost_the_same() -> None:
    (call,) = calls(price("acme", "10", "100"), traffic={"conversationsPerDay": 100})
    assert call.break_even_per_day is not None
    month = call.break_even_per_day * 30 * float(call.usd_per_1000) / 1000
    assert month == pytest.approx(720.0, rel=1e-3)
    assert call.carried_per_day is not None
    assert call.break_even_per_day <= call.carried_per_day


def test_a_price_below_what_the_nodes_ever_reach_has_no_break_even() -> None:
    (call,) = calls(price("acme", "0.001", "0.001"))
    assert call.break_even_per_day is None
    assert call.usd_per_month is None
    assert call.times_as_dear is None


def test_the_cheapest_sellers_of_this_model_come_first() -> None:
    found = calls(
        price("a", "3", "3"),
        price("b", "1", "1"),
        price("c", "2", "2", via="router"),
        price("d", "4", "4"),
        price("e", "0.1", "0.1", model="test/tiny"),
        price("f", "0.1", None),  # no price of an answer is no price of a conversation
    )
    assert [call.seller for call in found] == ["b", "c by router", "a"]


def test_adapters_of_ones_own_are_sold_by_nobody() -> None:
    assert not calls(price("acme", "1", "1"), loraAdapters=[{"name": "tone", "source": "acme/tone"}])


@pytest.mark.parametrize(
    ("day", "says"),
    [
        (1, "at the volume of the spec they cost 3,287.7 times as much"),
        (None, "how many there are the spec does not say"),
    ],
)
def test_the_sentence_is_made_from_the_numbers(day: int | None, says: str) -> None:
    traffic = {} if day is None else {"traffic": {"conversationsPerDay": day}}
    shown = plain_text(plan_view(planned(price("acme", "1", "10"), **traffic), "stack.yaml"))
    assert "Rent or call" in shown
    assert says in shown


BURSTY = {
    "sessions": {"concurrent": 30, "peak": 300},
    "traffic": {"conversationsPerDay": 100, "burstFactor": 10, "rampS": 1800},
}


def test_a_hybrid_calls_what_a_peak_asks_beyond_normal_load() -> None:
    made = planned(price("acme", "1", "10"), **BURSTY)
    (call,), (cost,) = made.cost.calls, made.cost.by_agent
    burst = sum(item.usd_per_month for item in made.cost.line_items if item.tier == "burst")
    assert burst > 0
    assert cost.burst_usd_per_month == burst
    assert call.hybrid_asked_per_month is not None
    assert call.hybrid_usd_per_month is not None
    demand = next(entry for entry in made.ledger if entry.name == "hybridAskedPerMonth")
    assert worked_out(demand.inputs) == pytest.approx(call.hybrid_asked_per_month, rel=1e-6)
    called = call.hybrid_asked_per_month * float(call.usd_per_1000) / 1000
    assert float(call.hybrid_usd_per_month) == pytest.approx(float(cost.usd_per_month - burst) + called, abs=0.01)
    shown = plain_text(plan_view(made, "stack.yaml"))
    assert f"hybrid: {call.hybrid_asked_per_month:,.0f} conversations a month beyond normal load" in shown


def test_without_a_burst_tier_there_is_no_hybrid() -> None:
    (call,) = calls(price("acme", "1", "10"), traffic={"conversationsPerDay": 100})
    assert (call.hybrid_asked_per_month, call.hybrid_usd_per_month) == (None, None)


def test_a_rarer_burst_makes_a_hybrid_cheaper() -> None:
    each = [
        plan(
            make_agent(conversation=TALK, **BURSTY),
            catalog=selling(price("acme", "1", "10")),
            capacity={"burstHoursPerMonth": hours},
        ).cost.calls[0]
        for hours in (8, 80)
    ]
    few, many = (call.hybrid_asked_per_month or 0 for call in each)
    assert many == pytest.approx(10 * few)
    assert few > 0


def endpoint(seller: str, accelerator: str, hourly: str) -> EndpointPrice:
    return EndpointPrice(
        seller=seller,
        accelerator=accelerator,
        usd_per_accelerator_hour=Decimal(hourly),
        date="2026-08-01",
        source="test",
    )


def renting(*prices: EndpointPrice, **agent: Any) -> Plan:
    catalog = dataclasses.replace(
        make_catalog((*offerings("s1", "small-40", on_demand="1.00"), *offerings("l1", "large-80", on_demand="4.00"))),
        endpoint_prices=prices,
    )
    return plan(make_agent(conversation=TALK, **agent), catalog=catalog)


def test_a_dedicated_endpoint_has_the_accelerators_that_would_be_planned() -> None:
    made = renting(endpoint("acme", "small-40", "1.50"), endpoint("bolt", "large-80", "0.90"))
    assert [(each.seller, each.accelerators, each.usd_per_month) for each in made.cost.endpoints] == [
        ("bolt", 1, Decimal("648.00")),
        ("acme", 1, Decimal("1080.00")),
    ]
    assert {each.self_hosted_usd_per_month for each in made.cost.endpoints} == {Decimal("720.00")}
    assert "Dedicated endpoints" in plain_text(plan_view(made, "stack.yaml"))


def test_an_endpoint_counts_a_peak_for_the_burst_hours_alone() -> None:
    (each,) = renting(endpoint("acme", "small-40", "1.50"), **BURSTY).cost.endpoints
    assert each.burst_accelerators > 0
    assert each.accelerator_hours == 720 * each.accelerators + 72 * each.burst_accelerators


def test_an_accelerator_that_serves_nobody_is_no_endpoint() -> None:
    assert not renting(endpoint("acme", "elsewhere", "0.01")).cost.endpoints


def test_nothing_is_shown_where_nobody_sells_it() -> None:
    assert "Rent or call" not in plain_text(plan_view(planned(), "stack.yaml"))


def test_a_cached_price_above_the_prompts_is_not_paid() -> None:
    tokens = Tokens(new=1e6, history=1e6, generated=0, requests=1)
    assert tokens.usd(price("acme", "1", "1", cached="2")) == 2


@pytest.mark.parametrize("day", [100, None])
def test_every_figure_has_its_sum(day: int | None) -> None:
    traffic = {} if day is None else {"traffic": {"conversationsPerDay": day}}
    found = planned(price("acme", "1", "10", cached="0.1"), price("dearer", "9", "90"), **traffic)
    call = found.cost.calls[0]
    lines = {entry.name: entry for entry in found.ledger if entry.section == "Calls of support"}
    figures = {
        "calledUsdPer1000": call.usd_per_1000,
        "breakEvenPerDay": call.break_even_per_day,
        "carriedPerDay": call.carried_per_day,
    }
    if day is not None:
        figures["calledUsdPerMonth"] = call.usd_per_month
    assert set(lines) == set(figures)
    for name, entry in lines.items():
        assert worked_out(entry.inputs) == pytest.approx(entry.value, rel=1e-4)
        assert entry.value == pytest.approx(float(figures[name] or entry.value), rel=1e-3)
        assert first_number(entry.result) == pytest.approx(entry.value, rel=1e-2)
    assert "test, 2026-08-01" in lines["calledUsdPer1000"].source
    assert "0.1" in lines["calledUsdPer1000"].inputs


def test_a_break_even_that_is_not_carried_says_so() -> None:
    found = planned(price("acme", "0.001", "0.001"))
    (entry,) = (entry for entry in found.ledger if entry.name == "breakEvenPerDay")
    assert "do not carry" in entry.result
    (carried,) = (entry for entry in found.ledger if entry.name == "carriedPerDay")
    assert entry.value > carried.value


@pytest.mark.parametrize(("outside", "always_up"), [(0, False), (1, True)])
def test_an_endpoint_is_up_while_its_agents_run(outside: int, always_up: bool) -> None:
    nightly = {"windows": [{"days": "mon-sun", "opens": "01:00", "closes": "05:00"}], "replicasOutside": outside}
    (found,) = renting(endpoint("acme", "small-40", "1.50"), schedule=nightly).cost.endpoints
    assert found.accelerators == 1
    assert found.accelerator_hours == 720 if always_up else 120 <= found.accelerator_hours < 240
