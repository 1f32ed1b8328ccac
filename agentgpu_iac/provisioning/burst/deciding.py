"""How many machines beside the cluster are wanted: a pure function of the plan, of what is seen, and of what is there.

It keeps nothing. What is there is in Pulumi's state, and since when; what was asked for before is in Prometheus::

    now       max over the reasons of (held x (1 + weights of serving machines / weight of the cluster) - floor) / threshold
    lately    the same, of the most that was held over ``stayS``
    more      as soon as now asks for more
    fewer     once the number has been the same for ``stayS``, and lately asks for fewer
    never     fewer than the seller would let go: such a machine is paid, so it serves

The part of the load that machines carry follows from NGINX's weights. Over a time in which their number was the same so was
that part, which is why nobody goes before ``stayS`` have passed since it changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.plan import MachinePoolScaling

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
    """Whether its engine answers."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Machines of one pool, and why."""

    node_pool: str
    machines: int
    why: str


def decide(pool: MachinePoolScaling, seen: Seen, rented: Sequence[Rented]) -> Decision:
    """How many machines of a pool are to run."""
    there = max((machine.index + 1 for machine in rented), default=0)
    if missing := [trigger.name for trigger in pool.triggers if trigger.name not in seen.held]:
        return _decision(pool, there, f"nothing is known of {' and '.join(missing)}: as many as before")
    part = 1 + sum(seen.weights[each.name] for each in rented if each.is_there and each.serves) / pool.cluster_weight
    now = max(_machines(pool, {name: held.now for name, held in seen.held.items()}, part), _scheduled(pool, seen))
    lately = max(_machines(pool, {name: held.most for name, held in seen.held.items()}, part), now)
    if now >= there:
        return _decision(pool, now, _in_words(pool, seen, part, now))
    if seen.unchanged_s < pool.stay_s:
        left_s = math.ceil(pool.stay_s - seen.unchanged_s)
        return _decision(pool, there, f"{now} would do, and their number changed lately: {left_s} s more")
    if lately >= there:
        return _decision(pool, there, f"{now} would do, and {lately} were needed in the last {pool.stay_s} s")
    held_back = max((each.index + 1 for each in rented if each.is_there and not each.may_end), default=0)
    if held_back > lately:
        return _decision(pool, held_back, f"{lately} would do, and the seller does not let the others go yet")
    return _decision(pool, lately, f"no more were needed in the last {pool.stay_s} s")


def _decision(pool: MachinePoolScaling, machines: int, why: str) -> Decision:
    return Decision(
        node_pool=pool.node_pool, machines=min(pool.max_machines, max(pool.min_machines, machines)), why=why
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
        return f"a schedule wants {seen.scheduled_replicas} replicas"
    asks = {trigger.name: _replicas(pool, trigger.name, seen.held[trigger.name].now, part) for trigger in pool.triggers}
    most = max(asks, key=lambda name: asks[name], default=None)
    if most is None or not asks[most]:
        return "the baseline carries what is asked"
    trigger = next(trigger for trigger in pool.triggers if trigger.name == most)
    total = seen.held[most].now * part
    return (
        f"{most}: {total:,.1f} are held, the baseline carries {trigger.floor:g}, one replica {trigger.threshold:g}, "
        f"so {asks[most]} replicas are wanted"
    )


def to_have_again(rented: Sequence[Rented]) -> int:
    """Machines of a pool after a refusal: those that stand without a gap, so that the cluster is told of them at least."""
    numbers = {machine.index for machine in rented if machine.is_there}
    return next(number for number in range(len(numbers) + 1) if number not in numbers)
