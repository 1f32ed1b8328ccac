"""A user's own rows: private accelerators, machines, models, and the prices that the user really pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentgpu_iac.catalog.join import NoAcceleratorError, accelerator_of
from agentgpu_iac.catalog.model import (
    Accelerator,
    Calibration,
    Charge,
    ClusterPod,
    EndpointPrice,
    EngineHostMemory,
    EngineLimit,
    EngineParsers,
    EngineRelease,
    Gate,
    GpuAlias,
    InstanceType,
    KubernetesRelease,
    ModelFacts,
    Price,
    Provider,
    RouterRelease,
    ServiceRelease,
    SkyPilotName,
    SystemMachine,
    Thinking,
    TokenPrice,
    VcpuQuota,
    VolumeType,
)
from agentgpu_iac.catalog.packaged import Rows, digest
from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.inputs import MIB, read_file, source_of, text_of
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.faults import document_faults
from agentgpu_iac.spec.yaml_tree import Data, Steps, Tree, compose, data_of, spelled

MOST_BYTES: Final = 16 * MIB
"""The largest overlay that is read: 200,000 values, the most that it may hold, take a quarter of that."""

Row = TypeVar("Row", bound=Document)


class CatalogOverlay(Document):
    """Rows that add to the catalog, or replace those of the same name. Prices always win over published ones."""

    api_version: Literal["agentgpu.dev/v1alpha1"]
    """Version of this format."""
    kind: Literal["CatalogOverlay"]
    """What the file is."""
    accelerators: tuple[Accelerator, ...] = ()
    """Known by their id."""
    instance_types: tuple[InstanceType, ...] = ()
    """Known by provider and name. ``gpu`` is the id or the name of an accelerator."""
    gpu_aliases: tuple[GpuAlias, ...] = ()
    """Known by provider, GPU and instance type."""
    prices: tuple[Price, ...] = ()
    """Prices that the user pays. Reserved capacity is a price of capacity type ``reserved``."""
    models: tuple[ModelFacts, ...] = ()
    """Known by their id, in any case."""
    thinking: tuple[Thinking, ...] = ()
    """Known by their id; a model that is named in one of these is no longer in ours."""
    engines: tuple[EngineRelease, ...] = ()
    """Known by engine and version."""
    engine_parsers: tuple[EngineParsers, ...] = ()
    """Known by engine and version."""
    gates: tuple[Gate, ...] = ()
    """What you know of gates; yours are asked first. A model's own ``gated`` says it for that model."""
    engine_host_memory: tuple[EngineHostMemory, ...] = ()
    """Known by engine and version."""
    engine_limits: tuple[EngineLimit, ...] = ()
    """Known by engine, version and setting."""
    providers: tuple[Provider, ...] = ()
    """Known by their id."""
    routers: tuple[RouterRelease, ...] = ()
    """Known by router and version."""
    services: tuple[ServiceRelease, ...] = ()
    """Known by service and version."""
    skypilot_names: tuple[SkyPilotName, ...] = ()
    """Known by provider and accelerator."""
    volumes: tuple[VolumeType, ...] = ()
    """Known by their id: what the volumes cost that you pay for."""
    kubernetes: tuple[KubernetesRelease, ...] = ()
    """Known by target and version."""
    quotas: tuple[VcpuQuota, ...] = ()
    """Known by provider, capacity type and code."""
    charges: tuple[Charge, ...] = ()
    """Known by provider and id: what is billed beside the nodes."""
    system_machines: tuple[SystemMachine, ...] = ()
    """Known by provider and name: machines without accelerators for the cluster's own pods."""
    cluster_pods: tuple[ClusterPod, ...] = ()
    """Known by name: what pods of add-ons and operators ask for."""
    token_prices: tuple[TokenPrice, ...] = ()
    """Known by model, seller and router: what you pay for calls."""
    endpoint_prices: tuple[EndpointPrice, ...] = ()
    """Known by seller and accelerator: what you pay for dedicated endpoints."""
    calibrations: tuple[Calibration, ...] = ()
    """What your own runs measured; ``agentgpu calibrate`` writes these."""


@dataclass(frozen=True, slots=True)
class _File:
    """An overlay's values with their places in the file."""

    source: str
    tree: Tree

    def fault(self, steps: Steps, message: str, hint: str = "") -> Fault:
        """A fault at a key or an item of a list; at the nearest value above it where it is missing."""
        line, column = self.tree.key_place(steps)
        return Fault(source=self.source, line=line, column=column, path=spelled(steps), message=message, hint=hint)


def with_overlay(base: Rows, path: Path) -> tuple[Rows, tuple[Price, ...]]:
    """Put a user's rows on top of ours.

    Args:
        base: Our rows.
        path: The overlay: YAML, or JSON, which is YAML too.

    Returns:
        All rows but the user's prices; and those, which are kept apart because they win over ours.

    Raises:
        BadInput: the file cannot be read, is no YAML, or holds faults; names all of them with their lines.
    """
    source = source_of(path)
    content = read_file(path, MOST_BYTES, of="an overlay")
    file = _File(source, compose(text_of(content, source), source))
    read = _read(file)
    rows = _merged(base, read.overlay, digest([base.digest.encode(), content]))
    faults = [
        *read.faults,
        *(
            file.fault(read.in_file(steps), message, hint)
            for steps, message, hint, needs in _dangling(rows, read.overlay)
            if needs not in read.incomplete
        ),
    ]
    if faults:
        raise BadInput(faults)
    return rows, read.overlay.prices


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The rows of a file that are sound, and what is wrong with the others."""

    overlay: CatalogOverlay
    faults: tuple[Fault, ...]
    positions: Mapping[str, tuple[int, ...]]
    """Key -> where each sound row stands in the file."""

    @property
    def incomplete(self) -> frozenset[str]:
        """Lists that have a fault: what is not found there may have been in the row that has it."""
        return frozenset(fault.path.partition("[")[0] for fault in self.faults)

    def in_file(self, steps: Steps) -> Steps:
        """The place of a sound row as the file counts."""
        key, index, *rest = steps
        return (key, self.positions[str(key)][int(index)], *rest)


def _read(file: _File) -> _Read:
    """Every fault of the file, and its sound rows, so that names in those are looked up in the same run."""
    data = data_of(file.tree.root)
    if not isinstance(data, dict):
        raise BadInput([*file.tree.faults, file.fault((), "the file must hold a mapping (apiVersion, kind, rows)")])
    errors: Sequence[ErrorDetails] = ()
    try:
        CatalogOverlay.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    rows, positions = _sound(data, {error["loc"][:2] for error in errors})
    head = {"apiVersion": "agentgpu.dev/v1alpha1", "kind": "CatalogOverlay"}
    return _Read(
        overlay=CatalogOverlay.model_validate({**head, **rows}, by_alias=True, by_name=False),
        faults=tuple(document_faults(file.tree, file.source, CatalogOverlay, errors)),
        positions=positions,
    )


def _sound(
    data: Mapping[str, Data], faulty: set[tuple[int | str, ...]]
) -> tuple[dict[str, Data], dict[str, tuple[int, ...]]]:
    """The rows without a fault, by key, and where each stands."""
    rows: dict[str, Data] = {}
    positions: dict[str, tuple[int, ...]] = {}
    for key in (camel(name) for name in CatalogOverlay.model_fields):
        value = data.get(key)
        if isinstance(value, tuple) and (key,) not in faulty:
            positions[key] = tuple(index for index in range(len(value)) if (key, index) not in faulty)
            rows[key] = tuple(value[index] for index in positions[key])
    return rows, positions


def _merged(base: Rows, own: CatalogOverlay, digest_of_both: str) -> Rows:
    return replace(
        base,
        accelerators=_replaced(base.accelerators, own.accelerators, lambda row: row.id),
        instance_types=_replaced(base.instance_types, own.instance_types, _machine),
        gpu_aliases=_replaced(
            base.gpu_aliases, own.gpu_aliases, lambda row: (row.provider, row.gpu, row.instance_type)
        ),
        models=_replaced(base.models, own.models, lambda row: row.id.casefold()),
        thinking=_replaced(base.thinking, own.thinking, lambda row: row.id),
        releases=_replaced(base.releases, own.engines, lambda row: (row.engine, row.version)),
        parsers=_replaced(base.parsers, own.engine_parsers, lambda row: (row.engine, row.version)),
        gates=(*own.gates, *base.gates),
        host_memory=_replaced(base.host_memory, own.engine_host_memory, lambda row: (row.engine, row.version)),
        limits=_replaced(base.limits, own.engine_limits, lambda row: (row.engine, row.version, row.setting)),
        providers=_replaced(base.providers, own.providers, lambda row: row.id),
        routers=_replaced(base.routers, own.routers, lambda row: (row.router, row.version)),
        services=_replaced(base.services, own.services, lambda row: (row.service, row.version)),
        skypilot_names=_replaced(base.skypilot_names, own.skypilot_names, lambda row: (row.provider, row.accelerator)),
        volumes=_replaced(base.volumes, own.volumes, lambda row: row.id),
        kubernetes=_replaced(base.kubernetes, own.kubernetes, lambda row: (row.target, row.version)),
        quotas=_replaced(base.quotas, own.quotas, lambda row: (row.provider, row.capacity_type, row.code)),
        charges=_replaced(base.charges, own.charges, lambda row: (row.provider, row.id)),
        system_machines=_replaced(base.system_machines, own.system_machines, lambda row: (row.provider, row.name)),
        cluster_pods=_replaced(base.cluster_pods, own.cluster_pods, lambda row: row.name),
        token_prices=_replaced(
            base.token_prices, own.token_prices, lambda row: (row.model.casefold(), row.seller, row.via)
        ),
        endpoint_prices=_replaced(base.endpoint_prices, own.endpoint_prices, lambda row: (row.seller, row.accelerator)),
        calibrations=own.calibrations,
        digest=digest_of_both,
    )


def _replaced(base: Iterable[Row], own: Iterable[Row], key: Callable[[Row], object]) -> tuple[Row, ...]:
    rows: Mapping[object, Row] = {key(row): row for row in (*base, *own)}
    return tuple(rows.values())


def _machine(row: InstanceType) -> tuple[str, str]:
    return row.provider, row.name


def _dangling(rows: Rows, own: CatalogOverlay) -> Iterator[tuple[Steps, str, str, str]]:
    """Names in the user's rows that lead nowhere: (where, what is wrong, what to do, the key of what they name)."""
    providers = [row.id for row in rows.providers]
    for index, machine in enumerate(own.instance_types):
        if machine.provider not in providers:
            hint = did_you_mean(machine.provider, providers) or "add it under providers"
            yield ("instanceTypes", index, "provider"), f"there is no provider {machine.provider!r}", hint, "providers"
        try:
            accelerator_of(machine, rows.accelerators, rows.gpu_aliases)
        except NoAcceleratorError as reason:
            yield ("instanceTypes", index, "gpu"), str(reason), "give the id of an accelerator", "accelerators"
    accelerators = [row.id for row in rows.accelerators]
    named = {
        "calibrations": [row.accelerator for row in own.calibrations],
        "endpointPrices": [row.accelerator for row in own.endpoint_prices],
    }
    for key, names in named.items():
        for index, name in enumerate(names):
            if name not in accelerators:
                hint = did_you_mean(name, accelerators)
                yield (key, index, "accelerator"), f"there is no accelerator {name!r}", hint, "accelerators"
    machines = {_machine(row) for row in rows.instance_types}
    for index, price in enumerate(own.prices):
        if (price.provider, price.instance_type) not in machines:
            sold = (name for provider, name in machines if provider == price.provider)
            hint = did_you_mean(price.instance_type, sorted(sold)) or "add it under instanceTypes"
            message = f"{price.provider} has no instance type {price.instance_type!r}"
            yield ("prices", index, "instanceType"), message, hint, "instanceTypes"
