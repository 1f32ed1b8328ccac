"""One look at the load, and what follows from it: as many machines as are wanted, those anew that their seller took back.

Nothing stands in the path of a request: where no look comes, the machines stay as they are. A refusal of the seller (no offer, a
price above the cap, too little balance) leaves those that could be had, tells the cluster of them, and is tried again at the next
look. Where Prometheus gives no answer, nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.plan import JoinedPlan, MachinePoolScaling, MachineScalingPlan, Plan
from agentgpu_iac.provisioning.burst.deciding import Decision, Held, Rented, Seen, decide, to_have_again
from agentgpu_iac.provisioning.burst.hours import scheduled_replicas
from agentgpu_iac.provisioning.burst.measuring import weights
from agentgpu_iac.provisioning.burst.state import StackState, StateMachine, UpFailed
from agentgpu_iac.provisioning.spheron.client import Deployment, Termination

_LONG_AGO_S = 10.0**9
"""Since a change that there never was."""


class Stack(Protocol):
    """The Pulumi stack of the machines."""

    def state(self) -> StackState:
        """What its state holds."""

    def up(self, counts: Mapping[str, int], say: Callable[[str], None]) -> None:
        """Have as many machines run, by pool."""


class Seller(Protocol):
    """Who rents the machines out."""

    def live(self) -> tuple[Deployment, ...]:
        """Those that run or are about to."""

    def can_terminate(self, deployment_id: str, /) -> Termination | None:
        """Whether one may be ended now."""


class Load(Protocol):
    """What is asked for."""

    def held(self, pool: MachinePoolScaling, step_s: int, /) -> dict[str, Held]:
        """What each query gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a look is taken with."""

    stack: Stack
    seller: Seller
    load: Load
    serves: Callable[[str, str, str], bool]
    """Of a machine's name, address and certificate: whether its engines answer."""
    now_s: float
    """Seconds since 1970."""
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What was decided, and what came of it."""

    decisions: tuple[Decision, ...]
    before: Mapping[str, int]
    """Machines by pool."""
    changed: bool
    """Whether Pulumi was run."""
    unknown: tuple[str, ...] = ()
    """What did not answer, so that as many stay as there were."""
    refused: str | None = None
    """Why not all of them could be had."""


def scaling_of(plan: Plan) -> tuple[JoinedPlan, MachineScalingPlan]:
    """What the plan's machines follow. Raises BadInput where nothing follows anything."""
    if plan.joined is None or plan.joined.scaling is None:
        why = (
            "no machine stands beside its cluster"
            if plan.joined is None
            else "nothing raises its bursts (scaling.method), or nothing that their engines count is known"
        )
        raise BadInput.one(
            plan.stack, f"has nothing to follow: {why}", hint="capacity.machinesFrom names whose machines may"
        )
    return plan.joined, plan.joined.scaling


def follow(plan: Plan, around: Around, *, dry_run: bool = False) -> Followed:
    """Look once, decide, and have Pulumi do it. Raises UpFailed where not even those that are there can be kept."""
    joined, scaling = scaling_of(plan)
    state = around.stack.state()
    live = {each.id for each in around.seller.live()} if state.machines else set[str]()
    rented = {pool.node_pool: _rented(pool, state, live, joined, around) for pool in scaling.pools}
    unknown: list[str] = []
    decisions = tuple(
        decide(pool, _seen(pool, scaling, state, plan, around, unknown), rented[pool.node_pool])
        for pool in scaling.pools
    )
    before = {name: len(machines) for name, machines in rented.items()}
    wanted = {decision.node_pool: decision.machines for decision in decisions}
    lost = any(not machine.is_there for machines in rented.values() for machine in machines)
    waiting = any(not machine.address for machine in state.machines)
    if dry_run or (wanted == before and not lost and not waiting):
        return Followed(decisions=decisions, before=before, changed=False, unknown=tuple(unknown))
    refused = None
    try:
        around.stack.up(wanted, around.say)
    except UpFailed as failure:
        refused = str(failure)
        _keep_what_is_there(scaling, joined, around)
    return Followed(decisions=decisions, before=before, changed=True, unknown=tuple(unknown), refused=refused)


def _keep_what_is_there(scaling: MachineScalingPlan, joined: JoinedPlan, around: Around) -> None:
    """After a refusal the cluster is told of the machines that could be had."""
    state = around.stack.state()
    live = {each.id for each in around.seller.live()}
    kept = {
        pool.node_pool: max(pool.min_machines, to_have_again(_rented(pool, state, live, joined, None)))
        for pool in scaling.pools
    }
    around.stack.up(kept, around.say)


def _rented(
    pool: MachinePoolScaling, state: StackState, live: set[str], joined: JoinedPlan, around: Around | None
) -> tuple[Rented, ...]:
    """The machines of a pool, asked one by one whether they serve and may be ended; not asked without ``around``."""
    known = {machine.name for machine in joined.machines}
    return tuple(
        Rented(
            name=machine.name,
            index=machine.index,
            is_there=machine.id in live,
            serves=around is None or _serves(machine, state, around),
            may_end=around is None or _may_end(machine, around),
        )
        for machine in sorted(state.machines, key=lambda machine: machine.index)
        if machine.pool == pool.node_pool and machine.name in known
    )


def _serves(machine: StateMachine, state: StackState, around: Around) -> bool:
    return bool(machine.address and state.certificate) and around.serves(
        machine.name, machine.address, state.certificate
    )


def _may_end(machine: StateMachine, around: Around) -> bool:
    answer = around.seller.can_terminate(machine.id)
    return answer is None or answer.can_terminate


def _seen(
    pool: MachinePoolScaling,
    scaling: MachineScalingPlan,
    state: StackState,
    plan: Plan,
    around: Around,
    unknown: list[str],
) -> Seen:
    held: dict[str, Held] = {}
    try:
        held = around.load.held(pool, scaling.step_s)
    except OutsideFailure as failure:
        unknown.append(str(failure))
    assert plan.joined is not None  # noqa: S101 - scaling_of
    return Seen(
        held=held,
        scheduled_replicas=scheduled_replicas(pool.schedules, around.now_s),
        unchanged_s=_LONG_AGO_S if state.changed_at_s is None else max(0.0, around.now_s - state.changed_at_s),
        weights=weights(plan.joined, _served(plan, pool)),
    )


def _served(plan: Plan, pool: MachinePoolScaling) -> Sequence[str]:
    return next(workload.served for workload in plan.workloads if workload.name == pool.workload)
