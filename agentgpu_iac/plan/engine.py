"""The engine process of a replica, spelled for its version."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.spec.document import Document

ServingEngine = Literal["vllm", "sglang", "tensorrt-llm", "tgi"]
"""Engines that serve agents; Ollama is for development beside them."""


class SecretVariable(Document):
    """An environment variable that is read from a Secret; its value is never known here."""

    variable: str
    """Its name."""
    secret: str
    """Name of the Secret."""
    key: str
    """Key in the Secret."""


class EnvironmentVariable(Document):
    """One environment variable of the engine: what it needs beyond what every engine is given."""

    name: str
    """Its name."""
    value: str
    """Its value."""


class EngineFile(Document):
    """A file that the engine reads at start, mounted at /etc/engine."""

    name: str
    """Its name."""
    content: str
    """Its text."""


class EnginePlan(Document):
    """The engine process of one replica, spelled for its version."""

    name: ServingEngine
    """Serving engine."""
    version: str
    """Its version: the one asked for, else the newest known."""
    image: str
    """Image by digest where the spec pins one, else by tag."""
    command: tuple[str, ...]
    """The words before the arguments."""
    args: tuple[str, ...]
    """Arguments of the command; see docs/engines.md."""
    worker_args: tuple[str, ...] = ()
    """Those of the processes on the other nodes of a replica over several; empty for one node."""
    environment: tuple[EnvironmentVariable, ...]
    """What this engine needs beyond what every engine is given."""
    secret_environment: tuple[SecretVariable, ...]
    """What the engine reads from Secrets: the API key that it asks for."""
    files: tuple[EngineFile, ...]
    """Settings that the engine takes from files only, mounted at ``/etc/engine``."""
    health_path: str
    """Answers while the process is well: the liveness probe asks it."""
    ready_path: str
    """Answers once requests are served: the startup and readiness probes ask it."""
