"""The speed of an engine, worked out once for all agents whose engines would run alike.

It hangs on the model, the card, the flags and the engine's version, and on nothing that an agent asks. Agents who share one find
the steady states of one another's requests too, where these are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agentgpu_iac.catalog.model import Accelerator, Calibration, Model
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.sizing import replica
from agentgpu_iac.sizing.replica import Replica
from agentgpu_iac.sizing.speed import Serving, Speed
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision


def speed_of(of: Replica, serving: Serving) -> Speed | None:
    """How fast one replica is; None where no TFLOPS figure of the accelerator has a source."""
    flags = _Flags(
        precision=of.precision,
        weight_only=of.weight_only,
        kv_dtype=of.kv_dtype,
        tensor_parallel=of.tensor_parallel,
        pipeline_parallel=of.pipeline_parallel,
        attention_dp=of.attention_dp,
        expert_parallel=of.expert_parallel,
        max_num_batched_tokens=of.max_num_batched_tokens,
        enforce_eager=of.enforce_eager,
        engine=serving.engine,
        version=serving.version,
        accepted_tokens=serving.accepted_tokens,
        nodes=serving.nodes,
        gbps_between_nodes=serving.gbps_between_nodes,
    )
    return _speed(Itself(of.model), Itself(of.accelerator), Itself(serving.own_run), flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags:
    """Everything else that a speed hangs on."""

    precision: Precision
    weight_only: bool
    kv_dtype: KvCacheDtype
    tensor_parallel: int
    pipeline_parallel: int
    attention_dp: int
    expert_parallel: int
    max_num_batched_tokens: int
    enforce_eager: bool
    engine: Engine
    version: str | None
    accepted_tokens: float
    nodes: int
    gbps_between_nodes: float


@lru_cache(maxsize=8192)
def _speed(
    model: Itself[Model], accelerator: Itself[Accelerator], own_run: Itself[Calibration | None], flags: _Flags
) -> Speed | None:
    return replica.speed(
        Replica(
            model=model.thing,
            accelerator=accelerator.thing,
            accounted_as="",
            precision=flags.precision,
            weight_only=flags.weight_only,
            kv_dtype=flags.kv_dtype,
            tensor_parallel=flags.tensor_parallel,
            pipeline_parallel=flags.pipeline_parallel,
            attention_dp=flags.attention_dp,
            expert_parallel=flags.expert_parallel,
            max_num_batched_tokens=flags.max_num_batched_tokens,
            enforce_eager=flags.enforce_eager,
        ),
        Serving(
            engine=flags.engine,
            version=flags.version,
            accepted_tokens=flags.accepted_tokens,
            nodes=flags.nodes,
            gbps_between_nodes=flags.gbps_between_nodes,
            own_run=own_run.thing,
        ),
    )
