"""A difference on one screen, and how a reader goes deeper."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, Written
from agentgpu_iac.review.blocks import Block, Commands, plain_text
from agentgpu_iac.review.change_page import TOPICS, diff_page, topic_view
from agentgpu_iac.review.diff import FileChanges, MoneyChange, SecurityChange, diff
from tests.plans import make_plan, make_security, make_tiered_plan, make_workload
from tests.review.screens import FOUR_AGENTS, WIDTHS, lines_of
from tests.review.test_change_view import many

FILES = FileChanges(added=("base/a.yaml",), changed=("base/b.yaml",))
AGENTS = {"support": "support"}


def text_of(blocks: tuple[Block, ...]) -> str:
    return plain_text(blocks, 120)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 4, 40, 200])
def test_a_difference_fits_one_screen_however_much_changes(count: int, width: int) -> None:
    """Once one field of one agent was 149 lines."""
    before, after = many(count), many(count, max_num_seqs=77, role="other")
    after = after.model_copy(update={"security": make_security(callers=("web",), network_policies=False)})
    page = diff_page(diff(before, after, files=FILES), "a.yaml", "b.yaml")
    assert len(lines_of(page, width)) <= FOUR_AGENTS


@pytest.mark.parametrize(
    ("count", "title"), [(4, "\nCost by agent\n"), (5, "\nCost by agent (3 of 5; the others: money)\n")]
)
def test_a_title_says_how_many_are_shown_where_more_than_one_is_left(count: int, title: str) -> None:
    money = tuple(
        MoneyChange(
            name=f"agent-{number}",
            before_usd_per_month=Decimal(1),
            after_usd_per_month=Decimal(2),
        )
        for number in range(count)
    )
    found = diff(make_plan(), make_plan(workloads=(make_workload(max_num_seqs=24),)))
    assert title in text_of(diff_page(found.model_copy(update={"agents": money}), "a.yaml", "b.yaml"))


def test_what_is_written_alike_for_agents_is_one_line() -> None:
    def plan(value: str, seats: int) -> Plan:
        paths = [f"spec.agents[{name}].sessions.concurrent" for name in ("a", "b")]
        written = tuple(Written(path=path, value=value) for path in paths)
        return make_plan(written=written, workloads=(make_workload(max_num_seqs=seats),))

    text = text_of(diff_page(diff(plan("6", 12), plan("36", 24)), "a.yaml", "b.yaml"))
    assert "spec.agents[a, b].sessions.concurrent: 6 -> 36" in text


def test_a_change_alike_in_several_parts_is_one_line_of_security() -> None:
    changes = tuple(
        SecurityChange(where=where, field="image", before="x", after="y", reason="what runs")
        for where in ("workload a", "workload b", "node pool a")
    )
    found = diff(make_plan(), make_plan(workloads=(make_workload(max_num_seqs=24),)))
    text = text_of(diff_page(found.model_copy(update={"security": changes}), "a.yaml", "b.yaml"))
    assert "workload a and 1 more: image x -> y (what runs)" in text
    assert "node pool a: image x -> y (what runs)" in text


def test_security_comes_before_money_and_why_before_risk() -> None:
    after = make_tiered_plan().model_copy(update={"security": make_security(callers=("web",))})
    text = text_of(diff_page(diff(make_plan(), after, files=FILES), "a.yaml", "b.yaml"))
    places = [text.index(words) for words in ("Baseline", "Look at these first", "Why", "Deeper")]
    assert places == sorted(places)


def test_every_command_of_the_page_is_answered() -> None:
    found = diff(make_plan(), make_plan(workloads=(make_workload(max_num_seqs=24),)), files=FILES)
    commands = next(block for block in diff_page(found, "a b.yaml", "b.yaml") if isinstance(block, Commands))
    words = [line.removeprefix("agentgpu diff 'a b.yaml' b.yaml ") for line in commands.lines]
    assert words == ["support", "fields", "--all"]
    assert all(topic_view(found, word, AGENTS) for word in words[:-1])


@pytest.mark.parametrize("topic", TOPICS)
def test_a_side_of_which_nothing_changes_says_so(topic: str) -> None:
    found = diff(make_plan(), make_plan())
    assert text_of(topic_view(found, topic, AGENTS)) == f"Nothing changes about {topic}.\n"


def test_an_agent_is_told_its_own_changes() -> None:
    def two(seats: int) -> Plan:
        return make_plan(workloads=(make_workload(max_num_seqs=seats), make_workload(agent="other", name="other")))

    found = diff(two(12), two(24), files=FILES)
    agents = {"support": "support", "other": "other"}
    assert "maxNumSeqs" in text_of(topic_view(found, "support", agents))
    assert "Nothing changes about other." in text_of(topic_view(found, "other", agents))


def test_an_agent_that_another_deployment_serves() -> None:
    found = diff(make_plan(), make_plan(workloads=(make_workload(max_num_seqs=24),)))
    text = text_of(topic_view(found, "desk", {"desk": "support"}))
    assert text.startswith("desk, served by support\n") and "maxNumSeqs" in text


def test_an_unknown_word_names_the_choices() -> None:
    with pytest.raises(BadInput, match="there is no agent 'supprt' in either plan") as refusal:
        topic_view(diff(make_plan(), make_plan()), "supprt", AGENTS)
    assert "support" in refusal.value.faults[0].hint
    with pytest.raises(BadInput) as refusal:
        topic_view(diff(make_plan(), make_plan()), "zzz", AGENTS)
    assert "security, why, money" in refusal.value.faults[0].hint
