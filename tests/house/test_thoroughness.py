"""What ``make test`` leaves out of broad tests is what ``make broad`` runs, and nothing is left to nobody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import SHARING, unit_of
from tests.thoroughness import Part, part_asked, parted

ROOT = Path(__file__).resolve().parents[2]
CASES = [
    *((f"grid {number}", "grid", 3) for number in range(7)),
    ("plain", "plain", None),
    ("long", "long", 0),
    *((f"other {number}", "other", 3) for number in range(2)),
]


def taken(part: Part) -> list[str]:
    return [name for name, is_in in parted(CASES, part) if is_in]


def test_the_share_holds_each_function_s_first_case_and_all_that_is_not_broad() -> None:
    assert taken("share") == ["grid 0", "grid 3", "grid 6", "plain", "other 0"]


def test_share_and_others_are_all_of_them_and_no_case_is_in_both() -> None:
    assert sorted([*taken("share"), *taken("others")]) == sorted(taken("all")) == sorted(name for name, *_ in CASES)


@pytest.mark.parametrize(
    ("named", "said", "part"),
    [
        (False, None, "share"),
        (True, None, "all"),
        (True, "", "all"),
        (True, "share", "share"),
        (False, "others", "others"),
        (False, "all", "all"),
    ],
)
def test_what_is_named_is_run_whole(named: bool, said: str | None, part: Part) -> None:
    assert part_asked(named, said=said) == part


def test_a_part_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="it may be share, others, all"):
        part_asked(False, said="other")


def test_a_file_is_run_by_one_process_and_so_are_rooms_that_share() -> None:
    for path in sorted((ROOT / "tests").glob("[!e]*/**/test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        (room,) = [each for each in SHARING if name.startswith(each)] or [name]
        assert unit_of(f"{name}::test[a::b]") == unit_of(f"{name}::Test::test") == room
    assert all((ROOT / room).is_dir() for room in SHARING)


def test_the_targets_take_the_parts_between_them() -> None:
    """The laws among broad tests are left to ``make laws``, which takes all cases of all of them."""
    commands = dict(re.findall(r"^(test|broad|laws):.*\n\t(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    run = "$(BIN)/python -m pytest -n 2 --dist loadfile"
    assert commands == {
        "test": run,
        "broad": f'AGENTGPU_BROAD=others {run} -m "not hypothesis"',
        "laws": f"AGENTGPU_LAWS=whole AGENTGPU_BROAD=all {run} -m hypothesis",
    }
    stages = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert {f"stage make {target}" for target in commands} <= set(stages)
