"""What changes between two plans, and why: money, what security wants to see, causes and effects, then every field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, Literal

from agentgpu_iac.plan import AgentCost, Plan
from agentgpu_iac.review.causes import Cause, Chain, causes_of, chains_of
from agentgpu_iac.review.comparing import PRESENT, differences, leaves, named, orders
from agentgpu_iac.review.plan_view import sentence
from agentgpu_iac.review.relevance import Section, section_of, security_reason
from agentgpu_iac.spec.document import Document, Money, camel


class Change(Document):
    """One value that differs. A missing side means that the thing appears or disappears."""

    where: str
    """The stack, or a workload, service, node pool or machines of it by name."""
    field: str
    """Path of the field, in the plan's words."""
    before: str | None
    after: str | None
    section: Section = "running"
    """What it is about."""
    deployment: str | None = None
    """Deployment that it is of; null: of the stack, or of nodes, which several may share."""


class SecurityChange(Document):
    """A change that somebody who answers for security must see first."""

    where: str
    field: str
    before: str | None
    after: str | None
    reason: str
    """Why it comes first."""


class MoneyChange(Document):
    """What an agent or a node pool costs in a month, before and after; null: it is not there."""

    name: str
    before_usd_per_month: Money | None
    after_usd_per_month: Money | None
    before_usd_per_1000: Money | None = None
    """A thousand conversations or requests of an agent; null: how many there are is not said."""
    after_usd_per_1000: Money | None = None
    asked: Literal["conversations", "requests"] = "conversations"
    """What is counted in thousands."""

    @property
    def delta_usd_per_month(self) -> Decimal:
        """What is paid more."""
        return (self.after_usd_per_month or Decimal(0)) - (self.before_usd_per_month or Decimal(0))


class FitChange(Document):
    """What a workload promises against a budget, before and after."""

    workload: str
    what: str
    """TTFT, TPOT or the whole answer."""
    before_ms: float | None
    after_ms: float | None
    before_budget_ms: float | None
    after_budget_ms: float | None
    before_miss_ratio: float | None
    """How likely the real figure is over the budget, by the stated error."""
    after_miss_ratio: float | None


class FileChanges(Document):
    """Files of the rendered folder that come, change and go, by their paths."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """The two folders hold the same."""
        return not (self.added or self.changed or self.deleted)


class PlanDiff(Document):
    """The difference of two plans."""

    before: str
    """Stack of the first plan."""
    after: str
    """Stack of the second plan."""
    baseline_usd_per_month_before: Money
    baseline_usd_per_month_after: Money
    baseline_delta_usd_per_month: Money
    peak_usd_per_hour_before: Money
    peak_usd_per_hour_after: Money
    peak_delta_usd_per_hour: Money
    expected_delta_usd_per_month: Money
    """Of the baseline and the expected burst hours together."""
    security: tuple[SecurityChange, ...] = ()
    """What is reviewed first: also those of ``changes``, and of parts that come or go what stands in them."""
    causes: tuple[Cause, ...] = ()
    """What somebody changed, or what the plans rest on that is not the same."""
    chains: tuple[Chain, ...] = ()
    """For each deployment what followed, from cause to effect."""
    agents: tuple[MoneyChange, ...] = ()
    """Agents whose cost changes."""
    pools: tuple[MoneyChange, ...] = ()
    """Node pools whose cost changes."""
    fit: tuple[FitChange, ...] = ()
    """Promises that change."""
    changes: tuple[Change, ...]
    files: FileChanges | None = None
    """null: not looked at."""
    new_warnings: tuple[str, ...]
    gone_warnings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Nothing differs that a plan decides, and no file does."""
        deltas = (self.baseline_delta_usd_per_month, self.peak_delta_usd_per_hour, self.expected_delta_usd_per_month)
        return not self.changes and not any(deltas) and (self.files is None or self.files.is_empty)


_PARTS: Final = (
    ("workload", "workloads"),
    ("service", "sky_services"),
    ("node pool", "node_pools"),
    ("machines of", "hosts"),
)
"""Parts of a plan that a reader looks for by name; everything else is told of the stack."""


def diff(before: Plan, after: Plan, *, files: FileChanges | None = None) -> PlanDiff:
    """Compare two plans in everything that is not excepted, parts and items of lists matched by name.

    Args:
        before: The first plan.
        after: The second plan.
        files: How their rendered folders differ, where that was looked at.
    """
    found = [*_of_the_stack(before, after)]
    for kind, field in _PARTS:
        found += _of_parts(kind, field, getattr(before, field), getattr(after, field))
    old, new = set(map(sentence, before.warnings)), set(map(sentence, after.warnings))
    causes = causes_of(before, after)
    return PlanDiff(
        before=before.stack,
        after=after.stack,
        baseline_usd_per_month_before=before.cost.baseline_usd_per_month,
        baseline_usd_per_month_after=after.cost.baseline_usd_per_month,
        baseline_delta_usd_per_month=after.cost.baseline_usd_per_month - before.cost.baseline_usd_per_month,
        peak_usd_per_hour_before=before.cost.peak_usd_per_hour,
        peak_usd_per_hour_after=after.cost.peak_usd_per_hour,
        peak_delta_usd_per_hour=after.cost.peak_usd_per_hour - before.cost.peak_usd_per_hour,
        expected_delta_usd_per_month=after.cost.expected_usd_per_month - before.cost.expected_usd_per_month,
        security=tuple(dict.fromkeys((*_spot_under_users(before, after), *_security(found), *_inside(before, after)))),
        causes=causes,
        chains=chains_of(before, after, causes),
        agents=tuple(_agents(before, after)),
        pools=tuple(_pools(before, after)),
        fit=tuple(_fit(before, after)),
        changes=tuple(change for _, change in found),
        files=files,
        new_warnings=tuple(sorted(new - old)),
        gone_warnings=tuple(sorted(old - new)),
    )


_Placed = tuple[str, Change]
"""A change with the path of its field without names of items."""


def _of_the_stack(before: Plan, after: Plan) -> Iterator[_Placed]:
    """Whatever no part of the plan holds, and the order of the parts where only that changed."""
    told = {camel(field) for _, field in _PARTS}
    for field, place, old, new in differences(before, after):
        if place.partition(".")[0] not in told:
            yield place, Change(where="stack", field=field, before=old, after=new, section=section_of(place))
    for _, field in _PARTS:
        for old, new in orders(named(getattr(before, field)), named(getattr(after, field))):
            place = camel(field)
            yield place, Change(where="stack", field=place, before=old, after=new, section=section_of(place))


def _of_parts(kind: str, field: str, before: tuple[Document, ...], after: tuple[Document, ...]) -> Iterator[_Placed]:
    old, new = named(before), named(after)
    for name in sorted({*old, *new}):
        where, place = f"{kind} {name}", camel(field)
        deployment = getattr(new.get(name) or old[name], "agent", None)
        if name not in new or name not in old:
            sides = (PRESENT, None) if name in old else (None, PRESENT)
            yield (
                place,
                Change(
                    where=where, field="", before=sides[0], after=sides[1], section="capacity", deployment=deployment
                ),
            )
        else:
            for path, below, was, becomes in differences(old[name], new[name], place):
                yield (
                    below,
                    Change(
                        where=where,
                        field=path,
                        before=was,
                        after=becomes,
                        section=section_of(below),
                        deployment=deployment,
                    ),
                )


def _security(found: list[_Placed]) -> Iterator[SecurityChange]:
    for place, change in found:
        reason = security_reason(place, change.field)
        if reason and {change.before, change.after} - {None, "", "none"}:
            yield SecurityChange(
                where=change.where, field=change.field, before=change.before, after=change.after, reason=reason
            )


def _inside(before: Plan, after: Plan) -> Iterator[SecurityChange]:
    """What comes and goes with a whole part: its images, Secrets and who may reach it.

    What goes with one part and comes alike with another of its kind, as with a node pool of another machine, is no change.
    """
    for kind, field in _PARTS:
        gone, come = ([*_sensitive(field, *sides)] for sides in ((before, after), (after, before)))
        stays = Counter((path, value) for _, path, value, _ in gone) & Counter(
            (path, value) for _, path, value, _ in come
        )
        for found, is_new in ((gone, False), (come, True)):
            left = Counter(stays)
            for name, path, value, reason in found:
                if left[path, value]:
                    left[path, value] -= 1
                    continue
                sides = (None, value) if is_new else (value, None)
                yield SecurityChange(where=f"{kind} {name}", field=path, before=sides[0], after=sides[1], reason=reason)


def _sensitive(field: str, plan: Plan, other: Plan) -> Iterator[tuple[str, str, str, str]]:
    """Of the parts that the other plan lacks: name, path of a field, what it holds, and why it comes first."""
    mine, there = (named(getattr(each, field)) for each in (plan, other))
    for name in sorted({*mine} - {*there}):
        for path, place, value in leaves(mine[name], kind=camel(field), into_lists=True):
            reason = security_reason(place, path)
            if reason and value not in ("", "none"):
                yield name, path, value, reason


def _spot_under_users(before: Plan, after: Plan) -> Iterator[SecurityChange]:
    """Workloads that people wait for, and whose nodes can be taken away now."""
    old, new = _on_spot(before), _on_spot(after)
    for name in sorted({*old, *new}):
        if old.get(name, False) != new.get(name, False):
            yield SecurityChange(
                where=f"workload {name}",
                field="spot under users",
                before=_yes_or_no(old, name),
                after=_yes_or_no(new, name),
                reason="people wait for what can be taken away",
            )


def _yes_or_no(sides: Mapping[str, bool], name: str) -> str | None:
    return None if name not in sides else "yes" if sides[name] else "no"


def _on_spot(plan: Plan) -> dict[str, bool]:
    bought = {pool.name: "spot" in pool.capacity_types for pool in plan.node_pools}
    return {each.name: bought.get(each.node_pool, False) for each in plan.workloads if each.user_facing}


def _agents(before: Plan, after: Plan) -> Iterator[MoneyChange]:
    old = {each.agent: each for each in before.cost.by_agent}
    new = {each.agent: each for each in after.cost.by_agent}

    def month(costs: Mapping[str, AgentCost], name: str) -> Decimal | None:
        return costs[name].usd_per_month if name in costs else None

    def thousand(costs: Mapping[str, AgentCost], name: str) -> Decimal | None:
        return costs[name].usd_per_1000 if name in costs else None

    found = (
        MoneyChange(
            name=name,
            before_usd_per_month=month(old, name),
            after_usd_per_month=month(new, name),
            before_usd_per_1000=thousand(old, name),
            after_usd_per_1000=thousand(new, name),
            asked=(new.get(name) or old[name]).asked,
        )
        for name in dict.fromkeys((*old, *new))
    )
    yield from sorted((each for each in found if _moves(each)), key=lambda each: -abs(each.delta_usd_per_month))


def _pools(before: Plan, after: Plan) -> Iterator[MoneyChange]:
    sides: list[dict[str, Decimal]] = []
    for plan in (before, after):
        costs: dict[str, Decimal] = {}
        for item in plan.cost.line_items:
            costs[item.node_pool] = costs.get(item.node_pool, Decimal(0)) + item.usd_per_month
        sides.append(costs)
    old, new = sides
    found = (
        MoneyChange(name=name, before_usd_per_month=old.get(name), after_usd_per_month=new.get(name))
        for name in dict.fromkeys((*old, *new))
    )
    yield from sorted((each for each in found if _moves(each)), key=lambda each: -abs(each.delta_usd_per_month))


def _moves(found: MoneyChange) -> bool:
    return (found.before_usd_per_month, found.before_usd_per_1000) != (
        found.after_usd_per_month,
        found.after_usd_per_1000,
    )


_PROMISES: Final = (
    ("TTFT", "ttft_at_percentile_ms", "budget_ttft_ms", "ttft_miss_ratio"),
    ("TPOT", "tpot_at_percentile_ms", "budget_tpot_ms", "tpot_miss_ratio"),
    ("whole answer", "e2e_at_percentile_ms", "budget_e2e_ms", "e2e_miss_ratio"),
)


def _fit(before: Plan, after: Plan) -> Iterator[FitChange]:
    old = {each.name: each.latency for each in before.workloads}
    new = {each.name: each.latency for each in after.workloads}
    for name in dict.fromkeys((*old, *new)):
        for what, *fields in _PROMISES:
            was, becomes = (
                tuple(getattr(side[name], field) if name in side else None for field in fields) for side in (old, new)
            )
            if was != becomes:
                yield FitChange(
                    workload=name,
                    what=what,
                    before_ms=was[0],
                    after_ms=becomes[0],
                    before_budget_ms=was[1],
                    after_budget_ms=becomes[1],
                    before_miss_ratio=was[2],
                    after_miss_ratio=becomes[2],
                )
