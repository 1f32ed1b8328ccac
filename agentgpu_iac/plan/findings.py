"""What a reader must know beside the numbers: rejections and warnings."""

from __future__ import annotations

from agentgpu_iac.plan.codes import Constraint, RejectionUnit, WarningCode
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import Precision


class Rejection(Document):
    """A candidate that does not serve, the constraint that stopped it, what it needs and the limit."""

    agent: str
    """Agent."""
    accelerator: str
    """Accelerator id; ``any`` for a refused engine."""
    instance_type: str | None
    """Machine, where the refusal is about one."""
    tensor_parallel_size: int | None
    """TP that was tried."""
    pipeline_parallel_size: int | None
    """PP that was tried."""
    attention_data_parallel_size: int | None = None
    """Attention groups that were tried; null: TP and PP alone."""
    precision: Precision | None
    """Precision of the weights."""
    constraint: Constraint
    """What stopped it: a code of [Rejection constraints](#rejection-constraints)."""
    need: float | None
    """What it needs."""
    limit: float | None
    """What there is."""
    unit: RejectionUnit
    """Unit of both; empty where there are no figures."""
    need_version: str | None = None
    """For engine-version: the first version of the engine that is known to have what is missing."""
    limit_version: str | None = None
    """For engine-version: the version that was asked for."""
    reserve_ratio: float | None = None
    """For memory: the largest ``capacity.memoryReserveRatio`` with which it would be planned, where the reserve alone turns it
    away; null: it does not fit its engine either, or something else stopped it."""
    usd_per_month: Money | None = None
    """One replica's part of the cheapest machine that has the accelerator, bought as the deployment's baseline is, over
    720 h: what it would cost at least. null: no parallelism was tried, no such machine is on offer that way, or what is
    refused is a way to buy or to share one."""
    message: str
    """The same as a sentence, with the sum."""


class Warning(Document):
    """Something that a careful reader would want to know, with its numbers."""

    code: WarningCode
    """What it is about: a code of [Warning codes](#warning-codes)."""
    agent: str | None
    """Agent; null: the whole stack."""
    message: str
    """A sentence with its numbers."""
