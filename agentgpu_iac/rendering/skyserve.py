"""SkyServe: one service file for each agent."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan, RenderedFile, SkyPlace, SkyServicePlan, Workload
from agentgpu_iac.plan.mounts import MODELS_MOUNT, SETTINGS_MOUNT
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.model_cache import MODELS_FILE, work_document
from agentgpu_iac.rendering.names import SCRIPT, SCRIPT_FOLDER, SCRIPTS
from agentgpu_iac.rendering.origin import Origins
from agentgpu_iac.rendering.reasons import commented
from agentgpu_iac.rendering.templates import document, verbatim
from agentgpu_iac.rendering.yaml_text import dump

FOLDER = "skyserve"

_LOAD_BALANCING_POLICY = "least_load"
"""SkyServe's default, named so that another default changes nothing. Each replica is alike, so the shortest line is best."""
_END_OF_FILE = "END_OF_FILE"
_HEADER = """\
# Agent {agent} as a SkyServe service. Start it:  {command}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyServiceContext(Context):
    """One agent, both tiers."""

    template: ClassVar[str] = "sky-service.yaml.j2"
    name: str
    ready_path: str
    initial_delay_s: int
    probe_timeout_s: int
    probe_interval_s: int
    failure_threshold_s: int
    min_replicas: int
    max_replicas: int
    requests_per_s_per_replica: tuple[float, ...]
    """Empty, or the one rate from which another replica is wanted."""
    upscale_delay_s: int
    downscale_delay_s: int
    on_spot: bool
    on_demand_replicas: int
    on_demand_fallback: bool
    load_balancing_policy: str
    stream_timeout_s: int
    image: str
    port: int
    disk_gib: int
    memories: tuple[str, ...]
    """Empty, or the one least size of the host's memory."""
    max_usd_per_hour: float
    places: Pairs
    """Clouds with their regions, and the accelerators to ask for there."""
    docker_options: tuple[str, ...]
    """SkyPilot would give the container a third of what is free for shared memory, whatever the engine needs."""
    has_environment: bool
    environment: Pairs
    has_secrets: bool
    secrets: tuple[str, ...]
    has_file_mounts: bool
    file_mounts: Pairs
    setup: tuple[str, ...]
    """Empty, or the one script that runs before the engine."""
    run: str


def is_of_a_service(file: RenderedFile) -> bool:
    """Whether a file is a SkyServe service."""
    return file.path.startswith(f"{FOLDER}/")


def skyserve_tree(plan: Plan) -> tuple[RenderedFile, ...]:
    """The files of all agents, in the order of their paths."""
    workloads = {workload.name: workload for workload in plan.workloads}
    origins = Origins(plan)
    files = [_file(service, workloads[service.workload], origins) for service in plan.sky_services]
    return tuple(sorted(files, key=lambda file: file.path))


def start_command(service: SkyServicePlan, directory: str = "") -> str:
    """What starts the service, with its secrets taken from the variables of the shell."""
    secrets = (part for secret in service.secrets for part in ("--secret", secret.variable))
    return shlex.join(("sky", "serve", "up", "--service-name", service.name, *secrets, f"{directory}{_path(service)}"))


def _path(service: SkyServicePlan) -> str:
    return f"{FOLDER}/{service.agent}.yaml"


def _file(service: SkyServicePlan, workload: Workload, origins: Origins) -> RenderedFile:
    header = origins.of_agent(service.agent) + _HEADER.format(agent=service.agent, command=start_command(service))
    body = commented(dump(document(_context(service, workload))).decode(), "sky")
    return RenderedFile(path=_path(service), content=(header + body).encode())


def _context(service: SkyServicePlan, workload: Workload) -> SkyServiceContext:
    environment = tuple((variable.name, variable.value) for variable in workload.engine.environment)
    mounts = tuple(_file_mounts(service))
    setup = _setup(service, workload)
    rate = service.requests_per_s_per_replica
    return SkyServiceContext(
        name=service.name,
        ready_path=workload.engine.ready_path,
        initial_delay_s=service.initial_delay_s,
        probe_timeout_s=service.probe_timeout_s,
        probe_interval_s=service.probe_interval_s,
        failure_threshold_s=service.failure_threshold_s,
        min_replicas=service.min_replicas,
        max_replicas=service.max_replicas,
        requests_per_s_per_replica=() if rate is None else (rate,),
        upscale_delay_s=service.upscale_delay_s,
        downscale_delay_s=service.downscale_delay_s,
        on_spot=service.on_spot,
        on_demand_replicas=service.on_demand_replicas,
        on_demand_fallback=service.on_demand_fallback,
        load_balancing_policy=_LOAD_BALANCING_POLICY,
        stream_timeout_s=service.stream_timeout_s,
        image=f"docker:{workload.engine.image}",
        port=workload.port,
        disk_gib=service.disk_gib,
        memories=() if service.memory_gib is None else (f"{service.memory_gib}+",),
        max_usd_per_hour=float(service.max_usd_per_hour),
        places=tuple((_infra(place), f"{place.accelerator}:{service.accelerators}") for place in service.places),
        docker_options=(f"--shm-size={workload.pod.shm_mib}m",),
        has_environment=bool(environment),
        environment=environment,
        has_secrets=bool(service.secrets),
        secrets=tuple(secret.variable for secret in service.secrets),
        has_file_mounts=bool(mounts),
        file_mounts=mounts,
        setup=(setup,) if setup else (),
        run=_run(workload),
    )


def _infra(place: SkyPlace) -> str:
    return place.cloud if place.region is None else f"{place.cloud}/{place.region}"


def _file_mounts(service: SkyServicePlan) -> Iterator[tuple[str, str]]:
    """The folders of a bucket that are copied to the replica."""
    if service.bucket is not None:
        for model in service.models:
            yield f"{MODELS_MOUNT}/{model.path}", f"{service.bucket}/{model.path}"


def _setup(service: SkyServicePlan, workload: Workload) -> str:
    """What must be there before the engine starts: weights from Hugging Face, and files that only the engine reads."""
    fetched = _fetch(service) if service.models else ()
    parts = [
        *fetched,
        *(_settings_file(file.name, file.content) for file in workload.engine.files),
    ]
    return "\n".join(("set -e", *parts, "")) if parts else ""


def _fetch(service: SkyServicePlan) -> Iterator[str]:
    """The scripts that fill caches elsewhere; from a bucket SkyPilot has copied the files, of which they keep those that
    engines read.
    """
    tokens = {secret.secret: secret.variable for secret in service.secrets}
    files = {script: verbatim(script) for script in SCRIPTS}
    models = [model.model_copy(update={"fill": True}) for model in service.models]
    files[MODELS_FILE] = work_document(service.name, models, tokens)
    yield f"mkdir -p {SCRIPT_FOLDER}"
    for name, content in files.items():
        yield f"cat > {SCRIPT_FOLDER}/{name} <<'{_END_OF_FILE}'\n{content}{_END_OF_FILE}"
    command = "fill --once" if service.bucket is None else "tidy"
    yield f"python3 {SCRIPT_FOLDER}/{SCRIPT} {command} --root={MODELS_MOUNT} --models={SCRIPT_FOLDER}/{MODELS_FILE}"


def _settings_file(name: str, content: str) -> str:
    """Write the file with printf: no content can terminate it early, as a here-document's could."""
    return f"mkdir -p {SETTINGS_MOUNT}\nprintf %s {shlex.quote(content)} > {shlex.quote(f'{SETTINGS_MOUNT}/{name}')}"


def _run(workload: Workload) -> str:
    """The engine's words as they stand in the plan, an option to a line."""
    lines = [shlex.join(workload.engine.command)]
    for word in workload.engine.args:
        if word.startswith("-"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return "export HF_HUB_OFFLINE=1\nexec " + " \\\n  ".join(lines) + "\n"
