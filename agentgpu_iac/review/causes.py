"""Why two plans differ: what was changed, and for each deployment what followed, term by term, down to the money.

Nothing is computed anew: demand stands in the plan, terms in its ledger, nodes and prices in its pools and line items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Final, Literal

from agentgpu_iac.plan import LedgerEntry, Plan, Workload
from agentgpu_iac.review.comparing import shown
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.yaml_tree import MapNode, Node, ScalarNode, spelled

_Kind = Literal["spec", "demand", "price", "catalog", "tool"]


class Cause(Document):
    """Something that is not the same and that no plan decides: it was asked otherwise, or a fact is another."""

    kind: _Kind
    """spec: a field of the file. demand: the same, as the plan tells it. price: of a machine. catalog: the facts that the
    plans rest on. tool: another version of agentgpu or its solver."""
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


_DEMAND: Final = (
    "sessions_concurrent",
    "sessions_peak",
    "requests_per_session",
    "context_tokens",
    "latency_class",
    "budget_ttft_ms",
    "budget_tpot_ms",
    "budget_e2e_ms",
)
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


def spec_causes(before: Node, after: Node) -> tuple[Cause, ...]:
    """Every value in which two files of agent stacks differ; agents are matched by their names."""
    old, new = dict(_values(before, "")), dict(_values(after, ""))
    return tuple(
        Cause(kind="spec", what=what, before=old.get(what), after=new.get(what))
        for what in dict.fromkeys((*old, *new))
        if old.get(what) != new.get(what)
    )


def _values(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ScalarNode):
        yield path, shown(node.value)
    elif isinstance(node, MapNode):
        for key, value in node.entries.items():
            step = spelled((key,))
            yield from _values(
                value, step if not path else f"{path}{step}" if step.startswith("[") else f"{path}.{step}"
            )
        if not node.entries:
            yield path, "{}"
    else:
        names = [_name_of(item) for item in node.items]
        by_name = None not in names and len({*names}) == len(names)
        for index, item in enumerate(node.items):
            yield from _values(item, f"{path}[{names[index] if by_name else index}]")
        if not node.items:
            yield path, "[]"


def _name_of(node: Node) -> str | None:
    name = node.entries.get("name") if isinstance(node, MapNode) else None
    return str(name.value) if isinstance(name, ScalarNode) else None


def causes_of(before: Plan, after: Plan, asked: tuple[Cause, ...] | None) -> tuple[Cause, ...]:
    """What is not the same about that what two plans were made from."""
    return (
        *(_demand(before, after) if asked is None else asked),
        *_prices(before, after),
        *_facts(before, after),
    )


def _demand(before: Plan, after: Plan) -> Iterator[Cause]:
    yield from _other("demand", before, after, {"target": "target"})
    old = {agent.name: agent for agent in before.served_agents}
    new = {agent.name: agent for agent in after.served_agents}
    for name in dict.fromkeys((*old, *new)):
        if name not in old or name not in new:
            sides = ("there", None) if name in old else (None, "there")
            yield Cause(kind="demand", what=f"agent {name}", before=sides[0], after=sides[1])
            continue
        yield from _other("demand", old[name], new[name], {field: f"{name}.{camel(field)}" for field in _DEMAND})
        models = _model_of(before, old[name].deployment), _model_of(after, new[name].deployment)
        if models[0] != models[1]:
            yield Cause(kind="demand", what=f"{name}.model", before=models[0], after=models[1])


def _model_of(plan: Plan, deployment: str) -> str | None:
    return next((each.model for each in plan.workloads if each.agent == deployment), None)


def _prices(before: Plan, after: Plan) -> Iterator[Cause]:
    """Machines of both plans whose price is another."""
    sides = [
        {
            (pool.provider, item.instance_type, pool.region, item.capacity_type): (item.usd_per_hour, item.price_date)
            for item in plan.cost.line_items
            for pool in plan.node_pools
            if pool.name == item.node_pool
        }
        for plan in (before, after)
    ]
    old, new = sides
    for key in old:
        if key in new and old[key][0] != new[key][0]:
            provider, machine, region, bought = key
            yield Cause(
                kind="price",
                what=f"USD an hour of {machine} ({provider}, {region}, {bought})",
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
        f"{pool.min} to {pool.max} x {pool.instance_types[0]} ({' or '.join(pool.capacity_types)}, {pool.region})"
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
