"""The stacks whose whole outcome is kept, and the frozen catalog that they are planned with."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from agentgpu_iac.catalog.packaged import rows_in
from agentgpu_iac.catalog.store import Catalog, catalog_of
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.helm_values import helm_values
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import LoadedStack, load_text
from tests.examples import EXAMPLES

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
STACKS = {path.stem: path for path in (*EXAMPLES, *sorted((HERE / "stacks").glob("*.yaml")))}
"""Name -> file: every example stack, and some that use what no example does."""

ON_OTHER_TARGETS = {
    "background": ("skyserve",),
    "customer-service": ("kubernetes", "skyserve"),
    "multi-agent": ("skyserve",),
    "spot-burst": ("skyserve",),
}
"""Beside each stack's own target, so that every target has several stacks."""

PUBLIC = """\
  security: {apiKeySecret: callers}
  hosts: {callerRanges: [203.0.113.0/24]}
"""
"""What machines on the open internet need, where the stack does not say it."""


@cache
def catalog() -> Catalog:
    """The rows of ``catalog/``, through the loader of the packaged ones."""
    return catalog_of(rows_in(HERE / "catalog"))


def own_target(text: str) -> str:
    found = re.search(r"^  target: (\w+)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def spec_text(stack: str, target: str) -> str:
    """A stack as it stands, or moved to another target."""
    text = STACKS[stack].read_text(encoding="utf-8")
    if target == own_target(text):
        return text
    public = PUBLIC if target == "spheron" and "apiKeySecret" not in text else ""
    return re.sub(r"^  target: \w+\n", f"  target: {target}\n{public}", text, flags=re.MULTILINE)


CASES = tuple(
    (name, target)
    for name in STACKS
    for target in (own_target(STACKS[name].read_text(encoding="utf-8")), *ON_OTHER_TARGETS.get(name, ()))
)
"""(Stack, target) of every golden plan."""


def loaded(stack: str, target: str) -> LoadedStack:
    return load_text(spec_text(stack, target), f"{stack}.yaml")


def planned(stack: str, target: str) -> Plan:
    """The plan that the real planner makes today."""
    return make_plan(loaded(stack, target), catalog())


def outcome(stack: str, target: str) -> dict[str, str]:
    """Path -> text of all that is kept of one stack on one target: the spec, its plan, and the tree made from it."""
    plan = planned(stack, target)
    document = plan.model_dump(mode="json", by_alias=True, exclude={"ledger"})  # sums of figures that stand here too
    return {
        "spec.yaml": spec_text(stack, target),
        "plan.json": json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        **{f"tree/{file.path}": file.content.decode() for file in (*render(plan), *helm_values(plan))},
    }
