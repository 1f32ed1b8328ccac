"""The cold start of a replica, phase by phase, as it is likely and at worst."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import ModelCachePlan, Workload
from agentgpu_iac.sizing import loading, starting
from agentgpu_iac.sizing.ledger import Line

SECTION = "Cold start"


def start_lines(workload: Workload) -> Iterator[Line]:
    """Each phase with its upper figure, their sum, and the sum at worst."""
    start, cache = workload.cold_start_s, workload.model_cache
    late = start.upper
    read_by = "" if cache.loader == "default" else f", read by {cache.loader}"
    figures = {
        "node": (start.node, late.node, "node claim 13 s + launch to Ready 40 s, measured on g6e.2xlarge"),
        "driver": (start.driver, late.driver, "Ready to GPU registered, same run"),
        "image": (start.image, late.image, _image(start.image_pull)),
        "cacheFill": (
            start.cache_fill,
            late.cache_fill,
            f"the pool's models from {cache.source} at {loading.HUB_GIB_PER_S} GiB/s at most",
        ),
        "imports": (start.imports, late.imports, "container start to the first byte of weights, measured starts"),
        "weights": (start.weights, late.weights, _weights(cache, read_by)),
        "compile": (
            start.compile,
            late.compile,
            f"{starting.COMPILE_S:g} s + {starting.COMPILE_S_PER_LAYER:g} s a layer, measured starts; kept in the cache",
        ),
        "warmUp": (start.warm_up, late.warm_up, "profiling, tuning and graph capture of such a model, measured starts"),
        "firstAnswer": (start.first_answer, late.first_answer, "ready to the first answer, measured starts"),
    }
    for name, (seconds, at_worst, source) in figures.items():
        yield Line(
            name=name,
            formula="one phase",
            inputs="",
            value=seconds,
            result=f"{seconds:g} s, {at_worst:g} s at worst",
            unit="s",
            source=source,
        )
    yield Line(
        name="total",
        formula="sum of the phases",
        inputs=" + ".join(f"{seconds:g}" for seconds, _, _ in figures.values()),
        value=start.total,
        result=f"{start.total:g} s, {late.total:g} s at worst; on a warm node {start.warm_node_total:g} and "
        f"{late.warm_node_total:g} s",
        unit="s",
        source="the likely start: half of them take longer",
    )
    yield Line(
        name="upper",
        formula="total + root of the sum of the squares of what the node, the image, the fill, the weights, the engine and "
        "the first answer may take longer",
        inputs=_late_sum(workload),
        value=late.total,
        result=f"{late.total:g} s",
        unit="s",
        source="one start in twenty takes longer; probes, deadlines, alerts and warm replicas follow it",
    )
    if start.restart_total is not None:
        yield Line(
            name="restart",
            formula="what an engine does again although its compiled code is kept + its weights, out of memory",
            inputs="",
            value=start.restart_total,
            result=f"{start.restart_total:g} s, {late.restart_total or 0.0:g} s at worst",
            unit="s",
            source=f"{starting.RESTART_S:g} s of imports and server on one rank and an init by layers, measured restarts; an "
            "engine that exits is away so long",
        )


def _weights(cache: ModelCachePlan, read_by: str) -> str:
    if cache.streamed_from is None:
        return f"{cache.model_gib:g} GiB from {cache.storage}, cold{read_by}"
    return (
        f"{cache.model_gib:g} GiB streamed from {cache.streamed_from} at each start, by {loading.OBJECT_NETWORK_SHARE:.0%} of "
        "the network between its baseline and its peak; at worst of its baseline"
    )


def _image(pull: str) -> str:
    if pull == "parallel":
        rate = starting.PARALLEL_IMAGE_GB_PER_S
        return (
            f"compressed image at {rate * 1000:.0f} MB/s, SOCI parallel pull; at worst as slow as containerd's default"
        )
    return f"compressed image at {starting.IMAGE_GB_PER_S * 1000:.0f} MB/s, containerd's default pull"


def _late_sum(workload: Workload) -> str:
    """The sum at worst with its figures; nothing where the start was set by hand, which is scaled as a whole."""
    start, late = workload.cold_start_s, workload.cold_start_s.upper
    before = start.node + start.driver + start.image + start.cache_fill
    if abs(before + start.warm_node_total + start.first_answer - start.total) > 1:
        return ""
    parts = (
        f"({late.node:g} + {late.driver:g} - {start.node:g} - {start.driver:g})^2",
        f"({late.image:g} - {start.image:g})^2",
        f"({late.cache_fill:g} - {start.cache_fill:g})^2",
        f"({late.weights:g} - {start.weights:g})^2",
        f"({late.imports:g} + {late.compile:g} + {late.warm_up:g} - {start.imports:g} - {start.compile:g} - {start.warm_up:g})^2",
        f"({late.first_answer:g} - {start.first_answer:g})^2",
    )
    return f"{start.total:g} + ({' + '.join(parts)})^0.5"
