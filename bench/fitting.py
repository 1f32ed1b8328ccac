"""Robust least squares with priors, in numpy: fits the constants of the latency model to measured cases.

    minimise  sum of w log(1 + r^2 / s^2) over rows  +  sum of (lambda (ln c - ln prior) / sigma)^2 over constants

with r the logarithm of predicted over measured. The Cauchy loss keeps mislabelled rows in and their pull small; w
gives a group of n rows the weight n^0.4; the priors are what is known without these rows, so that a constant which the
remaining rows do not tell stays physical when a group is left out. Levenberg-Marquardt with numeric derivatives.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from serving_rows import Case

from agentgpu_iac.sizing import latency, memory
from agentgpu_iac.sizing.calibration import CONSTANTS, Constants, EngineFamily, Generation, family_of, generation_of
from agentgpu_iac.sizing.speed import Serving, Speed, speed_of

Vector = NDArray[np.float64]
Owner = Callable[[Case], bool]

PRIORS: dict[str, tuple[float, float]] = {
    "step_ms": (0.7, 0.5),
    "sequence_ms": (0.012, 0.5),
    "prompt_launch_ms_per_layer": (0.25, 0.5),
    "prompt_interference": (0.9, 0.1),
    "bandwidth_efficiency": (0.85, 0.1),
    "kv_bandwidth_efficiency": (0.75, 0.2),
    "latent_kv_factor": (1.5, 0.4),
    "all_reduce_ms": (0.006, 0.5),
    "decode_all_reduce_gb_per_s": (200.0, 0.5),
    "prompt_all_reduce_gb_per_s": (300.0, 0.4),
    "mfu_16_bit": (0.75, 0.15),
    "mfu_8_bit_hopper": (0.6, 0.2),
    "mfu_8_bit_blackwell": (0.6, 0.2),
    "mfu_4_bit": (0.5, 0.3),
    "mfu_weight_only": (0.5, 0.3),
    "expert_mfu_hopper": (0.5, 0.4),
    "expert_mfu_blackwell": (0.5, 0.4),
    "expert_mfu_4_bit": (0.5, 0.4),
    "block_fp8_launch_factor": (1.3, 0.2),
    "dense_fp4_launch_factor": (1.2, 0.2),
    "hopper_launch_factor": (1.0, 0.2),
    "sparse_attention_launch_factor": (1.5, 0.5),
    "steady_queue": (0.5, 0.7),
    "moe_launch_factor": (1.4, 0.3),
    "host_ms_per_request": (0.5, 1.0),
    "launch_ms_per_layer": (0.045, 0.3),
    "first_token_ms": (40.0, 0.7),
    "queue_share": (0.08, 0.8),
}
"""Prior and its standard deviation on a logarithmic scale, by the last part of a constant's name."""
UPPER = {"bandwidth_efficiency": 1.0, "kv_bandwidth_efficiency": 1.0, "mfu_16_bit": 1.0}
"""No hardware does better than its data sheet."""

PRIOR_STRENGTH = 2.0
TPOT_SCALE, TTFT_SCALE, TTFT_WEIGHT = 0.12, 0.30, 0.8
GROUP_EXPONENT = -0.3
ROUNDS = 25
TOLERANCE = 1e-3


def constant_names() -> tuple[str, ...]:
    """All constants, generations and families spelled out: ``vllm-0.18.launch_ms_per_layer``."""
    plain = [f.name for f in dataclasses.fields(Constants) if f.name not in ("families", "generations")]
    nested = [f"{key}.{f.name}" for key in CONSTANTS.families for f in dataclasses.fields(EngineFamily)]
    nested += [f"{key}.{f.name}" for key in CONSTANTS.generations for f in dataclasses.fields(Generation)]
    return tuple(plain + nested)


NAMES = constant_names()


def flatten(constants: Constants) -> Vector:
    """Constants as logarithms, in the order of ``NAMES``."""
    return np.log([_value(constants, name) for name in NAMES])


def _value(constants: Constants, name: str) -> float:
    key, _, field = name.rpartition(".")
    holder: Any = constants.families.get(key) or constants.generations.get(key) if key else constants  # type: ignore[call-overload]
    value: float = getattr(holder, field)
    return value


def unflatten(logs: Vector) -> Constants:
    """The inverse of ``flatten``."""
    values = dict(zip(NAMES, (float(v) for v in np.exp(logs)), strict=True))

    def table(keys: Mapping[Any, Any], kind: type[Any]) -> Mapping[Any, Any]:
        return MappingProxyType(
            {key: kind(**{f.name: values[f"{key}.{f.name}"] for f in dataclasses.fields(kind)}) for key in keys}
        )

    plain = {name: value for name, value in values.items() if "." not in name}
    return Constants(
        **plain,  # type: ignore[arg-type]
        families=table(CONSTANTS.families, EngineFamily),
        generations=table(CONSTANTS.generations, Generation),
    )


def predict(case: Case, constants: Constants) -> latency.Prediction:
    """What the model answers to one case."""
    engine = speed(case, constants)
    return latency.predict(engine, case.request, case.concurrency, case.seats)


def speed(case: Case, constants: Constants) -> Speed:
    """The replica of a case."""
    built = speed_of(
        case.model,
        case.accelerator,
        precision=case.precision,
        kv_dtype=case.kv_dtype,
        tensor_parallel=case.tensor_parallel,
        pipeline_parallel=1,
        max_batched_tokens=memory.default_max_num_batched_tokens(case.accelerator),
        serving=Serving(
            engine=case.engine,
            version=case.version,
            attention_dp=case.attention_dp,
            expert_parallel=case.expert_parallel,
            constants=constants,
        ),
    )
    assert built is not None
    return built


class Problem:
    """The cases, with what never changes computed once: replicas that rows share, and rows that repeat."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.measured = np.log(np.array([[case.tpot_ms, case.ttft_ms] for case in cases]))
        sizes = Counter(case.group for case in cases)
        weights = np.array([sizes[case.group] ** GROUP_EXPONENT for case in cases])
        self.weights = weights / math.sqrt(float(np.mean(weights**2)))
        self._replica = _numbered([_replica_key(case) for case in cases])
        self._question = _numbered(
            [(self._replica[i], case.request, case.concurrency, case.seats) for i, case in enumerate(cases)]
        )

    def predict(self, logs: Vector, wanted: NDArray[np.bool_] | None = None) -> Vector:
        """Logarithms of TPOT and TTFT of all cases (or of those wanted), two columns."""
        constants = unflatten(logs)
        replicas: dict[int, Speed] = {}
        answers: dict[int, tuple[float, float]] = {}
        found = np.zeros((len(self.cases), 2))
        for i, case in enumerate(self.cases):
            if wanted is not None and not wanted[i]:
                continue
            replica, question = self._replica[i], self._question[i]
            if question not in answers:
                if replica not in replicas:
                    replicas[replica] = speed(case, constants)
                answer = latency.predict(replicas[replica], case.request, case.concurrency, case.seats)
                answers[question] = math.log(answer.tpot_ms), math.log(answer.ttft_ms)
            found[i] = answers[question]
        return found

    def jacobian(self, logs: Vector, at: Vector, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Numeric derivatives of all predictions by all constants; an engine's constants touch only its rows."""
        result = np.zeros((len(NAMES), len(self.cases), 2))
        for number, name in enumerate(NAMES):
            wanted = keep & self._touched(name)
            if wanted.any():
                moved = logs.copy()
                moved[number] += 1e-4
                result[number][wanted] = (self.predict(moved, wanted)[wanted] - at[wanted]) / 1e-4
        return result

    def _touched(self, name: str) -> NDArray[np.bool_]:
        key = name.rpartition(".")[0]
        return np.array(
            [key in ("", family_of(case.engine), generation_of(case.engine, case.version)) for case in self.cases]
        )


def _replica_key(case: Case) -> tuple[object, ...]:
    where = (case.model.id, case.accelerator.id, case.engine, case.version, case.precision, case.kv_dtype)
    return (*where, case.tensor_parallel, case.attention_dp, case.expert_parallel)


def _numbered(keys: Sequence[object]) -> list[int]:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def prior() -> tuple[Vector, Vector]:
    """Logarithms of the priors and their standard deviations, in the order of ``NAMES``."""
    pairs = [PRIORS[name.rpartition(".")[2]] for name in NAMES]
    return np.log([value for value, _ in pairs]), np.array([sigma for _, sigma in pairs])


def fit(problem: Problem, keep: NDArray[np.bool_]) -> Vector:
    """Fit the constants to the rows kept, starting from the priors: nothing of the other rows enters."""
    centre, sigma = prior()
    upper = np.log([UPPER.get(name, math.inf) for name in NAMES])
    logs, damping = centre.copy(), 1e-2
    at = problem.predict(logs, keep)
    cost = _cost(problem, keep, at, (logs - centre) / sigma)
    for _ in range(ROUNDS):
        matrix, slope = _normal_equations(problem, keep, logs, at)
        matrix += np.diag((PRIOR_STRENGTH / sigma) ** 2)
        slope += PRIOR_STRENGTH**2 * (logs - centre) / sigma**2
        before = cost
        for _ in range(8):
            step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), -slope)
            trial = np.minimum(logs + np.clip(step, -0.7, 0.7), upper)
            at_trial = problem.predict(trial, keep)
            cost_trial = _cost(problem, keep, at_trial, (trial - centre) / sigma)
            if cost_trial < cost:
                logs, at, cost, damping = trial, at_trial, cost_trial, damping / 4
                break
            damping *= 5
        if before - cost < TOLERANCE * cost:
            break
    return logs


def _scaled(problem: Problem, at: Vector) -> Vector:
    return (at - problem.measured) / np.array([TPOT_SCALE, TTFT_SCALE])


def _weights(problem: Problem, keep: NDArray[np.bool_]) -> Vector:
    rows = np.where(keep, problem.weights, 0.0) ** 2
    return rows[:, None] * np.array([1.0, TTFT_WEIGHT**2])


def _cost(problem: Problem, keep: NDArray[np.bool_], at: Vector, off: Vector) -> float:
    loss = np.log1p(_scaled(problem, at) ** 2) * _weights(problem, keep)
    return float(loss.sum() + PRIOR_STRENGTH**2 * (off**2).sum())


def _normal_equations(
    problem: Problem, keep: NDArray[np.bool_], logs: Vector, at: Vector
) -> tuple[NDArray[np.float64], Vector]:
    scaled = _scaled(problem, at)
    weights = (_weights(problem, keep) / (1 + scaled**2)).ravel()
    slopes = (problem.jacobian(logs, at, keep) / np.array([TPOT_SCALE, TTFT_SCALE])).reshape(len(NAMES), -1)
    return (slopes * weights) @ slopes.T, slopes @ (weights * scaled.ravel())
