"""Rules about the hours in which agents run, and about work with a deadline; see ``rules``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.abilities import abilities_of
from agentgpu_iac.spec.hours import (
    DAY,
    OpenHours,
    clock,
    in_words,
    is_zone,
    length,
    open_hours,
    uncovered,
    weekdays,
    zones,
)
from agentgpu_iac.spec.rule_values import LINE, Violation, is_count, items, mapping, part
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.window import weekly_starts
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import counted

_MOST_COMPARISONS = 100**2
"""In larger stacks nobody looks for whose hours cover whose."""


def zone_rules(document: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """A time zone is one that clocks know."""
    timezone = document.get("timezone")
    if isinstance(timezone, str) and not is_zone(timezone):
        known = zones()
        near = did_you_mean(timezone, dict.fromkeys(sorted(known)))
        if len(known) == 1:
            near = "this machine has no time zones but UTC: install its package tzdata"
        yield Violation(
            steps=(*at, "timezone"),
            message=f"no time zone is named {shown(timezone)}",
            hint=near or "write a name of the IANA database, such as Europe/Berlin",
        )


def agent_schedule_rules(
    agent: Mapping[str, Data], target: str, scaling: Mapping[str, Data], at: Steps
) -> Iterator[Violation]:
    """An agent's hours are some, its target can keep them, and no more stay outside than there are inside."""
    schedule = part(agent, "schedule")
    if not schedule:
        return
    where: Steps = (*at, "schedule")
    yield from zone_rules(schedule, where)
    for index, window in enumerate(items(schedule, "windows")):
        yield from _window_is_open(mapping(window), (*where, "windows", index))
    abilities = abilities_of(target)
    if abilities is not None and not abilities.scales_on_metrics:
        yield Violation(
            steps=where,
            message=f"nothing starts and ends replicas by the clock with target {target}",
            hint="leave it out: the agent then runs, and is paid, around the clock; or use target: eks or kubernetes",
        )
    elif (method := scaling.get("method", "keda")) in ("hpa", "none"):
        yield Violation(
            steps=where,
            message=f"only KEDA scales by the clock, and scaling.method is {method}",
            hint=f"line {LINE}: write method: keda, or leave the schedule out",
            other=("spec", "scaling", "method"),
        )
    outside, inside = schedule.get("replicasOutside"), part(agent, "overrides").get("baselineReplicas")
    if is_count(outside) and is_count(inside) and outside > inside:
        yield Violation(
            steps=(*where, "replicasOutside"),
            message=f"{counted(outside, 'replica')} outside the windows {'is' if outside == 1 else 'are'} more than "
            f"the {inside:,} of the windows",
            hint=f"overrides.baselineReplicas is on line {LINE}",
            other=(*at, "overrides", "baselineReplicas"),
        )


def _window_is_open(window: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    opens, closes = _time(window, "opens"), _time(window, "closes")
    if opens == DAY:
        yield Violation(
            steps=(*at, "opens"), message="no window opens at 24:00", hint='write "00:00" and the day after'
        )
    elif opens is not None and opens == closes:
        yield Violation(
            steps=(*at, "closes"),
            message="the window closes when it opens",
            hint='write another time; a whole day is opens: "00:00", closes: "24:00"',
        )


_NOT_BESIDE_WORK: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("sessions",), "how many requests are generated at once follows from the deadline"),
    (("traffic", "conversationsPerDay"), "work says how much there is"),
    (("traffic", "burstFactor"), "work has no peak: it is done evenly until the deadline"),
    (("traffic", "rampS"), "work has no peak: it is done evenly until the deadline"),
    (("requests", "perS"), "work says how much there is"),
    (("requests", "callers"), "work says how much there is, and callers ask when they like"),
)
"""Fields of an agent that say again, or otherwise, what work says -> why."""


def work_rules(agent: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """Work is so many requests or tokens by a time within its window; nobody waits for it, and nothing else arrives."""
    work = part(agent, "work")
    if agent.get("work") is None:
        return
    where: Steps = (*at, "work")
    given = [key for key in ("requests", "tokens") if work.get(key) is not None]
    if len(given) != 1:
        yield Violation(
            steps=where,
            message="work is both requests and tokens" if given else "how much work there is, is not said",
            hint="write requests: how many in each window, or tokens: how many are generated in it",
        )
    if agent.get("latencyClass", "chat") != "background":
        yield Violation(
            steps=where,
            message="work has a deadline and no latency budget, but somebody waits for each answer of this agent",
            hint="write latencyClass: background, or traffic.conversationsPerDay in place of work",
        )
    for keys, why in _NOT_BESIDE_WORK:
        section = agent if len(keys) == 1 else part(agent, keys[0])
        if section.get(keys[-1]) is not None:
            yield Violation(
                steps=(*at, *keys),
                message=f"{keys[-1]} has no meaning beside work: {why}",
                hint=f"leave it out, or the work on line {LINE}",
                other=where,
            )
    windows = [mapping(window) for window in items(part(agent, "schedule"), "windows")]
    if not part(agent, "schedule"):
        yield Violation(
            steps=where,
            message="work is done in a window, but 'schedule' is missing",
            hint='write schedule: {windows: [{opens: "22:00", closes: "06:00"}]}, or traffic.conversationsPerDay in place of it',
        )
    by = _time(work, "by")
    for index, window in enumerate(windows):
        opens, closes = _time(window, "opens"), _time(window, "closes")
        if by is None or opens is None or closes is None or not (whole := length(opens, closes)):
            continue
        if not 0 < (by - opens) % DAY <= whole and not (by - opens == whole == DAY):
            yield Violation(
                steps=(*where, "by"),
                message=f"{work['by']} lies outside the window from {window['opens']} to {window['closes']}",
                hint=f"line {LINE}: write a time within every window, or leave 'by' out",
                other=(*at, "schedule", "windows", index),
            )


def hours_of(agent: Mapping[str, Data]) -> OpenHours | None:
    """When an agent runs; None for always, and for what is malformed, which is reported elsewhere."""
    schedule = part(agent, "schedule")
    timezone = schedule.get("timezone", "UTC")
    found: list[tuple[tuple[int, ...], int, int]] = []
    for window in map(mapping, items(schedule, "windows")):
        opens, closes = _time(window, "opens"), _time(window, "closes")
        days = weekdays(text) if isinstance(text := window.get("days", "mon-sun"), str) else None
        if opens is None or closes is None or days is None or opens == DAY:
            return None
        found.append((days, opens, closes))
    if not found or not isinstance(timezone, str) or not is_zone(timezone):
        return None
    hours = open_hours(timezone, found)
    return None if hours.is_always else hours


def _stays(agent: Mapping[str, Data]) -> bool:
    """Whether replicas of the agent are there outside its windows too."""
    outside = part(agent, "schedule").get("replicasOutside")
    return outside > 0 if is_count(outside) else agent.get("latencyClass") != "background"


def cover_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """Whom an agent asks, starts or falls back on is there while it is; and nobody starts agents that have work."""
    named = {name: (index, agent) for index, agent in enumerate(agents) if isinstance(name := agent.get("name"), str)}
    hours = {name: hours_of(agent) for name, (_, agent) in named.items()}
    if len(named) ** 2 > _MOST_COMPARISONS and not any(hours.values()):
        return
    for caller, callee, steps, verb in _asking(agents):
        if caller not in named or callee not in named or caller == callee:
            continue
        _, asked = named[callee]
        if verb == "starts" and asked.get("work") is not None:
            yield Violation(
                steps=steps,
                message=f"{shown(callee)} has work of its own with a deadline, so {shown(caller)} cannot start it as well",
                hint=f"line {LINE}: leave its work out, or give the sub-agent a name of its own",
                other=("spec", "agents", named[callee][0], "work"),
            )
        there = hours[callee]
        if there is None or _stays(asked):
            continue
        mine = hours[caller]
        open_at = None if mine is None or _stays(named[caller][1]) else mine
        gap = uncovered(open_at, there) if open_at is not None else _closed_minute(there)
        if gap is not None:
            clock_of = (open_at or there).timezone
            yield Violation(
                steps=steps,
                message=f"{shown(caller)} {verb} {shown(callee)}, which is not there on {in_words(gap)} ({clock_of})",
                hint=f"line {LINE}: let its windows cover those of {caller}, or write replicasOutside: 1 there",
                other=("spec", "agents", named[callee][0], "schedule"),
            )


def _closed_minute(hours: OpenHours) -> int | None:
    return uncovered(OpenHours(timezone=hours.timezone, minutes=hours.closed), hours)


def _asking(agents: Sequence[Mapping[str, Data]]) -> Iterator[tuple[str, str, Steps, str]]:
    """(who asks, whom, where that is written, in which way)."""
    for index, agent in enumerate(agents):
        name, at = agent.get("name"), ("spec", "agents", index)
        if not isinstance(name, str):
            continue
        if isinstance(fallback := agent.get("fallback"), str):
            yield name, fallback, (*at, "fallback"), "falls back on"
        for place, started in enumerate(items(agent, "fanOut")):
            if isinstance(other := mapping(started).get("agent"), str):
                yield name, other, (*at, "fanOut", place, "agent"), "starts"
        for place, caller in enumerate(items(part(agent, "requests"), "callers")):
            if isinstance(other := mapping(caller).get("agent"), str):
                yield other, name, (*at, "requests", "callers", place, "agent"), "asks"


def peak_hours_rules(scaling: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A known peak has a clock, and is in the hours in which its agent runs."""
    named = {name: (index, agent) for index, agent in enumerate(agents) if isinstance(name := agent.get("name"), str)}
    for index, peak in enumerate(map(mapping, items(scaling, "schedule"))):
        at: Steps = ("spec", "scaling", "schedule", index)
        yield from zone_rules(peak, at)
        found = named.get(name) if isinstance(name := peak.get("agent"), str) else None
        hours = None if found is None else hours_of(found[1])
        wanted = _weekly(peak)
        if found is None or hours is None or wanted is None:
            continue
        closed = OpenHours(timezone=hours.timezone, minutes=hours.closed)
        if uncovered(wanted, closed) is None:
            yield Violation(
                steps=(*at, "start"),
                message=f"{shown(str(name))} does not run at the hours of this peak",
                hint=f"its schedule is on line {LINE}: let the two meet, or leave the peak out",
                other=("spec", "agents", found[0], "schedule"),
            )


def _weekly(peak: Mapping[str, Data]) -> OpenHours | None:
    """The hours of a known peak; None where they are not the same every week."""
    start, end, timezone = peak.get("start"), peak.get("end"), peak.get("timezone", "UTC")
    if not (isinstance(start, str) and isinstance(end, str) and isinstance(timezone, str) and is_zone(timezone)):
        return None
    starts, ends = weekly_starts(start), weekly_starts(end)
    if not starts or not ends or len({each % DAY for each in ends}) != 1:
        return None
    return open_hours(timezone, [((each // DAY,), each % DAY, ends[0] % DAY) for each in starts])


def _time(document: Mapping[str, Data], key: str) -> int | None:
    value = document.get(key)
    return clock(value) if isinstance(value, str) else None
