"""How many machines beside the cluster are wanted: a pure function of the plan, of what is seen, and of what is there.

It keeps nothing. What is there is in Pulumi's state, and since when; what was asked for before is in Prometheus::

    now       max over the reasons of (held x (1 + weights of serving machines / weight of the cluster) - floor) / threshold
    lately    the same, of the most that was held over ``stayS``
    more      as soon as now asks for more
    fewer     once the number has been the same for ``stayS``, and lately asks for fewer: NGINX is then told of fewer
    ended     once nobody has been sent there for ``stayS`` and ``drainS``: what was begun there is through
    never     fewer than the seller would let go: such a machine is paid, so it serves

The part of the load that machines carry follows from NGINX's weights. Over a time in which their number was the same so was
that part, which is why nobody goes before ``stayS`` have passed since it changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.plan import MachinePoolScaling
from agentgpu_iac.units import counted

_ROUNDING = 1e-9
"""What a sum of floats may miss a whole number by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one query gives."""

    now: float
    most: float
    """Over ``stayS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rented:
    """A machine that Pulumi's state holds."""

    name: str
    """Pool and number."""
    index: int
    """The number. Machines of a pool are numbered from 0, and the last one goes first."""
    is_there: bool = True
    """Whether its seller still has it: spot is taken back."""
    serves: bool = True
    """Whether its engine answers, and NGINX is told of it."""
    may_end: bool = True
    """Whether its seller lets it go: a minimum runtime is paid either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one pool at one moment."""

    held: Mapping[str, Held]
    """By the name of the reason. Empty: Prometheus gave no answer, and nothing is decided."""
    scheduled_replicas: int
    """Replicas that a schedule wants now."""
    unchanged_s: float
    """Since Pulumi last changed something in the stack."""
    weights: Mapping[str, int]
    """What NGINX weighs each machine by, by name."""
    listed: int | None = None
    """Machines that NGINX is told of, from the first on; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Machines of one pool, and why."""

    node_pool: str
    machines: int
    """To run."""
    listed: int
    """That NGINX is told of; the others are about to go."""
    why: str


def decide(pool: MachinePoolScaling, seen: Seen, rented: Sequence[Rented]) -> Decision:
    """How many machines of a pool are to run, and to be sent requests."""
    there = max((machine.index + 1 for machine in rented), default=0)
    listed = there if seen.listed is None else min(there, seen.listed)
    if missing := [trigger.name for trigger in pool.triggers if trigger.name not in seen.held]:
        return _decision(pool, there, listed, f"nothing is known of {' and '.join(missing)}: as many as before")
    part = 1 + sum(seen.weights[each.name] for each in rented if each.is_there and each.serves) / pool.cluster_weight
    now = max(_machines(pool, {name: held.now for name, held in seen.held.items()}, part), _scheduled(pool, seen))
    lately = max(_machines(pool, {name: held.most for name, held in seen.held.items()}, part), now)
    if now > listed:
        return _decision(pool, max(now, there), now, _in_words(pool, seen, part, now))
    held_back = max((each.index + 1 for each in rented if each.is_there and not each.may_end), default=0)
    if max(lately, held_back) < listed:
        if seen.unchanged_s < pool.stay_s:
            left_s = math.ceil(pool.stay_s - seen.unchanged_s)
            return _decision(pool, there, listed, f"{now} would do, and their number changed lately: {left_s} s more")
        why = f"no more were needed in the last {pool.stay_s} s: the others are sent nothing more"
        return _decision(pool, there, max(lately, held_back), why)
    if listed < there:
        return _ending(pool, seen, there, listed, held_back)
    why = _in_words(pool, seen, part, now)
    if now < listed:
        why = f"{now} would do, and {lately} were needed in the last {pool.stay_s} s"
        if lately < held_back:
            why = f"{lately} would do, and the seller does not let the others go yet"
    return _decision(pool, there, listed, why)


def _ending(pool: MachinePoolScaling, seen: Seen, there: int, listed: int, held_back: int) -> Decision:
    """Machines that are sent nothing more go once what they have begun is through."""
    left_s = math.ceil(max(pool.stay_s, pool.drain_s) - seen.unchanged_s)
    if left_s > 0:
        return _decision(pool, there, listed, f"{there - listed} end what they have begun: {left_s} s more")
    return _decision(pool, max(listed, held_back), listed, "the others have ended what they had begun")


def _decision(pool: MachinePoolScaling, machines: int, listed: int, why: str) -> Decision:
    machines = min(pool.max_machines, max(pool.min_machines, machines))
    return Decision(
        node_pool=pool.node_pool, machines=machines, listed=min(machines, max(pool.min_machines, listed)), why=why
    )


def _machines(pool: MachinePoolScaling, held: Mapping[str, float], part: float) -> int:
    return _for(pool, max((_replicas(pool, name, value, part) for name, value in held.items()), default=0))


def _replicas(pool: MachinePoolScaling, name: str, held: float, part: float) -> int:
    trigger = next(trigger for trigger in pool.triggers if trigger.name == name)
    excess = held * part - trigger.floor
    return 0 if excess <= 0 else math.ceil(excess / trigger.threshold - _ROUNDING)


def _scheduled(pool: MachinePoolScaling, seen: Seen) -> int:
    return _for(pool, seen.scheduled_replicas)


def _for(pool: MachinePoolScaling, replicas: int) -> int:
    """Machines for so many replicas, as many as the plan has."""
    machines = -(-min(replicas, pool.max_replicas) // pool.replicas_per_machine)
    return min(pool.max_machines, max(pool.min_machines, machines))


def _in_words(pool: MachinePoolScaling, seen: Seen, part: float, machines: int) -> str:
    if machines == _scheduled(pool, seen) and seen.scheduled_replicas:
        return f"a schedule wants {counted(seen.scheduled_replicas, 'replica')}"
    asks = {trigger.name: _replicas(pool, trigger.name, seen.held[trigger.name].now, part) for trigger in pool.triggers}
    most = max(asks, key=lambda name: asks[name], default=None)
    if most is None or not asks[most]:
        return "the baseline carries what is asked"
    trigger = next(trigger for trigger in pool.triggers if trigger.name == most)
    total = seen.held[most].now * part
    return (
        f"{most}: {total:,.1f} are held, the baseline carries {trigger.floor:g}, one replica {trigger.threshold:g}, "
        f"so {counted(asks[most], 'replica')} {'is' if asks[most] == 1 else 'are'} wanted"
    )


def to_have_again(rented: Sequence[Rented]) -> int:
    """Machines of a pool after a refusal: those that stand without a gap, so that the cluster is told of them at least."""
    numbers = {machine.index for machine in rented if machine.is_there}
    return next(number for number in range(len(numbers) + 1) if number not in numbers)
