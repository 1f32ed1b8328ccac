"""Why a plan is dearer than Mélange's: its program again, with what it leaves out put in, one thing after the other.

    python -m bench.apart 31 52 90 97 98

Teams are those of ``bench/market.py``. What is put in: that every session is held, whether it generates or not, and takes the
memory that it has at the end of its conversation; and that background agents have engines of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.units import HOURS_PER_MONTH
from bench.melange import Bucket, buckets, fewest_usd_per_hour, most_per_s, types
from bench.simpler import Seen, planned
from bench.stacks import team


def as_held(demand: Demand) -> list[Bucket]:
    """An agent's sessions of the peak in place of its requests, by the part of them that are of each size."""
    found = buckets(demand, peak=True)
    whole = sum(each.per_s for each in found)
    return [replace(each, per_s=demand.peak * each.per_s / whole, by_session=True) for each in found]


def held_at_the_end(candidate: Candidate, bucket: Bucket) -> float:
    """Sessions that a replica carries within the budgets, and holds with all that their conversation comes to."""
    memory = candidate.memory
    room = memory.most_sessions(MAX_COUNT) * memory.context_tokens / bucket.demand.context_tokens
    return min(most_per_s(candidate, bucket), room)


def usd_per_month(seen: Seen, *, held: bool, apart: bool) -> Decimal | None:
    """What Mélange's machines of the peak cost then; None where some bucket is within the budgets on none."""
    by_engine: dict[tuple[object, ...], list[int]] = {}
    for position, demand in enumerate(seen.demands):
        by_engine.setdefault((demand.model.id, demand.precision, apart and demand.user_facing), []).append(position)
    total = Decimal(0)
    for positions in by_engine.values():
        demands = [seen.demands[position] for position in positions]
        asked = [each for demand in demands for each in (as_held(demand) if held else buckets(demand, peak=True))]
        options = [option for position in positions for option in seen.apart[position]]
        usd = fewest_usd_per_hour(types(options, asked, held_at_the_end if held else most_per_s), asked)
        if usd is None:
            return None
        total += usd * HOURS_PER_MONTH
    return total


def main(seeds: Iterable[str]) -> None:
    """One line for each team."""
    catalog = load_catalog()
    for seed in seeds:
        plan, places, _ = planned(team(int(seed)), catalog)
        seen = min(places, key=lambda each: each.found.usd)
        ways = (("as it is", False, False), ("apart", False, True), ("held", True, False), ("both", True, True))
        said = [(name, usd_per_month(seen, held=held, apart=apart)) for name, held, apart in ways]
        told = ", ".join(f"{name} {'none' if usd is None else f'{usd:,.0f}'}" for name, usd in said)
        print(f"team {seed}: plan USD {seen.found.usd:,.0f}; Mélange {told}", flush=True)
        for driver in plan.drivers:
            print(f"  {driver.agent}: {driver.message}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
