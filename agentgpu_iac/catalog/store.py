"""The catalog: what plans may choose from, with one way to look each thing up."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from agentgpu_iac.catalog import shapes
from agentgpu_iac.catalog.checkpoint import stored_as_listed, with_repacks
from agentgpu_iac.catalog.days import newest
from agentgpu_iac.catalog.engine_cards import CardLimit
from agentgpu_iac.catalog.engine_facts import EngineFacts
from agentgpu_iac.catalog.engine_versions import EngineVersion
from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.join import join
from agentgpu_iac.catalog.kernels import with_kernels
from agentgpu_iac.catalog.kinds import not_planned, other_kind_by_name, what_to_do
from agentgpu_iac.catalog.missing import UnsizableError
from agentgpu_iac.catalog.model import (
    Accelerator,
    Calibration,
    Charge,
    ChargeId,
    ClusterPod,
    EndpointPrice,
    EngineHostMemory,
    EngineLimit,
    EngineMetrics,
    EngineOption,
    EngineParsers,
    EngineRelease,
    Exclusion,
    Gate,
    KubernetesRelease,
    LocalZone,
    Model,
    Offering,
    Option,
    Price,
    Provider,
    QuantisationMethod,
    Repack,
    RouterRelease,
    RouterSoftware,
    ServiceRelease,
    ServiceSoftware,
    Shortcut,
    SkyPilotName,
    SystemMachine,
    Thinking,
    TokenPrice,
    VcpuQuota,
    VolumeType,
)
from agentgpu_iac.catalog.naming import accelerators_meant, is_exact, model_hint, models_meant, provider_meant
from agentgpu_iac.catalog.overlay import with_overlay
from agentgpu_iac.catalog.packaged import Rows, packaged_rows
from agentgpu_iac.catalog.quantisation.reading import BESIDE
from agentgpu_iac.catalog.safetensors import (
    INDEX,
    LENGTH_BYTES,
    PATTERN,
    Tensor,
    UnreadableError,
    WeightFiles,
    checked,
    header_length,
    index_bytes,
    tensors_of,
    with_files,
)
from agentgpu_iac.catalog.versions import at_least, order, version_of
from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.inputs import MOST_CONFIG_BYTES, MOST_TEXT_BYTES, opened, read_file, refuse_stranger, source_of
from agentgpu_iac.spec.repository import is_other_address, repository_of
from agentgpu_iac.spec.vocabulary import CapacityType, Engine, Target

SOURCE = "catalog"
"""What a fault about an unknown name gives as its source."""

CONFIG_FILE = "config.json"
OWN_FILES = (CONFIG_FILE, "params.json")
"""What tells the shape of a model in its folder: Mistral publishes some by its own file alone."""
POOLING_FILE = "1_Pooling/config.json"
"""What sentence-transformers puts beside it for a model that answers with vectors."""
_LARGEST_TEXT = 50 * 2**20
"""The largest file that is read as a whole: the index of a checkpoint of many experts has 20 MB."""
_OfVersion = TypeVar("_OfVersion", EngineFacts, EngineHostMemory, EngineParsers, EngineRelease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Accelerators, models, offerings, engine releases and providers, each in a fixed order.

    ``version`` identifies the data: the first 12 hexadecimal digits of a SHA-256 over all files and the overlay.
    ``exclusions`` names every row that is in the data but cannot be planned with, and why. Paths of models are
    resolved against ``base_directory``; unset: against the working directory.
    """

    accelerators: tuple[Accelerator, ...]
    models: tuple[Model, ...]
    offerings: tuple[Offering, ...]
    """What can be planned with; of a place that sells nothing of the kind there is none."""
    releases: tuple[EngineRelease, ...]
    providers: tuple[Provider, ...]
    exclusions: tuple[Exclusion, ...]
    version: str
    calibrations: tuple[Calibration, ...] = ()
    routers: tuple[RouterRelease, ...] = ()
    services: tuple[ServiceRelease, ...] = ()
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
    skypilot_names: tuple[SkyPilotName, ...] = ()
    volumes: tuple[VolumeType, ...] = ()
    kubernetes: tuple[KubernetesRelease, ...] = ()
    quotas: tuple[VcpuQuota, ...] = ()
    charges: tuple[Charge, ...] = ()
    system_machines: tuple[SystemMachine, ...] = ()
    """Cheapest first."""
    cluster_pods: tuple[ClusterPod, ...] = ()
    token_prices: tuple[TokenPrice, ...] = ()
    endpoint_prices: tuple[EndpointPrice, ...] = ()
    places: frozenset[tuple[str, str]] = frozenset()
    """Each (provider, region) that some price names, whether its machines can be planned with or not."""
    newest_date: str = ""
    """The newest day on which a price or a version was read, YYYY-MM-DD: how old the facts are, since nothing here has a
    clock. Empty: no row has a day."""
    asked_on: str = ""
    """The day on which somebody asks, YYYY-MM-DD, where one is given; empty: nobody says."""
    base_directory: Path | None = None

    @property
    def day(self) -> str:
        """The day that ages are counted to: the one that was given, else the newest that the catalog names."""
        return self.asked_on or self.newest_date

    def accelerator(self, accelerator_id: str) -> Accelerator:
        """Look an accelerator up by its id, or by the name that people call it by, in any case.

        Raises:
            BadInput: there is none of that id or name, or it may mean several; says which.
        """
        for row in self.accelerators:
            if row.id == accelerator_id:  # as machines name theirs, for each of which it is asked
                return row
        meant = accelerators_meant(accelerator_id, self.accelerators)
        exact = [row for row in self.accelerators if row.id in meant and is_exact(accelerator_id, row)]
        if len(exact) == 1:
            return exact[0]
        if meant:
            raise _several("accelerator", accelerator_id, meant)
        raise _unknown("accelerator", accelerator_id, (row.id for row in self.accelerators))

    def provider(self, provider_id: str) -> Provider:
        """Look a provider up by its id or its name, in any case.

        Raises:
            BadInput: there is none of that id or name; says which one is near.
        """
        for provider in self.providers:
            if provider.id == provider_id:  # as machines name theirs
                return provider
        for provider in self.providers:
            if provider.id == provider_meant(provider_id, self.providers):
                return provider
        raise _unknown("provider", provider_id, (row.id for row in self.providers))

    def model(self, reference: str) -> Model:
        """Look a model up by its Hugging Face id, in any case, or the address of its page; or read a local one's shape.

        A reference that ends in ``.json`` is the path of a Hugging Face ``config.json``; one that is no known id but
        the path of a folder with such a file stands for that file.

        Raises:
            BadInput: there is no such model or file, the catalog knows too little about it (says what), or the file
                cannot be used.
        """
        written, reference = reference, repository_of(reference).id
        if reference.endswith(".json"):
            return self._local_model(Path(reference), reference)
        folded = reference.casefold()
        for model in self.models:
            if model.id.casefold() == folded:
                return model
        if (file := self._own_file(reference)) is not None:
            return self._local_model(file, reference)
        meant = self.models_meant(reference)
        if len(meant) > 1:
            raise _several("model", reference, meant)
        if meant:
            return next(model for model in self.models if model.id == meant[0])
        for exclusion in self.exclusions:
            if exclusion.kind == "model" and exclusion.id.casefold() == folded:
                raise BadInput.one(
                    SOURCE,
                    f"model {exclusion.id!r} cannot be sized: {exclusion.reason}",
                    hint="give the path of its config.json instead",
                )
        raise self._unknown_model(written, reference)

    def models_meant(self, name: str) -> tuple[str, ...]:
        """Ids of the models that a name without its publisher may mean; none where it is a folder with a model of yours."""
        return () if self._own_file(name) is not None else models_meant(name, (row.id for row in self.models))

    def _unknown_model(self, written: str, reference: str) -> BadInput:
        """Why a reference is no model, by what it seems to be."""
        if is_other_address(written):
            hint = "write its id, publisher/model, or the path of its config.json"
            return BadInput.one(SOURCE, f"{written!r} is no page of a model on Hugging Face", hint=hint)
        if reference.startswith((".", "/", "~")):
            hint = "name a folder that holds the model's config.json, or that file; paths start at the stack's folder"
            return BadInput.one(SOURCE, f"there is no {CONFIG_FILE} in {reference!r}", hint=hint)
        if kind := other_kind_by_name(reference):
            return BadInput.one(SOURCE, not_planned(reference, kind), hint=what_to_do(kind))
        hint = model_hint(reference, (row.id for row in self.models))
        return BadInput.one(SOURCE, f"there is no model {reference!r}", hint=hint)

    def gated(self, repository: str) -> bool | None:
        """Whether a repository is given only to accounts that accepted its licence; None: nobody is known to say.

        A row of the model says it for itself; else the gate that names the repository, or its publisher.
        """
        repository = repository_of(repository).id
        folded = repository.casefold()
        own = next((model.gated for model in self.models if model.id.casefold() == folded), None)
        return own if own is not None else gate_of(repository, self.gates)

    def calibration(self, accelerator_id: str, model_id: str, engine: Engine) -> Calibration | None:
        """What the user measured on an accelerator: for this very model if there is such a run, else for any model."""
        found = [
            row
            for row in self.calibrations
            if (row.accelerator, row.engine) == (accelerator_id, engine)
            and (row.model is None or row.model.casefold() == model_id.casefold())
        ]
        return max(found, key=lambda row: row.model is not None, default=None)

    def release(self, engine: Engine, version: str | None = None) -> EngineRelease:
        """The release of an engine whose accounting applies to a version.

        That is the newest known one that is not newer than the version asked for, or the oldest known; under the
        version asked for, and with that version in the image's tag. Without a version, or with one that is no number,
        it is the newest known: compare ``version`` of the answer with the one asked for.

        Raises:
            BadInput: no release of the engine is known.
        """
        known = sorted((row for row in self.releases if row.engine == engine), key=lambda row: order(row.version))
        if not known:
            raise _unknown("release of engine", engine, {row.engine for row in self.releases})
        if version is None or version_of(version) is None:
            return known[-1]
        return _under_version(_in_force(known, version), version.strip().removeprefix("v"))

    def router(self, router: RouterSoftware) -> RouterRelease:
        """The newest known release of a router.

        Raises:
            BadInput: no release of it is known.
        """
        known = [row for row in self.routers if row.router == router]
        if not known:
            raise _unknown("release of router", router, {row.router for row in self.routers})
        return max(known, key=lambda row: order(row.version))

    def service(self, service: ServiceSoftware) -> ServiceRelease:
        """The newest known release of what runs beside the engines on a virtual machine.

        Raises:
            BadInput: no release of it is known.
        """
        known = [row for row in self.services if row.service == service]
        if not known:
            raise _unknown("release of service", service, {row.service for row in self.services})
        return max(known, key=lambda row: order(row.version))

    def engine_metrics(self, engine: Engine, version: str) -> EngineMetrics | None:
        """What an engine's series are called in a version: the newest row that is not newer; None before the oldest."""
        known = (row for row in self.metrics if row.engine == engine and at_least(version, row.version))
        return max(known, key=lambda row: order(row.version), default=None)

    def facts(self, engine: Engine, version: str | None = None) -> EngineFacts:
        """What an engine can do in a version: the newest row that is not newer, else the oldest.

        Without a version, or with one that is no number, it is the newest row.

        Raises:
            BadInput: nothing is known about the engine.
        """
        known = sorted((row for row in self.engine_facts if row.engine == engine), key=lambda row: order(row.version))
        if not known:
            raise _unknown("engine with facts", engine, {row.engine for row in self.engine_facts})
        if version is None or version_of(version) is None:
            return known[-1]
        return _in_force(known, version)

    def card_limits(self, engine: Engine) -> tuple[CardLimit, ...]:
        """What an engine does not run on some cards; each says for itself in which versions."""
        return tuple(limit for row in self.engine_facts if row.engine == engine for limit in row.cards)

    def engine_parsers(self, engine: Engine, version: str) -> EngineParsers | None:
        """The parsers of an engine in a version: the newest row that is not newer, or the oldest; None without a row."""
        known = sorted((row for row in self.parsers if row.engine == engine), key=lambda row: order(row.version))
        return _in_force(known, version) if known else None

    def engine_limits(self, engine: Engine, version: str) -> tuple[EngineLimit, ...]:
        """The limits that an engine has in a version, each by its newest row that is not newer."""
        there = sorted(
            (row for row in self.limits if row.engine == engine and at_least(version, row.version)),
            key=lambda row: order(row.version),
        )
        return tuple({row.setting: row for row in there}.values())

    def engine_host_memory(self, engine: Engine, version: str) -> EngineHostMemory | None:
        """What a version takes of the host for KV cache that it moves there; None: nothing is known of the engine."""
        known = sorted((row for row in self.host_memory if row.engine == engine), key=lambda row: order(row.version))
        return _in_force(known, version) if known else None

    def queue_limit(self, engine: Engine, version: str) -> EngineLimit | None:
        """The limit by which a version turns requests away beyond a number of them; None: it has none."""
        rows = self.engine_limits(engine, version)
        return next((row for row in rows if row.counts in ("waiting", "in-flight") and row.status is not None), None)

    def engine_can(self, engine: Engine, version: str | None, option: Option, architecture: str = "") -> bool:
        """Whether an engine can be told something in a version, unset the newest, for models of an architecture."""
        return any(
            row.engine == engine
            and row.option == option
            and (version is None or at_least(version, row.since))
            and (not row.architectures or architecture in row.architectures)
            for row in self.engine_options
        )

    def local_zone(self, region: str) -> LocalZone | None:
        """The local zone of that name, whoever has it; None where a region or nothing is called so."""
        return next((zone for row in self.providers for zone in row.local_zones if zone.name == region), None)

    def volume_types(self, provider: str) -> tuple[VolumeType, ...]:
        """The types of network volume whose prices are known for a provider."""
        return tuple(row for row in self.volumes if row.provider == provider)

    def charge(self, provider: str, charge: ChargeId) -> Charge | None:
        """What a provider bills beside the nodes; None where its price is not known."""
        return next((row for row in self.charges if (row.provider, row.id) == (provider, charge)), None)

    def system_machines_of(self, provider: str) -> tuple[SystemMachine, ...]:
        """A provider's machines for pods that need no accelerator, cheapest first."""
        return tuple(row for row in self.system_machines if row.provider == provider)

    def quota(self, provider: str, instance_type: str, capacity_type: CapacityType) -> VcpuQuota | None:
        """The quota that counts a machine bought that way; None where none is known. Reserved ones run on demand."""
        way = "on-demand" if capacity_type == "reserved" else capacity_type
        return next(
            (
                row
                for row in self.quotas
                if (row.provider, row.capacity_type) == (provider, way) and row.counts(instance_type)
            ),
            None,
        )

    def kubernetes_release(self, target: Target, version: str) -> KubernetesRelease | None:
        """What is known of a Kubernetes version where a target runs it; None where nothing is."""
        return next((row for row in self.kubernetes if (row.target, row.version) == (target, version)), None)

    def kubernetes_releases(self, target: Target) -> tuple[KubernetesRelease, ...]:
        """All versions that are known of a target, oldest first."""
        return tuple(row for row in self.kubernetes if self.kubernetes_release(target, row.version) is row)

    def usual_kubernetes_version(self, plannable: Sequence[str]) -> str:
        """The version of a cluster whose stack pins none: the newest with standard support on the day of the newest row, of
        those that a stack can pin.

        That day is one of the Kubernetes rows: a newer price alone must not bring another version into a running cluster.

        Raises:
            BadInput: no version has standard support on that day.
        """
        today = max((row.date for row in self.kubernetes), default="")
        supported = [
            row.version for row in self.kubernetes if row.standard_support_ends >= today and row.version in plannable
        ]
        if not supported:
            raise BadInput.one(
                SOURCE,
                "no Kubernetes version with standard support is known",
                hint="name one with pins.kubernetesVersion, or add a row under kubernetes in an overlay",
            )
        return max(supported, key=order)

    def _local_model(self, path: Path, reference: str) -> Model:
        beside = path.with_name(BESIDE)
        model = model_from_config(
            self._content(path),
            reference,
            self._content(beside) if self._is_file(beside) and path != beside else None,
            self._content(pooling) if self._is_file(pooling := path.parent / POOLING_FILE) else "",
        )
        model = with_files(model, self._weight_files(path))
        return with_repacks(model, self.repacks).model_copy(update={"thinking": thinking_of(reference, self.thinking)})

    def _content(self, path: Path) -> bytes:
        return read_file(self._resolved(path), MOST_CONFIG_BYTES, of=f"a {path.name}")

    def _weight_files(self, path: Path) -> WeightFiles:
        """The weight files beside a config.json: headers only, and the index where no file lies there."""
        if path.name != CONFIG_FILE:
            return WeightFiles()
        at = path
        tensors: list[Tensor] = []
        try:
            for at in sorted(self._resolved(path).parent.glob(PATTERN)):
                tensors += tensors_of(_header(at))
            at = path.with_name(INDEX)
            total = index_bytes(read_file(self._resolved(at), MOST_TEXT_BYTES)) if self._is_file(at) else None
            return checked(WeightFiles(tensors=tuple(tensors), total_bytes=total))
        except (UnreadableError, OSError) as error:
            raise BadInput.one(source_of(at), str(error)) from error

    def _own_file(self, folder: str) -> Path | None:
        """The file that tells the shape of a model in a folder."""
        return next((path for name in OWN_FILES if self._is_file(path := Path(folder) / name)), None)

    def _is_file(self, path: Path) -> bool:
        try:
            return self._resolved(path).is_file()
        except (OSError, ValueError):  # a name too long for a path, or with a character that no path has
            return False

    def _resolved(self, path: Path) -> Path:
        return (self.base_directory or Path()) / path


def _header(path: Path) -> bytes:
    with opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        refuse_stranger(stream.peek(1024), source_of(path))
        return stream.read(header_length(stream.read(LENGTH_BYTES), size))


def load_catalog(overlay: Path | None = None, base_directory: Path | None = None, asked_on: str = "") -> Catalog:
    """Load the catalog of the package, with a user's own rows on top.

    Args:
        overlay: A ``CatalogOverlay`` file whose rows add to ours, or replace those of the same name.
        base_directory: Where relative paths of models start: the folder of the stack spec.
        asked_on: The day, YYYY-MM-DD, that ages of prices count to; empty: the newest that the catalog names, so that the
            same catalog always gives the same plan.

    Raises:
        BadInput: the overlay cannot be read or has faults; names all of them.
    """
    if overlay is None:
        return dataclasses.replace(_packaged_catalog(), base_directory=base_directory, asked_on=asked_on)
    rows, own_prices = with_overlay(packaged_rows(), overlay)
    return dataclasses.replace(catalog_of(rows, own_prices), base_directory=base_directory, asked_on=asked_on)


@cache
def _packaged_catalog() -> Catalog:
    return catalog_of(packaged_rows())


def catalog_of(rows: Rows, own_prices: Iterable[Price] = ()) -> Catalog:
    """Make a catalog from rows. Their order does not matter.

    Args:
        rows: The rows; prices that the user pays are not among them.
        own_prices: Those prices.
    """
    own_prices = tuple(own_prices)
    local_zones = {(row.id, zone.name): zone.region for row in rows.providers for zone in row.local_zones}
    joined = join(rows.accelerators, rows.instance_types, rows.gpu_aliases, rows.prices, own_prices, local_zones)
    models, unsizable = _models(rows)
    return Catalog(
        accelerators=with_kernels(sorted(rows.accelerators, key=lambda row: row.id), rows.kernels),
        models=models,
        offerings=joined.offerings,
        places=frozenset((row.provider, row.region) for row in (*rows.prices, *own_prices)),
        releases=tuple(sorted(rows.releases, key=lambda row: (row.engine, order(row.version)))),
        providers=tuple(sorted(rows.providers, key=lambda row: row.id)),
        exclusions=joined.exclusions + unsizable,
        version=rows.digest[:12],
        calibrations=rows.calibrations,
        parsers=tuple(sorted(rows.parsers, key=lambda row: (row.engine, order(row.version)))),
        host_memory=tuple(sorted(rows.host_memory, key=lambda row: (row.engine, order(row.version)))),
        limits=tuple(sorted(rows.limits, key=lambda row: (row.engine, order(row.version), row.setting))),
        routers=tuple(sorted(rows.routers, key=lambda row: (row.router, order(row.version)))),
        services=tuple(sorted(rows.services, key=lambda row: (row.service, order(row.version)))),
        metrics=tuple(sorted(rows.metrics, key=lambda row: (row.engine, order(row.version)))),
        engine_facts=tuple(sorted(rows.engine_facts, key=lambda row: (row.engine, order(row.version)))),
        engine_versions=tuple(sorted(rows.engine_versions, key=lambda row: (row.engine, order(row.version)))),
        gates=rows.gates,
        engine_options=tuple(sorted(rows.engine_options, key=lambda row: (row.engine, row.option, order(row.since)))),
        shortcuts=tuple(sorted(rows.shortcuts, key=lambda row: row.id)),
        quantisation_methods=rows.quantisation_methods,
        repacks=rows.repacks,
        thinking=rows.thinking,
        skypilot_names=tuple(sorted(rows.skypilot_names, key=lambda row: (row.provider, row.accelerator))),
        volumes=tuple(sorted(rows.volumes, key=lambda row: row.id)),
        kubernetes=tuple(sorted(rows.kubernetes, key=lambda row: (row.target, order(row.version)))),
        quotas=tuple(sorted(rows.quotas, key=lambda row: (row.provider, row.capacity_type, row.code))),
        token_prices=tuple(sorted(rows.token_prices, key=lambda row: (row.model.casefold(), row.seller, row.via))),
        endpoint_prices=tuple(sorted(rows.endpoint_prices, key=lambda row: (row.accelerator, row.seller))),
        charges=tuple(sorted(rows.charges, key=lambda row: (row.provider, row.id))),
        system_machines=tuple(sorted(rows.system_machines, key=lambda row: (row.provider, row.usd_per_hour, row.name))),
        cluster_pods=tuple(sorted(rows.cluster_pods, key=lambda row: row.name)),
        newest_date=newest(
            [
                *(row.date for row in (*rows.prices, *own_prices)),
                *(row.date for row in rows.volumes),
                *(row.date for row in rows.kubernetes),
            ]
        ),
    )


def gate_of(repository: str, gates: Iterable[Gate]) -> bool | None:
    """What the row that names a repository best says of its gate; None where none does."""
    found = max(gates, key=lambda row: row.exactness(repository), default=None)
    return found.gated if found is not None and found.exactness(repository) else None


def _models(rows: Rows) -> tuple[tuple[Model, ...], tuple[Exclusion, ...]]:
    models: list[Model] = []
    exclusions: list[Exclusion] = []
    for row in sorted(rows.models, key=lambda row: row.id.casefold()):
        try:
            model = with_repacks(stored_as_listed(shapes.model(row), row), rows.repacks)
            gated = gate_of(model.id, rows.gates) if model.gated is None else model.gated
            models.append(model.model_copy(update={"gated": gated, "thinking": thinking_of(row.id, rows.thinking)}))
        except UnsizableError as reason:
            exclusions.append(Exclusion(kind="model", id=row.id, reason=str(reason)))
    return tuple(models), tuple(exclusions)


def thinking_of(model: str, rows: Sequence[Thinking]) -> Thinking | None:
    """How a model thinks: the last row that names it, since a user's rows follow ours; None where none does."""
    folded = model.casefold()
    return next((row for row in reversed(rows) if any(name.casefold() == folded for name in row.models)), None)


def _unknown(what: str, name: str, known: Iterable[str]) -> BadInput:
    return BadInput.one(SOURCE, f"there is no {what} {name!r}", hint=did_you_mean(name, known))


def _several(what: str, name: str, meant: Sequence[str]) -> BadInput:
    choices = ", ".join(map(repr, meant))
    if len(meant) == 1:
        return BadInput.one(SOURCE, f"there is no {what} {name!r}", hint=f"did you mean {choices}?")
    return BadInput.one(SOURCE, f"{what} {name!r} may mean {len(meant)}", hint=f"write one of {choices}")


def _in_force(known: Sequence[_OfVersion], version: str) -> _OfVersion:
    """Of the rows of one engine, oldest first, the newest that is not newer than a version; before all of them the oldest."""
    return next((row for row in reversed(known) if at_least(version, row.version)), known[0])


def _under_version(release: EngineRelease, version: str) -> EngineRelease:
    """The same accounting under another version."""
    if version_of(version) == version_of(release.version):
        return release
    note = f"Figures of release {release.version}. {release.note or ''}".strip()
    image = (
        release.image.removesuffix(release.version) + version
        if release.image.endswith(release.version)
        else release.image
    )
    return release.model_copy(update={"version": version, "image": image, "note": note})
