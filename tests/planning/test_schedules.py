"""Hours in which agents run: the rates of these hours, what their nodes cost, and what follows the clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.plan import Plan
from tests.planning.scenes import codes, make_agent, make_catalog, offerings, plan, workload
from tests.thoroughness import examples

FEW = make_catalog(
    (
        *offerings("s1", "small-40", on_demand="1.00", spot="0.40"),
        *offerings("s8", "small-40", 8, on_demand="7.00", spot="2.50"),
    )
)
"""One card to a machine, and eight for less than eight times as much."""


def windows(opens: str = "22:00", closes: str = "06:00", days: str = "mon-sun", **more: Any) -> dict[str, Any]:
    return {"windows": [{"days": days, "opens": opens, "closes": closes}], **more}


def batch(**changes: Any) -> dict[str, Any]:
    return make_agent(latencyClass="background", interruptible=True, **changes)


def nightly(**changes: Any) -> Plan:
    return plan(batch(schedule=windows(**changes)), catalog=FEW)


@pytest.fixture(scope="module")
def night() -> Plan:
    return nightly(timezone="Europe/Berlin")


@pytest.fixture(scope="module")
def always() -> Plan:
    return plan(batch(), catalog=FEW)


class TestABackgroundAgentAtNight:
    def test_it_is_paid_by_the_hours_of_its_nodes(self, night, always):
        (item,), (hours,) = night.cost.line_items, {each.open_hours for each in night.workloads}
        drain_s = workload(night).drain.grace_period_s
        tail_min = -(-(30 + drain_s + 600) // 60)
        minutes = 7 * (8 * 60 + hours.lead_s // 60 + tail_min)
        assert item.hours_per_month == (Decimal(720) * minutes / (7 * 24 * 60)).quantize(Decimal("0.01"))
        assert night.cost.baseline_usd_per_month == (item.usd_per_hour * item.hours_per_month).quantize(Decimal("0.01"))
        assert always.cost.baseline_usd_per_month == Decimal("288.00")
        assert night.cost.baseline_usd_per_month < Decimal("0.37") * always.cost.baseline_usd_per_month
        assert hours.node_hours_per_month == float(item.hours_per_month)

    def test_it_goes_to_none_and_comes_a_cold_start_early(self, night):
        found = workload(night)
        hours = found.open_hours
        assert (hours.replicas_outside, hours.open_hours_per_week) == (0, 56.0)
        assert hours.lead_s % 60 == 0
        assert found.cold_start_s.upper.total + 45 <= hours.lead_s < found.cold_start_s.upper.total + 45 + 60
        (window,) = hours.windows
        start = 22 * 60 - hours.lead_s // 60
        assert (window.start, window.end) == (f"{start % 60} {start // 60} * * *", "0 6 * * *")
        assert (window.timezone, window.replicas) == ("Europe/Berlin", found.replicas.max)
        (pool,) = night.node_pools
        assert (pool.min, pool.max, pool.idle_s) == (0, 1, 600)

    def test_the_ledger_says_the_hours(self, night):
        lines = {each.name: each for each in night.ledger}
        assert lines["nodeHoursPerMonth"].value == workload(night).open_hours.node_hours_per_month
        assert lines["leadS"].value == workload(night).open_hours.lead_s
        cost = next(each for each in night.ledger if each.name.endswith("(spot)"))
        assert f"x {lines['nodeHoursPerMonth'].value:g}" in cost.inputs

    def test_a_window_that_never_closes_is_no_schedule(self, always):
        whole = nightly(opens="00:00", closes="24:00")
        assert whole.cost.baseline_usd_per_month == always.cost.baseline_usd_per_month
        assert workload(whole).open_hours is None
        assert "schedule-not-followed" not in codes(whole)

    def test_a_start_that_fills_what_is_closed_is_paid_as_always(self, always):
        whole = nightly(opens="00:00", closes="23:58")
        assert whole.cost.baseline_usd_per_month == always.cost.baseline_usd_per_month
        assert workload(whole).open_hours is None
        assert "schedule-not-followed" in codes(whole)

    def test_several_replicas_over_one_gateway_come_earlier(self):
        many = plan(batch(sessions={"concurrent": 400}, schedule=windows()), catalog=FEW)
        found = workload(many)
        assert found.replicas.max > 1
        assert found.open_hours.lead_s >= found.cold_start_s.upper.total


class TestSomebodyWaits:
    def test_one_stays_outside_unless_it_is_said_otherwise(self):
        office = plan(
            make_agent(sessions={"concurrent": 400}, schedule=windows("08:00", "18:00", "mon-fri")), catalog=FEW
        )
        found = workload(office)
        assert found.open_hours.replicas_outside == 1
        assert found.replicas.max > 1
        kept, others = office.cost.line_items
        assert (kept.nodes, kept.hours_per_month) == (1, Decimal("720.00"))
        assert kept.nodes + others.nodes == office.node_pools[0].max
        assert others.hours_per_month < 280
        assert office.node_pools[0].min == 1

    def test_a_lone_replica_that_stays_saves_nothing_and_the_plan_says_so(self):
        office = plan(make_agent(schedule=windows("08:00", "18:00", "mon-fri")), catalog=FEW)
        assert workload(office).open_hours is None
        assert codes(office, "support") >= {"schedule-not-followed"}
        assert "replicasOutside: 0" in next(
            each.message for each in office.warnings if each.code == "schedule-not-followed"
        )

    def test_none_stays_where_that_is_written(self):
        closed = plan(make_agent(schedule=windows("08:00", "18:00", "mon-fri", replicasOutside=0)), catalog=FEW)
        assert workload(closed).open_hours.replicas_outside == 0
        assert "nobody-outside-schedule" in codes(closed, "support")


class TestVolumes:
    def test_a_day_comes_in_the_hours_of_its_windows(self):
        def required(**more: Any) -> float:
            agent = batch(traffic={"conversationsPerDay": 20_000}, **more)
            return workload(plan(agent, catalog=FEW)).throughput.required_output_tokens_per_s

        assert required(schedule=windows()) == pytest.approx(3 * required(), abs=0.2)
        assert required(schedule=windows(days="mon-fri")) == pytest.approx(3 * required(), abs=0.2)

    def test_work_is_a_rate_until_the_deadline(self):
        agent = batch(schedule=windows(), work={"requests": 20_000, "by": "05:00"})
        del agent["sessions"]
        done = plan(agent, catalog=FEW)
        work = done.agents[0].work
        assert (work.requests_per_window, work.seconds) == (20_000, 7 * 3600)
        assert work.requests_per_s == pytest.approx(20_000 / (7 * 3600), abs=1e-6)
        found = workload(done)
        assert found.throughput.required_output_tokens_per_s == pytest.approx(20_000 / (7 * 3600) * 150, abs=0.1)
        assert found.throughput.output_tokens_per_s >= found.throughput.required_output_tokens_per_s
        assert found.replicas.max * found.max_num_seqs >= work.sessions == found.sessions_peak

    def test_tokens_are_those_that_are_generated(self):
        agent = batch(schedule=windows(), work={"tokens": 3_000_000})
        del agent["sessions"]
        found = workload(plan(agent, catalog=FEW))
        assert found.throughput.required_output_tokens_per_s == pytest.approx(3_000_000 / (8 * 3600), abs=0.1)

    def test_work_counts_for_each_window_of_a_month(self):
        agent = batch(schedule=windows(days="mon-fri"), work={"requests": 5_000}, conversation={"turns": 5})
        del agent["sessions"]
        (cost,) = plan(agent, catalog=FEW).cost.by_agent
        assert cost.asked_per_month == pytest.approx(1_000 * 5 * 30 / 7)


class TestPaidAroundTheClock:
    def test_machines_of_ones_own(self):
        owned = plan(
            batch(schedule=windows()),
            catalog=FEW,
            target="kubernetes",
            capacity={"inventory": [{"machine": "s1", "count": 2, "usdPerHour": 0.5}]},
        )
        assert owned.cost.baseline_usd_per_month == Decimal("360.00")
        assert workload(owned).open_hours.node_hours_per_month is None
        assert "schedule-saves-no-nodes" in codes(owned)

    def test_capacity_that_is_held(self):
        held = plan(batch(schedule=windows()), catalog=FEW, capacity={"reservation": "on-demand"})
        assert held.cost.line_items[0].hours_per_month == 720
        assert "schedule-saves-no-nodes" in codes(held)

    def test_nodes_that_somebody_else_must_take_away(self):
        found = plan(batch(schedule=windows()), catalog=FEW, target="kubernetes")
        assert "schedule-needs-autoscaler" in codes(found)

    def test_a_machine_that_others_are_on_around_the_clock(self):
        """Four cards of eight are another's, and a fifth costs nothing more at any hour."""
        eight = make_catalog(offerings("s8", "small-40", 8, on_demand="2.00", spot="2.00"))
        big = batch(name="big", overrides={"baselineReplicas": 4})
        found = plan(big, batch(name="small", schedule=windows()), catalog=eight)
        assert found.cost.baseline_usd_per_month == Decimal("1440.00")
        assert workload(found, "small").node_pool == workload(found, "big").node_pool
        assert workload(found, "small").open_hours.node_hours_per_month is None


class TestSharing:
    def test_one_deployment_runs_the_union(self):
        early = batch(name="early", isolation="shared", schedule=windows("20:00", "02:00"))
        late = batch(name="late", isolation="shared", schedule=windows("00:00", "06:00"))
        found = plan(early, late, catalog=FEW)
        (shared,) = found.workloads
        assert shared.agents == ("early", "late")
        assert shared.open_hours.open_hours_per_week == 70
        assert shared.open_hours.windows[0].end == "0 6 * * *"

    def test_who_is_there_around_the_clock_keeps_the_others_and_the_plan_says_so(self):
        day, night = batch(name="day", isolation="shared"), batch(name="night", isolation="shared", schedule=windows())
        found = plan(day, night, catalog=FEW)
        (shared,) = found.workloads
        assert shared.open_hours is None
        assert "schedule-not-followed" in codes(found)


LAWS = settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))
hour = st.integers(0, 23)
daily = st.tuples(hour, st.integers(1, 23))


def usd(*agents: dict[str, Any]) -> Decimal:
    return plan(*agents, catalog=FEW).cost.expected_usd_per_month


def from_to(opens: int, hours: int) -> dict[str, Any]:
    return windows(f"{opens:02}:00", f"{(opens + hours) % 24:02}:00" if hours < 24 else f"{opens:02}:00")


class TestLaws:
    @LAWS
    @given(
        daily,
        st.integers(1, 60),
        st.integers(0, 2),
        st.sampled_from(["background", "chat"]),
        st.sampled_from([1.0, 3.0]),
    )
    def test_a_schedule_never_costs_more_than_none_and_a_longer_window_is_never_cheaper(
        self, window, sessions, outside, latency_class, burst
    ):
        """Of sessions; a volume that comes in fewer hours needs more replicas in these."""
        opens, hours = window
        agent = make_agent(
            latencyClass=latency_class, sessions={"concurrent": sessions}, traffic={"burstFactor": burst, "rampS": 0}
        )
        other = make_agent("other", sessions={"concurrent": 3})
        none = usd(agent, other)
        costs = [
            usd({**agent, "schedule": {**from_to(opens, each), "replicasOutside": outside}}, other)
            for each in sorted({hours, min(23, hours + 1), 23})
        ]
        slack = Decimal("0.02")
        assert all(shorter <= longer + slack for shorter, longer in zip(costs, [*costs[1:], none], strict=True))

    @LAWS
    @given(daily, daily)
    def test_more_windows_are_never_cheaper(self, first, second):
        one, other = (from_to(*window)["windows"][0] for window in (first, second))
        assert usd(batch(schedule={"windows": [one]})) <= usd(batch(schedule={"windows": [one, other]})) + Decimal(
            "0.01"
        )
