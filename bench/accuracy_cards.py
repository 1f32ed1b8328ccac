"""How far the steps of a replica are off on cards that no constant was fitted on: TPOT at few requests, TTFT of one alone.

    python bench/accuracy_cards.py

Rows are those of ``data/serving-more.csv`` at up to eight requests in a closed loop, on cards that ``serving.csv`` does
not have: what these predictions rest on is the data sheet, tables of kernels (of the card, or of the nearest kind), and
constants fitted elsewhere. TTFT is held against requests that were alone, since a benchmark's queue says nothing of a
card. A row that is in doubt (engines before vLLM 0.8, speculation, a saturated host) is in a table of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from card_rows import CardCase, read_card_cases

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.sizing import latency, memory
from agentgpu_iac.sizing.speed import Serving, Speed, speed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOutcome:
    """One point, and what is predicted of it."""

    case: CardCase
    tpot_ms: float
    ttft_ms: float
    tpot_band: float
    ttft_band: float

    @property
    def tpot_error(self) -> float:
        """|predicted / measured - 1|."""
        return abs(self.tpot_ms / self.case.tpot_ms - 1)

    @property
    def ttft_error(self) -> float | None:
        """The same of a request that was alone."""
        return None if self.case.ttft_ms is None else abs(self.ttft_ms / self.case.ttft_ms - 1)


def outcomes(catalog: Catalog) -> tuple[tuple[CardOutcome, ...], tuple[str, ...]]:
    """Predict every point; and say what was skipped."""
    cases, skipped = read_card_cases(catalog)
    return tuple(_outcome(case) for case in cases), skipped


def _outcome(case: CardCase) -> CardOutcome:
    engine = replica(case)
    output, prompt = case.output_tokens, case.prompt_tokens
    request = latency.Request(prompt_tokens=prompt, context_tokens=prompt + output / 2, output_tokens=output)
    return CardOutcome(
        case=case,
        tpot_ms=latency.predict(engine, request, max(1.0, case.requests)).tpot_ms,
        ttft_ms=engine.alone_ms(prompt),
        tpot_band=engine.tpot_error_ratio,
        ttft_band=engine.ttft_error_ratio,
    )


def replica(case: CardCase) -> Speed:
    """The replica of a case."""
    built = speed_of(
        case.model,
        case.accelerator,
        precision=case.precision,
        kv_dtype="auto",
        tensor_parallel=case.tensor_parallel,
        pipeline_parallel=1,
        max_batched_tokens=memory.default_max_num_batched_tokens(case.accelerator),
        serving=Serving(engine=case.engine, version=case.version, weight_only=case.weight_only),
    )
    assert built is not None
    return built


def print_table(title: str, results: Sequence[CardOutcome], key: Callable[[CardOutcome], str]) -> None:
    """One row a key: n, median errors of TPOT and of TTFT, and how often the stated bands hold."""
    print(f"\n{title}")
    print(f"{'':58} {'n':>4}  TPOT median  p80     in band   TTFT alone n  median  in band")
    for name in sorted({key(each) for each in results}):
        _print_row(name, [each for each in results if key(each) == name])
    _print_row("all", results)


def _print_row(name: str, rows: Sequence[CardOutcome]) -> None:
    errors = sorted(each.tpot_error for each in rows)
    held = statistics.mean(each.tpot_error <= each.tpot_band for each in rows)
    p80 = errors[min(len(errors) - 1, int(0.8 * len(errors)))]
    alone = [each for each in rows if each.ttft_error is not None]
    first = ""
    if alone:
        median = statistics.median(each.ttft_error or 0.0 for each in alone)
        covered = statistics.mean((each.ttft_error or 0.0) <= each.ttft_band for each in alone)
        first = f"{len(alone):12} {median:7.1%} {covered:8.0%}"
    print(f"{name:58} {len(rows):4} {statistics.median(errors):11.1%} {p80:7.1%} {held:8.0%}   {first}")


def main() -> None:
    """Print all tables."""
    results, skipped = outcomes(load_catalog())
    sure = [each for each in results if not each.case.doubt]
    print_table("Cards that no constant was fitted on", sure, lambda each: " ".join(each.case.group))
    print_table("By engine", sure, lambda each: f"{each.case.engine} {each.case.version or 'version unknown'}")
    print_table(
        "By number format", sure, lambda each: f"{each.case.precision} {'MoE' if each.case.model.experts else 'dense'}"
    )
    doubted = [each for each in results if each.case.doubt]
    print_table("In doubt", doubted, lambda each: f"{' '.join(each.case.group)}: {each.case.doubt}")
    print("\nSkipped, by kind")
    for sentence in skipped:
        print(f"  {sentence}")


if __name__ == "__main__":
    main()
