"""No table of any command breaks a word or a number where a terminal of 80 columns or more shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.planning.levers.frontier import frontier
from agentgpu_iac.planning.levers.levers import levers
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.review.blocks import Block, Table, unfolded
from agentgpu_iac.review.catalog_view import entry, entry_view, listing
from agentgpu_iac.review.change_page import TOPICS as SIDES
from agentgpu_iac.review.change_page import diff_page
from agentgpu_iac.review.change_page import topic_view as side_view
from agentgpu_iac.review.columns import LONGEST_PIECE, fitted, pieces, width_of
from agentgpu_iac.review.diff import diff
from agentgpu_iac.review.explain import explain_view
from agentgpu_iac.review.explain_page import TOPICS, agent_page, stack_page, topic_view
from agentgpu_iac.review.levers_view import frontier_view, levers_view
from agentgpu_iac.review.plan_page import plan_page
from agentgpu_iac.review.plan_view import plan_view
from agentgpu_iac.spec.loader import LoadedStack, load
from tests.pages.blocks import ROOT
from tests.review.screens import WIDTHS

GOLDEN = sorted((ROOT / "tests" / "outcomes" / "golden").glob("*/*/plan.json"))


def tables(blocks: Iterable[Block]) -> Iterator[Table]:
    for block in unfolded(blocks):
        if isinstance(block, Table):
            yield block


def broken(table: Table, width: int) -> list[str]:
    """Words of a table that end in one line and go on in another, and not behind a sign between their parts."""
    fit = fitted(table.columns, table.rows, width, whole=table.whole, cuttable=table.cuttable, drop=table.drop)
    return [
        f"{table.columns[at]}: {piece}"
        for at, room in zip(fit.shown, fit.widths, strict=True)
        if at not in table.cuttable
        for cell in (table.columns[at], *(row[at] for row in table.rows))
        for word in cell.split()
        for piece in pieces(word)
        if room < width_of(piece) <= LONGEST_PIECE
    ]


def assert_whole(blocks: Iterable[Block]) -> None:
    for table in tables(blocks):
        for width in WIDTHS:
            found = broken(table, width)
            assert not found, (width, table.columns, found[:5])


def read(path: object) -> Plan:
    return load_plan(path)  # type: ignore[arg-type]


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_no_table_of_a_plan_breaks_a_word(path: object) -> None:
    plan = read(path)
    assert_whole(plan_page(plan, "stack.yaml"))
    assert_whole(plan_view(plan, "stack.yaml"))
    for topic in TOPICS:
        assert_whole(topic_view(plan, topic))


@pytest.fixture(scope="module")
def asked() -> tuple[LoadedStack, Catalog]:
    return load(ROOT / "stacks" / "examples" / "retrieval.yaml"), load_catalog()


def test_no_table_of_an_explanation_breaks_a_word(asked: tuple[LoadedStack, Catalog]) -> None:
    plan = make_plan(*asked)
    assert_whole(stack_page(plan, "stack.yaml"))
    for agent in plan.served_agents:
        assert_whole(agent_page(plan, "stack.yaml", agent.name))
    assert_whole(explain_view(plan, "stack.yaml", None))


@pytest.mark.broad(every=0)
def test_no_table_of_levers_or_a_frontier_breaks_a_word(asked: tuple[LoadedStack, Catalog]) -> None:
    assert_whole(levers_view(levers(*asked)))
    assert_whole(frontier_view(frontier(*asked, "ttftMs", "answerer", (400, 1000))))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("at", range(len(GOLDEN)))
def test_no_table_of_a_difference_breaks_a_word(at: int) -> None:
    before, after = read(GOLDEN[at]), read(GOLDEN[at - 1])
    found = diff(before, after)
    assert_whole(diff_page(found, "a.yaml", "b.yaml"))
    for side in SIDES:
        assert_whole(side_view(found, side, {}))


KINDS = (
    *("accelerators", "models", "offerings", "engines", "parsers", "limits", "providers", "volumes"),
    *("kubernetes", "quotas", "system-machines", "cluster-pods", "excluded"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_list_of_the_catalog_breaks_a_word(kind: str) -> None:
    assert_whole((listing(load_catalog(), kind).table,))


@pytest.mark.parametrize("name", ["h100-sxm", "Qwen/Qwen3-14B", "p5.48xlarge", "aws"])
def test_no_entry_of_the_catalog_breaks_a_word(name: str) -> None:
    assert_whole(entry_view(entry(load_catalog(), name)))
