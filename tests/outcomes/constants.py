"""Every number that stands in the modules of sizing and planning shows in some answer, plan or tree.

Each numeric constant of a module, and each number of its tables, is raised by half (a whole number by one at least); then
answers of the calculators and golden plans are made again until one differs. A constant with no effect is dead, or its
effect is tested by nobody: those that no answer can show stand in ``SEEN_ELSEWHERE`` with the test that fails.
This takes minutes, so it is part of ``make mutants``, not of the suite.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import AgentGpuError
from agentgpu_iac.sizing.calibration import Constants, EngineFamily, ErrorRatios, Generation
from tests.outcomes.scenes import CASES, outcome, planned
from tests.outcomes.test_stated_numbers import STATED

PACKAGE = Path(__file__).resolve().parents[2] / "agentgpu_iac"
ROOMS = ("sizing", "planning")

SEEN_ELSEWHERE = {
    **dict.fromkeys(STATED, "tests/outcomes/test_stated_numbers.py"),
    **dict.fromkeys(
        (
            "planning.advice.summary.HIGH_CONCURRENCY_SESSIONS",
            "planning.advice.summary.REASONING_TOKENS_PER_TURN",
            "planning.advice.summary.REASONING_KV_GIB",
            "planning.advice.summary.SMALL_MODEL_PARAMS",
            "planning.advice.summary.LARGE_MODEL_PARAMS",
            "planning.choosing.candidates.MOST_NODES_PER_REPLICA",
            "planning.choosing.candidates.LEAST_BATCHED_TOKENS",
            "planning.choosing.candidates.MAX_REPLICAS",
        ),
        "tests/planning/test_thresholds.py",
    ),
    **dict.fromkeys(
        ("sizing.encoders._ENCODERS", "sizing.encoders._SMALL_TOWERS", "sizing.encoders._WIDEST_WITHOUT_TOWER"),
        "tests/sizing/test_profiling.py",
    ),
    **dict.fromkeys(
        (
            "sizing.outside_torch._GRAPHS_MIB_PER_LAYER_OVER_NCCL",
            "sizing.outside_torch._MOST_WITH_OWN_ALL_REDUCE_OVER_PCIE",
            "sizing.outside_torch._LARGEST_CAPTURE_OF_BLACKWELL",
        ),
        "tests/sizing/test_memory.py",
    ),
    "sizing.paging._EVEN_GROUPS_RATIO": "tests/sizing/test_paging.py",
    **dict.fromkeys(
        (
            "planning.choosing.leaving.ANSWER_QUANTILE",
            "planning.choosing.leaving.LONGEST_ANSWER_S",
        ),
        "tests/planning/test_leaving.py",
    ),
    **dict.fromkeys(
        (
            "sizing.starting.DEEP_GEMM_WARM_UP_S",
            "sizing.starting.IMPORTS_S",
            "sizing.starting.UNMEASURED_FACTOR",
            "sizing.starting.PARALLEL_PULL_LEAST_MIB_PER_S",
            "sizing.starting.LEAST_PATIENCE_S",
            "sizing.starting.LEAST_PATIENCE_FOR_SLOW_S",
        ),
        "tests/sizing/test_starting.py",
    ),
    "sizing.memory._OVERHEAD_UNCERTAINTY_OF_OTHERS": "tests/sizing/test_stated_errors.py",
    "sizing.memory._NOMINAL_RATIO": "tests/sizing/test_memory.py",
    "sizing.weights._FP32_CHECKPOINT_RATIO": "tests/sizing/test_memory.py",
}
"""Constant -> the test that fails when it changes, where no answer and no plan shows it."""
INFORMATIONAL = frozenset({"sizing.calibration.UNCERTAINTY_RATIO"})
"""Told to people, and read by no decision."""


def numbers_of(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each number in a constant: keys, positions and names of fields; empty for a plain number."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float | Decimal):
        yield steps
    elif isinstance(value, Mapping):
        for key in value:
            yield from numbers_of(value[key], (*steps, key))
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            yield from numbers_of(item, (*steps, position))
    elif isinstance(value, Constants | EngineFamily | Generation | ErrorRatios):
        for field in dataclasses.fields(value):
            yield from numbers_of(getattr(value, field.name), (*steps, field.name))


def raised(value: Any, steps: tuple[Any, ...]) -> Any:
    """The same constant with one number larger."""
    if not steps:
        return value * 3 // 2 + 1 if isinstance(value, int) else value * type(value)("1.5") if value else type(value)(1)
    first, rest = steps[0], steps[1:]
    if isinstance(value, Mapping):
        return type(value)({**value, first: raised(value[first], rest)})
    if isinstance(value, tuple):
        items = [raised(item, rest) if position == first else item for position, item in enumerate(value)]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return dataclasses.replace(value, **{first: raised(getattr(value, first), rest)})


def modules() -> Iterator[ModuleType]:
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            dotted = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield importlib.import_module(".".join(part for part in dotted if part != "__init__"))


def assigned(module: ModuleType) -> Iterator[str]:
    """Names that a module itself gives a value, in capitals."""
    assert module.__file__ is not None
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name) and target.id.lstrip("_").isupper())


ALIASES = frozenset({"PORTS"})

CONSTANTS = tuple(
    (module.__name__.removeprefix("agentgpu_iac."), name, steps)
    for module in modules()
    for name in assigned(module)
    if name not in ALIASES
    for steps in numbers_of(getattr(module, name))
)


def named(module: str, name: str, steps: tuple[Any, ...]) -> str:
    return f"{module}.{name}" + "".join(f"[{step}]" for step in steps)


def questions() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Questions to the calculators: every model once each, with cards, versions and engines in turn."""
    every = load_catalog()
    cards = itertools.cycle(("h100-sxm", "l40s", "b200-sxm", "a100-80gb-pcie", "gb200", "rtx-5090"))
    versions = itertools.cycle(("0.33.0", "0.11.0", "0.7.3", "0.19.0"))
    sizes = itertools.cycle((1, 2, 4, 8))
    precisions = itertools.cycle(("int8", "int4", "fp16", "fp8", "nvfp4", "mxfp4"))
    engines = itertools.cycle(("sglang", "tensorrt-llm", "tgi"))
    for model, card, version, tp in zip(every.models, cards, versions, sizes, strict=False):
        asked = {"model": model.id, "accelerator": card, "tp": tp, "engine-version": version, "max-model-len": 4096}
        load = {"input-tokens": 3000, "output-tokens": 300, "concurrency": 24}
        yield SIZE, asked
        yield SIZE, {**asked, "accelerator": "b300-sxm", "tp": 8, "kv-cache-dtype": "fp8"}
        others = {"precision": next(precisions), "tp": 8, "max-model-len": 4096}
        yield SIZE, {"model": model.id, "accelerator": "b300-sxm", **others}
        yield SIZE, {"model": model.id, "accelerator": "h200-sxm", "tp": 8, "engine": next(engines)}
        yield PREDICT, {key: value for key, value in {**asked, **load}.items() if key != "max-model-len"}


def answers(room: str) -> Iterator[str]:
    """What is compared, the quick first: the calculators' answers, which ask little of planning; plans; then trees."""
    every = load_catalog()
    if room == "sizing":
        for calculator, question in questions():
            yield json.dumps(calculator.answer(question, every), sort_keys=True)
    for case in CASES:
        try:
            yield planned(*case).model_dump_json()
        except AgentGpuError as error:
            yield str(error)
    for case in CASES:
        yield from outcome(*case).values()


def functions_of(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        inside = vars(value).values() if isinstance(value, type) and value.__module__ == module.__name__ else (value,)
        yield from (one for one in inside if isinstance(one, FunctionType))


def put_into_defaults(function: FunctionType, field: str, old: Any, new: Any, patch: pytest.MonkeyPatch) -> None:
    """A default that a function took from the constant when it was defined."""
    defaults = getattr(function, field)
    if isinstance(old, int) or defaults is None:
        return
    if isinstance(defaults, dict) and any(value is old for value in defaults.values()):
        patch.setattr(function, field, {key: new if value is old else value for key, value in defaults.items()})
    elif isinstance(defaults, tuple) and any(value is old for value in defaults):
        patch.setattr(function, field, tuple(new if value is old else value for value in defaults))


def shows(module: str, name: str, steps: tuple[Any, ...], before: list[str], patch: pytest.MonkeyPatch) -> bool:
    """Whether any answer changes with the number."""
    old = getattr(sys.modules[f"agentgpu_iac.{module}"], name)
    new = raised(old, steps)
    for other in [found for key, found in sys.modules.items() if key.startswith("agentgpu_iac.")]:
        if getattr(other, name, None) is old:
            patch.setattr(other, name, new)
        for function in functions_of(other):
            for field in ("__defaults__", "__kwdefaults__"):
                put_into_defaults(function, field, old, new, patch)
    try:
        return any(one != other for one, other in zip(answers(module.split(".", maxsplit=1)[0]), before, strict=False))
    except (ArithmeticError, LookupError, ValueError, TypeError, AssertionError):
        return True  # it is read, and nothing works any more
    finally:
        patch.undo()


@pytest.fixture(scope="module")
def before() -> dict[str, list[str]]:
    return {room: list(answers(room)) for room in ROOMS}


@pytest.mark.parametrize(("module", "name", "steps"), CONSTANTS, ids=[named(*constant) for constant in CONSTANTS])
def test_a_number_shows(
    module: str, name: str, steps: tuple[Any, ...], before: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if f"{module}.{name}" in SEEN_ELSEWHERE or f"{module}.{name}" in INFORMATIONAL:
        return
    assert shows(module, name, steps, before[module.split(".", maxsplit=1)[0]], monkeypatch)


def test_what_is_seen_elsewhere_is_there() -> None:
    assert set(SEEN_ELSEWHERE) | INFORMATIONAL <= {f"{module}.{name}" for module, name, _ in CONSTANTS}
