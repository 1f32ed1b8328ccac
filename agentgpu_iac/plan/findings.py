"""What a reader must know beside the numbers: rejections and warnings."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Precision


class Rejection(Document):
    """A candidate that does not serve, the constraint that stopped it, what it needs and the limit."""

    agent: str
    accelerator: str
    instance_type: str | None
    tensor_parallel_size: int | None
    pipeline_parallel_size: int | None
    precision: Precision | None
    constraint: str
    need: float | None
    limit: float | None
    unit: str
    message: str


class Warning(Document):
    """Something that a careful reader would want to know, with its numbers."""

    code: str
    agent: str | None
    message: str
