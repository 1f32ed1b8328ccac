"""The cold start of a replica, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.sizing import loading
from agentgpu_iac.sizing.ledger import Line

SECTION = "Cold start"


def start_lines(workload: Workload) -> Iterator[Line]:
    """Each phase, then their sum."""
    start, cache = workload.cold_start_s, workload.model_cache
    read_by = "" if cache.loader == "default" else f", read by {cache.loader}"
    figures = {
        "node": (start.node, "node claim 13 s + launch to Ready 40 s, measured on g6e.2xlarge"),
        "driver": (start.driver, "Ready to GPU registered, same run"),
        "image": (
            start.image,
            f"compressed image at {loading.IMAGE_GB_PER_S * 1000:.0f} MB/s, containerd's default pull",
        ),
        "cacheFill": (
            start.cache_fill,
            f"the pool's models from {cache.source} at {loading.HUB_GIB_PER_S} GiB/s at most",
        ),
        "weights": (start.weights, f"{cache.model_gib:g} GiB from {cache.storage}, cold{read_by}"),
        "compile": (start.compile, "torch.compile, same run; kept in the cache afterwards"),
        "warmUp": (start.warm_up, "profiling and graph capture, same run"),
    }
    for name, (seconds, source) in figures.items():
        yield Line(
            name=name, formula="one phase", inputs="", value=seconds, result=f"{seconds:g} s", unit="s", source=source
        )
    yield Line(
        name="total",
        formula="sum of the phases",
        inputs=" + ".join(f"{seconds:g}" for seconds, _ in figures.values()),
        value=start.total,
        result=f"{start.total:g} s ±{start.error_ratio:.0%}; {start.warm_node_total:g} s on a warm node",
        unit="s",
        source="two full cold starts were measured at 393 s and 966 s",
    )
