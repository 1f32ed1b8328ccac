"""What ``publish`` costs beside planning and rendering the same stacks one by one in one process: ``python -m bench.publishing``.

CPU seconds of all processes, and their ratio, which says what starting processes, Git and the comparison add, or what is
remembered between the environments of a stack saves. The tree that is committed is named by its hash: two versions that
publish the same bytes have the same.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.bench import MODELS

STACKS = 200
_DAY = "2026-11-28"
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: processes whose parents ended are ours, so that their time is counted."""
_ENVIRONMENTS = {
    1: "environments:\n  - name: production\n",
    2: "environments:\n  - name: staging\n    overlays:\n"
    "      - spec: {capacity: {memoryReserveRatio: 0.2}, observability: {}}\n  - name: production\n",
}
_ONE_BY_ONE = """
import sys, time
from pathlib import Path
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.tree import render_all
from agentgpu_iac.spec.loader import load
catalog = load_catalog()
for path in sorted(Path("stacks").glob("*.yaml")):
    for _ in range(int(sys.argv[1])):
        render_all(make_plan(load(path), catalog))
"""


def stack(number: int) -> str:
    """One agent; each stack of its own model, target, load and conversation."""
    background = number % 5 == 4
    return "\n".join(
        (
            "apiVersion: agentgpu.dev/v1alpha1",
            "kind: AgentStack",
            f"metadata: {{name: s{number:03}}}",
            "spec:",
            f"  target: {('eks', 'kubernetes')[number % 2]}",
            "  modelCache: {tokenSecret: hf-token}",
            "  agents:",
            "    - name: support",
            f"      model: {MODELS[number % len(MODELS)]}",
            f"      latencyClass: {'background' if background else 'chat'}",
            "      interruptible: true" if background else "      ttftMs: 3000",
            f"      sessions: {{concurrent: {4 + number % 23}}}",
            f"      conversation: {{turns: {2 + number % 7}, inputTokensPerTurn: {100 + number % 11 * 40}}}",
            f"      traffic: {{conversationsPerDay: {1000 + number % 13 * 500}, burstFactor: {1 + number % 4}}}",
            "",
        )
    )


def repository(folder: Path, stacks: int, environments: int) -> None:
    """A repository of so many stacks, committed."""
    (folder / "stacks").mkdir()
    for number in range(stacks):
        (folder / "stacks" / f"s{number:03}.yaml").write_text(stack(number), encoding="utf-8")
    says = "apiVersion: agentgpu.dev/v1alpha1\nkind: Publishing\nstacks: [stacks]\ninto: clusters\n"
    says += "base: main\nbranch: published\n"
    (folder / "agentgpu-publish.yaml").write_text(says + _ENVIRONMENTS[environments], encoding="utf-8")
    for words in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "bench"),
        ("config", "user.email", "bench@example.com"),
        ("add", "-A"),
        ("commit", "-qm", "stacks", "--date", f"{_DAY}T00:00:00Z"),
    ):
        subprocess.run(("git", *words), cwd=folder, check=True)


def cpu_s(words: Sequence[str], folder: Path) -> float:
    """CPU seconds of a command and of all that it starts, those left behind included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    subprocess.run(words, cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(stacks: int, environments: int) -> None:
    """Measure both ways, and print a line."""
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("no subreaper: the time of worker processes would not be counted")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repository(folder, stacks, environments)
        began_s = time.monotonic()
        published_s = cpu_s((sys.executable, "-m", "agentgpu_iac", "publish", "--no-push", "--today", _DAY), folder)
        wall_s = time.monotonic() - began_s
        alone_s = cpu_s((sys.executable, "-c", _ONE_BY_ONE, str(environments)), folder)
        found = subprocess.run(
            ("git", "rev-parse", "published^{tree}"), cwd=folder, check=True, capture_output=True, text=True
        )
    print(
        f"{stacks} stacks x {environments}: publish {published_s:.1f} s of CPU ({wall_s:.0f} s on the clock), "
        f"one by one {alone_s:.1f}, ratio {published_s / alone_s:.2f}, tree {found.stdout.strip()}"
    )


if __name__ == "__main__":
    main(int((sys.argv[1:] or [STACKS])[0]), int((sys.argv[2:] or [1])[0]))
