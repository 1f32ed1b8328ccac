"""What the planner of another checkout asks for the teams of ``bench/stacks.py``, with its own code and its own catalog.

    git worktree add build/before b6ecd2a3
    python -m bench.before build/before

writes ``bench/data/plans-before.json``, which ``python -m bench.market`` holds today's plans against. Lines of a spec that
the other planner does not know are left out (``schedule``); what it refuses is kept as its refusal. A row carries the digest of
its spec, so that a generator that changed is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.stacks import team

RECORDED = Path(__file__).parent / "data" / "plans-before.json"
_ASKED_THERE = """
import json, sys, time
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput, Infeasible
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load_text
catalog = load_catalog()
for line in sys.stdin:
    asked = json.loads(line)
    found = {"seed": asked["seed"]}
    before = time.process_time()
    try:
        plan = make_plan(load_text(asked["spec"], "team.yaml"), catalog)
        found["usd"] = str(plan.cost.expected_usd_per_month)
        found["baseline_usd"] = str(plan.cost.baseline_usd_per_month)
        found["buys"] = [
            f"{each.nodes} x {each.instance_type} {each.tier} {each.capacity_type} at {each.usd_per_hour}"
            for each in plan.cost.line_items
        ]
        found["serves"] = [
            f"{each.agent} {each.tier}: {each.replicas.max} x {each.accelerators_per_replica} {each.accelerator} "
            f"of {each.max_num_seqs} sessions"
            for each in plan.workloads
        ]
    except (Infeasible, BadInput) as refusal:
        found["refused"] = str(refusal).splitlines()[0]
    found["cpu_s"] = round(time.process_time() - before, 2)
    print(json.dumps(found), flush=True)
"""
_UNKNOWN_THERE = ("      schedule: ",)


def digest(spec: str) -> str:
    """What tells a spec from a changed one."""
    return hashlib.sha256(spec.encode()).hexdigest()[:12]


def known_there(spec: str) -> str:
    """The spec without lines that the other planner does not know."""
    return "\n".join(line for line in spec.split("\n") if not line.startswith(_UNKNOWN_THERE))


def asked(checkout: Path, count: int) -> list[dict[str, Any]]:
    """The other planner's answers, one process for all."""
    specs = [team(seed) for seed in range(count)]
    told = "".join(json.dumps({"seed": seed, "spec": known_there(spec)}) + "\n" for seed, spec in enumerate(specs))
    answer = subprocess.run(
        [sys.executable, "-c", _ASKED_THERE],
        input=told,
        env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
        cwd=checkout,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    return [{**row, "spec": digest(specs[row["seed"]])} for row in rows]


def main(checkout: str, count: int = 100) -> None:
    """Ask, and write what came."""
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%h (%cs)"], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout.strip()
    lines = ",\n".join(f"  {json.dumps(row)}" for row in asked(Path(checkout), count))
    RECORDED.write_text(f'{{"planner": {json.dumps(commit)}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], *(int(each) for each in sys.argv[2:3]))
