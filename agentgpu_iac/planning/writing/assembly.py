"""The plan, assembled from what was chosen. Nothing is decided here that changes what is bought or how much of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac import __version__
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import (
    PLAN_VERSION,
    ClusterObjectsPlan,
    Plan,
    PolicyPlan,
    Provenance,
    Rejection,
    Written,
    tiers_by_agent,
)
from agentgpu_iac.plan.addresses import agent_url, loopback_url
from agentgpu_iac.plan.names import clashes
from agentgpu_iac.planning import advice, priorities
from agentgpu_iac.planning.choosing import caching
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.on_offer import offers
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.solver import solver_version
from agentgpu_iac.planning.covering import commitment_costs
from agentgpu_iac.planning.deployments import Deployment
from agentgpu_iac.planning.finishing import account, gitops, quota, sky
from agentgpu_iac.planning.finishing.front import front_plan, joined_plan
from agentgpu_iac.planning.finishing.machine_scaling import machine_scaling_plan
from agentgpu_iac.planning.finishing.market import market_plan
from agentgpu_iac.planning.finishing.system_nodes import existing_cluster, system_nodes
from agentgpu_iac.planning.pools import homes, leaving_pool, node_pool_plan
from agentgpu_iac.planning.running import machines, scaling, security, watching
from agentgpu_iac.planning.running.open_hours import by_the_clock
from agentgpu_iac.planning.running.proxying import has_proxy, proxy_plan
from agentgpu_iac.planning.running.routing import router_plan
from agentgpu_iac.planning.running.served import agent_plans
from agentgpu_iac.planning.running.workloads import workload_plan
from agentgpu_iac.planning.settling import Settled
from agentgpu_iac.planning.writing import overrides
from agentgpu_iac.planning.writing.assumptions import assumptions
from agentgpu_iac.planning.writing.beside import with_beside
from agentgpu_iac.planning.writing.calling import beyond_normal, call_costs, endpoint_costs, usd_per_million_tokens
from agentgpu_iac.planning.writing.costs import (
    by_agent,
    cost,
    other_accelerators,
    second_replicas,
    with_dearest,
    with_less_reserve,
)
from agentgpu_iac.planning.writing.drivers import drivers
from agentgpu_iac.planning.writing.ledger.entries import entries, proxy_entries
from agentgpu_iac.planning.writing.refused_prices import with_prices
from agentgpu_iac.planning.writing.sharing import sharing
from agentgpu_iac.planning.writing.start_choices import start_choices, start_targets
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.written import written
from agentgpu_iac.targets import target_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What the planner decided."""

    settled: Settled
    rejections: tuple[Rejection, ...]
    terms: Terms
    """By which the stack's cost is told, whatever it was chosen for."""
    less_reserve: Mapping[int, Sequence[Option]]
    """For each deployment that was chosen, by its position, what would serve it where the memory's reserve alone turned it
    away."""
    considered: Sequence[Deployment]
    """The deployments among which was chosen."""
    second_replicas: Mapping[int, Settled]
    """For each user-facing deployment that would lack a replica in a rollout, by its position, what would be chosen with another
    one warm."""


def assemble(loaded: LoadedStack, spec: StackSpec, catalog: Catalog, decided: Decisions) -> Plan:
    """Write the plan down: pools, workloads, cost, overrides, warnings, headline."""
    name = loaded.stack.metadata.name
    settled = decided.settled
    placed, pools = settled.placed, settled.pools
    on_offer = offers(spec, catalog).machines
    pools_by_name = {
        pool.name: node_pool_plan(pool, spec, on_offer, market_plan(pool, spec, settled.options)) for pool in pools
    }
    its_pools = homes(pools)
    workloads = tuple(
        workload_plan(
            pool.part(member.position),
            pool,
            pools_by_name[pool.name],
            caching.among_others(
                pool.part(member.position).candidate,
                settled.starts[member.position, pool.name],
                pools_by_name[pool.name].filler,
            ),
            spec,
            catalog,
        )
        for member in placed
        for pool in its_pools[member.position]
    )
    workloads = by_the_clock(workloads, {member.candidate.demand.name: member for member in placed}, spec)
    beside = {pool.name: pool.max for pool in pools_by_name.values() if pool.beside_cluster}
    workloads = scaling.scaled(workloads, name, spec, frozenset(beside))
    pools_by_name = {
        name: leaving_pool(pool, [workload for workload in workloads if workload.node_pool == name])
        for name, pool in pools_by_name.items()
    }
    node_pools = tuple(pools_by_name.values())
    tiers = tiers_by_agent(workloads)
    second = second_replicas(settled, decided.second_replicas, decided.terms, spec)
    others = other_accelerators(placed, settled.options, its_pools, decided.terms)
    less = with_less_reserve(placed, decided.less_reserve, its_pools, decided.terms)
    total = with_dearest(
        cost(
            pools,
            (*others, *less, *second),
            decided.terms.burst_hours,
            settled.placement.gap_ratio,
            day=catalog.day,
            max_price_age_days=spec.capacity.max_price_age_days,
            commitments=commitment_costs(pools, settled.placement, decided.terms, on_offer),
        ),
        node_pools,
    )
    shares = by_agent(placed, its_pools, decided.terms)
    beyond = beyond_normal(placed, its_pools, decided.terms)
    calls = call_costs(placed, tiers, shares, beyond, catalog.token_prices)
    endpoints = endpoint_costs(placed, settled.options, its_pools, decided.terms, catalog.endpoint_prices)
    order = [agent.name for agent in spec.agents]
    agents = agent_plans(placed, tiers, order)
    on_machines = target_of(spec).can.runs_machines
    passes = 2 if on_machines and has_proxy(spec) else 1
    router = router_plan(spec, catalog, workloads, agents, beside, passes)
    inside = tuple(workload for workload in workloads if workload.node_pool not in beside)
    nodes = tuple(pool for pool in node_pools if not pool.beside_cluster)
    proxy = proxy_plan(
        spec,
        catalog,
        tiers,
        agents,
        router,
        {
            agent.name: loopback_url(router, agent.name)
            if on_machines
            else agent_url(name, agent.name, tiers[agent.deployment][0].port, router)
            for agent in agents
        },
        usd_per_million_tokens(placed, shares),
        machines=sum(pool.max for pool in node_pools) if on_machines else None,
    )
    hosts = machines.host_plans(spec, catalog, workloads, node_pools, router, agents, proxy)
    following = machine_scaling_plan(spec, name, workloads, node_pools, hosts)
    servants = quota.Servants(router=router, proxy=proxy, scaler=None if following is None else following.scaler)
    system = system_nodes(loaded, spec, catalog, inside, nodes, servants)
    total = with_beside(total, spec, catalog, node_pools, system, decided.terms.burst_hours).model_copy(
        update={"by_agent": shares, "calls": calls, "endpoints": endpoints}
    )
    sky_services = sky.services(placed, settled.options, tiers, spec, catalog, name)
    context = advice.Context(
        spec=spec,
        catalog=catalog,
        stack=name,
        candidates=tuple(member.candidate for member in placed),
        tiers=tiers,
        pools=pools_by_name,
        router=router,
        proxy=proxy,
        agents=agents,
        routed=router.deployments if router is not None else frozenset(),
        cost=total,
        second_replicas={alternative.agent: alternative for alternative in second if alternative.agent is not None},
        groups_complete=settled.placement.groups_complete,
        sky_services=sky_services,
    )
    quotas = account.needs(node_pools, catalog)
    by_hand = tuple(
        override
        for candidate in context.candidates
        for override in overrides.of(candidate, tiers[candidate.demand.name][0])
    )
    facts = advice.facts(context)
    made = Plan(
        api_version=PLAN_VERSION,
        stack=name,
        target=spec.target,
        pattern=advice.pattern(context),
        architecture=advice.architecture(context),
        headline=" ".join(facts),
        facts=facts,
        workloads=workloads,
        agents=agents,
        sharing=sharing(decided.considered, settled, decided.terms, order),
        node_pools=node_pools,
        system_nodes=system,
        existing_cluster=existing_cluster(spec, catalog, inside, nodes, servants),
        priority_classes=priorities.classes(inside) if spec.cluster_objects.priority_classes else (),
        cluster_objects=ClusterObjectsPlan(
            disruption_budgets=spec.cluster_objects.disruption_budgets, helm_values=spec.cluster_objects.helm_values
        ),
        security=security.plan(spec),
        quota=quota.plan(inside, nodes, servants)
        if spec.security.resource_quota and target_of(spec).can.has_cluster
        else None,
        vcpu_quotas=quotas,
        gitops=gitops.plan(spec, inside, nodes),
        router=router,
        proxy=proxy,
        policy=PolicyPlan(
            allow_unpriced=spec.policy.allow_unpriced, budget_usd_per_month=spec.capacity.budget_usd_per_month
        ),
        hosts=hosts,
        front=front_plan(spec, name, workloads, node_pools, hosts, router),
        joined=joined_plan(
            name,
            workloads,
            node_pools,
            hosts,
            router,
            following,
        ),
        sky_services=sky_services,
        cost=total,
        drivers=drivers(placed, settled.options, shares, decided.rejections, on_offer, decided.terms, spec),
        start_choices=start_choices(placed, its_pools, spec, catalog, decided.terms),
        start_targets=start_targets(placed, spec, decided.terms),
        overrides=by_hand,
        rejections=tuple(
            sorted(
                (*with_prices(decided.rejections, placed, on_offer), *advice.purchase_rejections(context)),
                key=lambda rejection: (rejection.agent, rejection.accelerator, rejection.constraint),
            )
        ),
        warnings=advice.warnings(context),
        watching=watching.watching_plan(spec, inside, nodes, router),
        ledger=(
            *entries(placed, tiers, total, by_hand, pools_by_name, quotas, beyond),
            *proxy_entries(proxy, agents, tiers),
        ),
        assumptions=assumptions(loaded.stack.spec, spec),
        written=tuple(Written(path=path, value=value) for path, value in written(loaded.tree.root)),
        provenance=Provenance(
            spec_sha256=loaded.sha256,
            catalog_version=catalog.version,
            tool_version=__version__,
            solver=solver_version(),
        ),
    )
    _refuse_clashes(made, loaded)
    return made


def _refuse_clashes(made: Plan, loaded: LoadedStack) -> None:
    """No two things of the plan bear one name, whatever its target keeps by names."""
    positions = {agent.name: position for position, agent in enumerate(loaded.stack.spec.agents)}
    positions |= {workload.agent: positions[workload.served[0]] for workload in made.workloads}
    faults = [
        loaded.fault(
            "metadata.name" if clash.agent is None else f"spec.agents[{positions[clash.agent]}].name",
            clash.message,
            "rename an agent",
        )
        for clash in clashes(made)
    ]
    if faults:
        raise BadInput(faults)
