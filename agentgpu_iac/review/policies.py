"""Policies of an organisation, held against a plan: what it may cost, on what it may run, and how sure it must be.

A broken limit is data: which rule, which limit, the value, and who may waive it. A waiver has a reason and an end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.catalog.naming import words_of
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.cards import cards_of
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph
from agentgpu_iac.review.comparing import leaves
from agentgpu_iac.review.relevance import is_image
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.model.fields import Name, Ratio, Text

Usd = Annotated[Money, Field(ge=0)]


class Policy(Document):
    """Limits that plans keep, and who may waive them."""

    name: Name
    """What it is called, in messages and in waivers."""
    stacks: tuple[Name, ...] = ()
    """Stacks that it holds for; empty: all."""
    environments: tuple[Name, ...] = ()
    """Environments that it holds for; empty: all, and plans of none."""
    waivable_by: tuple[Text, ...] = ()
    """Who may waive it; empty: nobody."""
    budget_usd_per_month: Usd | None = None
    """The most that the baseline and the expected burst hours may cost in a month."""
    peak_usd_per_hour: Usd | None = None
    """The most that an hour at the peak may cost."""
    increase_percent: Annotated[float, Field(ge=0, le=100_000)] | None = None
    """How much more a month may cost than before, in percent. A plan that is new has no before."""
    max_spot_ratio: Ratio | None = None
    """The largest share of the accelerators at the peak that may be on spot."""
    min_memory_headroom_ratio: Ratio | None = None
    """The least share of every accelerator's memory that stays free."""
    min_latency_headroom_ratio: Ratio | None = None
    """The least share of every latency budget that stays free."""
    regions: tuple[Text, ...] = ()
    """Regions that nodes may be in; empty: any."""
    accelerators: tuple[Text, ...] = ()
    """Accelerators that may be used, by their ids or names; empty: any."""
    providers: tuple[Text, ...] = ()
    """Providers that may be used; empty: any."""
    pinned_images: bool = False
    """Every image of the plan names its digest (``@sha256:``)."""
    max_error_ratio: Annotated[float, Field(ge=0, le=10)] | None = None
    """The widest stated error of a predicted latency that has a budget."""
    max_miss_ratio: Ratio | None = None
    """How likely a latency budget may be missed at most, by the stated error."""


class Waiver(Document):
    """A policy that does not hold for a while, and why."""

    policy: Name
    """The policy."""
    stack: Name
    """The stack that it is waived for."""
    environment: Name | None = None
    """The environment; unset: all of the stack's."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    """Why, in a sentence."""
    by: Text
    """Who waives it: one of ``waivableBy`` of the policy."""
    given: Text
    """From which day on it counts, such as ``2026-12-01``."""
    until: Text
    """The last day on which it counts."""


class Policies(Document):
    """A file of policies."""

    api_version: Literal["agentgpu.dev/v1alpha1"]
    """Version of this format."""
    kind: Literal["Policies"]
    """Always Policies."""
    policies: Annotated[tuple[Policy, ...], Field(min_length=1, max_length=1_000)]
    """The policies."""
    waivers: Annotated[tuple[Waiver, ...], Field(max_length=10_000)] = ()
    """What is waived."""


class Violation(Document):
    """A limit that a plan breaks."""

    policy: str
    limit: str
    """Field of the policy."""
    allowed: str
    """What it allows."""
    value: str
    """What the plan has."""
    where: str
    """Workload, node pool or image that breaks it; the stack."""
    waivable_by: tuple[str, ...]
    waived_by: str | None = None
    """Who waived it; null: nobody, or no longer."""
    waived_until: str | None = None
    """Until when; of a waiver that has ended, when that was."""
    waiver_reason: str | None = None

    @property
    def counts(self) -> bool:
        """It is waived by nobody."""
        return self.waived_by is None

    @property
    def sentence(self) -> str:
        """What is broken, and who may waive it."""
        said = f"policy {self.policy}: {self.limit} allows {self.allowed}, {self.where} has {self.value}"
        if self.waived_by is not None:
            return f"{said}; waived by {self.waived_by} until {self.waived_until}: {self.waiver_reason}"
        may = f"{' or '.join(self.waivable_by)} may waive it" if self.waivable_by else "nobody may waive it"
        ended = f"; the waiver ended on {self.waived_until}" if self.waived_until else ""
        return f"{said}; {may}{ended}"


_Broken = tuple[str, str, str, str]
"""Limit, what it allows, what the plan has, and where."""


def violations(
    policies: Policies, plan: Plan, *, day: str, before: Plan | None = None, environment: str | None = None
) -> tuple[Violation, ...]:
    """Every limit that a plan breaks, waived ones too.

    Args:
        policies: The policies.
        plan: The plan.
        day: The day on which waivers must hold, such as ``2026-12-31``.
        before: The plan that it takes the place of.
        environment: The environment that it is of.
    """
    return tuple(
        _with_waiver(policies.waivers, policy, broken, plan.stack, environment, day)
        for policy in policies.policies
        if (not policy.stacks or plan.stack in policy.stacks)
        and (not policy.environments or environment in policy.environments)
        for broken in _broken(policy, plan, before)
    )


def _with_waiver(
    waivers: Sequence[Waiver], policy: Policy, broken: _Broken, stack: str, environment: str | None, day: str
) -> Violation:
    limit, allowed, value, where = broken
    found = Violation(
        policy=policy.name, limit=limit, allowed=allowed, value=value, where=where, waivable_by=policy.waivable_by
    )
    given = [
        each
        for each in waivers
        if (each.policy, each.stack) == (policy.name, stack)
        and each.environment in (None, environment)
        and each.by in policy.waivable_by
        and each.given <= day
    ]
    if not given:
        return found
    last = max(given, key=lambda each: each.until)
    update: dict[str, Any] = {"waived_until": last.until}
    if last.until >= day:
        update |= {"waived_by": last.by, "waiver_reason": last.reason}
    return found.model_copy(update=update)


def _broken(policy: Policy, plan: Plan, before: Plan | None) -> Iterator[_Broken]:
    yield from _money(policy, plan, before)
    yield from _places(policy, plan)
    yield from _risks(policy, plan)
    if policy.pinned_images:
        for path, place, value in leaves(plan, into_lists=True):
            if is_image(place) and value != "none" and "@sha256:" not in value:
                yield "pinnedImages", "images with a digest (@sha256:...)", value, path


def _money(policy: Policy, plan: Plan, before: Plan | None) -> Iterator[_Broken]:
    month, hour = plan.cost.expected_usd_per_month, plan.cost.peak_usd_per_hour
    if policy.budget_usd_per_month is not None and month > policy.budget_usd_per_month:
        yield "budgetUsdPerMonth", f"USD {policy.budget_usd_per_month:,.2f} a month", f"USD {month:,.2f}", "the stack"
    if policy.peak_usd_per_hour is not None and hour > policy.peak_usd_per_hour:
        yield "peakUsdPerHour", f"USD {policy.peak_usd_per_hour:,.2f} an hour", f"USD {hour:,.2f}", "the stack"
    if policy.increase_percent is not None and before is not None:
        was = before.cost.expected_usd_per_month
        most = was * (1 + Decimal(str(policy.increase_percent)) / 100)
        if month > most:
            more = f"{(month / was - 1) * 100:,.1f}% more" if was else "a cost where there was none"
            value = f"{more} (USD {was:,.2f} -> {month:,.2f} a month)"
            yield "increasePercent", f"{policy.increase_percent:g}% more a month", value, "the stack"


def _places(policy: Policy, plan: Plan) -> Iterator[_Broken]:
    for pool in plan.node_pools:
        regions = pool.market.regions if pool.market is not None and pool.market.regions else (pool.region,)
        for region in regions:
            if policy.regions and not _names(policy.regions, region):
                yield "regions", ", ".join(policy.regions), region, f"node pool {pool.name}"
        if policy.providers and not pool.owned and not _names(policy.providers, pool.provider):
            yield "providers", ", ".join(policy.providers), pool.provider, f"node pool {pool.name}"
        cards = pool.market.accelerators if pool.market is not None else (pool.accelerator,)
        for card in dict.fromkeys((pool.accelerator, *cards)):
            if policy.accelerators and not _names_card(policy.accelerators, card):
                yield "accelerators", ", ".join(policy.accelerators), card, f"node pool {pool.name}"
    if policy.max_spot_ratio is not None:
        cards_of = [(pool.max * pool.accelerators_per_node, "spot" in pool.capacity_types) for pool in plan.node_pools]
        whole = sum(count for count, _ in cards_of)
        ratio = sum(count for count, spot in cards_of if spot) / whole if whole else 0.0
        if ratio > policy.max_spot_ratio:
            allowed = f"{policy.max_spot_ratio:.0%} of the accelerators at the peak on spot"
            yield "maxSpotRatio", allowed, f"{ratio:.0%}", "the stack"


def _risks(policy: Policy, plan: Plan) -> Iterator[_Broken]:
    on = cards_of(plan.workloads, plan.node_pools)
    for workload in plan.workloads:
        where = f"workload {workload.name}"
        free = 1 - on[workload.name].used_ratio
        if policy.min_memory_headroom_ratio is not None and free < policy.min_memory_headroom_ratio:
            allowed = f"{policy.min_memory_headroom_ratio:.0%} of the memory free at least"
            yield "minMemoryHeadroomRatio", allowed, f"{free:.0%}", where
        latency = workload.latency
        for what, value, budget, error, miss in (
            (name, *(getattr(latency, field) for field in fields)) for name, *fields in _PROMISES
        ):
            if budget is None:
                continue
            if policy.min_latency_headroom_ratio is not None:
                left = None if value is None else 1 - value / budget
                if left is None or left < policy.min_latency_headroom_ratio:
                    allowed = f"{policy.min_latency_headroom_ratio:.0%} of the {what} budget free at least"
                    yield "minLatencyHeadroomRatio", allowed, "no prediction" if left is None else f"{left:.0%}", where
            if policy.max_error_ratio is not None and (error is None or error > policy.max_error_ratio):
                value_said = "none stated" if error is None else f"±{error:.0%}"
                yield "maxErrorRatio", f"±{policy.max_error_ratio:.0%} of {what}", value_said, where
            if policy.max_miss_ratio is not None and miss is not None and miss > policy.max_miss_ratio:
                yield "maxMissRatio", f"{policy.max_miss_ratio:.0%} to miss {what}", f"{miss:.0%}", where


_PROMISES: Final = (
    ("TTFT", "ttft_at_percentile_ms", "budget_ttft_ms", "ttft_error_ratio", "ttft_miss_ratio"),
    ("TPOT", "tpot_at_percentile_ms", "budget_tpot_ms", "tpot_error_ratio", "tpot_miss_ratio"),
    ("whole answer", "e2e_at_percentile_ms", "budget_e2e_ms", "e2e_error_ratio", "e2e_miss_ratio"),
)


def policy_view(found: Sequence[Violation]) -> tuple[Block, ...]:
    """What is broken, then what is waived."""
    broken = tuple(each.sentence for each in found if each.counts)
    waived = tuple(each.sentence for each in found if not each.counts)
    blocks: list[Block] = []
    if broken:
        blocks += [Heading(text="Policies that are broken"), Listing(items=broken)]
    if waived:
        blocks += [Heading(text="Waived"), Listing(items=waived)]
    return tuple(blocks) or (Paragraph(text="Every policy is kept."),)


def _names(allowed: Sequence[str], place: str) -> bool:
    """Whether a region or provider is among those that are allowed, in any case."""
    return place.casefold() in {each.casefold() for each in allowed}


def _names_card(allowed: Sequence[str], card: str) -> bool:
    """Whether an accelerator is among those that are allowed: an id has the words of its name."""
    return _names(allowed, card) or words_of(card) in map(words_of, allowed)
