"""Why two plans differ: what was changed, and for each deployment what followed, term by term, down to the money.

Nothing is computed anew: demand stands in the plan, terms in its ledger, nodes and prices in its pools and line items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Final, Literal

from agentgpu_iac.plan import LedgerEntry, Plan, Workload
from agentgpu_iac.plan.buying import in_place_words, place_words, ways_words
from agentgpu_iac.review.comparing import shown
from agentgpu_iac.spec.document import Document, camel

_Kind = Literal["spec", "demand", "price", "catalog", "tool"]


class Cause(Document):
    """Something that is not the same and that no plan decides: it was asked otherwise, or a fact is another."""

    kind: _Kind
    """spec: a value that somebody wrote into the file. demand: what a plan of before tells of it. price: of a machine.
    catalog: the facts that the plans rest on. tool: another version of agentgpu or its solver."""
    what: str
    before: str | None
    after: str | None


class Term(Document):
    """A number that moved, with its sum."""

    name: str
    """As the plan calls it."""
    before: str | None
    after: str | None
    sum_before: str = ""
    """The formula with its figures; empty where it is no sum."""
    sum_after: str = ""


class Chain(Document):
    """What followed for one deployment, from cause to effect."""

    deployment: str
    causes: tuple[Cause, ...]
    """Those of all causes that are its own; empty: it follows from how all are placed together, or from common facts."""
    terms: tuple[Term, ...]
    """Demand first, then what one replica needs, how fast it is, how many there are, on what, and what that costs."""


_CHOSEN: Final = (
    "model",
    "precision",
    "kv_cache_dtype",
    "accelerator",
    "accelerators_per_replica",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "max_num_seqs",
)
_ENDINGS: Final = ("usdPerMonth", "usdPer1000")


def causes_of(before: Plan, after: Plan) -> tuple[Cause, ...]:
    """What is not the same about that what two plans were made from: what was written, prices, facts, the tool."""
    return (*_spec(before, after), *_prices(before, after), *_facts(before, after))


def _spec(before: Plan, after: Plan) -> Iterator[Cause]:
    """Every value that was written otherwise. A plan of before does not hold them, and what it holds is partly derived: of it
    only that is told which a spec must say.
    """
    if before.written and after.written:
        old, new = ({each.path: each.value for each in plan.written} for plan in (before, after))
        for what in dict.fromkeys((*old, *new)):
            if old.get(what) != new.get(what):
                yield Cause(kind="spec", what=what, before=old.get(what), after=new.get(what))
        return
    yield from _other("demand", before, after, {"target": "target"})
    agents = [{agent.name: agent for agent in plan.served_agents} for plan in (before, after)]
    for name in dict.fromkeys((*agents[0], *agents[1])):
        if any(name not in side for side in agents):
            sides = ("there", None) if name in agents[0] else (None, "there")
            yield Cause(kind="demand", what=f"agent {name}", before=sides[0], after=sides[1])
            continue
        models = [_model_of(plan, side[name].deployment) for plan, side in zip((before, after), agents, strict=True)]
        if models[0] != models[1]:
            yield Cause(kind="demand", what=f"{name}.model", before=models[0], after=models[1])
    digests = [plan.provenance.spec_sha256[:12] for plan in (before, after)]
    if digests[0] != digests[1]:
        yield Cause(
            kind="demand",
            what="the spec, of which a plan of before keeps its digest alone",
            before=digests[0],
            after=digests[1],
        )


def _model_of(plan: Plan, deployment: str) -> str | None:
    return next((each.model for each in plan.workloads if each.agent == deployment), None)


def _prices(before: Plan, after: Plan) -> Iterator[Cause]:
    """Machines of both plans whose price is another; what your own ones cost is written, and told as that."""
    sides = [
        {
            (place_words(pool), item.instance_type, item.capacity_type): (item.usd_per_hour, item.price_date)
            for item in plan.cost.line_items
            for pool in plan.node_pools
            if pool.name == item.node_pool and not pool.owned
        }
        for plan in (before, after)
    ]
    old, new = sides
    for key in old:
        if key in new and old[key][0] != new[key][0]:
            where, machine, bought = key
            yield Cause(
                kind="price",
                what=f"USD an hour of {machine} ({where}, {bought})",
                before=f"{old[key][0]:,.4f} of {old[key][1] or 'no date'}",
                after=f"{new[key][0]:,.4f} of {new[key][1] or 'no date'}",
            )


def _facts(before: Plan, after: Plan) -> Iterator[Cause]:
    old, new = before.provenance, after.provenance
    yield from _other("catalog", old, new, {"catalog_version": "catalog"})
    yield from _other("tool", old, new, {"tool_version": "agentgpu", "solver": "solver"})


def _other(kind: _Kind, before: Document, after: Document, fields: Mapping[str, str]) -> Iterator[Cause]:
    """The fields that hold something else, each with what it is called."""
    for field, what in fields.items():
        was, becomes = (shown(getattr(side, field)) for side in (before, after))
        if was != becomes:
            yield Cause(kind=kind, what=what, before=was, after=becomes)


def chains_of(before: Plan, after: Plan, causes: tuple[Cause, ...]) -> tuple[Chain, ...]:
    """What followed for each deployment that is not as it was, the one whose cost moves most first."""
    deployments = dict.fromkeys((*(each.agent for each in before.workloads), *(each.agent for each in after.workloads)))
    found = []
    for name in deployments:
        terms = tuple(_terms(before, after, name))
        if terms:
            agents = {
                agent.name for plan in (before, after) for agent in plan.served_agents if agent.deployment == name
            }
            found.append(Chain(deployment=name, causes=tuple(_own(causes, {name, *agents})), terms=terms))
    return tuple(sorted(found, key=lambda chain: (not chain.causes, -len(chain.terms), chain.deployment)))


def _own(causes: tuple[Cause, ...], names: set[str]) -> Iterator[Cause]:
    """The causes that are about these agents."""
    for cause in causes:
        whose = cause.what.removeprefix("spec.agents")
        beginnings = {"spec": "[{}]", "demand": "{}."}.get(cause.kind)
        if beginnings is not None and any(
            whose == f"agent {name}" or whose.startswith(beginnings.format(name)) for name in names
        ):
            yield cause


def _terms(before: Plan, after: Plan, deployment: str) -> Iterator[Term]:
    old, new = ([each for each in plan.workloads if each.agent == deployment] for plan in (before, after))
    if not old or not new:
        sides = ("there", None) if old else (None, "there")
        yield Term(name="deployment", before=sides[0], after=sides[1])
        return
    for field in ("sessions_concurrent", "sessions_peak", *_CHOSEN):
        yield from _changed(camel(field), getattr(old[0], field), getattr(new[0], field))
    agents = {name for tier in (*old, *new) for name in tier.served}
    sums = [_ledger_of(plan, {each.name for each in tiers}) for plan, tiers in ((before, old), (after, new))]
    for key in dict.fromkeys((*sums[0], *sums[1])):
        was, becomes = sums[0].get(key), sums[1].get(key)
        if key[1] not in _ENDINGS and _moved(was, becomes):
            yield _sum(key, was, becomes, agents)
    for what, count in (("replicas that are always there", "min"), ("replicas at the peak", "max")):
        yield from _changed(what, *(sum(getattr(each.replicas, count) for each in side) for side in (old, new)))
    yield from _changed("nodes", *(_nodes(plan, side) for plan, side in ((before, old), (after, new))))
    for key in dict.fromkeys((*sums[0], *sums[1])):
        was, becomes = sums[0].get(key), sums[1].get(key)
        if key[1] in _ENDINGS and _moved(was, becomes):
            yield _sum(key, was, becomes, agents)


def _changed(name: str, was: object, becomes: object) -> Iterator[Term]:
    if was != becomes:
        yield Term(name=name, before=shown(was), after=shown(becomes))


def _nodes(plan: Plan, tiers: list[Workload]) -> str:
    pools = dict.fromkeys(each.node_pool for each in tiers)
    return ", ".join(
        f"{f'{pool.min} to {pool.max}' if pool.min != pool.max else pool.max} x {pool.instance_types[0]} "
        f"{ways_words(pool, ' or ')}{in_place_words(pool)}"
        for pool in plan.node_pools
        if pool.name in pools
    )


_Key = tuple[str, str, str]


def _ledger_of(plan: Plan, workloads: set[str]) -> Mapping[_Key, LedgerEntry]:
    return {(entry.section, entry.name, entry.workload): entry for entry in plan.ledger if entry.workload in workloads}


def _moved(was: LedgerEntry | None, becomes: LedgerEntry | None) -> bool:
    return was is None or becomes is None or (was.value, was.result) != (becomes.value, becomes.result)


def _sum(key: _Key, was: LedgerEntry | None, becomes: LedgerEntry | None, agents: Set[str]) -> Term:
    section, name, workload = key
    whose = section.rpartition(" of ")[2]
    of = f" of {whose}" if whose in agents else ""
    tier = " in the burst" if workload.endswith("-burst") else ""
    return Term(
        name=f"{name}{of}{tier}",
        before=None if was is None else was.result,
        after=None if becomes is None else becomes.result,
        sum_before="" if was is None else was.inputs,
        sum_after="" if becomes is None else becomes.inputs,
    )
