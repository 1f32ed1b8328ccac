"""Rules of what is committed: each kind has its own fields, and each says one thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentgpu_iac.spec.rule_values import LINE, Violation, items, mapping
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.yaml_tree import Data, Steps

_AT: Steps = ("spec", "capacity", "commitments")
_PLAN = "savings-plan"
_MACHINES = {"reserved": "reserved machines", "capacity-block": "a capacity block"}


def commitment_rules(capacity: Mapping[str, Data]) -> Iterator[Violation]:
    """Every rule that the commitments break."""
    for index, each in enumerate(items(capacity, "commitments")):
        stated, at = mapping(each), (*_AT, index)
        kind = stated.get("kind")
        if kind == _PLAN:
            yield from _plan_rules(stated, at)
        elif isinstance(kind, str) and kind in _MACHINES:
            yield from _machine_rules(stated, at, _MACHINES[kind])
            yield from _term_rules(stated, at)
        yield from _day_rules(stated, at)
    yield from _place_rules(capacity)


def _plan_rules(stated: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """A savings plan is USD an hour, for the machines that it has rates of."""
    if not items(stated, "rates"):
        yield Violation(
            steps=(*at, "kind"),
            message="a savings plan covers machines at its rates, but 'rates' is missing",
            hint="write rates: [{machine: INSTANCE_TYPE, usdPerHour: ...}]",
        )
    for key, instead in (
        ("machine", "name it in rates"),
        ("count", "usdPerHour says how much is committed"),
        ("upfrontUsd", "usdPerHour is what an hour of it costs, whenever that is paid"),
    ):
        if stated.get(key) is not None:
            yield Violation(steps=(*at, key), message=f"a savings plan takes no {key}", hint=instead)
    seen: dict[str, int] = {}
    for number, rate in enumerate(items(stated, "rates")):
        machine = mapping(rate).get("machine")
        if isinstance(machine, str) and seen.setdefault(machine, number) != number:
            yield Violation(
                steps=(*at, "rates", number, "machine"),
                message=f"{shown(machine)} has a rate already, in line {LINE}",
                hint="write each machine once",
                other=(*at, "rates", seen[machine], "machine"),
            )


def _machine_rules(stated: Mapping[str, Data], at: Steps, what: str) -> Iterator[Violation]:
    """Machines are of one kind, and there are so many."""
    missing = [key for key in ("machine", "count") if stated.get(key) is None]
    if missing:
        yield Violation(
            steps=(*at, "kind"),
            message=f"of {what} it must be said which and how many: {' and '.join(map(repr, missing))} missing",
            hint="write machine: INSTANCE_TYPE and count: 2",
        )
    if items(stated, "rates"):
        yield Violation(
            steps=(*at, "rates"),
            message=f"{what} have one price, usdPerHour",
            hint="take rates out, or use savings-plan",
        )


def _term_rules(stated: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """What is paid at once is for a time; a block has days, and a reservation months."""
    if stated.get("kind") == "capacity-block":
        missing = [key for key in ("starts", "ends") if stated.get(key) is None]
        if missing:
            yield Violation(
                steps=(*at, "kind"),
                message=f"a capacity block is there between two days: {' and '.join(map(repr, missing))} missing",
                hint="write starts: '2027-01-04' and ends: '2027-01-18'",
            )
    elif stated.get("upfrontUsd") not in (None, 0, 0.0) and stated.get("termMonths") is None:
        yield Violation(
            steps=(*at, "upfrontUsd"),
            message="what is paid at once is counted over the term, but 'termMonths' is missing",
            hint="write termMonths: 12 or 36",
        )


def _day_rules(stated: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """Days are in order."""
    starts, ends = stated.get("starts"), stated.get("ends")
    if isinstance(starts, str) and isinstance(ends, str) and ends <= starts:
        yield Violation(
            steps=(*at, "ends"),
            message=f"it ends on {ends} and starts on {starts}",
            hint="write a later day of its end",
        )


def _place_rules(capacity: Mapping[str, Data]) -> Iterator[Violation]:
    """Machines of one's own are bought of nobody."""
    if items(capacity, "inventory") and items(capacity, "commitments") and capacity.get("beyondInventory") != "rent":
        yield Violation(
            steps=_AT,
            message=f"the inventory on line {LINE} says which machines there are, and none of those is bought",
            hint="leave one out, or write beyondInventory: rent; usdPerHour in the inventory says what your machines cost",
            other=("spec", "capacity", "inventory"),
        )
