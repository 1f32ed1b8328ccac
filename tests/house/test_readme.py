"""The README is short, its links lead somewhere, and what the pages say of the example stacks is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load, load_text
from tests.pages.blocks import WRITTEN, anchors

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STACK = "stacks/customer-service.yaml"


def test_it_is_read_in_three_minutes() -> None:
    """At 250 words a minute, code aside; a bar of a table is no word."""
    assert 7_000 <= len(README.encode()) <= 9_000
    prose = re.sub(r"```.*?```|<!--.*?-->", "", README, flags=re.DOTALL)
    assert len([word for word in prose.split() if re.search(r"\w", word)]) <= 3 * 250
    assert README.count("<img ") == 1
    for path in re.findall(r'(?:src|srcset)="([^"]+)"', README):
        assert (ROOT / path).is_file(), path


def test_its_links_lead_somewhere() -> None:
    """To a file of the checkout, which code hosts open as well, or to another project's whole address."""
    for _, address in re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", README):
        assert address.startswith("https://") or (ROOT / address).is_file(), address


def test_each_file_that_it_names_is_there() -> None:
    for path in re.findall(r"`((?:docs|stacks)/[\w./-]*)`", README):
        assert (ROOT / path).exists(), path


PAGES = ["CONTRIBUTING.md", "SECURITY.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path: str) -> None:
    page = ROOT / path
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if "://" in target:
            continue
        led_to = page.parent / target if target else page
        assert led_to.exists(), target
        if anchor and led_to.suffix == ".md":
            assert anchor in anchors(led_to), f"{target}#{anchor}"


@pytest.mark.parametrize("path", ["README.md", *(path for path in PAGES if path not in WRITTEN)])
def test_one_sentence_a_line(path: str) -> None:
    """A change of a sentence is a change of its line. Tables have lines of their own, and so have words in brackets."""
    text = (ROOT / path).read_text(encoding="utf-8")
    text = re.sub(r"```.*?```|<!--.*?-->|`[^`\n]*`|\]\([^)\n]*\)|\([^()\n]*\)", "x", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if re.search(r"[a-z0-9)*]{2}[.!?] +[A-Z]", line)] == []


def test_every_page_can_be_found_from_the_others() -> None:
    """The site's navigation has every page; here every one is linked from some other."""
    linked = {
        (ROOT / path).parent.joinpath(target).resolve()
        for path in PAGES
        for target in re.findall(r"\]\(([^)#\s]+\.md)", (ROOT / path).read_text(encoding="utf-8"))
    }
    assert {(ROOT / path) for path in PAGES if path.startswith("docs/")} - linked <= {ROOT / "docs/index.md"}


def test_the_change_that_is_offered_does_what_is_said() -> None:
    """The page plans its example again with FP8 weights."""
    page = (ROOT / "docs/read-a-plan.md").read_text(encoding="utf-8")
    said = " ".join(page.partition("Try a change before you believe it: ")[2].partition("\n\n")[0].split())
    text = (ROOT / STACK).read_text()
    changed = make_plan(
        load_text(text.replace("model: Qwen/Qwen3-14B", "model: Qwen/Qwen3-14B\n      precision: fp8"), STACK),
        load_catalog(),
    )
    before, after = (
        plan.cost.baseline_usd_per_month for plan in (make_plan(load(ROOT / STACK), load_catalog()), changed)
    )
    assert (
        f"an {changed.workloads[0].accelerator.upper()}, for USD {after:,.2f} a month instead of USD {before:,.2f}"
        in said
    )
    assert "quantised-at-load" in {each.code for each in changed.warnings}
