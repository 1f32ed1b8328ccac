"""One scene in Vidur's simulator, in its own environment: the scene on standard input, what came of it on standard output.

Vidur's scheduler, events and requests are as released (``vidur`` 0.0.26). Its profiles of cards are not in its wheel, and are
not what is compared: in place of its predictor a step takes what our step model says, asked once for each batch. Metrics and
plots are off, which is what its events take least time with; first and last tokens are read from its requests.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import resource
import sys
import tempfile
import time
from typing import Any

os.environ["WANDB_MODE"] = "disabled"

from vidur._native.entities import ExecutionTime
from vidur.config import (
    CacheConfig,
    ClusterConfig,
    MetricsConfig,
    RandomForrestExecutionTimePredictorConfig,
    ReplicaConfig,
    RoundRobinGlobalSchedulerConfig,
    SarathiSchedulerConfig,
    SimulationConfig,
    TraceRequestGeneratorConfig,
)
from vidur.entities import Request
from vidur.execution_time_predictor.execution_time_predictor_registry import ExecutionTimePredictorRegistry
from vidur.request_generator import RequestGeneratorRegistry
from vidur.simulator import Simulator

BLOCK = 16


class Steps:
    """How long a batch takes, by the coefficients of the scene."""

    def __init__(self, steps: dict[str, Any]) -> None:
        self._lines = steps["decode_lines"]
        self._steps = steps

    def get_execution_time(self, batch: Any, _: int) -> Any:
        """A step, as its one layer's one operation."""
        decoding = contexts = tokens = pairs = 0.0
        for request, read, kept in zip(batch.requests, batch.num_q_tokens, batch.num_kv_tokens, strict=True):
            if request.is_prefill_complete:
                decoding += 1
                contexts += kept
            else:
                tokens += read
                pairs += read * (kept - read + read / 2)
        return ExecutionTime(1, self._ms(decoding, contexts, tokens, pairs), *[0.0] * 13)

    def _ms(self, decoding: float, contexts: float, tokens: float, pairs: float) -> float:
        if not tokens:
            base, slope = self._lines[int(decoding)]
            return base + slope * contexts / decoding
        steps = self._steps
        arithmetic = (
            decoding * steps["ms_per_token"] + tokens * steps["ms_per_prompt_token"] + pairs * steps["ms_per_pair"]
        )
        memory = contexts * steps["ms_per_context_token"] + decoding * steps["ms_per_request"]
        captured = decoding + tokens <= steps["captured_tokens"]
        launches = steps["captured_launch_ms"] if captured else steps["launch_ms"]
        return launches + math.hypot(arithmetic, steps["weights_ms"]) + memory


class Arrivals:
    """The scene's requests."""

    requests: list[Request]

    def generate(self) -> list[Request]:
        """All of them."""
        return self.requests


def play(scene: dict[str, Any], folder: str) -> dict[str, Any]:
    """Simulate the scene; times in ms, and what the simulation alone took of the CPU."""
    config = SimulationConfig(
        cluster_config=ClusterConfig(
            num_replicas=scene["replicas"],
            replica_config=ReplicaConfig(num_pipeline_stages=1, tensor_parallel_size=1),
            cache_config=CacheConfig(
                block_size=BLOCK, num_blocks=int(scene["cache_tokens"]) // BLOCK, watermark_blocks_fraction=0.0
            ),
            global_scheduler_config=RoundRobinGlobalSchedulerConfig(),
            replica_scheduler_config=SarathiSchedulerConfig(
                batch_size_cap=scene["seats"], chunk_size=scene["step_tokens"]
            ),
        ),
        request_generator_config=TraceRequestGeneratorConfig(
            max_tokens=scene["prompt_tokens"] + scene["output_tokens"]
        ),
        execution_time_predictor_config=RandomForrestExecutionTimePredictorConfig(),
        metrics_config=MetricsConfig(
            write_metrics=False, store_plots=False, enable_chrome_trace=False, output_dir=folder
        ),
    )
    arrivals = Arrivals()
    arrivals.requests = [Request(at, scene["prompt_tokens"], scene["output_tokens"]) for at in scene["arrivals_s"]]
    for registry, kind, made in (
        (ExecutionTimePredictorRegistry, config.execution_time_predictor_config, Steps(scene["steps"])),
        (RequestGeneratorRegistry, config.request_generator_config, arrivals),
    ):
        registry.unregister(kind.get_type())
        registry.register(kind.get_type(), lambda *_, made=made, **__: made)
    simulator = Simulator(config)
    began_s = time.process_time()
    simulator.run()
    took_s = time.process_time() - began_s
    done = arrivals.requests
    return {
        "cpu_s": took_s,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ttft_ms": [1000 * (each.prefill_completed_at - each.arrived_at) for each in done],
        "tpot_ms": [
            1000 * (each.completed_at - each.prefill_completed_at) / (scene["output_tokens"] - 1) for each in done
        ],
        "restarts": sum(each.num_restarts for each in done),
    }


def main() -> None:
    """One scene."""
    logging.disable(logging.CRITICAL)
    scene = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        found = play(scene, folder)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
