"""What the README shows is what the commands print. ``make golden`` rewrites it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.plan_view import plan_view
from agentgpu_iac.spec.loader import load, load_text

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
STACK = "stacks/customer-service.yaml"


def shown() -> re.Match[str]:
    """The first text block: the plan, then the line that ``render`` prints."""
    found = re.search(
        r"```text\n(?P<plan>.*?)(?P<render>^build/customer-service: [^\n]*\n)```", README.read_text(), re.S | re.M
    )
    assert found is not None
    return found


def test_the_demo_output_is_real() -> None:
    plan = make_plan(load(ROOT / STACK), load_catalog(base_directory=ROOT / "stacks"))
    real = plain_text(plan_view(plan, STACK))
    block = shown()
    if os.environ.get("AGENTGPU_UPDATE_GOLDEN"):
        text = README.read_text()
        README.write_text(text[: block.start("plan")] + real + text[block.end("plan") :])
        return
    assert block["plan"] == real


def specs() -> list[str]:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.S)
    return [block for block in blocks if isinstance(yaml.safe_load(block), dict) and "kind: AgentStack" in block]


@pytest.mark.parametrize("position", range(len(specs())))
def test_every_spec_in_the_readme_has_a_plan(position: int, tmp_path: Path) -> None:
    plan = make_plan(load_text(specs()[position], "README.md"), load_catalog(base_directory=tmp_path))
    assert plan.workloads


@pytest.mark.parametrize(
    "path", ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
)
def test_links_lead_somewhere(path: str) -> None:
    page = ROOT / path
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_lines_of_an_explanation_are_those_of_the_plan() -> None:
    plan = make_plan(load(ROOT / STACK), load_catalog())
    printed = {" ".join((line.name, line.formula, line.inputs, line.result)) for line in plan.ledger}
    block = README.read_text().partition("Two of its lines:\n\n```text\n")[2].partition("\n```")[0]
    lines = [" ".join(line.split()) for line in block.splitlines()]
    assert len(lines) == 2
    assert set(lines) <= printed


def test_the_change_that_is_offered_does_what_is_said() -> None:
    """The README plans its example again with FP8 weights."""
    said = " ".join(
        README.read_text().partition("Try a change before you believe it: ")[2].partition("\n\n")[0].split()
    )
    text = (ROOT / STACK).read_text()
    as_it_is, changed = (
        make_plan(load_text(each, STACK), load_catalog())
        for each in (text, text.replace("model: Qwen/Qwen3-14B", "model: Qwen/Qwen3-14B\n      precision: fp8"))
    )
    before, after = (plan.cost.baseline_usd_per_month for plan in (as_it_is, changed))
    assert (
        f"an {changed.workloads[0].accelerator.upper()}, for USD {after:,.2f} a month instead of USD {before:,.2f}"
        in said
    )
    assert "quantised-at-load" in {each.code for each in changed.warnings}
