"""Side by side with a peer: aiconfigurator and ``agentgpu predict`` on the same measured serving runs.

    python bench/peer.py [ROWS.csv] [--rows 3000] [--budget 600] [--output result.json]

The peer lives in ``.tools/aiconfigurator`` (made on first use from ``requirements/peer.txt``) and answers as one process.
Rows are taken in turn from every (model, system, engine), shuffled within each by a fixed seed, until so many are
answered by both or the time is spent (all of them take about two minutes). An error is |predicted / measured - 1|. No
row is left out silently: what either side does not answer is counted by reason, and so are rows that were no replica of one
engine. Our side is as shipped and asked for the protocol, and for what the engine was told, of each row, which the peer cannot be
told: where its constants were fitted to such rows, these are figures in sample.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from peer_home import ROOT, python_of
from recipes import UNKNOWN, recipe_of, service_of
from serving_rows import protocol_of

from agentgpu_iac.calculators.predict import predict
from agentgpu_iac.calculators.question import CaseRejection, PredictQuestion
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.sizing.seats import recipe_kv_dtype
from agentgpu_iac.spec.vocabulary import Engine, Precision

LOCK = ROOT / "requirements" / "peer.txt"
RUNNER = Path(__file__).with_name("peer_runner.py")
SEED = 2026

ENGINES: dict[str, Engine] = {"vllm": "vllm", "trtllm": "tensorrt-llm", "sglang": "sglang"}
PRECISIONS: dict[str, Precision] = {"fp8": "fp8", "fp4": "nvfp4", "bf16": "bf16", "int4": "int4"}
OUR_NAMES: dict[str, str] = {
    "Qwen/Qwen3-235B-A22B-FP8": "Qwen/Qwen3-235B-A22B-Instruct-2507",
    "meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B-Instruct",
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-ai/DeepSeek-R1",
    "nvidia/DeepSeek-V3.1-NVFP4": "deepseek-ai/DeepSeek-V3.1",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Llama-3.1-8B-Instruct",
    "nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B",
    "zhipuai/GLM-5": "zai-org/GLM-5",
}
PEER_NAMES: dict[str, str | dict[str, str]] = {
    "meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3.1-70B",
    "meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Meta-Llama-3.1-8B",
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-ai/DeepSeek-R1",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Meta-Llama-3.1-8B",
    "nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B",
    "zhipuai/GLM-5": {"fp8": "zai-org/GLM-5-FP8", "fp4": "nvidia/GLM-5-NVFP4"},
}
"""Checkpoints of the same shapes under the names that each side knows, where the name depends on it by precision."""
MXFP4_MODELS = ("openai/gpt-oss-120b",)
"""Stored as MXFP4 whatever the row's columns say; the peer, which has no kernels for what they say, takes it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a replica is split."""

    tensor: int
    attention_dp: int
    expert_tensor: int
    expert: int


@dataclass(frozen=True, slots=True)
class Row:
    """A measured run: its line in the file and its cells."""

    line: int
    cells: dict[str, str]

    @property
    def group(self) -> tuple[str, str, str]:
        return self.cells["model_path"], self.cells["system"], self.cells["backend"]

    @property
    def is_service(self) -> bool:
        """Measured through a service of several engines, as its source says: neither side answers for those."""
        return bool(service_of(self.cells))

    def number(self, column: str) -> int:
        return int(self.cells[column] or 0)

    @property
    def layout(self) -> Layout:
        """The split of a row, read the same way for both sides.

        Where both expert widths are equal and over one and attention DP is one, the TP column holds their product (64
        on machines of eight; some such rows repeat rows of the plain width figure for figure). Where attention DP is
        empty, the experts' width tells its groups.
        """
        tensor, groups = max(1, self.number("tp_size")), self.number("attention_dp_size")
        split, expert = max(1, self.number("moe_tp_size")), max(1, self.number("moe_ep_size"))
        if groups == 1 and split == expert > 1 and split * expert == tensor:
            return Layout(tensor=expert, attention_dp=1, expert_tensor=1, expert=expert)
        return Layout(
            tensor=tensor, attention_dp=groups or max(1, split * expert // tensor), expert_tensor=split, expert=expert
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both predictions of one row."""

    row: Row
    peer: dict[str, Any]
    ours: dict[str, Any]

    def errors(self, metric: str) -> tuple[float, float]:
        """The peer's and ours."""
        measured = float(self.row.cells[f"silicon_{metric}"])
        return abs(self.peer[metric] / measured - 1), abs(self.ours[metric] / measured - 1)


def read_rows(path: Path) -> list[Row]:
    """All rows, none left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(line, cells) for line, cells in enumerate(csv.DictReader(file), start=2)]


def in_turn(rows: Sequence[Row]) -> Iterator[Row]:
    """One row of each group after the other; the order within a group is a shuffle by the seed."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    for name in sorted(groups):
        random.Random(f"{SEED} {name}").shuffle(groups[name])
    for turn in itertools.zip_longest(*(groups[name] for name in sorted(groups))):
        yield from (row for row in turn if row is not None)


def peer_case(row: Row) -> dict[str, Any]:
    """A row in the peer's words; its batch counts the requests of one attention group, as the column does."""
    cells, layout = row.cells, row.layout
    name = PEER_NAMES.get(cells["model_path"], cells["model_path"])
    return {
        "model_path": name if isinstance(name, str) else name[cells["precision"]],
        "system_name": cells["system"],
        "backend_name": cells["backend"],
        "backend_version": cells["backend_version"],
        "isl": row.number("isl"),
        "osl": row.number("osl"),
        "batch_size": row.number("batch_size"),
        "tp_size": layout.tensor,
        "pp_size": row.number("pp_size"),
        "attention_dp_size": layout.attention_dp,
        "moe_tp_size": layout.expert_tensor,
        "moe_ep_size": layout.expert,
        "gemm_quant_mode": cells["gemm_quant_mode"] or None,
        "moe_quant_mode": cells["moe_quant_mode"] or None,
    }


def our_question(row: Row, catalog: Catalog) -> PredictQuestion:
    """A row in our words, with the format of the KV cache that recipes of such runs ask for: no column holds it."""
    cells, layout, asked = row.cells, row.layout, protocol_of(row.cells)
    precision = None if cells["model_path"] in MXFP4_MODELS else PRECISIONS.get(cells["precision"])
    model = catalog.model(OUR_NAMES.get(cells["model_path"], cells["model_path"]))
    accelerator = catalog.accelerator(cells["system"].replace("_", "-"))
    engine = ENGINES[cells["backend"]]
    slots = row.number("batch_size") * max(1, layout.attention_dp)
    recipe = recipe_of(cells, layout.tensor, slots) if asked.client == "inferencemax" else UNKNOWN
    return PredictQuestion.model_validate(
        {
            "model": model.id,
            "accelerator": accelerator.id,
            "engine": engine,
            "kv-cache-dtype": recipe.kv_dtype
            or recipe_kv_dtype(engine, accelerator, precision or model.native_precision),
            "engine-version": cells["backend_version"] or None,
            "precision": precision,
            "tp": layout.tensor,
            "pp": row.number("pp_size"),
            "ep": layout.expert,
            "attention-dp": layout.attention_dp,
            "input-tokens": row.number("isl"),
            "output-tokens": row.number("osl"),
            "concurrency": row.number("batch_size"),
            "arrivals": "closed",
            "start-together": True,
            "requests": slots * asked.rounds,
            "length-spread": asked.length_low,
            "max-num-batched-tokens": recipe.step_tokens or asked.step_tokens,
            "max-num-seqs": recipe.seats,
        }
    )


def our_answer(row: Row, catalog: Catalog) -> dict[str, Any]:
    """Our prediction, or why there is none."""
    question = our_question(row, catalog)
    started = time.perf_counter()
    answer = predict(question, catalog)
    seconds = time.perf_counter() - started
    if isinstance(answer, CaseRejection):
        return {"reason": answer.constraint, "message": answer.message, "seconds": seconds}
    return {"ttft_ms": answer.ttft_ms, "tpot_ms": answer.tpot_ms, "seconds": seconds}


def compare(rows: Sequence[Row], most: int, budget_s: float) -> tuple[list[Comparison], list[Comparison]]:
    """Rows that both sides answer, and rows that one refuses."""
    catalog = load_catalog()
    both: list[Comparison] = []
    refused: list[Comparison] = []
    process = subprocess.Popen(
        [python_of("aiconfigurator", LOCK), "-W", "ignore", RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    deadline = time.monotonic() + budget_s
    with process as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        for row in in_turn([row for row in rows if not row.is_service]):
            if len(both) >= most or time.monotonic() > deadline:
                break
            runner.stdin.write(json.dumps(peer_case(row)) + "\n")
            one = Comparison(row, json.loads(runner.stdout.readline()), our_answer(row, catalog))
            (refused if "reason" in one.peer or "reason" in one.ours else both).append(one)
        runner.stdin.close()
    return both, refused


def summary(name: str, rows: Sequence[Comparison]) -> dict[str, Any]:
    """Errors as median and 80th percentile, times as median and mean (the peer loads tables on the first of a kind)."""

    def spread(metric: str, side: int) -> list[float]:
        return [float(value) for value in np.quantile([row.errors(metric)[side] for row in rows], (0.5, 0.8))]

    def seconds(side: str) -> list[float]:
        times = [getattr(row, side)["seconds"] for row in rows]
        return [float(np.median(times)), float(np.mean(times))]

    return {
        "name": name,
        "n": len(rows),
        "peer_tpot": spread("tpot_ms", 0),
        "our_tpot": spread("tpot_ms", 1),
        "peer_ttft": spread("ttft_ms", 0),
        "our_ttft": spread("ttft_ms", 1),
        "peer_s": seconds("peer"),
        "our_s": seconds("ours"),
    }


def summaries(rows: Sequence[Comparison]) -> list[dict[str, Any]]:
    """One for each group, one for each engine, and over all."""
    keys: tuple[Callable[[Comparison], str], ...] = (
        lambda one: " ".join(one.row.group),
        lambda one: f"all on {one.row.group[2]}",
    )
    lines = [
        summary(name, [one for one in rows if key(one) == name])
        for key in keys
        for name in sorted({key(one) for one in rows})
    ]
    fitting = [one for one in rows if not one.peer["kv_overflow"]]
    return [*lines, summary("all without the peer's KV warning", fitting), summary("all", rows)]


def print_table(lines: Sequence[dict[str, Any]]) -> None:
    columns = ("peer_tpot", "our_tpot", "peer_ttft", "our_ttft")
    heads = ("TPOT, peer", "TPOT, ours", "TTFT, peer", "TTFT, ours", "ms, peer", "ms, ours")
    print(f"{'':48}    n" + "".join(f"{head:>17}" for head in heads))
    print(f"{'':53}" + "    median    p80" * 4 + "    median   mean" * 2)
    for line in lines:
        errors = "".join(f"{line[key][0]:10.1%}{line[key][1]:7.0%}" for key in columns)
        times = "".join(f"{line[key][0] * 1000:10.2f}{line[key][1] * 1000:7.1f}" for key in ("peer_s", "our_s"))
        print(f"{line['name']:48} {line['n']:4}{errors}{times}")


def refusals(rows: Sequence[Comparison]) -> dict[str, int]:
    """How often each side gave each reason."""
    reasons = Counter(
        f"{side}: {answer['reason']}"
        for one in rows
        for side, answer in (("peer", one.peer), ("ours", one.ours))
        if "reason" in answer
    )
    return dict(sorted(reasons.items()))


def main() -> None:
    """Compare, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path, default=Path(__file__).parent / "data" / "serving.csv")
    parser.add_argument("--rows", type=int, default=3000, help="most rows that both answer")
    parser.add_argument("--budget", type=float, default=600, help="most seconds, the installation apart")
    parser.add_argument("--output", type=Path, help="write the result here as JSON")
    arguments = parser.parse_args()
    rows = read_rows(arguments.path)
    both, refused = compare(rows, arguments.rows, arguments.budget)
    if not both:
        raise SystemExit("no row that both answer")
    lines, reasons, asked = summaries(both), refusals(refused), len(both) + len(refused)
    print_table(lines)
    services = sum(row.is_service for row in rows)
    print(
        f"\n{len(rows)} rows, {services} of them of services; {asked} asked, {len(both)} answered by both; refused by reason:"
    )
    for reason, count in reasons.items():
        print(f"{count:5}  {reason}")
    if arguments.output:
        result = {
            "seed": SEED,
            "rows": len(rows),
            "services": services,
            "asked": asked,
            "table": lines,
            "refused": reasons,
            "cases": [asdict(one) for one in (*both, *refused)],
        }
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
