"""Engines that share one accelerator: groups of deployments, and replicas of one, that stay resident there together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from agentgpu_iac.planning.choosing import host_memory
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.engines import PORTS

MAX_ENGINES_PER_ACCELERATOR = 4
"""More engines than this on one accelerator would wait for one another too long to be useful."""
_MAX_ENUMERATED = 10
"""Up to this many deployments every group is considered (375 of them); beyond, first-fit groups only."""


def shared_options(
    mates_by_deployment: Sequence[Sequence[Option]],
    tolerated: Callable[[Option], int],
    served: Sequence[tuple[int, ...]] = (),
) -> tuple[tuple[Option, ...], bool]:
    """Groups of deployments that fit together on one accelerator, of those that may join one (``mates_of``); and whether all
    groups were considered.

    Only options of one accelerator on a single-accelerator machine, that carry the whole peak in one replica
    and are bought on-demand, may join: the group then needs no autoscaler, which could not see it anyway.
    ``tolerated`` says how many busy engines a deployment can bear on its accelerator, and is asked only of those that have room
    beside others, since it takes long to answer; ``served`` are the agents of each, of whom a group serves none twice.
    """
    served = served or [(position,) for position in range(len(mates_by_deployment))]
    cheapest: dict[str, dict[int, Option]] = {}
    for mates_of_one in mates_by_deployment:
        for option in mates_of_one:
            cheapest.setdefault(option.candidates[0].accelerator.id, {})[option.deployments[0]] = option
    groups: list[Option] = []
    complete = True
    need = {
        (option.deployments, accelerator): _need_gib(option)
        for accelerator, mates in cheapest.items()
        for option in mates.values()
    }
    for accelerator, mates in sorted(cheapest.items()):
        machine = min((option.machine for option in mates.values()), key=_price_and_id)
        members = [option for option in mates.values() if option.machine.id == machine.id]
        if len(members) <= _MAX_ENUMERATED:
            sets = [
                group
                for size in range(2, MAX_ENGINES_PER_ACCELERATOR + 1)
                for group in itertools.combinations(members, size)
                if _serves_nobody_twice(group, served)
                and sum(need[option.deployments, accelerator] for option in group) <= _limit_gib(group)
                and all(host_memory.fits(option.candidates[0], option.machine, size) for option in group)
                and all(tolerated(option) >= size for option in group)
            ]
        else:
            complete = False
            of_one = [option for option in members if len(served[option.deployments[0]]) == 1]
            sets = _first_fit(of_one, tolerated)
        groups.extend(_merge(group) for group in sets)
    return tuple(groups), complete


def mates_of(options: Sequence[Option]) -> list[Option]:
    """Of one deployment the options that may join a group: on each accelerator the one on the cheapest machine."""
    found: dict[str, Option] = {}
    for option in sorted(options, key=lambda option: (option.baseline.usd_per_hour, option.machine.id)):
        if _may_share(option):
            found.setdefault(option.candidates[0].accelerator.id, option)
    return list(found.values())


def part_of_accelerator(option: Option, tolerated: Callable[[Option], int]) -> Decimal:
    """The part of its accelerator's memory that an engine takes of it at least, if it may share it with others; else all of it.

    Engines that stay together never need more than the least that any of them leaves free (``_limit_gib``), so that their parts
    add up to one at most.
    """
    if not _may_share(option):
        return Decimal(1)
    part = min(1.0, _need_gib(option) / option.candidates[0].memory.limit_gib)
    return Decimal(str(part)) if tolerated(option) > 1 else Decimal(1)


def with_several_per_accelerator(option: Option, tolerated: int) -> Option | None:
    """The option with as many of its replicas on each accelerator as fit, each with a KV budget of its own; None for one.

    ``tolerated`` says how many busy engines the agent can bear. Nothing is left for a burst tier: no autoscaler could
    see what shares.
    """
    candidate = option.candidates[0]
    if option.machine.accelerators > 1 or candidate.burst_replicas or not _takes_a_part(option):
        return None
    most = min(candidate.baseline_replicas, tolerated, MAX_ENGINES_PER_ACCELERATOR)
    for engines in range(most, 1, -1):
        if engines * _need_gib(option) <= candidate.memory.limit_gib and host_memory.fits(
            candidate, option.machine, engines
        ):
            return replace(option, replicas_per_accelerator=engines, drain=None)
    return None


def unshareable(by_agent: Sequence[Sequence[Option]]) -> list[Option]:
    """An option of each agent that could share an accelerator of a kind, were it not sold only several to a machine.

    Only where at least two agents could.
    """
    found: list[Option] = []
    accelerators = {option.candidates[0].accelerator.id for options in by_agent for option in options}
    for accelerator in sorted(accelerators):
        several: list[Option] = []
        for options in by_agent:
            here = [
                option
                for option in options
                if option.candidates[0].accelerator.id == accelerator and _could_share(option)
            ]
            if here and all(option.machine.accelerators > 1 for option in here):
                several.append(min(here, key=lambda option: _price_and_id(option.machine)))
        if len(several) > 1:
            found.extend(several)
    return found


def _price_and_id(machine: Machine) -> tuple[Decimal, tuple[str, str, str]]:
    return (machine.usd_per_hour("on-demand") or Decimal("Infinity"), machine.id)


def _may_share(option: Option) -> bool:
    return option.machine.accelerators == 1 and _could_share(option)


def _could_share(option: Option) -> bool:
    candidate = option.candidates[0]
    return (
        candidate.peak_replicas == 1
        and option.open is None
        and not candidate.demand.agent.overrides.baseline_replicas
        and _takes_a_part(option)
    )


def _takes_a_part(option: Option) -> bool:
    """Whether an engine may be given a part of one accelerator that nobody takes away."""
    candidate = option.candidates[0]
    return (
        candidate.accelerators_per_replica == 1
        and option.baseline.capacity_types == ("on-demand",)
        and PORTS[candidate.demand.agent.engine].fixes_kv(candidate.demand.model, candidate.demand.agent.engine_version)
    )


def _need_gib(option: Option) -> float:
    candidate = option.candidates[0]
    return candidate.memory.need_gib(candidate.seats_per_group)


def _limit_gib(group: Sequence[Option]) -> float:
    """What a group may need of one accelerator together: the least that any of its engines leaves free of it counts."""
    return min(option.candidates[0].memory.limit_gib for option in group)


def _fits(
    group: Sequence[Option], need_gib: Mapping[tuple[int, ...], float], tolerated: Callable[[Option], int]
) -> bool:
    return (
        sum(need_gib[option.deployments] for option in group) <= _limit_gib(group)
        and all(host_memory.fits(option.candidates[0], option.machine, len(group)) for option in group)
        and all(tolerated(option) >= len(group) for option in group)
    )


def _serves_nobody_twice(group: Sequence[Option], served: Sequence[tuple[int, ...]]) -> bool:
    agents = [agent for option in group for agent in served[option.deployments[0]]]
    return len(set(agents)) == len(agents)


def _first_fit(members: Sequence[Option], tolerated: Callable[[Option], int]) -> list[tuple[Option, ...]]:
    """First-fit decreasing: good groups for many agents, without trying them all."""
    bins: list[list[Option]] = []
    open_bins: list[list[Option]] = []
    need_gib = {member.deployments: _need_gib(member) for member in members}
    for option in sorted(members, key=lambda member: (-need_gib[member.deployments], member.deployments)):
        for group in open_bins:
            if sum(need_gib[member.deployments] for member in (*group, option)) > option.candidates[0].memory.limit_gib:
                continue
            if _fits([*group, option], need_gib, tolerated):
                group.append(option)
                break
        else:
            bins.append([option])
            open_bins.append(bins[-1])
        open_bins = [group for group in open_bins if len(group) < MAX_ENGINES_PER_ACCELERATOR][-64:]
    return [tuple(group) for group in bins if len(group) > 1]


def _merge(group: Sequence[Option]) -> Option:
    ordered = sorted(group, key=lambda option: option.deployments)
    return Option(
        deployments=tuple(option.deployments[0] for option in ordered),
        candidates=tuple(option.candidates[0] for option in ordered),
        machine=ordered[0].machine,
        baseline=ordered[0].baseline,
        burst=None,
    )
