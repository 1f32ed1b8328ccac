"""What plans cost beside those of the planner of before and of simpler ways to choose; writes ``docs/market.md``.

    python -m bench.market               100 generated teams
    python -m bench.market 20            fewer
    python -m bench.market --page        the page again, from the rows of the last run

Each team is planned once; the simpler ways choose among the options of that plan (``bench/simpler.py``, ``bench/melange.py``).
What the planner of before asks for the same teams is recorded (``bench/before.py``). Rows go to ``build/bench/market.jsonl``
as they come. Time and memory for more and more agents are ``bench/bench.py``'s, whose last rows the page repeats.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.planning.choosing.solver import solver_version
from bench import before, simpler
from bench.bench import GROWTH, growth_lines
from bench.melange import melange
from bench.simpler import Seen, planned
from bench.stacks import team

PAGE = Path(__file__).resolve().parents[1] / "docs" / "market.md"
ROWS = Path(__file__).resolve().parents[1] / "build" / "bench" / "market.jsonl"
STACKS = 100
_CENT = 0.01

_RESIZED = "Mélange, resized for bursts"
WAYS: Mapping[str, Callable[[Seen], Decimal | None]] = {
    "one option an agent": simpler.one_option,
    "one machine for both tiers": simpler.one_machine,
    "one card type for all": simpler.one_card,
    "greedy": simpler.greedy,
    "Mélange": melange,
    _RESIZED: lambda seen: melange(seen, resized=True),
}
"""The simpler ways, in the page's order; the first four choose among fewer of the same options."""
FEWER = tuple(WAYS)[:4]

Row = dict[str, Any]


def compared(name: str, text: str, catalog: Catalog) -> Row:
    """One stack: what the plan costs, what every simpler way comes to, and the CPU seconds of each."""
    row: Row = {"seed": name, "spec": before.digest(text)}
    started = time.process_time()
    try:
        plan, seen, seconds = planned(text, catalog)
    except Infeasible as refusal:
        return {**row, "refused": str(refusal).splitlines()[0], "plan_s": time.process_time() - started}
    row |= {
        "agents": len(seen[0].demands),
        "target": plan.target,
        "plan_usd": float(plan.cost.expected_usd_per_month),
        "usd": float(min(each.found.usd for each in seen)),
        "gap": plan.cost.optimality_gap_ratio,
        "plan_s": seconds,
        "place_s": sum(each.seconds for each in seen),
        "shares": any(len(each.agents) > 1 for each in plan.workloads),
        "mixes": any(option.elsewhere is not None for option in seen[0].found.options),
        "buys": [
            f"{each.nodes} x {each.instance_type} {each.tier} {each.capacity_type} at {each.usd_per_hour}"
            for each in plan.cost.line_items
        ],
        "serves": [
            f"{each.agent} {each.tier}: {each.replicas.max} x {each.accelerators_per_replica} {each.accelerator} "
            f"of {each.max_num_seqs} sessions"
            for each in plan.workloads
        ],
    }
    others: dict[str, list[float | None]] = {}
    for way, usd_of in WAYS.items():
        started = time.process_time()
        found = min((usd for each in seen if (usd := usd_of(each)) is not None), default=None)
        others[way] = [None if found is None else float(found), time.process_time() - started]
    return {**row, "others": others}


def measured(count: int, catalog: Catalog) -> list[Row]:
    """Rows of so many teams, each written as it comes."""
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with ROWS.open("w", encoding="utf-8") as file:
        for seed in range(count):
            row = compared(str(seed), team(seed), catalog)
            rows.append(row)
            print(json.dumps(row), file=file, flush=True)
            print(_line(row), flush=True)
    return rows


def _line(row: Row) -> str:
    if "refused" in row:
        return f"team {row['seed']:>3}: refused in {row['plan_s']:.1f} s: {row['refused']}"
    usd = {way: found for way, (found, _) in row["others"].items()}
    said = ", ".join(f"{way} {'none' if each is None else f'{each:,.0f}'}" for way, each in usd.items())
    return f"team {row['seed']:>3}: USD {row['usd']:,.2f} in {row['plan_s']:.1f} s; {said}"


def _spread(ratios: Sequence[float]) -> str:
    """Least, median and most."""
    if not ratios:
        return "- | - | -"
    return f"{min(ratios):.3f} | {statistics.median(ratios):.3f} | {max(ratios):.3f}"


def before_section(rows: Sequence[Row], recorded: Mapping[str, Any]) -> list[str]:
    """Today's plans beside those of the planner of before."""
    of_before = {(str(each["seed"]), each["spec"]): each for each in recorded["rows"]}
    pairs = [(row, of_before[row["seed"], row["spec"]]) for row in rows if (row["seed"], row["spec"]) in of_before]
    both = [(row, old) for row, old in pairs if "plan_usd" in row and "usd" in old]
    ratios = {row["seed"]: row["plan_usd"] / float(old["usd"]) for row, old in both}
    gone = sum("schedule:" in team(int(seed)) for seed in ratios)
    plain = [ratio for seed, ratio in ratios.items() if "schedule:" not in team(int(seed))]
    dearer = sorted((seed for seed, ratio in ratios.items() if ratio > 1.0), key=lambda seed: -ratios[seed])
    lines = [
        "## Beside the planner of before",
        "",
        f"The planner of commit {recorded['planner']} with its own code and its own catalog, on the same {len(pairs)} teams.",
        "`bench/before.py` asks it, and its answers are recorded in `bench/data/plans-before.json`.",
        f"It refuses {sum('refused' in old for _, old in pairs)} of them, today's {sum('refused' in row for row, _ in pairs)}.",
        f"{len(both)} are planned by both.",
        f"It knows no `schedule`, which {gone} of those have, so it pays for their nightly agents around the clock.",
        "",
        "| today / before | teams | least | median | most | dearer |",
        "|---|---|---|---|---|---|",
        f"| all | {len(both)} | {_spread(list(ratios.values()))} | {len(dearer)} |",
        f"| without a schedule | {len(plain)} | {_spread(plain)} | {sum(ratio > 1 for ratio in plain)} |",
    ]
    shared = [ratios[row["seed"]] for row, _ in both if row["shares"]]
    apart = [ratios[row["seed"]] for row, _ in both if not row["shares"]]
    lines += [
        f"| agents share an engine today | {len(shared)} | {_spread(shared)} | {sum(ratio > 1 for ratio in shared)} |",
        f"| none share | {len(apart)} | {_spread(apart)} | {sum(ratio > 1 for ratio in apart)} |",
        "",
    ]
    by_seed = {row["seed"]: (row, old) for row, old in both}
    for seed in dearer:
        row, old = by_seed[seed]
        lines += [
            f"Team {seed} is dearer today ({ratios[seed]:.2f}): USD {row['plan_usd']:,.2f} after USD {float(old['usd']):,.2f}.",
            f"Before: {'; '.join(old['serves'])} on {'; '.join(old['buys'])}.",
            f"Today: {'; '.join(row['serves'])} on {'; '.join(row['buys'])}.",
            "",
        ]
    return lines


def ways_section(rows: Sequence[Row]) -> list[str]:
    """The planner beside simpler ways, as parts of their costs."""
    planned_rows = [row for row in rows if "others" in row]
    lines = [
        "## Beside simpler ways to choose",
        "",
        f"On the same inputs in one run, {len(planned_rows)} plans: the planner's cost as a part of what each way costs.",
        "Least, median and most are over the teams; CPU seconds are those of choosing alone.",
        "",
        "| way | teams | least | median | most | planner dearer | CPU s, median | CPU s, most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, key in (("the planner", "place_s"), ("all of the plan", "plan_s")):
        own = [row[key] for row in planned_rows]
        if own:
            lines.append(f"| {name} | {len(own)} | 1 | 1 | 1 | - | {statistics.median(own):.2f} | {max(own):.2f} |")
    for way in WAYS:
        found = [(row, row["others"][way]) for row in planned_rows]
        answered = [(row, usd, seconds) for row, (usd, seconds) in found if usd]
        ratios = [row["usd"] / usd for row, usd, _ in answered]
        dearer = sum(_is_dearer(row, way) for row, _, _ in answered)
        times = [seconds for _, _, seconds in answered]
        if answered:
            lines.append(
                f"| {way} | {len(answered)} | {_spread(ratios)} | {dearer} | {statistics.median(times):.2f} | {max(times):.2f} |"
            )
    lines.append("")
    for way in (*FEWER, "Mélange"):
        dearer_than = [row for row in planned_rows if _is_dearer(row, way)]
        named = ", ".join(f"{row['seed']} ({row['usd'] / row['others'][way][0]:.2f})" for row in dearer_than)
        if named:
            lines.append(f"Teams whose plan is dearer than *{way}*: {named}.")
    early = [row for row in planned_rows if _is_dearer(row, _RESIZED)]
    warm = sum(not any(" burst: " in each for each in row["serves"]) for row in early)
    lines.append(_WAYS_TOLD.rstrip("\n"))
    if early:
        lines.append(
            f"In {warm} of the {len(early)} teams whose plan is dearer than Mélange resized for bursts, all replicas are warm: "
            "bursts come before a machine has started, or the target starts none."
        )
    return [*lines, ""]


def _is_dearer(row: Row, way: str) -> bool:
    """Whether a way costs less than the plan, beyond the plan's own gap."""
    usd, _ = row["others"][way]
    return bool(usd) and row["usd"] > usd * (1 + row["gap"]) + _CENT


_HEAD = """\
# What the choice is worth

Written by `make bench`, never by hand: {date}, {count} generated teams of agents (`bench/stacks.py`), {solver}, {cores} cores at
a load average of {load:.1f}.
A team has two to six agents with one model for all, two, or one for each, and one of the five targets.
Think times are 0 to 60 s; agents chat or work in the background, some call tools, and bursts are up to ten times normal load.

"""
_WAYS_TOLD = """\
*One option an agent* is the formulation of before on today's demand, physics and prices.
Every agent has engines of its own, both tiers are on one kind of machine, and caches of paused sessions are kept.
*Greedy* takes each agent's cheapest by itself, in order.
*Mélange* (Griggs and others, 2024) fits a histogram of request sizes onto whole machines, one program for each model.
It knows neither sessions and what they hold, nor caches, percentiles, cold starts or spot.
The machines of its peak stand all month, and its seconds count what each machine answers, which the planner evaluates before.
*Resized for bursts* rents its peak for the hours of bursts alone, as if it knew of each burst before it came.
A plan that is dearer than Mélange's keeps what means leave out.
It plans for the requests that generate at once at `capacity.quantile` and for TTFT and TPOT at `latency.percentile`.
It keeps replicas warm for whoever comes before another has started.
It does not count on chat within its TPOT on an engine whose steps are full of background work.
One thing was tried on teams 31, 40 and 46, on 2026-11-28: `rampS: 3600`, so that bursts climb while other replicas start.
Then they cost USD 1,783, 74,765 and 10,331, and Mélange's 1,797, 113,357 and 14,529.
Five of them were taken apart on 2026-11-28, by specs that promise less and with `python -m bench.apart`.
That puts into Mélange's program what it leaves out.
Team 31: sessions hold the memory of their whole conversation from its start.
With that Mélange's machines would cost USD 3,257; the plan costs 2,638.
Team 90: bursts come before another machine has started, so all replicas are warm.
With `rampS: 3600` the plan costs USD 1,236, Mélange's machines 2,246.
Team 97: TPOT at the 95th percentile; at the median the plan costs USD 31,941, Mélange's machines 34,999.
Team 98: chat and background agents have engines of their own.
With that Mélange's machines cost USD 2,232 in place of 1,123, and 3,145 where sessions hold memory too; the plan costs 3,192.
Team 52: the same two, with which Mélange's machines cost USD 2,471; the plan costs 2,764.
Mélange carries the chat on two kinds of rented machine; a plan divides a baseline over yours or committed ones alone.
That is the one option of these five that is not considered.
An even spread saves nothing by it, and [0027](adr/0027-sessions-by-seats.md) says why replicas are not counted by seats.
The other teams were not taken apart.
Team 31 costs as much at medians and a quantile of 0.9 as it does at what it promises.
"""


def page(rows: Sequence[Row], recorded: Mapping[str, Any], growth: Sequence[Mapping[str, float]]) -> str:
    """The page."""
    head = _HEAD.format(
        date=datetime.date.today().isoformat(),
        count=len(rows),
        solver=solver_version(),
        load=os.getloadavg()[0],
        cores=os.cpu_count(),
    )
    lines = [*before_section(rows, recorded), *ways_section(rows)]
    body = head + "\n".join(lines).rstrip("\n") + "\n"
    if growth:
        body += "\n## From one agent to many\n\n```text\n" + "\n".join(growth_lines(growth)) + "\n```\n"
    return body


def read(path: Path) -> list[Row]:
    """Rows that were written, none if there are none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def main(arguments: Iterable[str]) -> None:
    """Measure, print, and write the page."""
    asked = list(arguments)
    rows = read(ROWS) if "--page" in asked else measured(int(asked[0]) if asked else STACKS, load_catalog())
    recorded = json.loads(before.RECORDED.read_text(encoding="utf-8"))
    text = page(rows, recorded, read(GROWTH))
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
