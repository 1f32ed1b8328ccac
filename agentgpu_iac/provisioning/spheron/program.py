"""The machines of a plan, on Spheron: for each node pool as many as are always warm, and of the burst as many as you ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import pulumi
from pulumi.runtime import is_config_secret

from agentgpu_iac.catalog.marketplace import MARKETPLACE
from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.plan import FrontPlan, HostPlan, NodePool, Plan, RenderedFile
from agentgpu_iac.plan.addresses import server_name
from agentgpu_iac.plan.machine_paths import (
    CERTIFICATE_FILE,
    CERTIFICATE_KEY_FILE,
    FIREWALL_FILE,
    SECRETS_FILE,
    cloud_init_path,
)
from agentgpu_iac.plan.packed_files import too_long
from agentgpu_iac.provisioning.cost_report import OUTPUT, report_cost
from agentgpu_iac.provisioning.faults import CONFIGURATION, PLAN, node_pool_faults, target_faults
from agentgpu_iac.provisioning.policy import policy_faults
from agentgpu_iac.provisioning.spheron.certificate import MachinesCertificate
from agentgpu_iac.provisioning.spheron.client import ADDRESS_FAULT, URL, CloudInit
from agentgpu_iac.provisioning.spheron.cloud_init import is_plain, read_cloud_init, secret_file, with_files, with_front
from agentgpu_iac.provisioning.spheron.front import MachinesBehind, Named, files_for
from agentgpu_iac.provisioning.spheron.machine import SpheronMachine
from agentgpu_iac.provisioning.spheron.machine_files import FilesError, MachineFiles, read_key
from agentgpu_iac.provisioning.spheron.proof import SSH_KEY_CONFIG, proving
from agentgpu_iac.provisioning.within import within
from agentgpu_iac.spec.addresses import keeps_secrets
from agentgpu_iac.units import counted

_EXCLUDES: Final = "taxes, and what Spheron may bill beside the machines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What belongs to one deployment and not to the agents: it comes from the Pulumi stack's configuration."""

    url: str = URL
    """``agentgpu:spheronUrl``: address of the API."""
    team_id: str | None = None
    """``agentgpu:spheronTeamId``: the team that pays. None: the key's current one."""
    ssh_key_id: str | None = None
    """``agentgpu:spheronSshKeyId``: an SSH key that Spheron has."""
    ssh_public_key: str | None = None
    """``agentgpu:sshPublicKey``: an SSH key of yours. One of the two is needed; the machine's firewall decides who may use it."""
    ssh_private_key: str | None = field(default=None, repr=False)
    """``agentgpu:sshPrivateKey``: the private part of that key. It brings machines their secrets, and word of each other."""
    burst_nodes: int = 0
    """``agentgpu:burstNodes``: machines of each burst pool that run now. Nothing here raises it by itself."""
    burst_machines: Mapping[str, int] = field(default_factory=dict)
    """``agentgpu:burstMachines``: the same by pool, where pools differ; ``agentgpu scale`` writes it."""
    burst_listed: Mapping[str, int] = field(default_factory=dict)
    """``agentgpu:burstListed``: those of them, from the first on, that the cluster is told of; the others are about to go."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """``agentgpu:secrets``: the value of each secret that the plan names."""
    in_clear: tuple[str, ...] = ()
    """Keys of the configuration that should be secrets and are not."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> Settings:
        """Read the settings of the selected Pulumi stack."""
        default = cls()
        secrets: Mapping[str, Any] = config.get_object("secrets") or {}
        hidden = {"secrets": secrets, **{key: config.get(key) for key in ("spheronApiKey", "sshPrivateKey")}}
        return cls(
            url=config.get("spheronUrl") or default.url,
            team_id=config.get("spheronTeamId") or None,
            ssh_key_id=config.get("spheronSshKeyId") or None,
            ssh_public_key=config.get("sshPublicKey") or None,
            ssh_private_key=config.get("sshPrivateKey") or None,
            burst_nodes=config.get_int("burstNodes") or 0,
            burst_machines=config.get_object("burstMachines") or {},
            burst_listed=config.get_object("burstListed") or {},
            secrets={str(name): str(value) for name, value in secrets.items()},
            in_clear=tuple(
                full for key, value in hidden.items() if value and not is_config_secret(full := config.full_key(key))
            ),
        )


def deploy(plan: Plan, files: tuple[RenderedFile, ...], settings: Settings | None = None) -> None:
    """Rent the plan's machines and export what its users need.

    Call it from inside a Pulumi program. ``files`` are the rendered files of the same plan. Raises BadInput, before
    anything is made, for a plan or settings that cannot be carried out.
    """
    settings = settings or Settings()
    check(plan, settings)
    for name, value in make(plan, files, settings).items():
        pulumi.export(name, value)


def check(plan: Plan, settings: Settings) -> None:
    """Raise BadInput for a plan or settings that cannot be carried out."""
    if faults := [
        *_foreign(plan),
        *setting_faults(plan, settings),
        *_unreachable(plan, settings),
        *policy_faults(plan),
    ]:
        raise BadInput(faults)


def make(
    plan: Plan, files: tuple[RenderedFile, ...], settings: Settings, parent: pulumi.Resource | None = None
) -> dict[str, Any]:
    """Rent the machines of a plan that was checked, and return what its users need."""
    inits = cloud_inits(plan, files)
    say_what_user_data_holds(plan.node_pools, plan, settings)
    cost = report_cost(plan, excludes=_EXCLUDES)
    front = _front(plan, settings)
    name = server_name(plan.stack)
    certificate = (
        MachinesCertificate(f"{plan.stack}-machines", name, within(parent))
        if any(host.tls for host in plan.hosts)
        else None
    )
    pools = [
        MachinePool(
            pool.name,
            MachinePoolArgs(
                pool=pool,
                host=host_of(plan, pool),
                cloud_init=inits[pool.name],
                settings=settings,
                first_is_front=front is not None and front.node_pool == pool.name,
                certificate=certificate,
            ),
            within(parent),
        )
        for pool in plan.node_pools
    ]
    machines = [machine for pool in pools for machine in pool.machines]
    if front is not None and certificate is not None:
        first = next(machine for machine in machines if machine.is_front)
        others = [machine.named for machine in machines if not machine.is_front]
        MachinesBehind(front, first.named, others, certificate, within(parent))
    outputs = _outputs(machines, plan.front)
    if certificate is not None:
        outputs["certificate"] = certificate.certificate
        outputs["checkCommands"] = outputs["agentUrls"].apply(_check_commands(name))
    return {**outputs, OUTPUT: cost}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePoolArgs:
    """What a pool of machines needs to know."""

    pool: NodePool
    host: HostPlan
    cloud_init: CloudInit
    settings: Settings
    first_is_front: bool = False
    certificate: MachinesCertificate | None = None
    """What the machines show to callers and to each other. None: they speak to nobody but themselves."""
    front_address: pulumi.Input[str] | None = None
    """Who is in front of them, where that is known before they are made: the way out of a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledMachine:
    """A machine with what the plan says of it."""

    pool: NodePool
    host: HostPlan
    name: str
    is_front: bool
    resource: SpheronMachine
    secrets: MachineFiles | None
    """What was brought to it by SSH. None: it was made with its secrets."""

    @property
    def named(self) -> Named:
        """As the front machine's plan calls it."""
        host_key = None if self.secrets is None else self.secrets.hostKey
        return Named(name=self.name, resource=self.resource, host_key=host_key)


class MachinePool(pulumi.ComponentResource):
    """Machines that are all alike, so that any of them may be taken away and made again."""

    machines: tuple[PooledMachine, ...]

    def __init__(self, name: str, args: MachinePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:spheron:MachinePool", name, None, opts)
        self.machines = tuple(
            self._machine(f"{name}-{index}", index, args) for index in range(machine_count(args.pool, args.settings))
        )
        self.register_outputs({})

    def _machine(self, name: str, index: int, args: MachinePoolArgs) -> PooledMachine:
        secret, later = _secret_files(args), comes_later(args.host, args.settings)
        if later:
            content = pulumi.Output.from_input(args.front_address).apply(
                lambda address: _json(with_front(proving(args.cloud_init), address))
            )
        else:
            content = pulumi.Output.all(secret, args.front_address).apply(
                lambda known: _json(with_front(with_files(args.cloud_init, known[0]), known[1]))
            )
        child = pulumi.ResourceOptions(parent=self)
        wanted = {**_wanted(args.pool, args.settings), "index": index, "cloudInit": content}
        resource = SpheronMachine(name, wanted, child)
        return PooledMachine(
            pool=args.pool,
            host=args.host,
            name=name,
            is_front=args.first_is_front and index == 0,
            resource=resource,
            secrets=MachineFiles(f"{name}-secrets", files_for(resource, secret, "secrets"), child) if later else None,
        )


def _secret_files(args: MachinePoolArgs) -> pulumi.Output[dict[str, str]]:
    """What a machine needs to serve, and nobody else may know."""
    values = {secret.variable: args.settings.secrets[secret.secret] for secret in args.host.secrets}
    its_own = {SECRETS_FILE: secret_file(values)}
    certificate = args.certificate
    if certificate is None:
        return pulumi.Output.secret(its_own)
    return pulumi.Output.secret(
        pulumi.Output.all(certificate.certificate, certificate.privateKey).apply(
            lambda known: {CERTIFICATE_FILE: known[0], CERTIFICATE_KEY_FILE: known[1], **its_own}
        )
    )


def comes_later(host: HostPlan, settings: Settings) -> bool:
    """Whether secrets are brought to a machine by SSH when it runs, and its user data holds none."""
    return bool(host.admin_ranges and settings.ssh_private_key)


def say_what_user_data_holds(pools: Sequence[NodePool], plan: Plan, settings: Settings) -> None:
    """Warn, once, where machines are made with their secrets, since nobody can bring these by SSH."""
    made = [host_of(plan, pool) for pool in pools if machine_count(pool, settings)]
    if all(comes_later(host, settings) for host in made):
        return
    missing = [] if settings.ssh_private_key else [f"pulumi config set --secret {SSH_KEY_CONFIG}"]
    if not all(host.admin_ranges for host in made):
        missing.append("name the address that Pulumi runs at in spec.hosts.adminRanges")
    pulumi.log.warn(
        "machines get callers' key, model token and the key of their certificate with their user data, which Spheron and any "
        f"program on them can read. To have them brought by SSH: {'; '.join(missing)} (docs/deploy-spheron.md)"
    )


def _json(cloud_init: CloudInit) -> str:
    return cloud_init.model_dump_json(by_alias=True, exclude_none=True)


def _front(plan: Plan, settings: Settings) -> FrontPlan | None:
    """The machine in front, where there now is another one beside it."""
    running = sum(machine_count(pool, settings) for pool in plan.node_pools)
    return plan.front if running > 1 else None


def _wanted(pool: NodePool, settings: Settings) -> dict[str, Any]:
    assert pool.market is not None  # noqa: S101 - _foreign refuses a plan without
    return {
        "url": settings.url,
        "owner": f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}",
        "pool": pool.name,
        "acceleratorsPerNode": pool.accelerators_per_node,
        "market": pool.market.model_dump_json(by_alias=True),
        "teamId": settings.team_id,
        "sshKeyId": settings.ssh_key_id,
        "sshPublicKey": settings.ssh_public_key,
    }


def machine_count(pool: NodePool, settings: Settings) -> int:
    """Machines of a pool that run now."""
    asked = settings.burst_machines.get(pool.name, settings.burst_nodes)
    return pool.min if pool.tier == "baseline" else max(pool.min, min(asked, pool.max))


def cloud_inits(
    plan: Plan, files: Sequence[RenderedFile], pools: Sequence[NodePool] | None = None
) -> dict[str, CloudInit]:
    """The rendered cloud-init of each pool, or of each of some.

    Raises BadInput where one is missing, cannot be sent, or closes no port.
    """
    contents = {file.path: file.content for file in files}
    found: dict[str, CloudInit] = {}
    faults: list[Fault] = []
    for pool in plan.node_pools if pools is None else pools:
        path = cloud_init_path(pool.name)
        if path not in contents:
            faults.append(
                Fault(source=path, message="was not rendered, so the pool's machines could not set themselves up")
            )
            continue
        try:
            found[pool.name] = read_cloud_init(contents[path], path)
        except BadInput as refusal:
            faults.extend(refusal.faults)
            continue
        if (sentence := too_long(path, len(contents[path]))) is not None:
            pulumi.log.warn(sentence)
        if not any(file.path == FIREWALL_FILE for file in found[pool.name].write_files):
            message = f"writes no {FIREWALL_FILE}: machines on Spheron have all their ports open to everybody"
            faults.append(Fault(source=path, message=message))
    if faults:
        raise BadInput(faults)
    return found


def host_of(plan: Plan, pool: NodePool) -> HostPlan:
    """What each machine of a pool runs."""
    return next(host for host in plan.hosts if host.node_pool == pool.name)


def _foreign(plan: Plan) -> Iterator[Fault]:
    """What belongs to another target or provider, or cannot be bought here."""
    yield from target_faults(plan, "spheron", "Spheron")
    yield from node_pool_faults(plan)
    for pool in plan.node_pools:
        at = f"nodePools.{pool.name}"
        if pool.provider != MARKETPLACE:
            message = f"the Pulumi program for Spheron cannot rent machines of {pool.provider!r}"
            yield Fault(source=PLAN, path=f"{at}.provider", message=message, hint="set spec.providers to [spheron]")
        elif pool.market is None or not pool.market.ways:
            message = f"Spheron sells nothing as {' or '.join(pool.capacity_types)}"
            yield Fault(source=PLAN, path=f"{at}.capacityTypes", message=message)
        if pool.nodes_per_replica > 1:
            message = f"a replica takes {counted(pool.nodes_per_replica, 'machine')}, which do not know each other here"
            yield Fault(source=PLAN, path=f"{at}.nodesPerReplica", message=message)
        if all(host.node_pool != pool.name for host in plan.hosts):
            yield Fault(source=PLAN, path="hosts", message=f"the plan does not say what machines of {pool.name} run")
    if plan.security.api_key_secret is None:
        message = "callers are asked for no key, and machines on Spheron have public addresses"
        yield Fault(source=PLAN, path="security.apiKeySecret", message=message, hint="set spec.security.apiKeySecret")


def setting_faults(plan: Plan, settings: Settings) -> Iterator[Fault]:
    """Settings that are missing or wrong."""
    if not keeps_secrets(settings.url):
        yield ADDRESS_FAULT
    for key in settings.in_clear:
        yield Fault(
            source=CONFIGURATION,
            path=key,
            message="stands in clear in the Pulumi stack's configuration",
            hint=f"pulumi config set --secret {key}, and take the old value out of your history",
        )
    for secret in sorted({(secret.secret, secret.purpose) for host in plan.hosts for secret in host.secrets}):
        name, purpose = secret
        value = settings.secrets.get(name)
        if not value:
            yield Fault(
                source=CONFIGURATION,
                path=f"agentgpu:secrets.{name}",
                message=f"is missing; it {purpose}",
                hint=f"pulumi config set --secret --path 'agentgpu:secrets.{name}'",
            )
        elif not is_plain(value):
            yield Fault(
                source=CONFIGURATION,
                path=f"agentgpu:secrets.{name}",
                message="holds a quote, a backslash, or what is no printable ASCII",
            )
    if settings.ssh_private_key is not None:
        try:
            read_key(settings.ssh_private_key)
        except FilesError as error:
            yield Fault(source=CONFIGURATION, path=SSH_KEY_CONFIG, message=str(error))
    if (settings.ssh_key_id is None) == (settings.ssh_public_key is None):
        yield Fault(
            source=CONFIGURATION,
            path="agentgpu:sshPublicKey",
            message="Spheron gives every machine exactly one SSH key",
            hint="set agentgpu:sshPublicKey or agentgpu:spheronSshKeyId; hosts.adminRanges says from where it may be used",
        )
    yield from count_faults(plan, settings)


def count_faults(plan: Plan, settings: Settings) -> Iterator[Fault]:
    """Numbers of machines that mean nothing."""
    if settings.burst_nodes < 0:
        yield Fault(source=CONFIGURATION, path="agentgpu:burstNodes", message="must not be negative")
    bursts = [pool.name for pool in plan.node_pools if pool.tier == "burst"]
    for at, name, count in (
        *((f"agentgpu:burstMachines.{name}", name, count) for name, count in settings.burst_machines.items()),
        *((f"agentgpu:burstListed.{name}", name, count) for name, count in settings.burst_listed.items()),
    ):
        if name not in bursts:
            hint = did_you_mean(name, bursts) or f"bursts are on {' and '.join(bursts) or 'no pool'}"
            yield Fault(source=CONFIGURATION, path=at, message="is no pool that a burst is on", hint=hint)
        elif not isinstance(count, int) or count < 0:
            yield Fault(source=CONFIGURATION, path=at, message="must be a number of machines, 0 or more")


def _unreachable(plan: Plan, settings: Settings) -> Iterator[Fault]:
    """What keeps machines from being told of each other, where they must be."""
    if _front(plan, settings) is None:
        return
    if not any(host.admin_ranges for host in plan.hosts):
        yield Fault(
            source=PLAN,
            path="hosts.adminRanges",
            message="nobody may log in, and several machines behind one NGINX are told of each other by SSH",
            hint="name the address that Pulumi runs at in spec.hosts.adminRanges",
        )
    if settings.ssh_private_key is None:
        yield Fault(
            source=CONFIGURATION,
            path=SSH_KEY_CONFIG,
            message="is missing; by it several machines behind one NGINX are told of each other",
            hint=f"pulumi config set --secret {SSH_KEY_CONFIG} < the private part of agentgpu:sshPublicKey",
        )


def _outputs(machines: Sequence[PooledMachine], front: FrontPlan | None) -> dict[str, pulumi.Output[Any]]:
    """What ``pulumi stack output`` shows."""
    seen = pulumi.Output.all(*(seen_of(machine) for machine in machines)).apply(all_running)
    return {
        "machines": seen,
        "agentUrls": seen.apply(_agent_urls if front is None else _urls_at(front)),
        "usdPerHour": seen.apply(_usd_per_hour),
    }


def seen_of(machine: PooledMachine) -> pulumi.Output[dict[str, Any]]:
    """What a machine is, as outputs show it."""
    resource, pool, host = machine.resource, machine.pool, machine.host
    scheme = "https" if host.tls else "http"
    ports = {route.agent: route.port for route in host.routes if route.port is not None}
    planned = pool.usd_per_hour

    def described(values: Mapping[str, Any]) -> dict[str, Any]:
        address = values["ipAddress"]
        return {
            **{key: value for key, value in values.items() if value},
            "pool": pool.name,
            "plannedUsdPerHour": str(planned),
            "urls": {agent: f"{scheme}://{address}:{port}/v1" for agent, port in ports.items()} if address else {},
        }

    return pulumi.Output.all(
        name=resource.machineName,
        accelerator=resource.accelerator,
        boughtAs=resource.instanceType,
        region=resource.region,
        ipAddress=resource.ipAddress,
        status=resource.status,
        usdPerHour=resource.usdPerHour,
        ssh=resource.sshCommand,
    ).apply(described)


def all_running(machines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same machines. An up whose machines do not all run has failed, and says which."""
    waiting = [
        f"{machine.get('name')} is {machine.get('status')}" for machine in machines if not machine.get("ipAddress")
    ]
    if waiting:
        raise pulumi.RunError(f"{'; '.join(waiting)}: it costs money already. Run pulumi up again to wait on for it")
    return machines


def _agent_urls(machines: list[dict[str, Any]]) -> dict[str, list[str]]:
    urls: dict[str, list[str]] = {}
    for machine in machines:
        for agent, url in machine["urls"].items():
            urls.setdefault(agent, []).append(url)
    return urls


def _urls_at(front: FrontPlan) -> Callable[[list[dict[str, Any]]], dict[str, list[str]]]:
    """The front machine is the first of the first baseline pool, and so the first of all that are of its pool."""

    def urls(machines: list[dict[str, Any]]) -> dict[str, list[str]]:
        address = next(machine["ipAddress"] for machine in machines if machine["pool"] == front.node_pool)
        return {route.agent: [f"https://{address}:{route.port}/v1"] for route in front.routes}

    return urls


def _check_commands(name: str) -> Callable[[dict[str, list[str]]], dict[str, list[str]]]:
    """How to check that an engine answers: the certificate holds a name, the machine has an address."""

    def commands(urls: dict[str, list[str]]) -> dict[str, list[str]]:
        return {agent: [_check_command(url, name) for url in found] for agent, found in urls.items()}

    return commands


def _check_command(url: str, name: str) -> str:
    address, port = urlsplit(url).netloc.rsplit(":", 1)
    return (
        f"curl --cacert agentgpu.pem --resolve {name}:{port}:{address} https://{name}:{port}/v1/models "
        '-H "Authorization: Bearer $KEY"'
    )


def _usd_per_hour(machines: list[dict[str, Any]]) -> dict[str, str]:
    planned = sum((Decimal(machine["plannedUsdPerHour"]) for machine in machines), Decimal(0))
    paid = sum((Decimal(machine.get("usdPerHour") or 0) for machine in machines), Decimal(0))
    return {"planned": str(planned.normalize()), "paid": str(paid.normalize())}
