"""Answers serving cases with aiconfigurator, one JSON line for each on standard input, in its own environment.

An answer is ``{"ttft_ms", "tpot_ms", "seconds", ...}`` or ``{"reason"}``. A case is one fixed point: ``cli_estimate`` in its
``agg`` mode (continuous batching) with its defaults, no search, measured kernels only. Number formats are those stated;
where the peer has no kernels for them, those of the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from typing import Any

from aiconfigurator.cli.api import cli_estimate
from aiconfigurator.sdk.common import DefaultHFModels
from aiconfigurator.sdk.errors import NoResultsError, PerfDataNotAvailableError
from aiconfigurator.sdk.perf_database import get_version_slots
from packaging.version import InvalidVersion, Version


def nearest_version(system: str, backend: str, asked: str) -> str | None:
    """The oldest version with data that is not older than the one asked for; the maintained one if that has no number."""
    slots = get_version_slots(system, backend)
    if slots is None:
        return None
    try:
        wanted = Version(asked)
    except InvalidVersion:
        return slots["current"]
    known = sorted(slots.values(), key=Version)
    return next((version for version in known if Version(version) >= wanted), known[-1])


def predict(point: dict[str, Any], formats: dict[str, str | None]) -> dict[str, Any]:
    """The prediction with its time."""
    started = time.perf_counter()
    found = cli_estimate(**point, **formats, mode="agg")
    return {
        "seconds": time.perf_counter() - started,
        "ttft_ms": float(found.ttft),
        "tpot_ms": float(found.tpot),
        "version": found.backend_version,
        "kv_overflow": found.kv_cache_warning is not None,
        "formats": "stated" if any(formats.values()) else "checkpoint",
    }


def answer(point: dict[str, Any]) -> dict[str, Any]:
    """The prediction, or why there is none."""
    formats = {key: point.pop(key) for key in ("gemm_quant_mode", "moe_quant_mode")}
    point["backend_version"] = nearest_version(point["system_name"], point["backend_name"], point["backend_version"])
    if point["model_path"] not in DefaultHFModels or point["backend_version"] is None:
        return {"reason": "no such model, or no data for the engine on this system"}
    try:
        try:
            return predict(point, formats)
        except PerfDataNotAvailableError:
            return predict(point, {})
    except PerfDataNotAvailableError:
        return {"reason": "no kernel data for the shape and number format"}
    except (AssertionError, ValueError, RuntimeError) as error:
        if isinstance(error, NoResultsError) or str(error).startswith("OOM"):
            return {"reason": "does not fit in memory"}
        return {"reason": "layout refused", "message": str(error)}


def main() -> None:
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            reply = answer(json.loads(line))
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
