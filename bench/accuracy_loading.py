"""How far the predicted load times are from measured ones: in sample, and with each source left out.

Run with ``python -m bench.accuracy_loading``. Rows are in ``bench/data/load_times.json``; those that name a storage in
words are read as the paths below. Paths that no plan offers (object stores of other clouds, cache servers, other
loaders) are listed and not scored.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import loading, starting
from agentgpu_iac.units import GB, GIB

DATA = Path(__file__).with_name("data")

G5_12XLARGE = {"ebs_mb_per_s": 2000.0, "network_gbps": 40.0}
PATHS: dict[str, loading.LoadPath] = {
    "AWS EBS gp3": "ebs-gp3",
    "AWS EBS io2": "ebs-io2",
    "AWS S3": "s3",
    "S3 streamed to GPU": "s3",
    "AWS EFS elastic throughput": "efs",
    "FSx Lustre": "fsx",
    "local disk, cold page cache": "nvme",
    "local disk (GCP a3-highgpu-8g)": "nvme",
    "downloaded files, local read into VRAM": "nvme",
    "/data disk (kind not stated)": "nvme",
    "page cache (RAM)": "page-cache",
    "just downloaded (page cache)": "page-cache",
    "local NVMe or page cache": "page-cache",
    "tmpfs (in-memory)": "page-cache",
}
"""The path that a row's words mean. A disk that was just written or is not named counts as a cold local one."""

CATALOG_ROWS: tuple[dict[str, Any], ...] = (
    {
        "model": "meta-llama/Meta-Llama-3-8B",
        "size_gib": 14.96,
        "seconds": 7.6,
        "storage": "AWS EBS io2",
        "loader": "Run:ai Model Streamer",
        "source": "run-ai/runai-model-streamer docs/src/benchmarks.md (g5.12xlarge)",
    },
    {
        "model": "meta-llama/Meta-Llama-3-8B",
        "size_gib": 14.96,
        "seconds": 4.24,
        "storage": "AWS S3",
        "loader": "Run:ai Model Streamer",
        "source": "run-ai/runai-model-streamer docs/src/benchmarks.md (g5.12xlarge)",
    },
    {
        "model": "an 8B model",
        "size_gib": 15.0,
        "seconds": 17.8,
        "storage": "AWS S3",
        "loader": "Run:ai Model Streamer",
        "source": "awslabs/data-on-eks ray-batch-inference.md (g6e.2xlarge)",
    },
)
"""Published figures of paths that the measured rows lack."""

_SIZES_GIB = {"Llama-2-70B": 128.5}
"""Sizes that a row leaves to the model's name: 68.98 billion parameters in 16 bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One measured load of weights."""

    name: str
    origin: str
    """Who measured it: left out as a whole."""
    source: loading.Source
    size_gib: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A row that is not scored."""

    name: str
    reason: str


def loads() -> tuple[tuple[Load, ...], tuple[Skip, ...]]:
    """All rows, joined or skipped with a reason."""
    measured = json.loads((DATA / "load_times.json").read_text(encoding="utf-8"))
    joined = [_joined(row) for row in (*measured, *CATALOG_ROWS)]
    return (
        tuple(one for one in joined if isinstance(one, Load)),
        tuple(one for one in joined if isinstance(one, Skip)),
    )


def _joined(row: dict[str, Any]) -> Load | Skip:
    name = f"{row['model']} from {row['storage']} by {row['loader']}"
    path = PATHS.get(row["storage"])
    if path is None:
        return Skip(name=name, reason="a path that no plan offers, or not a load")
    loader = _loader(row["loader"])
    if loader is None:
        return Skip(name=name, reason="a loader that is not modelled")
    size = row.get("size_gib") or (row.get("size_gb") or 0) * GB / GIB or _SIZES_GIB.get(row["model"])
    if not size:
        return Skip(name=name, reason="size unknown")
    return Load(
        name=name,
        origin=_origin(row["source"]),
        source=loading.Source(
            path=path, loader=loader, ranks=_ranks(row), pcie_generation=_pcie_generation(row), **_machine(row, path)
        ),
        size_gib=size,
        seconds=float(row["seconds"]),
    )


def _loader(words: str) -> loading.Loader | None:
    if words.startswith(("safetensors", "HF safetensors")):
        return "default"
    if "streamer distributed" in words:
        return None
    return "streamer" if words.startswith(("Run:ai", "Anyscale")) else None


def _machine(row: dict[str, Any], path: loading.LoadPath) -> dict[str, float]:
    """What the row's machine can draw, as the catalog's instance types have it."""
    source, words = row["source"], str(row.get("gpu"))
    volume = {"volume_mib_per_s": 1000.0} if path == "ebs-gp3" else {}
    if "g5.12xlarge" in source:
        return {**G5_12XLARGE, **volume}
    if "g6e.2xlarge" in source:
        return {"network_gbps": math.sqrt(5 * 20)}
    return {"network_gbps": 400.0} if "p4de" in words else dict(volume)


def _ranks(row: dict[str, Any]) -> int:
    words = f"{row.get('gpu')} {row['loader']}"
    return next((count for count in (16, 8, 4, 2) if f"{count}x" in words or f"{count}*" in words), 1)


def _pcie_generation(row: dict[str, Any]) -> int:
    return 4 if str(row.get("gpu")).startswith(("A100", "A10G", "4xL40S")) else 5


def _origin(source: str) -> str:
    """Who measured: reports that repeat another's benchmark count as that one."""
    for word in ("runai-model-streamer", "hyper.ai"):
        if word in source:
            return "Run:ai benchmark"
    return source.split(")", maxsplit=1)[0] + ")" if source.startswith("public") else source.split(" ", maxsplit=1)[0]


def off(load: Load) -> float:
    """Relative error of the predicted seconds, signed."""
    return load.size_gib / loading.source_gib_per_s(load.source) / load.seconds - 1


# --- Leaving a source out ----------------------------------------------------------------------------------------------

FITTED = (
    "MAPPED_NETWORK_GIB_PER_S",
    "NVME_GIB_PER_S",
    "PAGE_CACHE_GIB_PER_S",
    "STREAMER_GIB_PER_S",
    "OBJECT_NETWORK_SHARE",
)


def fit(rows: Sequence[Load]) -> dict[str, float]:
    """Each constant as the median of what the rows that it decides say; the shipped one where no row is left."""
    said: dict[str, list[float]] = {name: [] for name in FITTED}
    for row in rows:
        rate, source = row.size_gib / row.seconds, row.source
        if source.path == "s3":
            network = (source.network_gbps or math.inf) * 1e9 / 8 / GIB
            share = rate / network
            said["OBJECT_NETWORK_SHARE" if share > 0.3 else "STREAMER_GIB_PER_S"].append(share if share > 0.3 else rate)
        elif source.loader == "streamer":
            if source.path == "page-cache":
                said["STREAMER_GIB_PER_S"].append(rate)
        elif source.path == "page-cache":
            said["PAGE_CACHE_GIB_PER_S"].append(rate / source.ranks * 2 ** (5 - source.pcie_generation))
        elif source.path == "nvme":
            said["NVME_GIB_PER_S"].append(rate / source.ranks**loading.NVME_RANKS_EXPONENT)
        else:
            said["MAPPED_NETWORK_GIB_PER_S"].append(rate)
    return {name: statistics.median(values) for name, values in said.items() if values}


@contextmanager
def refitted(rows: Sequence[Load]) -> Iterator[None]:
    """The load model with its constants found from ``rows`` alone."""
    found = fit(rows)
    before = {name: getattr(loading, name) for name in found}
    try:
        for name, value in found.items():
            setattr(loading, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(loading, name, value)


def left_out(rows: Sequence[Load]) -> Iterator[tuple[Load, float]]:
    """Every load with its error when its source is not among the rows that the constants are found from."""
    for origin in sorted({row.origin for row in rows}):
        with refitted([row for row in rows if row.origin != origin]):
            yield from ((row, off(row)) for row in rows if row.origin == origin)


# --- Tables ---------------------------------------------------------------------------------------------------------


def median_error(errors: Iterable[float]) -> float:
    """Median of the absolute relative errors."""
    return statistics.median(abs(error) for error in errors)


def within(errors: Sequence[float], factor: float = 1.5) -> float:
    """Share of the predictions within a factor of the measured time."""
    return sum(1 / factor <= 1 + error <= factor for error in errors) / len(errors)


_EKS_IMAGE_GB = 11.6
_EKS_MODEL_GIB = 15.0
_FULL_COLD_STARTS: dict[str, tuple[float, dict[str, float]]] = {
    "EKS, g6e.2xlarge, 15 GiB from S3, image 11.6 GB (awslabs/data-on-eks)": (
        393.0,
        {"node": 53, "driver": 36, "image": 121, "weights": 17.8, "compile": 19.4, "warm-up": 14.4},
    ),
    "AKS, machine not stated (kaito-project/kaito#2325)": (
        966.0,
        {"node": 284, "driver": 126, "image": 101, "weights": 62, "compile and warm-up": 195},
    ),
}
"""Seconds from nothing to an answer, and of the phases that a plan knows; node and driver of the first are our constants. The
first served an 8B model of 32 layers, the second a 27B on A100, counted as one of 64 layers with recurrent ones."""


def _full_cold_starts() -> Iterator[str]:
    offered = (one.instance_type for one in load_catalog().offerings)
    instance = next(one for one in offered if one.name == "g6e.2xlarge")
    s3 = loading.Source(path="s3", loader="streamer", network_gbps=loading.expected_network_gbps(instance))
    dense = starting.Starting(layers=32, version="0.9")
    hybrid = starting.Starting(layers=64, has_recurrent_layers=True, version="0.28")
    ours = {
        "node": starting.NODE_S,
        "driver": starting.DRIVER_S,
        "image": starting.image_pull_s(_EKS_IMAGE_GB),
        "weights": _EKS_MODEL_GIB / loading.source_gib_per_s(s3),
        "compile": starting.compile_s(dense),
        "warm-up": starting.warm_up_s(dense),
        "compile and warm-up": starting.compile_s(hybrid) + starting.warm_up_s(hybrid),
    }
    unknown = {"image", "weights"}
    for place, (total, phases) in _FULL_COLD_STARTS.items():
        is_known = place.startswith("EKS")
        predicted = {
            name: ours[name] if is_known or name not in unknown else seconds for name, seconds in phases.items()
        }
        yield f"full cold start on {place}:"
        for name, seconds in phases.items():
            note = "" if is_known or name not in unknown else " (taken as measured: size not stated)"
            yield f"  {name:20} {predicted[name]:6.1f} s of {seconds:6.1f} s{note}"
        yield f"  {'no phase of a plan':20} {0:6.1f} s of {total - sum(phases.values()):6.1f} s (containers, serving framework)"
        yield f"  {'whole':20} {sum(predicted.values()):6.1f} s of {total:6.1f} s"
    cold, warm = (
        26 * GB / GIB / loading.source_gib_per_s(loading.Source(path=path)) for path in ("nvme", "page-cache")
    )
    yield f"26 GB from local NVMe: {cold:.1f} s cold, {warm:.1f} s from the page cache (the playbook says under 30 s)"


def tables() -> Iterator[str]:
    """The report, line by line."""
    rows, skipped = loads()
    inside = [(row, off(row)) for row in rows]
    outside = list(left_out(rows))
    for label, found in (("in sample", inside), ("leaving each source out", outside)):
        errors = [error for _, error in found]
        yield f"{label:24} {len(errors)} rows: median {median_error(errors):.1%}, within 1.5x {within(errors):.0%}"
    for path in dict.fromkeys(PATHS.values()):
        errors = [error for row, error in outside if row.source.path == path]
        if errors:
            yield f"  {path:12} {len(errors):2} rows: median {median_error(errors):.1%}, within 1.5x {within(errors):.0%}"
    yield "rows (left out):"
    for row, error in outside:
        predicted = row.seconds * (1 + error)
        yield f"  {error:+7.1%} {predicted:8.1f} s of {row.seconds:8.1f} s, {row.source.ranks} ranks: {row.name} [{row.origin}]"
    yield from _full_cold_starts()
    yield f"skipped rows: {len(skipped)}"
    for skip in skipped:
        yield f"  {skip.reason}: {skip.name}"


if __name__ == "__main__":
    for line in tables():
        print(line)
