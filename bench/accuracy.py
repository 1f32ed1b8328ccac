"""How far every prediction is off what was measured: prints all tables and writes them, with plots, into docs/accuracy.md.

python bench/accuracy.py            memory, load times, latency (three to five minutes on two cores)
python bench/accuracy.py --peer     the peer beside it too (two minutes more; its environment is made on first use)
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import accuracy_cards
import accuracy_latency
import accuracy_loading
import accuracy_memory
import accuracy_simulation
import accuracy_starting
import peer
from serving_rows import DATA, judged_cases

from agentgpu_iac.catalog.store import load_catalog

DOCS = Path(__file__).resolve().parents[1] / "docs"
_SIDE = 480
_MARGIN = 56

_HEAD = """\
# Accuracy

What is predicted beside what was measured, on every measured row; written by `make accuracy`, never by hand.
An error is |predicted / measured - 1|. "Left out" figures come from constants that never saw the rows that they are
judged on (a model family, a source, or a model on an accelerator with an engine at a time). They are still somewhat kind: the
terms of the models were chosen with all rows in view. No row is dropped silently: what is skipped is listed with its reason.
"""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points of (measured, predicted) on logarithmic axes."""

    title: str
    unit: str
    points: Sequence[tuple[float, float]]


def svg(plot: Scatter) -> str:
    """A scatter plot with the line of perfect prediction, and those of a factor of 1.5."""
    points = [(x, y) for x, y in plot.points if x > 0 and y > 0]
    low = math.floor(math.log10(min(min(point) for point in points)))
    high = math.ceil(math.log10(max(max(point) for point in points)))

    def at(value: float) -> float:
        return _MARGIN + (math.log10(value) - low) / (high - low) * (_SIDE - 2 * _MARGIN)

    def line(factor: float, style: str) -> str:
        left, right = 10.0**low, 10.0**high
        return (
            f'<line x1="{at(left):.1f}" y1="{_SIDE - at(left * factor):.1f}" x2="{at(right):.1f}" '
            f'y2="{_SIDE - at(right * factor):.1f}" {style}/>'
        )

    ticks = "".join(
        f'<text x="{at(10.0**power):.1f}" y="{_SIDE - _MARGIN + 16}" text-anchor="middle">{10.0**power:g}</text>'
        f'<text x="{_MARGIN - 6}" y="{_SIDE - at(10.0**power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        for power in range(low, high + 1)
    )
    dots = "".join(f'<circle cx="{at(x):.1f}" cy="{_SIDE - at(y):.1f}" r="2"/>' for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}" font-family="sans-serif" font-size="11">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="white"/>'
        f'<clipPath id="frame"><rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIDE - 2 * _MARGIN}" height="{_SIDE - 2 * _MARGIN}"/>'
        f'</clipPath><rect x="{_MARGIN}" y="{_MARGIN}" width="{_SIDE - 2 * _MARGIN}" height="{_SIDE - 2 * _MARGIN}" fill="none" '
        f'stroke="#888"/><g clip-path="url(#frame)">{line(1.0, "stroke=" + chr(34) + "black" + chr(34))}'
        f"{line(1.5, 'stroke=' + chr(34) + '#bbb' + chr(34))}{line(1 / 1.5, 'stroke=' + chr(34) + '#bbb' + chr(34))}"
        f'<g fill="#1f6fb2" fill-opacity="0.35">{dots}</g></g>{ticks}'
        f'<text x="{_SIDE / 2}" y="28" text-anchor="middle" font-size="14">{plot.title} ({len(points):,} rows)</text>'
        f'<text x="{_SIDE / 2}" y="{_SIDE - 14}" text-anchor="middle">measured, {plot.unit}</text>'
        f'<text x="16" y="{_SIDE / 2}" text-anchor="middle" transform="rotate(-90 16 {_SIDE / 2})">predicted, {plot.unit}</text>'
        "</svg>\n"
    )


def printed(show: Callable[[], None]) -> str:
    """What a function prints: shown as it comes, and kept."""
    kept = io.StringIO()
    with contextlib.redirect_stdout(kept):
        show()
    sys.stdout.write(kept.getvalue())
    sys.stdout.flush()
    return kept.getvalue()


def section(title: str, text: str, plots: Sequence[Scatter] = ()) -> str:
    """A section of the page; its plots are written beside it."""
    images = []
    for plot in plots:
        name = f"accuracy-{plot.title.lower().replace(' ', '-').replace(',', '')}.svg"
        (DOCS / name).write_text(svg(plot), encoding="utf-8")
        images.append(f"![{plot.title}: predicted against measured]({name})")
    shown = "\n".join(images) + ("\n\n" if images else "")
    return f"\n## {title}\n\n{shown}```text\n{text.strip(chr(10))}\n```\n"


def memory_section() -> str:
    """Weights, KV cache and tokens against start-up logs."""
    found = [accuracy_memory.errors(start) for start in accuracy_memory.starts()[0] if start.reliability == "high"]

    def points(field: str, predicted: Callable[[accuracy_memory.Errors], float]) -> list[tuple[float, float]]:
        return [(measured, predicted(one)) for one in found if (measured := one.start.measured(field) or 0.0) > 0]

    plots = (
        Scatter("Weights", "GiB", points("weights_gib", lambda one: one.report.weights_gib)),
        Scatter("KV cache", "GiB", points("kv_gib", lambda one: one.report.kv_cache_gib)),
    )
    return section("Memory at start", printed(lambda: print("\n".join(accuracy_memory.tables()))), plots)


def loading_section() -> str:
    """Load times by path."""
    return section("Load times", printed(lambda: print("\n".join(accuracy_loading.tables()))))


def starting_section() -> str:
    """What an engine does from its container's start to ready."""
    return section("Starts", printed(accuracy_starting.main))


def latency_section() -> str:
    """TTFT and TPOT against closed-loop runs through their own protocols, left out by card, family and source."""
    cases = list(judged_cases(load_catalog()))
    results = accuracy_latency.outcomes(cases)

    def show() -> None:
        accuracy_latency.print_all(results, cases)

    known = [one for one in results if not one.case.ttft_holds]
    plots = (
        Scatter("TPOT, left out", "ms", [(one.case.tpot_ms, one.left_out["family"][0]) for one in results]),
        Scatter("TTFT, left out", "ms", [(one.case.ttft_ms, one.left_out["family"][1]) for one in known]),
    )
    return section("Latency", printed(show), plots)


def cards_section() -> str:
    """TPOT at few requests and TTFT at one, on cards that no constant was fitted on."""
    results = [each for each in accuracy_cards.outcomes(load_catalog())[0] if not each.case.doubt]
    plots = (Scatter("TPOT on other cards", "ms", [(each.case.tpot_ms, each.tpot_ms) for each in results]),)
    return section("Cards that no constant was fitted on", printed(accuracy_cards.main), plots)


def simulation_section() -> str:
    """Clients that do not wait for answers, simulated."""
    note = (
        "\nNo constant was fitted on these rows. A fleet of one replica is simulated as `agentgpu simulate` does; of ShareGPT "
        "rows only mean lengths are known, and lengths are drawn as exponential about them. Of 1,000 requests at once the first "
        "tokens also wait for the benchmark's client and the server's process, which no column tells.\n"
        "A run beside a real engine, under the very same arrivals, is in [simulate a plan](simulation.md#beside-a-real-engine).\n"
    )
    return section("Simulated: clients that do not wait", printed(accuracy_simulation.main)) + note


def peer_section() -> str:
    """The peer and ours on the same rows, with the time of one prediction each."""
    rows = peer.read_rows(DATA)
    answered, refused = peer.compare(rows, len(rows), 900.0)

    def show() -> None:
        peer.print_table(peer.summaries(answered))
        for reason, count in peer.refusals(refused).items():
            print(f"{count:5d} rows not compared: {reason}")
        print(
            f"{sum(row.is_service for row in rows):5d} rows not compared: measured through a service of several engines"
        )

    note = (
        "\nOurs is in sample here (its constants were fitted on these rows; the left-out figures are above), and the peer "
        "knows one newer version per engine than most rows were measured with.\n"
    )
    return section("Beside a peer: aiconfigurator 0.12.0", printed(show)) + note


def main() -> None:
    """Print everything, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="compare with aiconfigurator too")
    arguments = parser.parse_args()
    parts = [memory_section(), loading_section(), starting_section(), latency_section(), cards_section()]
    parts.append(simulation_section())
    if arguments.peer:
        parts.append(peer_section())
    (DOCS / "accuracy.md").write_text(_HEAD + "".join(parts), encoding="utf-8")
    print(f"written: {DOCS / 'accuracy.md'}")


if __name__ == "__main__":
    main()
