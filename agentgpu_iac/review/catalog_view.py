"""The catalog for a reader: lists of one kind, and single rows with their sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentgpu_iac.calculators.rows import accelerator_capacity_gib, model_figures
from agentgpu_iac.catalog.model import (
    Accelerator,
    ClusterPod,
    EngineLimit,
    EngineParsers,
    EngineRelease,
    Exclusion,
    KubernetesRelease,
    Model,
    Offering,
    Provider,
    SystemMachine,
    VcpuQuota,
    VolumeType,
)
from agentgpu_iac.catalog.naming import accelerators_meant, is_exact, provider_meant
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.review.blocks import Block, Table
from agentgpu_iac.units import figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A list as a table and as JSON rows."""

    table: Table
    rows: list[dict[str, Any]]


def listing(catalog: Catalog, kind: str) -> Listed:
    """All rows of one kind, by the kind's name on the command line."""
    return _LISTINGS[kind](catalog)


def _listed(
    columns: tuple[str, ...], right: set[int], rows: list[tuple[tuple[str, ...], Any]], drop: tuple[int, ...] = ()
) -> Listed:
    return Listed(
        table=Table(columns=columns, rows=tuple(cells for cells, _ in rows), right=frozenset(right), drop=drop),
        rows=[row.model_dump(mode="json", by_alias=True) for _, row in rows],
    )


def _accelerators(catalog: Catalog) -> Listed:
    def cells(row: Accelerator) -> tuple[str, ...]:
        capacity_gib, basis = accelerator_capacity_gib(row)
        dense = row.vendor_dense_tflops.bf16 or row.measured_dense_tflops.bf16
        return (
            row.id,
            f"{row.memory_gb:g}",
            f"{capacity_gib:.2f}",
            basis,
            f"{row.bandwidth_gb_per_s:,.0f}",
            "unknown" if dense is None else f"{dense:,.0f}",
        )

    columns = ("accelerator", "GB", "usable GiB", "known", "GB/s", "bf16 dense TFLOPS")
    return _listed(columns, {1, 2, 4, 5}, [(cells(row), row) for row in catalog.accelerators])


def _models(catalog: Catalog) -> Listed:
    def cells(row: Model) -> tuple[str, ...]:
        figures = model_figures(row)
        return (
            row.id,
            f"{row.params_total / 1e9:,.1f}",
            f"{row.params_active / 1e9:,.1f}",
            row.native_precision,
            f"{figures.weights_gib:,.1f}",
            str(figures.layers),
            f"{figures.kv_bytes_per_token / 1024:,.0f}",
            f"{row.max_context_tokens:,}",
        )

    columns = ("model", "B params", "B active", "precision", "weights GiB", "layers", "KV KiB/token", "context")
    return _listed(columns, {1, 2, 4, 5, 6, 7}, [(cells(row), row) for row in catalog.models])


def _offerings(catalog: Catalog) -> Listed:
    def cells(row: Offering) -> tuple[str, ...]:
        return (
            row.provider,
            row.instance_type.name,
            f"{row.accelerator_count} x {row.accelerator}",
            row.region,
            row.capacity_type,
            "unknown" if row.usd_per_hour is None else f"{row.usd_per_hour:.4f}",
            row.price_date or "undated",
        )

    columns = ("provider", "instance type", "cards", "region", "bought", "USD/h", "price of")
    return _listed(columns, {5}, [(cells(row), row) for row in catalog.offerings], drop=(6,))


def _engines(catalog: Catalog) -> Listed:
    def cells(row: EngineRelease) -> tuple[str, ...]:
        return (
            row.engine,
            row.version,
            row.image,
            f"{row.gpu_memory_utilization:g}",
            "yes" if row.graphs_in_budget else "no",
        )

    columns = ("engine", "version", "image", "utilization", "graphs in budget")
    return _listed(columns, {3}, [(cells(row), row) for row in catalog.releases])


def _providers(catalog: Catalog) -> Listed:
    def cells(row: Provider) -> tuple[str, ...]:
        return (row.id, row.name, f"{row.interruption_notice_s}")

    return _listed(("provider", "name", "interruption notice s"), {2}, [(cells(row), row) for row in catalog.providers])


def _parsers(catalog: Catalog) -> Listed:
    def cells(row: EngineParsers) -> tuple[str, ...]:
        return (row.engine, row.version, ", ".join(row.tool_calls.names), ", ".join(row.reasoning.names))

    columns = ("engine", "version", "tool-call parsers", "reasoning parsers")
    return _listed(columns, set(), [(cells(row), row) for row in catalog.parsers])


def _limits(catalog: Catalog) -> Listed:
    def cells(row: EngineLimit) -> tuple[str, ...]:
        answer = "waits" if row.status is None else f"{row.status}"
        return (row.engine, row.version, row.setting, row.counts, answer, "yes" if row.tried else "no")

    columns = ("engine", "since", "limit", "counts", "beyond it", "tried")
    return _listed(columns, set(), [(cells(row), row) for row in catalog.limits])


def _volumes(catalog: Catalog) -> Listed:
    def cells(row: VolumeType) -> tuple[str, ...]:
        throughput = "by IOPS" if row.usd_per_mib_per_s_month is None else f"{row.usd_per_mib_per_s_month}"
        included = f"{row.included_mib_per_s} MiB/s, {row.included_iops:,} IOPS"
        usd = (f"{row.usd_per_gb_month}", throughput, f"{row.usd_per_iops_month}")
        return (row.provider, row.name, row.region, *usd, included, f"{row.max_mib_per_s:,}", row.date)

    columns = (
        "provider",
        "volume",
        "region",
        "USD/GB-month",
        "USD/MiB/s-month",
        "USD/IOPS-month",
        "included",
        "most MiB/s",
    )
    return _listed((*columns, "price of"), {3, 4, 5, 7}, [(cells(row), row) for row in catalog.volumes])


def _kubernetes(catalog: Catalog) -> Listed:
    def cells(row: KubernetesRelease) -> tuple[str, ...]:
        return (row.target, row.version, row.standard_support_ends, row.date)

    columns = ("target", "Kubernetes", "standard support ends", "read")
    return _listed(columns, set(), [(cells(row), row) for row in catalog.kubernetes])


def _quotas(catalog: Catalog) -> Listed:
    def cells(row: VcpuQuota) -> tuple[str, ...]:
        return (row.provider, row.capacity_type, row.name, row.code, ", ".join(row.families), row.date)

    columns = ("provider", "bought", "quota", "code", "families", "read")
    return _listed(columns, set(), [(cells(row), row) for row in catalog.quotas])


def _system_machines(catalog: Catalog) -> Listed:
    def cells(row: SystemMachine) -> tuple[str, ...]:
        room = (f"{row.allocatable_cpu_milli:,}", f"{row.allocatable_memory_mib:,}", str(row.pods))
        return (row.provider, row.name, str(row.vcpu), *room, f"{row.usd_per_hour:.4f}", row.region, row.date)

    columns = ("provider", "machine", "vCPUs", "CPU for pods, m", "MiB for pods", "pods", "USD/h", "price of", "read")
    return _listed(columns, {2, 3, 4, 5, 6}, [(cells(row), row) for row in catalog.system_machines])


def _cluster_pods(catalog: Catalog) -> Listed:
    def cells(row: ClusterPod) -> tuple[str, ...]:
        asked = (str(row.replicas), f"{row.cpu_milli:,}", f"{row.memory_mib:,}")
        return (row.name, row.comes_with, row.on, *asked, row.date)

    columns = ("pods", "come with", "on", "replicas", "CPU, m", "MiB", "read")
    return _listed(columns, {3, 4, 5}, [(cells(row), row) for row in catalog.cluster_pods])


def _excluded(catalog: Catalog) -> Listed:
    def cells(row: Exclusion) -> tuple[str, ...]:
        return (row.kind, row.id, row.reason)

    return _listed(("kind", "row", "why"), set(), [(cells(row), row) for row in catalog.exclusions])


_LISTINGS: dict[str, Callable[[Catalog], Listed]] = {
    "accelerators": _accelerators,
    "models": _models,
    "offerings": _offerings,
    "engines": _engines,
    "parsers": _parsers,
    "limits": _limits,
    "providers": _providers,
    "volumes": _volumes,
    "kubernetes": _kubernetes,
    "quotas": _quotas,
    "system-machines": _system_machines,
    "cluster-pods": _cluster_pods,
    "excluded": _excluded,
}


def entry(catalog: Catalog, name: str) -> dict[str, Any]:
    """One row by its id or name: an accelerator, a provider, a model, or an instance type with all its offerings.

    Raises:
        BadInput: nothing has that name; says which one is near, or why it is excluded.
    """
    folded = name.casefold()
    for card in catalog.accelerators:
        if is_exact(name, card):
            return {"kind": "accelerator", **card.model_dump(mode="json", by_alias=True)}
    if provider_meant(name, catalog.providers) is not None:
        return {"kind": "provider", **catalog.provider(name).model_dump(mode="json", by_alias=True)}
    offered = [offering for offering in catalog.offerings if offering.instance_type.name.casefold() == folded]
    if offered:
        machine = offered[0].instance_type.model_dump(mode="json", by_alias=True)
        prices = [offering.model_dump(mode="json", by_alias=True, exclude={"instance_type"}) for offering in offered]
        return {"kind": "instance type", **machine, "offerings": prices}
    for exclusion in catalog.exclusions:
        if exclusion.id.casefold() == folded and exclusion.kind != "model":
            raise BadInput.one("catalog", f"{exclusion.kind} {exclusion.id!r} is excluded: {exclusion.reason}")
    if "/" in name or name.endswith(".json") or catalog.models_meant(name):
        shown = catalog.model(name).model_dump(mode="json", by_alias=True, exclude={"thinking": {"models"}})
        return {"kind": "model", **shown}
    if accelerators_meant(name, catalog.accelerators):
        catalog.accelerator(name)  # says which it may mean
    known = [
        *(offering.instance_type.name for offering in catalog.offerings),
        *(row.id for row in catalog.models),
        *(row.id for row in catalog.providers),
        *(row.id for row in catalog.accelerators),
    ]
    raise BadInput.one("catalog", f"nothing is called {name!r}", hint=did_you_mean(name, known))


def _hourly(usd: float | None) -> str:
    return "price unknown" if usd is None else f"USD {usd}/h"


def entry_view(found: dict[str, Any]) -> tuple[Block, ...]:
    """One row as names and values; lists become one line each."""
    rows: list[tuple[str, str]] = []
    for key, value in found.items():
        if key == "offerings":
            rows += [
                (
                    "offering",
                    (
                        f"{offering['region']}, {offering['capacityType']}: {_hourly(offering['usdPerHour'])} "
                        f"({offering['priceDate'] or 'undated'}; {offering['priceSource']})"
                    ),
                )
                for offering in value
            ]
        elif isinstance(value, list):
            rows += [(key, _cell(item)) for item in value]
        elif isinstance(value, dict) or value is not None:
            rows.append((key, _cell(value)))
    return (Table(columns=("field", "value"), rows=tuple(rows)),)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items() if inner is not None)
    return figure(value) if isinstance(value, (int, float)) else str(value)
