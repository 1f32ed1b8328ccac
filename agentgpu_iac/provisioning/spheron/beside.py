"""Machines of another provider that carry the stack's bursts: rented, let in, and made known to the cluster's NGINX.

They come and go by a setting, which a ``pulumi up`` carries out: ``agentgpu:burstNodes``, or ``agentgpu:burstMachines`` by pool,
which ``agentgpu scale`` writes as the load wants it. What the cluster learns is a ConfigMap: the address of every machine that
runs, and the certificate that all of them show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from agentgpu_iac.catalog.marketplace import MARKETPLACE
from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import JoinedPlan, NodePool, Plan
from agentgpu_iac.provisioning.faults import CONFIGURATION, PLAN
from agentgpu_iac.provisioning.spheron.certificate import MachinesCertificate
from agentgpu_iac.provisioning.spheron.client import CloudInit
from agentgpu_iac.provisioning.spheron.program import (
    MachinePool,
    MachinePoolArgs,
    PooledMachine,
    Settings,
    all_running,
    count_faults,
    host_of,
    machine_count,
    say_what_user_data_holds,
    seen_of,
    setting_faults,
)

WAY_OUT_KEY = "agentgpu:wayOut"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesBesideArgs:
    """What machines beside the cluster need to know."""

    plan: Plan
    joined: JoinedPlan
    cloud_inits: Mapping[str, CloudInit]
    """By pool."""
    settings: Settings
    cluster: kubernetes.Provider
    """By which the cluster is reached."""
    after: tuple[pulumi.Resource, ...]
    """What makes the namespace, where this program does."""
    way_out: pulumi.Input[str] | None
    """The address by which the cluster's NGINX comes to them. None: ``hosts.callerRanges`` says who may come."""


class MachinesBeside(pulumi.ComponentResource):
    """The machines that run now, and the ConfigMap that tells the cluster's NGINX of them."""

    seen: pulumi.Output[list[dict[str, Any]]]
    """Each machine, as outputs show it."""
    certificate: pulumi.Output[str]
    """What all of them show."""

    def __init__(self, name: str, args: MachinesBesideArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:MachinesBeside", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        say_what_user_data_holds(pools_beside(args.plan), args.plan, args.settings)
        certificate = MachinesCertificate(f"{name}-machines", args.joined.server_name, child)
        pools = [
            MachinePool(
                pool.name,
                MachinePoolArgs(
                    pool=pool,
                    host=host_of(args.plan, pool),
                    cloud_init=args.cloud_inits[pool.name],
                    settings=args.settings,
                    certificate=certificate,
                    front_address=args.way_out,
                ),
                child,
            )
            for pool in pools_beside(args.plan)
        ]
        machines = [machine for pool in pools for machine in pool.machines]
        told = [
            machine
            for pool in pools
            for index, machine in enumerate(pool.machines)
            if index < args.settings.burst_listed.get(machine.pool.name, len(pool.machines))
        ]
        kubernetes.core.v1.ConfigMap(
            f"{name}-machines",
            metadata={"name": args.joined.config_map, "namespace": args.plan.stack},
            data={"machines": _listed(told), "tls.crt": certificate.certificate},
            opts=pulumi.ResourceOptions(parent=self, provider=args.cluster, depends_on=list(args.after)),
        )
        self.certificate = certificate.certificate
        self.seen = pulumi.Output.all(*(seen_of(machine) for machine in machines)).apply(all_running)
        self.register_outputs({})


def _listed(machines: Sequence[PooledMachine]) -> pulumi.Output[str]:
    """A line for each machine that has an address: NGINX passes over one that does not serve yet."""
    known = [
        pulumi.Output.all(machine.name, machine.resource.ipAddress).apply(
            lambda found: f"{found[0]} {found[1]}\n" if found[1] else ""
        )
        for machine in machines
    ]
    return pulumi.Output.all(*known).apply("".join)


def pools_beside(plan: Plan) -> tuple[NodePool, ...]:
    """The pools of machines beside the cluster."""
    return tuple(pool for pool in plan.node_pools if pool.beside_cluster)


def beside_faults(plan: Plan, settings: Settings, *, has_network: bool, way_out: str | None) -> Iterator[Fault]:
    """What keeps such machines from being rented, or the cluster from reaching them; nothing while none is asked for."""
    beside = pools_beside(plan)
    for pool in beside:
        if pool.provider != MARKETPLACE or pool.market is None or not pool.market.ways:
            yield Fault(
                source=PLAN,
                path=f"nodePools.{pool.name}",
                message=f"nothing here rents machines of {pool.provider} as {' or '.join(pool.capacity_types)}",
            )
    if not beside or not any(machine_count(pool, settings) for pool in beside):
        yield from count_faults(plan, settings)
        return
    yield from setting_faults(plan, settings)
    if has_network and way_out is None and not any(host.caller_ranges for host in plan.hosts):
        yield Fault(
            source=CONFIGURATION,
            path=WAY_OUT_KEY,
            message="is missing: machines beside the cluster let nobody in whom they do not know, and the network is yours",
            hint=f"pulumi config set {WAY_OUT_KEY} ADDRESS, the public address of its NAT gateway; of several, name them in "
            "spec.hosts.callerRanges",
        )
