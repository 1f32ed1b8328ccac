"""Where weights lie on a node, and who puts them there."""

from __future__ import annotations

from collections.abc import Iterable

from agentgpu_iac.plan.vocabulary import PriorityLevel, WeightLoader
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import Storage


class StorageChoice(Document):
    """One place from which a replica's weights could be loaded on this machine."""

    path: str
    """nvme, ebs-gp3, ebs-io2, s3, efs or fsx."""
    loader: str
    seconds: float
    usd_per_month: Money | None
    """For one node, beside the machine; unset: no sourced price."""
    recommended: bool
    """The cheapest that loads within a minute, else the fastest."""
    why: str


class CachedRepository(Document):
    """What an engine loads beside its model, a LoRA adapter or a draft: it must be in the cache before the engine starts."""

    path: str
    revision: str


class ModelCachePlan(Document):
    """Where the weights lie on the node."""

    storage: Storage
    source: str
    path: str
    """Directory of the model below the cache's mount point."""
    revision: str
    """Revision of the model repository that the cache must hold."""
    token_secret: str | None
    """Kubernetes Secret whose key ``token`` opens a gated repository; only its name is ever known here."""
    adapters: tuple[CachedRepository, ...]
    draft: CachedRepository | None
    """The draft model of speculative decoding, where it has one of its own."""
    loader: WeightLoader
    """How the engine reads the weights."""
    choices: tuple[StorageChoice, ...]
    """Where the weights could lie instead, fastest first; on providers whose storage prices are known."""
    model_gib: float
    """What a replica reads at start, a draft model included."""


class CachedModel(Document):
    """A model that a pool's nodes keep in their cache."""

    model: str
    path: str
    revision: str
    gib: float
    fill: bool
    """False for a model known only by a local config.json: its owner puts the weights and the marker there."""
    token_secret: str | None


class FillerPlan(Document):
    """The pod that fills the model cache of one node, where there is something to fill."""

    cpu_milli: int
    memory_mib: int
    memory_limit_mib: int
    """Memory that it may use while it downloads; afterwards it idles."""
    priority: PriorityLevel
    """The highest of the engines that wait for it: none of them may push it off the node."""
    bucket: str | None
    """Bucket and prefix from which it downloads; None: Hugging Face."""


def token_variables(cached: Iterable[CachedModel]) -> tuple[tuple[str, str], ...]:
    """An environment variable for every Secret that opens a repository. Values are never known here."""
    secrets = sorted({model.token_secret for model in cached if model.fill and model.token_secret})
    return tuple((f"MODEL_TOKEN_{number}", secret) for number, secret in enumerate(secrets, start=1))
