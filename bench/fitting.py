"""Robust least squares with priors, in numpy: fits the few constants of steps and hosts to measured runs.

    minimise  sum of w log(1 + r^2 / s^2) over rows  +  sum of (lambda (ln c - ln prior) / sigma)^2 over constants

with r the logarithm of predicted over measured, predicted by stepping the replica through the row's own protocol. The
Cauchy loss keeps mislabelled rows in and their pull small; w gives a group of n rows the weight n^0.4; the priors are
what is known without these rows, so that a constant which the remaining rows do not tell stays physical when a group is
left out. Stepping is slow to differentiate, so a fit sees up to ``PER_GROUP`` rows of each group, spread over those of at
most ``SAMPLED_REQUESTS`` requests, and all fits without a group start from the derivatives of the fit to all; what is left
out is stepped again with what they find.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from serving_rows import Case

from agentgpu_iac.sizing import arrivals, latency
from agentgpu_iac.sizing.calibration import CONSTANTS, Constants, EngineFamily, Generation, family_of, generation_of
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.speed import Serving, Speed, speed_of

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]

PRIORS: dict[str, tuple[float, float]] = {
    "step_ms": (0.7, 0.5),
    "routing_shape": (2.5, 0.5),
    "sequence_ms": (0.012, 0.5),
    "prompt_reduce_ms": (0.05, 0.7),
    "prompt_launch_ms_per_layer": (0.2, 0.3),
    "prompt_experts_launch_ms": (0.3, 0.7),
    "captured_launch_ms_per_layer": (0.1, 0.7),
    "launch_ms_per_layer": (0.012, 0.6),
    "prompt_factor": (1.1, 0.15),
    "first_token_ms": (10.0, 0.5),
}
"""Prior and its standard deviation on a logarithmic scale, by the last part of a constant's name."""

PRIOR_STRENGTH = 2.0
TPOT_SCALE, TTFT_SCALE, TTFT_WEIGHT = 0.12, 0.30, 0.8
GROUP_EXPONENT = -0.3
PER_GROUP = 8
SAMPLED_REQUESTS = 128
"""Rows of more requests at once are not in the sample, since stepping them takes long; they are in every figure."""
LINEARISATIONS, ROUNDS = 3, 30
STEP = 0.02
"""Change of a constant's logarithm by which derivatives are taken: a run steps, so a smaller one shows the steps."""
FARTHEST = 0.7
"""No constant's logarithm moves farther between two linearisations."""


def constant_names() -> tuple[str, ...]:
    """What is fitted, generations and families spelled out: ``vllm-0.18.launch_ms_per_layer``."""
    plain = [f.name for f in dataclasses.fields(Constants) if f.name in PRIORS]
    nested = [f"{key}.{f.name}" for key in CONSTANTS.families for f in dataclasses.fields(EngineFamily)]
    nested += [f"{key}.{f.name}" for key in CONSTANTS.generations for f in dataclasses.fields(Generation)]
    return tuple(plain + [name for name in nested if name.rpartition(".")[2] in PRIORS])


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
    """The inverse of ``flatten``: what is not fitted is as shipped."""
    values = dict(zip(NAMES, (float(v) for v in np.exp(logs)), strict=True))

    def table(shipped: Mapping[Any, Any]) -> Mapping[Any, Any]:
        return MappingProxyType(
            {
                key: dataclasses.replace(
                    row,
                    **{
                        f.name: values[f"{key}.{f.name}"]
                        for f in dataclasses.fields(row)
                        if f"{key}.{f.name}" in values
                    },
                )
                for key, row in shipped.items()
            }
        )

    return dataclasses.replace(
        CONSTANTS,
        **{name: value for name, value in values.items() if "." not in name},  # type: ignore[arg-type]
        families=table(CONSTANTS.families),
        generations=table(CONSTANTS.generations),
    )


def predict(case: Case, constants: Constants) -> tuple[float, float]:
    """TPOT and TTFT in ms: the replica of a case, stepped through its requests."""
    return run(case, speed(case, constants))


def run(case: Case, engine: Speed) -> tuple[float, float]:
    """TPOT and TTFT in ms, as means over the requests."""
    port, groups = SIZING_PORTS[case.engine], case.spread.attention_groups
    request = case.request
    held = request.prompt_tokens + request.output_tokens * port.held_output_share
    slots = max(1, round(case.concurrency))
    outcome = arrivals.run(
        engine,
        port.scheduling(
            seats=case.recipe.seats or port.default_seats(case.accelerator) * groups,
            step_tokens=engine.max_batched_tokens * groups,
            cache_tokens=case.seats * held,
            receive_every=case.recipe.receive_every or 1,
        ),
        arrivals.Host(
            request_ms=latency.way_ms(engine, engine.decode_ms(min(case.seats, slots), request.context_tokens)),
            serial_ms=engine.host_ms_per_request,
        ),
        arrivals.Lengths(prompt_tokens=request.prompt_tokens, output_tokens=request.output_tokens, low=case.length_low),
        arrivals.Load(arrivals="closed", requests=slots * case.rounds, slots=slots, together=True),
    )
    return arrivals.mean(outcome.tpot_ms), arrivals.mean(outcome.ttft_ms)


def speed(case: Case, constants: Constants) -> Speed:
    """The replica of a case."""
    port = SIZING_PORTS[case.engine]
    built = speed_of(
        case.model,
        case.accelerator,
        precision=case.precision,
        kv_dtype=case.kv_dtype,
        tensor_parallel=case.tensor_parallel,
        pipeline_parallel=1,
        max_batched_tokens=case.step_tokens or port.default_step_tokens(case.accelerator, case.version),
        serving=Serving(
            engine=case.engine,
            version=case.version,
            attention_dp=case.attention_dp,
            expert_parallel=case.expert_parallel,
            expert_kernel=case.recipe.expert_kernel,
            captured_tokens=case.recipe.captured_tokens,
            constants=constants,
        ),
    )
    assert built is not None
    return built


class Problem:
    """The cases, with what never changes computed once: rows that ask the same, and what a constant touches."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.measured = np.log(np.array([[case.tpot_ms, case.ttft_ms] for case in cases]))
        sizes = Counter(case.group for case in cases)
        weights = np.array([sizes[case.group] ** GROUP_EXPONENT for case in cases])
        weights /= math.sqrt(float(np.mean(weights**2)))
        predictable = np.array([not case.ttft_holds for case in cases])
        self.weights = np.stack([weights, TTFT_WEIGHT * weights * predictable], axis=1)
        self._replica = _numbered([_replica_key(case) for case in cases])
        self._question = _numbered(
            [
                (self._replica[i], case.request, case.concurrency, case.seats, case.rounds)
                for i, case in enumerate(cases)
            ]
        )
        self._places = [(family_of(case.engine), generation_of(case.engine, case.version)) for case in cases]

    def sample(self) -> Mask:
        """Up to ``PER_GROUP`` rows of each group, spread evenly over it."""
        members: dict[tuple[str, str, str], list[int]] = {}
        for i, case in enumerate(self.cases):
            if case.concurrency <= SAMPLED_REQUESTS:
                members.setdefault(case.group, []).append(i)
        chosen = np.zeros(len(self.cases), dtype=bool)
        for rows in members.values():
            places = np.linspace(0, len(rows) - 1, min(PER_GROUP, len(rows)))
            chosen[[rows[round(place)] for place in places]] = True
        return chosen

    def stands_for(self, rows: Mask) -> Vector:
        """Root of the number of its group's rows that each of a sample stands for."""
        all_of = Counter(case.group for case in self.cases)
        chosen = Counter(case.group for case, one in zip(self.cases, rows, strict=True) if one)
        return np.array([math.sqrt(all_of[case.group] / max(1, chosen[case.group])) for case in self.cases])

    def predict(self, logs: Vector, wanted: Mask) -> Vector:
        """Logarithms of TPOT and TTFT of the cases wanted, two columns."""
        constants = unflatten(logs)
        replicas: dict[int, Speed] = {}
        answers: dict[int, tuple[float, float]] = {}
        found = np.zeros((len(self.cases), 2))
        for i in np.flatnonzero(wanted):
            case, replica, question = self.cases[i], self._replica[i], self._question[i]
            if question not in answers:
                if replica not in replicas:
                    replicas[replica] = speed(case, constants)
                tpot_ms, ttft_ms = run(case, replicas[replica])
                answers[question] = math.log(tpot_ms), math.log(ttft_ms)
            found[i] = answers[question]
        return found

    def jacobian(self, logs: Vector, at: Vector, wanted: Mask) -> NDArray[np.float64]:
        """Numeric derivatives of the predictions by all constants; an engine's constants touch only its rows."""
        result = np.zeros((len(NAMES), len(self.cases), 2))
        for number, name in enumerate(NAMES):
            key = name.rpartition(".")[0]
            touched = wanted & np.array([not key or key in places for places in self._places])
            if touched.any():
                moved = logs.copy()
                moved[number] += STEP
                result[number][touched] = (self.predict(moved, touched)[touched] - at[touched]) / STEP
        return result


def _replica_key(case: Case) -> tuple[object, ...]:
    where = (case.model.id, case.accelerator.id, case.engine, case.version, case.precision, case.kv_dtype)
    widths = (case.tensor_parallel, case.attention_dp, case.expert_parallel)
    return (*where, *widths, case.step_tokens, case.length_low, case.recipe)


def _numbered(keys: Sequence[object]) -> list[int]:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def prior() -> tuple[Vector, Vector]:
    """Logarithms of the priors and their standard deviations, in the order of ``NAMES``."""
    pairs = [PRIORS[name.rpartition(".")[2]] for name in NAMES]
    return np.log([value for value, _ in pairs]), np.array([sigma for _, sigma in pairs])


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """Predictions near a point: there, and how they change."""

    logs: Vector
    at: Vector
    slopes: NDArray[np.float64]
    rows: Mask


def fit(problem: Problem) -> Lines:
    """Fit the constants to a sample of all rows, starting from the priors."""
    rows = problem.sample()
    logs, _ = prior()
    for number in range(LINEARISATIONS):
        at = problem.predict(logs, rows)
        lines = Lines(logs, at, problem.jacobian(logs, at, rows), rows)
        if number < LINEARISATIONS - 1:
            logs = solved(problem, lines, rows)
    return lines


def solved(problem: Problem, lines: Lines, keep: Mask) -> Vector:
    """The best constants for the rows kept, by the lines about a point: nothing of the other rows' figures enters."""
    centre, sigma = prior()
    pull = (PRIOR_STRENGTH / sigma) ** 2
    kept = keep & lines.rows
    slopes = lines.slopes[:, kept].reshape(len(NAMES), -1)
    scale = np.array([TPOT_SCALE, TTFT_SCALE])
    off = ((lines.at - problem.measured)[kept] / scale).ravel()
    slopes = slopes / np.broadcast_to(scale, (int(kept.sum()), 2)).ravel()
    weights = ((problem.weights * problem.stands_for(lines.rows)[:, None])[kept] ** 2).ravel()
    moved = np.zeros(len(NAMES))
    for _ in range(ROUNDS):
        scaled = off + moved @ slopes
        robust = weights / (1 + scaled**2)
        matrix = (slopes * robust) @ slopes.T + np.diag(pull)
        slope = slopes @ (robust * off) + pull * (lines.logs - centre)
        moved = np.clip(np.linalg.solve(matrix, -slope), -FARTHEST, FARTHEST)
    return lines.logs + moved
