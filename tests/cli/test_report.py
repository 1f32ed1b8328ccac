"""``report``: a page from a saved plan, and one sentence for everything that it cannot do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentgpu_iac.errors import EXIT_BAD_INPUT
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.review.report.page import report_page
from tests.cli.running import FAULTY, SMALL, agentgpu

PLAN = Path(__file__).parents[1] / "outcomes" / "golden" / "single" / "spheron" / "plan.json"


def test_a_saved_plan_becomes_the_page_that_its_library_call_gives(tmp_path: Path) -> None:
    page = report_page(load_plan(PLAN))
    assert agentgpu("report", PLAN).out == page
    written = agentgpu("report", PLAN, "-o", tmp_path / "plan.html")
    assert (written.code, written.out, written.err) == (0, "", "")
    assert (tmp_path / "plan.html").read_text(encoding="utf-8") == page


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    answer = agentgpu("report", PLAN, "-o", tmp_path / "none" / "plan.html")
    assert answer.code == EXIT_BAD_INPUT
    assert answer.err == f"{tmp_path / 'none' / 'plan.html'}: cannot be written: No such file or directory\n"


def test_what_is_no_stack_and_no_plan_is_told_by_its_faults(tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text(FAULTY, encoding="utf-8")
    answer = agentgpu("report", tmp_path / "faulty.yaml", "-o", tmp_path / "plan.html")
    assert answer.code == EXIT_BAD_INPUT
    assert "faulty.yaml:" in answer.err
    assert not (tmp_path / "plan.html").exists()


@pytest.mark.parametrize("words", [("report",), ("plan", "-f", "html")], ids=" ".join)
def test_without_the_extra_it_says_what_to_install_before_anything_is_planned(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    (tmp_path / "stack.yaml").write_text(SMALL, encoding="utf-8")
    answer = agentgpu(*words, tmp_path / "stack.yaml")
    assert (answer.code, answer.out) == (EXIT_BAD_INPUT, "")
    assert answer.err == "report: needs vl_convert, which is not installed (pip install 'agentgpu-iac[report]')\n"


def test_a_difference_has_no_page(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(SMALL, encoding="utf-8")
    answer = agentgpu("plan", tmp_path / "stack.yaml", "-f", "html", "--locked", PLAN)
    assert answer.code == EXIT_BAD_INPUT
    assert answer.err == "--locked: prints a difference, which has no page; leave --format html out\n"
