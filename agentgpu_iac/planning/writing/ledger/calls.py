"""What calling an agent's model by the token costs, and from which volume on the planned nodes are cheaper."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from agentgpu_iac.plan import AgentCost, CallCost, EndpointCost
from agentgpu_iac.planning.writing.calling import Beyond, Carried
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import figure

SECTION = "Calls"
ENDPOINTS = "Dedicated endpoints"


def call_lines(
    call: CallCost, cost: AgentCost, enough: Carried | None, days: float, beyond: Beyond | None
) -> Iterator[Line]:
    """The sums of one seller's figures. ``enough`` is what the warm replicas run out of first, ``days`` those of a month on which
    the agent runs, and ``beyond`` what a peak asks beyond normal load.
    """
    yield _per_1000(call)
    if call.usd_per_month is not None and cost.asked_per_month:
        yield Line(
            name="calledUsdPerMonth",
            formula=f"{call.asked} a month x USD for 1,000 / 1,000",
            inputs=f"{cost.asked_per_month:,.4f} x {_shortest(call.usd_per_1000)} / 1,000",
            value=cost.asked_per_month * float(call.usd_per_1000) / 1000,
            result=f"USD {call.usd_per_month:,.2f} a month",
            unit="USD",
            source="as above",
        )
    if enough is not None:
        yield Line(
            name="carriedPerDay",
            formula=f"tokens {enough.what} in a second by the warm replicas x its part of the load x seconds a day / tokens of "
            "one, if they come evenly",
            inputs=f"{enough.tokens_per_s:.6f} x {enough.ratio:.8g} x {enough.seconds:,.10g} / {enough.needed:.6f}",
            value=enough.per_day,
            result=f"{enough.per_day:,.1f} {call.asked} a day",
            unit=f"{call.asked} a day",
            source="throughput of the baseline",
        )
    even = float(call.self_hosted_usd_per_month) / days / float(call.usd_per_1000) * 1000
    left = (
        "" if call.break_even_per_day is not None else ", which the warm replicas do not carry: calling stays cheaper"
    )
    yield Line(
        name="breakEvenPerDay",
        formula="its part of the nodes a month / days on which it runs / USD of one call, at which both cost the same",
        inputs=f"{_shortest(call.self_hosted_usd_per_month)} / {days:.8g} / {_shortest(call.usd_per_1000)} x 1,000",
        value=even,
        result=f"{even:,.1f} {call.asked} a day{left}",
        unit=f"{call.asked} a day",
        source="sum",
    )
    if beyond is not None:
        yield from _hybrid(call, cost, beyond)


def _hybrid(call: CallCost, cost: AgentCost, beyond: Beyond) -> Iterator[Line]:
    yield Line(
        name="hybridAskedPerMonth",
        formula="(turns a second at the peak - at normal load) / turns of one x 3,600 x burst hours a month",
        inputs=f"({beyond.turns_per_s_peak:.10g} - {beyond.turns_per_s:.10g}) / {beyond.turns} x 3,600 x {beyond.hours:.8g}",
        value=beyond.per_month,
        result=f"{beyond.per_month:,.2f} {call.asked} a month",
        unit=f"{call.asked} a month",
        source="capacity.burstHoursPerMonth, and the windows of a schedule",
    )
    if call.hybrid_usd_per_month is not None:
        yield Line(
            name="hybridUsdPerMonth",
            formula="its part of the nodes - its part of the burst nodes + calls beyond normal load x USD for 1,000 / 1,000",
            inputs=f"{_shortest(call.self_hosted_usd_per_month)} - {_shortest(cost.burst_usd_per_month)} + "
            f"{beyond.per_month:.10g} x {_shortest(call.usd_per_1000)} / 1,000",
            value=float(cost.usd_per_month - cost.burst_usd_per_month)
            + beyond.per_month * float(call.usd_per_1000) / 1000,
            result=f"USD {call.hybrid_usd_per_month:,.2f} a month",
            unit="USD",
            source="sum",
        )


def endpoint_lines(each: EndpointCost) -> Iterator[Line]:
    """The sum of one seller's endpoints."""
    hourly = _shortest(each.usd_per_accelerator_hour)
    yield Line(
        name="endpointUsdPerMonth",
        formula="accelerator hours a month x USD of one hour",
        inputs=f"{each.accelerator_hours:.10g} x {hourly}",
        value=each.accelerator_hours * float(each.usd_per_accelerator_hour),
        result=f"USD {each.usd_per_month:,.2f} a month for {each.accelerator} of {each.seller}",
        unit="USD",
        source=f"{each.price_source}, {each.price_date}",
    )


def _per_1000(call: CallCost) -> Line:
    of_input, of_cached = call.usd_per_million_input, call.usd_per_million_cached
    cached = of_input if of_cached is None else min(of_cached, of_input)
    output = call.usd_per_million_output or Decimal(0)
    parts = (
        (call.input_tokens, of_input),
        (call.cached_tokens, cached),
        (call.output_tokens, output),
    )
    total = " + ".join(f"{figure(tokens)} x {_shortest(price)}" for tokens, price in parts)
    return Line(
        name="calledUsdPer1000",
        formula="(new tokens of prompts x USD + cached ones x USD + generated ones x USD) / 1,000,000 x 1,000",
        inputs=f"({total}) / 1,000,000 x 1,000",
        value=float(call.usd_per_1000),
        result=f"USD {_shortest(call.usd_per_1000)} for 1,000 {call.asked} at {call.seller}",
        unit="USD",
        source=f"{call.price_source}, {call.price_date}",
    )


def _shortest(price: Decimal) -> str:
    return f"{price.normalize():f}"
