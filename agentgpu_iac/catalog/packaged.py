"""The rows of the catalog, as the package brings them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TypeVar

from pydantic import TypeAdapter

from agentgpu_iac.catalog.engine_facts import EngineFacts
from agentgpu_iac.catalog.engine_versions import EngineVersion
from agentgpu_iac.catalog.model import (
    Accelerator,
    Calibration,
    Charge,
    ClusterPod,
    EndpointPrice,
    EngineHostMemory,
    EngineLimit,
    EngineMetrics,
    EngineOption,
    EngineParsers,
    EngineRelease,
    Gate,
    GpuAlias,
    InstanceType,
    Kernels,
    KubernetesRelease,
    ModelFacts,
    Price,
    Provider,
    QuantisationMethod,
    Repack,
    RouterRelease,
    ServiceRelease,
    Shortcut,
    SkyPilotName,
    SystemMachine,
    Thinking,
    TokenPrice,
    VcpuQuota,
    VolumeType,
)
from agentgpu_iac.spec.document import Document

Row = TypeVar("Row", bound=Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Everything that a catalog is made from; ``digest`` identifies the bytes it was read from."""

    accelerators: tuple[Accelerator, ...] = ()
    instance_types: tuple[InstanceType, ...] = ()
    gpu_aliases: tuple[GpuAlias, ...] = ()
    prices: tuple[Price, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    releases: tuple[EngineRelease, ...] = ()
    metrics: tuple[EngineMetrics, ...] = ()
    parsers: tuple[EngineParsers, ...] = ()
    limits: tuple[EngineLimit, ...] = ()
    host_memory: tuple[EngineHostMemory, ...] = ()
    engine_facts: tuple[EngineFacts, ...] = ()
    engine_versions: tuple[EngineVersion, ...] = ()
    gates: tuple[Gate, ...] = ()
    engine_options: tuple[EngineOption, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    quantisation_methods: tuple[QuantisationMethod, ...] = ()
    repacks: tuple[Repack, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    providers: tuple[Provider, ...] = ()
    routers: tuple[RouterRelease, ...] = ()
    services: tuple[ServiceRelease, ...] = ()
    skypilot_names: tuple[SkyPilotName, ...] = ()
    volumes: tuple[VolumeType, ...] = ()
    kernels: tuple[Kernels, ...] = ()
    kubernetes: tuple[KubernetesRelease, ...] = ()
    quotas: tuple[VcpuQuota, ...] = ()
    charges: tuple[Charge, ...] = ()
    token_prices: tuple[TokenPrice, ...] = ()
    endpoint_prices: tuple[EndpointPrice, ...] = ()
    """None of ours: no seller's list of them could be read with its date."""
    system_machines: tuple[SystemMachine, ...] = ()
    cluster_pods: tuple[ClusterPod, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    digest: str = ""


FILES = (
    "accelerators.json",
    "charges.json",
    "cluster_pods.json",
    "engine_host_memory.json",
    "engine_limits.json",
    "engine_metrics.json",
    "engine_options.json",
    "engine_parsers.json",
    "engine_versions.json",
    "engines.json",
    "engines/ollama.json",
    "engines/sglang.json",
    "engines/tensorrt-llm.json",
    "engines/tgi.json",
    "engines/vllm.json",
    "gates.json",
    "gpu_aliases.json",
    "instance_types.json",
    "kernels.json",
    "kubernetes.json",
    "models.json",
    "pooling_models.json",
    "prices.csv",
    "providers.json",
    "quantisation_methods.json",
    "quotas.json",
    "repacks.json",
    "routers.json",
    "services.json",
    "shortcuts.json",
    "skypilot.json",
    "system_machines.json",
    "thinking.json",
    "token_prices.csv",
    "volumes.json",
)
"""The data files, in the order in which they enter the digest."""


@cache
def packaged_rows() -> Rows:
    """Read the data files of the package, once in a process."""
    return rows_in(resources.files(__package__) / "data")


def rows_in(folder: Traversable) -> Rows:
    """Read the data files of a folder, all of ``FILES``."""
    content = {name: (folder / name).read_bytes() for name in FILES}
    return Rows(
        accelerators=_json_rows(content["accelerators.json"], Accelerator),
        instance_types=_json_rows(content["instance_types.json"], InstanceType),
        gpu_aliases=_json_rows(content["gpu_aliases.json"], GpuAlias),
        prices=_csv_rows(content["prices.csv"], Price),
        models=(
            *_json_rows(content["models.json"], ModelFacts),
            *_json_rows(content["pooling_models.json"], ModelFacts),
        ),
        releases=_json_rows(content["engines.json"], EngineRelease),
        metrics=_json_rows(content["engine_metrics.json"], EngineMetrics),
        parsers=_json_rows(content["engine_parsers.json"], EngineParsers),
        host_memory=_json_rows(content["engine_host_memory.json"], EngineHostMemory),
        limits=_json_rows(content["engine_limits.json"], EngineLimit),
        engine_facts=tuple(
            row for name in FILES if name.startswith("engines/") for row in _json_rows(content[name], EngineFacts)
        ),
        engine_versions=_json_rows(content["engine_versions.json"], EngineVersion),
        gates=_json_rows(content["gates.json"], Gate),
        engine_options=_json_rows(content["engine_options.json"], EngineOption),
        shortcuts=_json_rows(content["shortcuts.json"], Shortcut),
        quantisation_methods=_json_rows(content["quantisation_methods.json"], QuantisationMethod),
        repacks=_json_rows(content["repacks.json"], Repack),
        thinking=_json_rows(content["thinking.json"], Thinking),
        providers=_json_rows(content["providers.json"], Provider),
        routers=_json_rows(content["routers.json"], RouterRelease),
        services=_json_rows(content["services.json"], ServiceRelease),
        skypilot_names=_json_rows(content["skypilot.json"], SkyPilotName),
        volumes=_json_rows(content["volumes.json"], VolumeType),
        kernels=_json_rows(content["kernels.json"], Kernels),
        kubernetes=_json_rows(content["kubernetes.json"], KubernetesRelease),
        quotas=_json_rows(content["quotas.json"], VcpuQuota),
        charges=_json_rows(content["charges.json"], Charge),
        token_prices=_csv_rows(content["token_prices.csv"], TokenPrice),
        system_machines=_json_rows(content["system_machines.json"], SystemMachine),
        cluster_pods=_json_rows(content["cluster_pods.json"], ClusterPod),
        digest=digest(content[name] for name in FILES),
    )


def digest(contents: Iterable[bytes]) -> str:
    """Identify contents by the SHA-256 of their own digests, so that where one ends and the next begins counts too."""
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()


def _json_rows(content: bytes, row: type[Row]) -> tuple[Row, ...]:
    return TypeAdapter(tuple[row, ...]).validate_json(content)  # type: ignore[valid-type]


def _csv_rows(content: bytes, row: type[Row]) -> tuple[Row, ...]:
    lines = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return tuple(row.model_validate(line) for line in lines)
