"""Cold start, phase by phase: from a missing node to a replica that answers.

The phases and their figures were measured on real clusters; each constant names where. Two full cold starts frame
the whole: 6 min 33 s on g6e.2xlarge (15 GiB from S3) and 966 s in a KAITO report, of which compile and warm-up alone
were 195 s. Phases therefore differ by a factor of two between clusters, which the error ratio says.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import InstanceType
from agentgpu_iac.spec.vocabulary import Storage

NODE_S = 53.0
"""Node claim 13 s + EC2 launch to Ready 40 s (data-on-eks, g6e.2xlarge, us-west-2)."""
DRIVER_S = 36.0
"""Node Ready to GPU registered by the device plugin (same run)."""
IMAGE_GB_PER_S = 9.35 / 130.8
"""containerd's default pull: a vLLM image of 9.35 GB in 130.8 s (karpenter-blueprints, AL2023)."""
COMPILE_S = 19.4
"""torch.compile of vLLM's start on the same run; kept on the node's cache afterwards."""
WARM_UP_S = 14.4
"""Profiling, KV allocation and graph capture: vLLM init 33.8 s less compile (same run)."""
HUB_GIB_PER_S = 0.7
"""Download from the model hub: 61 GiB took 87 s more than loading alone (Qwen3-32B start-up logs)."""
NVME_GIB_PER_S = 0.68
"""Cold safetensors from local NVMe: 15 GiB in 22 s. Warm page cache reads 5 to 10 times faster."""
GP3_LOADER_GIB_PER_S = 0.31
"""safetensors from a gp3 volume with the default loader: 14.96 GiB in 47.99 s; the volume's rate may bound it lower."""
ERROR_RATIO = 0.6
"""The two full cold starts differ from these phases by up to this much."""

_GBIT_GIB = 1e9 / 8 / 2**30
_MB_GIB = 1e6 / 2**30
_MIB_GIB = 1 / 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """Seconds by phase."""

    node: float
    driver: float
    image: float
    cache_fill: float
    weights: float
    compile: float
    warm_up: float

    @property
    def total(self) -> float:
        """From a missing node: image pull and cache fill run one after the other at worst."""
        return self.node + self.driver + self.image + self.warm_node_total + self.cache_fill

    @property
    def warm_node_total(self) -> float:
        """On a node that is up, with the image and the model cache in place but a cold page cache."""
        return self.weights + self.compile + self.warm_up


def storage_gib_per_s(instance: InstanceType, storage: Storage, root_volume_mib_per_s: int) -> float:
    """Rate at which weights come off the node's storage, in GiB/s.

    NVMe: one cold stream as measured. gp3: the loader's rate, bounded by the volume and by the instance's own EBS
    ceiling: its baseline, since the burst credit is gone when it is needed most.
    """
    if storage == "nvme" and instance.nvme_count:
        return NVME_GIB_PER_S
    rate = min(GP3_LOADER_GIB_PER_S, root_volume_mib_per_s * _MIB_GIB)
    if instance.ebs_baseline_mbps:
        rate = min(rate, instance.ebs_baseline_mbps * _MB_GIB)
    return rate


def fill_gib_per_s(instance: InstanceType, storage: Storage, root_volume_mib_per_s: int) -> float:
    """Rate at which a node's cache is filled from the hub: the slowest of hub, network baseline and disk."""
    rate = HUB_GIB_PER_S
    if instance.network_baseline_gbps:
        rate = min(rate, instance.network_baseline_gbps * _GBIT_GIB)
    if storage == "ebs-gp3" or not instance.nvme_count:
        rate = min(rate, storage_gib_per_s(instance, storage, root_volume_mib_per_s))
    return rate


def cold_start(
    instance: InstanceType,
    *,
    model_gib: float,
    node_models_gib: float,
    image_gb: float,
    storage: Storage,
    root_volume_mib_per_s: int,
) -> ColdStart:
    """Predict the cold start of one replica.

    ``model_gib`` is the checkpoint that the replica loads; ``node_models_gib`` everything that the node's cache is
    filled with before the marker of the last model is written.
    """
    return ColdStart(
        node=NODE_S,
        driver=DRIVER_S,
        image=image_gb / IMAGE_GB_PER_S,
        cache_fill=node_models_gib / fill_gib_per_s(instance, storage, root_volume_mib_per_s),
        weights=model_gib / storage_gib_per_s(instance, storage, root_volume_mib_per_s),
        compile=COMPILE_S,
        warm_up=WARM_UP_S,
    )
