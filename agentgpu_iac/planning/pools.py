"""Node pools: which agents are on nodes of one kind that are bought one way, and what such a pool is in the plan."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.plan import (
    CachedModel,
    ClosedHours,
    DrainPlan,
    MarketPlan,
    NodePool,
    NodeTypePlan,
    StartupTaintPlan,
    Workload,
)
from agentgpu_iac.planning import priorities
from agentgpu_iac.planning.choosing import caching, candidates
from agentgpu_iac.planning.choosing.joined import is_joined
from agentgpu_iac.planning.choosing.leaving import node_s, replica_drain
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.placement import Placement
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.program import Joint
from agentgpu_iac.planning.choosing.reservations import most_reserved, normal_nodes, saved_usd_per_hour
from agentgpu_iac.planning.choosing.siblings import most_usd_per_hour, siblings
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.planning.choosing.zones import in_zones
from agentgpu_iac.planning.kubernetes_version import kubernetes_version
from agentgpu_iac.planning.opening import EMPTY_S, NodeHours
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.spec.window import closed_hours, offset_minutes, weekly_starts
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div, rounded, usd_per_hour

ROOT_VOLUME_GIB = 100
_BY_THE_CLOCK = "by-the-clock-"
_BESIDE = "beside-the-cluster-"
_NAME_LIMIT = 63 - len("model-cache-")
"""Pool names stand in the names of their model cache's objects, which are labels too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One deployment in its chosen option, with the release that it runs on."""

    position: int
    """As in its option."""
    candidate: candidates.Candidate
    option: Option
    release: EngineRelease
    share_group: str | None
    drain: DrainPlan
    """How a replica leaves, before the notice of whoever takes its node back."""
    burst: Placed | None = None
    """The same agent in what carries its burst, where that is another candidate or another machine."""
    beside: candidates.Candidate | None = None
    """There: what carries the baseline."""
    rest: Placed | None = None
    """The same agent in what carries the rest of its baseline, where that is on two kinds of machine."""
    first: Placed | None = None
    """There: the part beside which it is the rest."""

    def at(self, tier: Tier) -> Placed:
        """The agent in what carries a tier, and of a divided baseline the first part."""
        return self.burst if tier == "burst" and self.burst is not None else self

    def parts(self, tier: Tier) -> tuple[Placed, ...]:
        """The agent in all that carries a tier."""
        if tier == "burst" or self.rest is None:
            return (self.at(tier),)
        return self, self.rest

    def replicas(self, tier: Tier) -> int:
        """Replicas of a tier that stand there."""
        if tier == "burst":
            return self.candidate.burst_replicas
        return self.candidate.baseline_replicas if self.option.here is None else self.option.here


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Nodes of a pool that a commitment covers."""

    number: int
    """Of the commitment, among those of the terms."""
    nodes: Decimal
    """A savings plan may cover one in part."""
    usd_per_month: Decimal
    """What they would cost without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A node pool before it is written down: who is in it, and how it is bought."""

    name: str
    tier: Tier
    machine: Machine
    purchase: Purchase
    members: tuple[Placed, ...]
    shared: bool
    nodes: int
    accelerators_taken: int
    """In even slots of the machine."""
    free_accelerators: int
    reserved_nodes: int = 0
    """Nodes that reserved capacity carries."""
    zones: int = 1
    """Zones over which its replicas are spread evenly."""
    covered: tuple[Covered, ...] = ()
    saved_usd_per_month: Decimal = Decimal(0)
    """What its nodes cost less, since commitments cover some: at what those cost, as far as it uses them."""

    def part(self, position: int) -> Placed:
        """A deployment in what of it is here."""
        return next(member for member in self.members if member.position == position)

    @property
    def engines_per_accelerator(self) -> int:
        """Engines that share one accelerator; 1: each has its own."""
        return self.members[0].option.engines_per_accelerator

    @property
    def open(self) -> NodeHours | None:
        """For how long its nodes are there, where they come and go with a schedule."""
        return self.members[0].option.open

    @property
    def kept_nodes(self) -> int:
        """Nodes that are there all month: those of a baseline, or what its schedule leaves outside the windows."""
        if self.tier == "burst":
            return 0
        return self.nodes if self.open is None else self.open.kept(self.nodes, self.members[0].candidate.nodes)

    def other_hours(self, burst_hours: Decimal) -> Decimal:
        """Hours of a month in which its other nodes are there: those of a schedule, or the expected ones of the burst."""
        if self.open is None:
            return burst_hours if self.tier == "burst" else Decimal(HOURS_PER_MONTH)
        return min(burst_hours, self.open.hours) if self.tier == "burst" else self.open.hours

    def node_hours(self, burst_hours: Decimal) -> Decimal:
        """Hours of all its nodes in a month."""
        kept = self.kept_nodes
        return Decimal(HOURS_PER_MONTH) * kept + self.other_hours(burst_hours) * (self.nodes - kept)

    @property
    def normal_nodes(self) -> int:
        """Nodes that normal load needs: the others of a baseline only stand by for a burst."""
        slots = sum(
            member.option.normal_replicas(member.candidate)
            * self.machine.accelerators_taken(member.candidate.accelerators_per_replica)
            for member in self.members
        )
        return normal_nodes(self.nodes, slots, self.machine.accelerators * self.engines_per_accelerator)

    @property
    def usd_per_hour(self) -> Decimal:
        """What its nodes cost together: the reserved ones at their price, the others at theirs."""
        others = self.purchase.usd_per_hour
        if self.reserved_nodes and self.purchase.fallback_usd_per_hour is not None:
            others = self.purchase.fallback_usd_per_hour
        return self.purchase.usd_per_hour * self.reserved_nodes + others * (self.nodes - self.reserved_nodes)


def placed_agents(
    placement: Placement,
    releases: Mapping[int, EngineRelease],
    served: Sequence[tuple[int, ...]],
    stack: str,
    round_trip_ms: float,
) -> tuple[Placed, ...]:
    """Every deployment in its chosen option, in the order of the first agents that they serve; those of a group know its name."""
    members: list[Placed] = []
    number = 0
    for option in placement.options:
        group = None
        if option.is_shared:
            number += 1
            group = f"{stack}-share-{number}"
        for position, candidate in zip(option.deployments, option.candidates, strict=True):
            there = candidate
            if option.is_shared:
                there = candidates.shared(candidate, option.engines_per_accelerator, round_trip_ms)
            release = releases[position]
            member = Placed(
                position=position,
                candidate=there,
                option=option,
                release=release,
                share_group=group,
                drain=option.drain or replica_drain(there, release),
                burst=_burst_elsewhere(option, there, release),
            )
            members.append(replace(member, rest=_rest(member)))
    return tuple(sorted(members, key=lambda member: served[member.position]))


def _burst_elsewhere(option: Option, baseline: candidates.Candidate, release: EngineRelease) -> Placed | None:
    there = option.elsewhere
    if there is None:
        return None
    (candidate,) = there.candidates
    return Placed(
        position=option.deployments[0],
        candidate=candidate,
        option=there,
        release=release,
        share_group=None,
        drain=there.drain or replica_drain(candidate, release),
        beside=baseline,
    )


def _rest(member: Placed) -> Placed | None:
    there = member.option.rest
    if there is None:
        return None
    (candidate,) = there.candidates
    return Placed(
        position=member.position,
        candidate=candidate,
        option=there,
        release=member.release,
        share_group=None,
        drain=there.drain or replica_drain(candidate, member.release),
        first=member,
    )


def pools_of(
    placed: Sequence[Placed], stack: str, terms: Terms, joint: Mapping[tuple[int, Tier], Joint]
) -> tuple[Pool, ...]:
    """Baseline pools first, then burst pools, each in the order of the deployments.

    They are the pools that the placement priced, by the same terms.
    """
    gathered: dict[tuple[str, ...], list[Placed]] = {}
    facts: dict[tuple[str, ...], tuple[Tier, Machine, Purchase]] = {}
    tiers: tuple[Tier, ...] = ("baseline", "burst")
    for tier in tiers:
        for member in (part for each in placed for part in each.parts(tier)):
            purchase = member.option.baseline if tier == "baseline" else member.option.burst
            if purchase is None or (tier == "burst" and not member.candidate.burst_replicas):
                continue
            machine = member.option.machine
            group = member.share_group or ("over-nodes" if member.option.spans_nodes else "")
            if member.option.open is not None:
                group = f"{_BY_THE_CLOCK}{member.position}"
            if machine.instance.provider in terms.joined:
                group = f"{_BESIDE}{member.position}"
            key = (tier, *machine.id, *purchase.capacity_types, group, str(member.option.zones_in(tier)))
            gathered.setdefault(key, []).append(member)
            facts[key] = (tier, machine, purchase)
    regions = {machine.region for _, machine, _ in facts.values() if machine.instance.provider not in terms.joined}
    pools = (
        _pool(stack, *facts[key], part, several_regions=len(regions) > 1, agent=agent, nodes=nodes)
        for key, members in gathered.items()
        for part, agent, nodes in _parts(tuple(members), *facts[key][:2], terms, joint)
    )
    return tuple(_with_reservation(pool, terms.reserved_ratio) for pool in _distinct(tuple(pools)))


def _distinct(pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
    """Pools whose readable names are the same, told apart by a digest of what they are."""
    times = Counter(pool.name for pool in pools)
    return tuple(pool if times[pool.name] == 1 else replace(pool, name=_with_digest(pool)) for pool in pools)


def _with_digest(pool: Pool) -> str:
    agents = (member.candidate.demand.name for member in pool.members)
    return _shortened(pool.name, (pool.tier, *pool.machine.id, *pool.purchase.capacity_types, *agents))


def _parts(
    members: tuple[Placed, ...], tier: Tier, machine: Machine, terms: Terms, joint: Mapping[tuple[int, Tier], Joint]
) -> tuple[tuple[tuple[Placed, ...], str, int | None], ...]:
    """The members as one pool, or as several: virtual machines of a pool are alike, so who fills whole machines has its own.

    That takes no more machines. Others are together as the program chose. Each part comes with the name of the agent that it
    is for, where it is for one, and with its machines, where they are not just those that its slots fill.
    """
    if members[0].option.open is not None or machine.instance.provider in terms.joined:
        return ((members, members[0].candidate.demand.name, None),)
    if not terms.fillers_apart or len(members) == 1 or members[0].share_group is not None:
        return ((members, "", None),)
    fill = [member for member in members if member.option.accelerators(tier) % machine.accelerators == 0]
    rest = [member for member in members if member.option.accelerators(tier) % machine.accelerators]
    together: dict[Joint | int, list[Placed]] = {}
    for member in rest:
        together.setdefault(joint.get((member.position, tier), member.position), []).append(member)
    alone = tuple(((member,), member.candidate.demand.name, None) for member in fill)
    return (
        *alone,
        *((tuple(mates), "", there.nodes if isinstance(there, Joint) else None) for there, mates in together.items()),
    )


def homes(pools: Sequence[Pool]) -> dict[int, tuple[Pool, ...]]:
    """The pools of each deployment, by its position: the baseline's first, and of a divided one that of the rest last."""
    found: dict[int, list[Pool]] = {}
    for pool in pools:
        for member in pool.members:
            found.setdefault(member.position, []).append(pool)
    for position, its in found.items():
        its.sort(key=lambda pool: (pool.tier, pool.part(position).first is not None))
    return {position: tuple(its) for position, its in found.items()}


def _pool(
    stack: str,
    tier: Tier,
    machine: Machine,
    purchase: Purchase,
    members: tuple[Placed, ...],
    *,
    several_regions: bool,
    agent: str,
    nodes: int | None,
) -> Pool:
    first = members[0]
    own = f"{stack}-{tier}-{agent}" if agent else f"{stack}-{tier}"
    stem = (first.share_group or own) + ("-groups" if first.option.spans_nodes else "")
    shared = first.share_group is not None
    slots = sum(member.option.accelerators(tier) for member in members)
    if nodes is None:
        nodes = first.option.accelerators(tier) if shared else _nodes_of(members, tier, machine)
    used = sum(member.replicas(tier) * member.candidate.accelerators_per_replica for member in members)
    return Pool(
        name=_pool_name(stem, machine, purchase.capacity_types, several_regions=several_regions),
        tier=tier,
        machine=machine,
        purchase=purchase,
        members=members,
        shared=shared,
        zones=1 if shared else first.option.zones_in(tier),
        nodes=nodes,
        accelerators_taken=slots,
        free_accelerators=0 if shared else nodes * machine.accelerators - used,
    )


def _nodes_of(members: Sequence[Placed], tier: Tier, machine: Machine) -> int:
    """Nodes that the members fill, in each zone by itself where they are spread over zones."""
    zones = members[0].option.zones_in(tier)
    taken = [0] * zones
    for member in members:
        each = machine.accelerators_taken(member.candidate.accelerators_per_replica)
        for zone, replicas in enumerate(in_zones(member.option.replicas(tier), zones)):
            taken[zone] += replicas * each
    return sum(ceil_div(slots, machine.accelerators) for slots in taken)


def _with_reservation(pool: Pool, ratio: float) -> Pool:
    """Let reserved capacity carry as many whole nodes of a user-facing baseline as the observed load always filled.

    ``ratio`` is that part of the user-facing sessions.
    """
    saved = saved_usd_per_hour(pool.machine, pool.purchase)
    nodes = most_reserved(pool.normal_nodes, ratio)
    user_facing = all(member.candidate.demand.user_facing for member in pool.members)
    if pool.tier == "burst" or not user_facing or not saved or not nodes or pool.open is not None:
        return pool
    on_demand = pool.purchase.usd_per_hour
    ways: tuple[CapacityType, ...] = ("reserved", "on-demand")
    purchase = Purchase(capacity_types=ways, usd_per_hour=on_demand - saved, fallback_usd_per_hour=on_demand)
    return replace(pool, purchase=purchase, reserved_nodes=nodes)


def _pool_name(stem: str, machine: Machine, ways: Sequence[CapacityType], *, several_regions: bool) -> str:
    """A readable name, unique in the plan: stem, machine, how it is bought; shortened by a hash where too long."""
    short = "-".join({"on-demand": "od", "spot": "spot", "reserved": "res"}[way] for way in ways[:1])
    if machine.among_rented:
        short = "own"
    place = (
        machine.instance.name
        if machine.instance.provider == "aws"
        else f"{machine.instance.provider}-{machine.instance.name}"
    )
    if several_regions:
        place = f"{place}-{machine.region}"
    name = re.sub(r"[^a-z0-9]+", "-", f"{stem}-{place}-{short}".lower()).strip("-")
    if len(name) <= _NAME_LIMIT:
        return name
    return _shortened(name, (stem, *machine.id, *ways))


def _shortened(name: str, what: Iterable[str]) -> str:
    digest = hashlib.sha256("/".join(what).encode()).hexdigest()[:8]
    return f"{name[: _NAME_LIMIT - 9].rstrip('-')}-{digest}"


def _with_held_capacity(
    purchase: Purchase, machine: Machine, spec: StackSpec
) -> tuple[tuple[CapacityType, ...], Literal["none", "on-demand", "capacity-block"]]:
    """Held capacity comes first wherever Karpenter or EKS could use it; a baseline is billed by it (``_is_held``)."""
    held, ways = spec.capacity.reservation, purchase.capacity_types
    if held == "none" or not target_of(spec).makes_nodes_of(machine.instance.provider):
        return ways, "none"
    return ("reserved", *(way for way in ways if way != "reserved")), held


Replacement = Literal["free", "surge-node", "in-place"]
"""What a new replica starts on: an accelerator that is free, a node that comes for it, or the old replica's place."""


def replacement(member: Placed, pool: Pool, spec: StackSpec) -> Replacement:
    """How a new version of the agent replaces the old one in the pool.

    A node for a while costs little; several whole ones with a fabric between them do not, and may not be had at all, so a
    replica over several nodes brings its own only where the spec says so. Machines that stay replace every engine that has
    changed at once, whatever is free beside it. Replicas that are spread over zones leave one after another: the new one then
    goes where the old one was, and the spread stays even.
    """
    wanted, makes_nodes = spec.capacity.rollout, _makes_nodes(pool, spec)
    if target_of(spec).can.changes_machines_in_place or pool.zones > 1:
        return "in-place"
    if pool.free_accelerators >= member.candidate.accelerators_per_replica:
        return "free"
    is_node = target_of(spec).can.has_cluster and not is_joined(pool.machine, spec)
    if pool.shared or not is_node or wanted == "in-place":
        return "in-place"
    if wanted == "surge-node" or (makes_nodes and member.candidate.demand.user_facing and member.candidate.nodes == 1):
        return "surge-node"
    return "in-place"


def _makes_nodes(pool: Pool, spec: StackSpec) -> bool:
    """Whether an autoscaler of ours makes the pool's nodes."""
    return target_of(spec).makes_nodes_of(pool.machine.instance.provider) and not pool.shared


def _surge_nodes(pool: Pool, spec: StackSpec) -> int:
    """Nodes that the rollouts of all its agents add, when all of them begin at once."""
    taken = sum(
        pool.machine.accelerators_taken(member.candidate.accelerators_per_replica)
        for member in pool.members
        if replacement(member, pool, spec) == "surge-node"
    )
    return ceil_div(taken, pool.machine.accelerators)


_IDLE_S = {"baseline": 3600, "burst": 600}
"""How long an empty node stays. A baseline node is empty only between two versions of a replica."""
_IDLE_AFTER_SURGE_S = 600
"""The same where a rollout brings its own node: what it leaves behind need not wait for anybody."""


_LIFTER = StartupTaintPlan(cpu_milli=10, memory_mib=64)
"""What the container beside a filler asks for: an interpreter that makes two requests."""


def _closed_hours(spec: StackSpec) -> tuple[ClosedHours, ...]:
    """Hours outside the window in which nodes may be renewed; none where there is no window."""
    window = spec.capacity.maintenance_window
    if window is None:
        return ()
    starts, ahead = weekly_starts(window.start), offset_minutes(window.timezone)
    if starts is None or ahead is None:
        raise ValueError("the rules of the spec let no such window through")
    return tuple(
        ClosedHours(schedule=hours.schedule, minutes=hours.minutes)
        for hours in closed_hours(starts, round(window.hours * 60), ahead)
    )


def pool_models(pool: Pool, spec: StackSpec) -> tuple[CachedModel, ...]:
    """The models that nodes of the pool keep: those of the members that do not stream theirs from the bucket."""
    return caching.cached_models(
        (
            member.candidate
            for member in pool.members
            if not caching.streams(member.candidate, pool.machine, member.release, spec, pool.engines_per_accelerator)
        ),
        spec,
    )


def node_pool_plan(
    pool: Pool, spec: StackSpec, on_offer: Sequence[Machine], market: MarketPlan | None = None
) -> NodePool:
    """The pool as the plan writes it down, with the volume and the models that its nodes keep.

    ``on_offer`` is everything that the stack may buy: other types that may stand in are among it.
    """
    machine, purchase, beside = pool.machine, pool.purchase, is_joined(pool.machine, spec)
    cached = pool_models(pool, spec)
    models_gib = sum(model.gib for model in cached)
    storage = caching.storage(machine, models_gib, spec)
    joined = any(member.candidate.nodes > 1 for member in pool.members)
    may_be = siblings(machine, purchase.capacity_types, on_offer, models_gib, spec, joined=joined)
    types = tuple(
        NodeTypePlan(
            instance_type=each.instance.name,
            vcpus=each.instance.vcpu or 0,
            usd_per_hour=usd_per_hour(most_usd_per_hour(each, purchase.capacity_types)),
        )
        for each in may_be
    )
    filler = caching.filler(
        cached,
        priorities.highest(priorities.level(member.candidate.demand, pool.tier) for member in pool.members),
        spec,
        machine,
        pool.nodes,
    )
    by_karpenter, surge_nodes = _makes_nodes(pool, spec), _surge_nodes(pool, spec)
    room = caching.nvme_room_gib(machine) if storage == "nvme" else caching.volume_gib(models_gib, step=100)
    preferred = machine.way(purchase.price_of)
    bought = [way for name in purchase.capacity_types if (way := machine.way(name)) is not None]
    ways, reservation = _with_held_capacity(purchase, machine, spec)
    return NodePool(
        name=pool.name,
        tier=pool.tier,
        capacity_types=ways,
        instance_types=tuple(each.instance.name for each in may_be),
        types=types,
        dearest_usd_per_hour=max(each.usd_per_hour for each in types) if by_karpenter else None,
        provider=machine.instance.provider,
        region=machine.region,
        accelerator=machine.accelerator,
        accelerators_per_node=machine.accelerators,
        min=pool.kept_nodes,
        open_hours_per_month=None if pool.open is None else rounded(float(pool.open.hours), 2),
        max=pool.nodes,
        surge_nodes=surge_nodes,
        idle_s=EMPTY_S if pool.open is not None else _IDLE_AFTER_SURGE_S if surge_nodes else _IDLE_S[pool.tier],
        closed_hours=_closed_hours(spec) if by_karpenter else (),
        reservation=reservation,
        zones=pool.zones,
        node_updates=spec.capacity.node_updates,
        nodes_per_replica=max(member.candidate.nodes for member in pool.members),
        usd_per_hour=usd_per_hour(purchase.usd_per_hour),
        fallback_usd_per_hour=None
        if purchase.fallback_usd_per_hour is None
        else usd_per_hour(purchase.fallback_usd_per_hour),
        price_known=all(way.price_known for way in bought),
        price_date=preferred.price_date if preferred else "",
        price_source=preferred.price_source if preferred else "",
        sharing="time-slicing" if pool.shared else "none",
        slots_per_accelerator=pool.engines_per_accelerator,
        fixed_size=pool.shared,
        autoscaler="karpenter" if by_karpenter else None,
        kubernetes_version=kubernetes_version(spec),
        ami_alias=spec.pins.ami_alias,
        architecture=machine.instance.architecture,
        nvme_gb=machine.instance.nvme_total_gb,
        efa_interfaces=machine.instance.efa_interfaces,
        first_efa_card=machine.instance.first_efa_card,
        root_volume_gib=ROOT_VOLUME_GIB + (room if storage == "ebs-gp3" else 0),
        root_volume_mib_per_s=caching.ROOT_VOLUME_MIB_PER_S,
        root_volume_iops=caching.ROOT_VOLUME_IOPS,
        image_pull=caching.image_pull(machine, spec),
        cache_capacity_gib=room,
        cache_path=caching.path(storage, spec, beside_cluster=beside),
        cached_models=cached,
        filler=filler,
        startup_taint=_LIFTER if filler is not None and by_karpenter and pool.tier == "baseline" else None,
        market=market,
        beside_cluster=beside,
        owned=machine.owned,
    )


def leaving_pool(pool: NodePool, workloads: Sequence[Workload]) -> NodePool:
    """The pool with the time that one of its nodes may take to drain; ``workloads`` are those on it."""
    slots = pool.accelerators_per_node * pool.slots_per_accelerator
    pods = max((slots // max(1, workload.pod.accelerators) for workload in workloads), default=1)
    return pool.model_copy(update={"termination_grace_s": node_s(workloads, max(1, pods))})
