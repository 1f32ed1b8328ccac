"""What an engine is to the planner: how it is started and asked how it is, what it can do, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.plan import EngineFile, EnvironmentVariable, ServingEngine, WeightLoader
from agentgpu_iac.planning.engines.parsers import KnownParsers
from agentgpu_iac.planning.engines.settings import EngineSettings
from agentgpu_iac.spec.model import Agent
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES, Precision
from agentgpu_iac.units import GB, GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an agent asks of an engine, before any accelerator is looked at."""

    agent: Agent
    model: Model
    precision: Precision
    version: str
    parsers: KnownParsers
    image_is_pinned: bool
    """The stack names an image of its own."""
    loader: WeightLoader | None
    """The loader that the stack names; unset: the planner's choice."""


def no_files(_: EngineSettings) -> tuple[EngineFile, ...]:
    """The engine takes everything as arguments."""
    return ()


def no_arguments(_: EngineSettings) -> tuple[str, ...]:
    """The engine has no processes beside the one that serves."""
    return ()


def always(_: Model) -> bool:
    """For every model."""
    return True


def never(_: Model) -> bool:
    """For no model."""
    return False


def deployment_name(settings: EngineSettings) -> str:
    """Requests ask for the model by the deployment's name, which is the agent's where it serves one."""
    return settings.agent.name


def first_agent(settings: EngineSettings) -> str:
    """Requests ask for the model by their agent's name: the first of them is what the engine's own series call it."""
    return settings.served_names[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePort:
    """One engine."""

    name: ServingEngine
    command: tuple[str, ...]
    """How it is started. Without a shell in between, so that SIGTERM reaches it and it can drain."""
    arguments: Callable[[EngineSettings], tuple[str, ...]]
    environment: Callable[[], tuple[EnvironmentVariable, ...]]
    """What differs from what every engine is given."""
    refusals: Callable[[Wishes], Iterator[str]]
    """What the agent asks for and this version cannot do, a sentence each."""
    planned_since: str
    """Oldest version that is planned."""
    health_path: str
    """Answers while the process is well: the liveness probe asks it."""
    ready_path: str
    """Answers once requests are served: the startup and readiness probes ask it."""
    pipeline_parallel: bool
    fixes_kv_budget: Callable[[Model], bool]
    """Whether the KV cache of a model can be given as a fixed amount, so that engines may share an accelerator."""
    shared_memory_share: float | None
    """Share of the memory that an engine with a fixed KV cache is given on a shared accelerator; unset: its own part."""
    streams_unasked_since: str | None
    """First version whose weights the Run:ai streamer reads without being asked for: measured runs show that it pays there.
    Unset: none."""
    drains_since: str | None
    """First version that finishes the answers it generates after SIGTERM; unset: none is known to."""
    streams_buckets_since: str | None = None
    """First version whose model may be an address in S3, streamed to the accelerators; unset: none is known to."""
    why_not_older: str = "is older than what was read of its options"
    """What is wrong with versions before ``planned_since``."""
    moves_kv_since: str | None = None
    """First version whose KV cache in host memory was read, with what it takes there; None: none was."""
    moves_prompts_alone_since: str | None = None
    """First version that moves the cache of prompts and not of what was generated; unset: every one moves all."""
    host_cache_in_gb_each: bool = False
    """Host memory for KV cache is asked for in whole decimal gigabytes for each accelerator; else in GiB for all of a replica."""
    fixes_kv_since: str | None = None
    """First version whose KV cache can be given as a fixed amount; unset: every planned one."""
    refuses_tools_without_parser: bool = False
    """A request with tools gets HTTP 400 unless a parser of tool calls was named; else their calls come as text."""
    oldest_capability: str | None = None
    """Oldest compute capability that it runs on as it is started here; unset: as old as the weights' kernels."""
    files: Callable[[EngineSettings], tuple[EngineFile, ...]] = no_files
    worker_arguments: Callable[[EngineSettings], tuple[str, ...]] = no_arguments
    """Those of the processes on the other nodes of a replica over several; nothing for one node."""
    nodes_since: str | None = None
    """First version whose replica may run over several nodes; unset: none is known to."""
    api_key_variable: str | None = None
    """Environment variable that holds the key which it asks callers for; unset: it can ask for none. Probes and monitors
    must get their answers without the key."""
    api_key_args: tuple[str, ...] = ()
    """What hands the variable over where the engine reads none: Kubernetes puts its value in for ``$(NAME)``."""
    served_model_name: Callable[[EngineSettings], str] = deployment_name
    takes_several_names: bool = False
    """A model may be asked for by several names, so that each agent of a deployment has its own."""
    group_header: str | None = None
    """Header by which a request names its attention group, where the version knows it."""
    groups_of_one: bool = False
    """Attention groups are of one accelerator each."""
    better_for_steps: ServingEngine | None = None
    """An engine whose prefix sharing and structured output may serve agents that work in steps better; unset: none known."""

    @property
    def title(self) -> str:
        """Its name in sentences."""
        return ENGINE_TITLES[self.name]

    def runs_on(self, compute_capability: str) -> bool:
        """Whether the engine runs on accelerators of this compute capability."""
        return self.oldest_capability is None or at_least(compute_capability, self.oldest_capability)

    def moves_kv_to_host(self, version: str) -> bool:
        """Whether blocks that the accelerator has no room for stay in host memory, and come back from there."""
        return self.moves_kv_since is not None and at_least(version, self.moves_kv_since)

    def moves_prompts_alone(self, version: str) -> bool:
        """Whether what a request generated is not among what comes back from host memory."""
        return _since(self.moves_prompts_alone_since, version)

    def host_cache_gib(self, each_gib: float, accelerators: int) -> float:
        """Host memory of a replica, as it can be asked for, that holds so much for each of its accelerators."""
        if not self.host_cache_in_gb_each:
            return float(math.ceil(each_gib * accelerators))
        return math.ceil(each_gib * GIB / GB) * GB / GIB * accelerators

    def fixes_kv(self, model: Model, version: str | None) -> bool:
        """Whether this version, the newest where none is named, can be given a fixed KV cache for the model."""
        old = version is not None and self.fixes_kv_since is not None and not at_least(version, self.fixes_kv_since)
        return self.fixes_kv_budget(model) and not old

    def streams_unasked(self, version: str) -> bool:
        """Whether the Run:ai streamer may be chosen for this version."""
        return _since(self.streams_unasked_since, version)

    def streams_buckets(self, version: str) -> bool:
        """Whether this version streams a model from a bucket."""
        return _since(self.streams_buckets_since, version)

    def drains(self, version: str) -> bool:
        """Whether this version finishes its answers by itself."""
        return _since(self.drains_since, version)


def _since(first: str | None, version: str) -> bool:
    return first is not None and at_least(version, first)
