"""How far simulated fleets are off measured runs that no constant was fitted on: requests that come by chance, and all at once.

    PYTHONPATH=. python bench/accuracy_simulation.py

Rows are those of ``data/serving-more.csv`` whose clients did not wait for answers (no fit reads them): Poisson arrivals at a
rate, or a start where every request arrives at once, whose TTFT is a queue. A fleet of one replica is built as ``agentgpu
predict`` builds one and simulated as ``agentgpu simulate`` does. Of ShareGPT rows means are known, and lengths are drawn as
exponential about them (an assumption); other lengths are those of the row. Rows that are in doubt (vLLM before 0.8, a host or
replica beyond saturation, speculation) are in tables of their own.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from card_rows import DATA
from serving_rows import tuned_seats

from agentgpu_iac.calculators.question import PredictQuestion, config_of, resolved
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, StepTimesPlan
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.traces import Trace, TraceRequest
from agentgpu_iac.sizing import memory, replica
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.speed import Serving
from tests.simulation import fleets

PROTOCOLS = ("open loop: Poisson", "MLPerf server: Poisson", "all requests at once")
POISSON_REQUESTS = 600
"""Requests at a rate, where the row does not say."""
_SYSTEMS = {
    "a100_sxm": "a100-80gb-sxm",
    "a100_40gb_sxm": "a100-40gb-sxm",
    "rtx_pro_6000_server": "rtx-pro-6000-blackwell-server",
}
_ENGINES = {"vllm": "vllm", "trtllm": "tensorrt-llm", "sglang": "sglang"}
_PRECISIONS = {"w8a16": "int8", "fp4": "nvfp4"}
_SAME_SHAPE = {
    "deepseek-ai/DeepSeek-R1-0528": "deepseek-ai/DeepSeek-R1",
    "zai-org/GLM-4.6-FP8": "zai-org/GLM-4.6",
    "Qwen/Qwen3-14B-FP8": "Qwen/Qwen3-14B",
    "Qwen/Qwen3-32B-FP8": "Qwen/Qwen3-32B",
    "Qwen/Qwen3-8B-FP8": "Qwen/Qwen3-8B",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8": "Qwen/Qwen3-235B-A22B-Instruct-2507",
    "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8": "Qwen/Qwen3-30B-A3B-Instruct-2507",
}
_P99 = re.compile(r"p99 TTFT (\d+(?:\.\d+)?) ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One row, and what was simulated of it; in ms."""

    kind: str
    model: str
    card: str
    doubt: str
    ttft_ms: tuple[float, float]
    """(measured, simulated): the statistic that the row states."""
    tpot_ms: tuple[float, float]
    p99_ms: tuple[float, float] | None
    """TTFT at p99, where the row's note has it."""


def points(catalog: Catalog) -> tuple[list[Point], Counter[str]]:
    """Every row that can be asked, and how many were not by reason."""
    found: list[Point] = []
    skipped: Counter[str] = Counter()
    with DATA.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["protocol"].startswith(PROTOCOLS):
                point = _point(catalog, row)
                if isinstance(point, str):
                    skipped[point] += 1
                else:
                    found.append(point)
    return found, skipped


def _point(catalog: Catalog, row: dict[str, str]) -> Point | str:
    if not row["silicon_ttft_ms"] or not row["silicon_tpot_ms"]:
        return "no TTFT or no TPOT"
    plan = _fleet(catalog, row)
    if isinstance(plan, str):
        return plan
    trace = _sent(row)
    found = simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s)).agents[0].turns[0]
    network_ms = plan.workloads[0].latency.network_ms
    stated = found.ttft_ms.p50 if row["ttft_stat"] == "median" else found.ttft_ms.mean
    tpot = found.tpot_ms.p50 if row["ttft_stat"] == "median" else found.tpot_ms.mean
    noted = _P99.search(row["note"])
    return Point(
        kind="at once" if row["protocol"].startswith("all") else "Poisson",
        model=row["model_path"],
        card=f"{row['system']} x{row['tp_size']}",
        doubt=_doubt(row),
        ttft_ms=(float(row["silicon_ttft_ms"]), (stated or 0.0) - network_ms),
        tpot_ms=(float(row["silicon_tpot_ms"]), tpot or 0.0),
        p99_ms=None if noted is None else (float(noted.group(1)), (found.ttft_ms.p99 or 0.0) - network_ms),
    )


def _doubt(row: dict[str, str]) -> str:
    if row["backend"] == "vllm" and row["backend_version"].startswith(("0.2.", "0.4.", "0.5.", "0.6.", "0.7.")):
        return "vLLM before 0.8"
    if "speculative" in row["note"]:
        return "speculative decoding"
    return "saturated" if "saturated" in row["note"] else ""


def _fleet(catalog: Catalog, row: dict[str, str]) -> Plan | str:
    """One replica of a row, as a plan; or why there is none."""
    name = _SAME_SHAPE.get(row["model_path"], row["model_path"])
    card = _SYSTEMS.get(row["system"], row["system"].replace("_", "-"))
    if name not in {model.id for model in catalog.models} or card not in {each.id for each in catalog.accelerators}:
        return f"{row['model_path']} on {card}: not in the catalog"
    native = catalog.model(name).native_precision
    precision = native if native == "mxfp4" else _PRECISIONS.get(row["precision"], row["precision"])
    fields = {
        "model": name,
        "accelerator": card,
        "engine": _ENGINES[row["backend"]],
        "engine-version": row["backend_version"] or None,
        "precision": precision,
        "tp": int(row["tp_size"]),
        "pp": int(row["pp_size"] or 1),
        "input-tokens": int(float(row["isl"])),
        "output-tokens": int(float(row["osl"])),
        "concurrency": 1,
        "max-num-seqs": int(row["max_num_seqs"]) if row["max_num_seqs"] else None,
        "max-num-batched-tokens": int(row["max_num_batched_tokens"]) if row["max_num_batched_tokens"] else None,
    }
    try:
        question = PredictQuestion.model_validate(fields)
        case = resolved(question, catalog)
    except (BadInput, ValueError) as refused:
        return f"{str(refused).splitlines()[0][:80]}"
    if case.refused is not None:
        return case.refused.constraint
    config = replace(config_of(question, case, 16_384), cold_start=False, reads_pictures=False)
    if memory.engine_memory(config).max_concurrency < 1 / 4:
        return "does not fit"
    speed = replica.speed(config.replica, Serving(engine=question.engine, version=question.engine_version))
    if speed is None:
        return "no figures of the card"
    seats = question.max_num_seqs or SIZING_PORTS[question.engine].default_seats(case.accelerator)
    prompt, output = float(question.input_tokens), float(question.output_tokens or 1)
    by_cache = tuned_seats(
        case.model,
        case.accelerator,
        case.spread,
        precision=case.precision,
        kv_dtype=case.kv_dtype,
        engine=question.engine,
        prompt_tokens=prompt,
        output_tokens=output,
    )
    plan = fleets.with_cache(fleets.with_limit(fleets.small_plan(), None), int(by_cache * (prompt + output)))
    engine = plan.workloads[0].engine.model_copy(update={"name": question.engine})
    return fleets.changed(
        plan,
        engine=engine,
        step_times=StepTimesPlan.of(speed),
        max_num_seqs=seats,
        max_num_seqs_per_group=seats,
        max_num_batched_tokens=speed.max_batched_tokens,
        max_model_len=10**6,
        generating=None,
    )


def _sent(row: dict[str, str]) -> Trace:
    chance = Random("accuracy")
    spread = "ShareGPT" in row["protocol"] + row["note"]

    def length(mean: float) -> int:
        drawn = -math.log(1 - chance.random()) * mean if spread else mean
        return max(1, round(drawn))

    at, requests = 0.0, []
    rate = float(row["request_rate_per_replica"] or 0)
    count = int(float(row["num_prompts"] or (POISSON_REQUESTS if rate else row["batch_size"])))
    for number in range(count):
        at -= math.log(1 - chance.random()) / rate if rate else 0.0
        requests.append(TraceRequest(at, length(float(row["isl"])), length(float(row["osl"])), number, 0))
    return Trace(source="row", layout="made", requests=tuple(requests))


def print_table(title: str, found: Sequence[Point], key: Callable[[Point], str]) -> None:
    """Errors by a key."""
    print(f"\n{title}")
    print(f"{'':44} {'rows':>5}  TTFT p50    p80  within 15%  TPOT p50    p80   p99 TTFT rows  p50")
    for name in sorted({key(each) for each in found}):
        _print_row(name, [each for each in found if key(each) == name])
    if len({key(each) for each in found}) > 1:
        _print_row("all", found)


def _print_row(name: str, found: Sequence[Point]) -> None:
    ttft = sorted(abs(each.ttft_ms[1] / each.ttft_ms[0] - 1) for each in found)
    tpot = sorted(abs(each.tpot_ms[1] / each.tpot_ms[0] - 1) for each in found)
    tail = [abs(each.p99_ms[1] / each.p99_ms[0] - 1) for each in found if each.p99_ms is not None]
    place = min(len(found) - 1, int(0.8 * len(found)))
    within = sum(each <= 0.15 for each in ttft) / len(ttft)
    last = f"{len(tail):12} {statistics.median(tail):8.1%}" if tail else ""
    print(
        f"{name:44} {len(found):5} {statistics.median(ttft):9.1%} {ttft[place]:6.1%} {within:10.0%} "
        f"{statistics.median(tpot):9.1%} {tpot[place]:6.1%}  {last}"
    )


def main() -> None:
    """Print all tables."""
    found, skipped = points(load_catalog())
    sure = [each for each in found if not each.doubt]
    print_table("Clients that do not wait, simulated", sure, lambda each: each.kind)
    print_table("By card", sure, lambda each: f"{each.kind}: {each.card}")
    print_table("By model", sure, lambda each: f"{each.kind}: {each.model}")
    print_table("In doubt", [each for each in found if each.doubt], lambda each: f"{each.kind}: {each.doubt}")
    print("\nworst TTFT:")
    for each in sorted(sure, key=lambda each: -abs(math.log(each.ttft_ms[1] / each.ttft_ms[0])))[:8]:
        print(
            f"  {each.kind}, {each.model} on {each.card}: measured {each.ttft_ms[0]:,.0f}, simulated {each.ttft_ms[1]:,.0f} ms"
        )
    print(f"skipped rows: {skipped.total()}")
    for reason, count in skipped.most_common():
        print(f"  {count:3d} {reason}")


if __name__ == "__main__":
    main()
