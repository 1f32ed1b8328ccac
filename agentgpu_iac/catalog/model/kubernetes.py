"""Kubernetes versions, as managed services offer them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import ReadOn, Sources
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Target


class KubernetesRelease(Document):
    """A minor version of Kubernetes that a managed service runs."""

    target: Target
    """The target whose cluster runs it, for example ``eks``."""
    version: Annotated[str, Field(pattern=r"^1\.[0-9]{1,3}$")]
    """Minor version, for example ``1.34``."""
    standard_support_ends: ReadOn
    """Last day of the standard support; the service then supports it at an additional price, or not at all."""
    date: ReadOn
    """When the source said so."""
    sources: Sources
    """Where the row is from."""
    note: str | None = None
    """What a reader should know about it."""
