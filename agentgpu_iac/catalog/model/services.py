"""Software beside the engines: what spreads requests, what watches, and what runs with engines on a virtual machine."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.catalog.model.scalars import Sources
from agentgpu_iac.spec.document import Document

RouterSoftware = Literal["nginx", "endpoint-picker"]
"""NGINX, or the endpoint picker of a Gateway API InferencePool."""


class RouterRelease(Document):
    """One version of what spreads requests over an agent's replicas."""

    router: RouterSoftware
    """Which software."""
    version: str
    """Version, for example ``1.30.4``."""
    image: str
    """Container image and tag."""
    sources: Sources
    """Where the row is from."""
    note: str | None = None
    """What a reader should know about it."""


ServiceSoftware = Literal["dcgm-exporter", "grafana", "litellm", "nginx-exporter", "ollama", "prometheus"]
"""What runs beside the engines on a virtual machine; the exporter beside NGINX, and LiteLLM in front, in a cluster too."""


class ServiceRelease(Document):
    """One version of what runs beside the engines."""

    service: ServiceSoftware
    """Which software."""
    version: str
    """Version, for example ``3.13.0``."""
    image: str
    """Container image and tag."""
    sources: Sources
    """Where the row is from."""
    note: str | None = None
    """What a reader should know about it."""
