"""Where weights lie on a node, and who puts them there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from agentgpu_iac.plan.vocabulary import PriorityLevel, WeightLoader
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import Storage


class StorageChoice(Document):
    """One place from which a replica's weights could be loaded on this machine."""

    path: str
    """``nvme``, ``ebs-gp3``, ``ebs-io2``, ``s3``, ``efs`` or ``fsx``."""
    loader: str
    """``default`` (the engine's own) or ``streamer``."""
    seconds: float
    """To load the weights from it."""
    usd_per_month: Money | None
    """For one node, beside the machine; null: no sourced price."""
    recommended: bool
    """The cheapest that loads within a minute, else the fastest."""
    why: str
    """What limits it."""


class CachedRepository(Document):
    """What an engine loads beside its model, a LoRA adapter or a draft: it must be in the cache before the engine starts."""

    path: str
    """Directory below the cache's mount point."""
    revision: str
    """Revision that its marker must name."""
    served_as: str | None = None
    """Model name under which requests ask for a LoRA adapter; null: a draft, which nobody asks for."""


class ModelCachePlan(Document):
    """Where the weights lie on the node."""

    storage: Storage
    """``nvme``: the node's instance store; ``ebs-gp3``: its root volume, also where the instance store is missing or too
    small."""
    source: str
    """Where nodes fetch models from."""
    path: str
    """Directory of the model below the cache's mount point."""
    revision: str
    """Revision of the model repository that the cache must hold."""
    token_secret: str | None
    """Kubernetes Secret whose key ``token`` opens a gated repository; only its name is ever known here."""
    adapters: tuple[CachedRepository, ...]
    """LoRA adapters that must be in the cache before the engine starts."""
    draft: CachedRepository | None
    """The draft model of speculative decoding, where it has one of its own."""
    loader: WeightLoader
    """How the engine reads the weights."""
    streamed_from: str | None = None
    """Bucket and prefix from whose folder ``path`` the engine streams the model to the accelerators at each start, its
    configuration and tokenizer too; null: it is read from the node's cache."""
    choices: tuple[StorageChoice, ...]
    """Where the weights could lie instead, fastest first; empty on providers whose storage prices are not known (all but
    AWS)."""
    model_gib: float
    """Size of the checkpoint that is downloaded and read, a draft model's included."""


class CachedModel(Document):
    """A model that a pool's nodes keep in their cache."""

    model: str
    """Repository of the model or LoRA adapter."""
    path: str
    """Directory below the cache."""
    revision: str
    """Revision that its marker must name."""
    gib: float
    """Size."""
    fill: bool
    """False for a model known only by a local config.json: its owner puts the weights and the marker there."""
    token_secret: str | None
    """Name of the Secret that opens it."""
    kind: Literal["model", "adapter"] = "model"
    """What an engine takes it for, by which it reads other files of the repository. A draft model is a model."""
    runs_code: bool = False
    """Whether an engine runs code of the repository (trustRemoteCode), so that the cache must hold it."""


class FillerPlan(Document):
    """The pod that fills the model cache of one node, where there is something to fill."""

    cpu_milli: int
    """CPU that it requests."""
    memory_mib: int
    """Memory that it requests."""
    memory_limit_mib: int
    """Memory that it may use while it downloads; afterwards it idles."""
    priority: PriorityLevel
    """The highest of the engines that wait for it: none of them may push it off the node."""
    bucket: str | None
    """Bucket and prefix from which it downloads; null: Hugging Face."""
    nodes_at_once: int = 1
    """Nodes of the pool, all of which may fill their caches at once."""
    start_delay_s: int = 0
    """Most that it waits, by chance, before its first request, so that the nodes do not ask in one moment."""
    connections: int = 8
    """Downloads at once."""
    gib_per_s: float = 0.0
    """Rate at which it fills while all nodes of the pool do: the slowest of source, network and disk, or the node's share of
    one gateway."""
    fill_s: float = 0.0
    """To fill the cache while all nodes of the pool do, on the cautious side: their share of one gateway, after the longest
    delay."""
    timeout_s: int = 0
    """After this it starts over, and keeps what is whole: 2.06 times fillS, which is the error of downloads, half an hour at
    least."""


def token_variables(cached: Iterable[CachedModel]) -> tuple[tuple[str, str], ...]:
    """An environment variable for every Secret that opens a repository. Values are never known here."""
    secrets = sorted({model.token_secret for model in cached if model.fill and model.token_secret})
    return tuple((f"MODEL_TOKEN_{number}", secret) for number, secret in enumerate(secrets, start=1))
