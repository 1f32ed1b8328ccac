"""The difference of two plans: the cost first, then what changes, and nothing that does not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from agentgpu_iac.plan import Plan, ReplicaRange, Warning
from agentgpu_iac.review.blocks import Heading, Paragraph, Table, markdown, plain_text
from agentgpu_iac.review.change_view import diff_view
from agentgpu_iac.review.diff import PlanDiff, diff
from tests.examples import EXAMPLES
from tests.plans import make_plan, make_pool, make_security, make_tiered_plan, make_workload
from tests.review.stacks import example, stack


def changes(found: PlanDiff) -> set[tuple[str, str, str | None, str | None]]:
    return {(one.where, one.field, one.before, one.after) for one in found.changes}


def costing(plan: Plan, baseline: str, peak: str = "1.861", expected: str = "") -> Plan:
    update = {
        "baseline_usd_per_month": Decimal(baseline),
        "peak_usd_per_hour": Decimal(peak),
        "expected_usd_per_month": Decimal(expected or baseline),
    }
    return plan.model_copy(update={"cost": plan.cost.model_copy(update=update)})


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_plan_differs_in_nothing_from_itself(path: Path) -> None:
    plan = example(path).plan
    found = diff(plan, plan)
    assert found.is_empty
    assert not found.changes and not found.new_warnings and not found.gone_warnings
    assert diff_view(found) == (Paragraph(text="The two plans are the same."),)


def test_the_cost_comes_first() -> None:
    before, after = costing(make_plan(), "1000", "2"), costing(make_tiered_plan(), "1260", "3.5")
    first = diff_view(diff(before, after))[0]
    assert isinstance(first, Paragraph)
    assert first.text == (
        "Baseline: USD 1,000.00 -> 1,260.00 a month (+260.00, +26.0%). Peak: USD 2.00 -> 3.50 an hour (+1.50, +75.0%)."
    )
    found = diff(before, after)
    assert (found.baseline_delta_usd_per_month, found.peak_delta_usd_per_hour) == (Decimal("260"), Decimal("1.5"))
    assert diff(after, before).baseline_delta_usd_per_month == Decimal("-260")


def test_a_cost_that_stays_is_said_to_stay() -> None:
    first = diff_view(diff(make_plan(), costing(make_plan(), "1339.92", "9.861")))[0]
    assert isinstance(first, Paragraph)
    assert first.text == ("Baseline: USD 1,339.92 a month, as before. Peak: USD 1.86 -> 9.86 an hour (+8.00, +429.9%).")


def test_a_plan_that_was_free() -> None:
    first = diff_view(diff(costing(make_plan(), "0"), costing(make_plan(), "5")))[0]
    assert isinstance(first, Paragraph)
    assert first.text.startswith("Baseline: USD 0.00 -> 5.00 a month (+5.00).")


def test_burst_hours_alone_change_what_is_expected() -> None:
    found = diff(make_plan(), costing(make_plan(), "1339.92", expected="1400"))
    assert not found.is_empty
    first = diff_view(found)[0]
    assert isinstance(first, Paragraph)
    assert first.text.endswith("With the expected burst hours: +60.08 USD a month.")


def test_changes_are_listed_by_workload_and_pool_in_the_words_of_the_plan() -> None:
    before = make_plan()
    after = make_plan(
        workloads=(make_workload(max_num_seqs=24, replicas=ReplicaRange(min=2, max=2), chosen_because="other"),),
        node_pools=(make_pool(min=2, max=2, price_source="another"),),
    )
    found = diff(before, after)
    assert changes(found) == {
        ("workload support", "maxNumSeqs", "12", "24"),
        ("workload support", "replicas.min", "1", "2"),
        ("workload support", "replicas.max", "1", "2"),
        ("node pool demo-baseline-g6e-xlarge", "min", "1", "2"),
        ("node pool demo-baseline-g6e-xlarge", "max", "1", "2"),
    }
    blocks = diff_view(found)
    assert [block.text for block in blocks if isinstance(block, Heading)] == [
        "Why",
        "workload support",
        "node pool demo-baseline-g6e-xlarge",
    ]
    assert [block.rows for block in blocks if isinstance(block, Table)] == [
        (("maxNumSeqs", "12", "24"), ("replicas.min", "1", "2"), ("replicas.max", "1", "2")),
        (("min", "1", "2"), ("max", "1", "2")),
    ]


def test_what_appears_and_disappears() -> None:
    burst = {
        ("workload support-burst", "", None, "present"),
        ("node pool demo-burst-g6e-xlarge", "", None, "present"),
        ("stack", "priorityClasses[burst]", None, "present"),
    }
    assert changes(diff(make_plan(), make_tiered_plan())) == burst
    assert changes(diff(make_tiered_plan(), make_plan())) == {
        (where, field, "present", None) for where, field, *_ in burst
    }
    text = plain_text(diff_view(diff(make_plan(), make_tiered_plan())))
    assert "(all of it)  -       present" in text


def test_lists_of_parts_are_compared_part_by_part() -> None:
    pool = make_pool()
    renamed = pool.cached_models[0].model_copy(update={"revision": "v2"})
    found = diff(make_plan(), make_plan(node_pools=(make_pool(cached_models=(renamed,)),)))
    assert changes(found) == {(f"node pool {pool.name}", "cachedModels[Qwen/Qwen3-8B].revision", "main", "v2")}


def test_the_stack_itself_may_change() -> None:
    found = diff(make_plan(), make_plan(target="kubernetes", pattern="reasoning-heavy"))
    assert changes(found) == {
        ("stack", "target", "eks", "kubernetes"),
        ("stack", "pattern", "single-agent", "reasoning-heavy"),
        ("node pool demo-baseline-g6e-xlarge", "autoscaler", "karpenter", "none"),
    }
    assert not found.is_empty


def test_new_and_gone_warnings() -> None:
    stays = Warning(code="unpinned", agent=None, message="stays")
    goes = Warning(code="cache-miss", agent="a", message="same words")
    comes = Warning(code="cache-miss", agent="b", message="same words")
    found = diff(make_plan(warnings=(stays, goes)), make_plan(warnings=(comes, stays)))
    assert (found.new_warnings, found.gone_warnings) == (
        ("[cache-miss] b: same words",),
        ("[cache-miss] a: same words",),
    )
    assert found.is_empty
    text = plain_text(diff_view(found))
    assert "New warnings\n------------\n- [cache-miss] b: same words\n" in text
    assert "Warnings that go\n----------------\n- [cache-miss] a: same words\n" in text


def test_markdown() -> None:
    text = markdown(diff_view(diff(make_plan(), make_plan(workloads=(make_workload(max_num_seqs=24),)))))
    assert text.endswith(
        "## workload support\n\n| field | before | after |\n| --- | --- | --- |\n| maxNumSeqs | 12 | 24 |\n"
    )


def test_every_change_between_two_real_plans_is_true() -> None:
    few = stack("model: Qwen/Qwen3-14B", "sessions: {concurrent: 5}").plan
    many = stack("model: Qwen/Qwen3-14B", "sessions: {concurrent: 500}").plan
    found = diff(few, many)
    data = [
        {one["name"]: one for one in plan.model_dump(mode="json", by_alias=True)["workloads"]} for plan in (few, many)
    ]
    assert any(one.field == "maxNumSeqs" for one in found.changes)
    for one in found.changes:
        kind, _, name = one.where.partition(" ")
        if kind != "workload" or not one.field or one.field.partition("[")[0].endswith("args"):
            continue
        assert "[" not in one.field
        for said, workloads in zip((one.before, one.after), data, strict=True):
            value = workloads[name]
            for step in one.field.split("."):
                value = value[step]
            assert said == ("none" if value is None else " ".join(value) if isinstance(value, list) else str(value))


def test_who_may_call_and_who_applies_is_part_of_a_diff() -> None:
    before = make_plan()
    after = before.model_copy(update={"security": make_security(callers=("web",)), "quota": None})
    changed = {(one.where, one.field): (one.before, one.after) for one in diff(before, after).changes}
    assert changed["stack", "security.callers"] == ("", "web")
    assert changed["stack", "quota.pods"] == ("4", None)


def test_a_diff_is_data() -> None:
    found = diff(make_plan(), make_tiered_plan())
    document = found.model_dump(mode="json", by_alias=True)
    assert set(document) == {
        "security",
        "causes",
        "chains",
        "agents",
        "pools",
        "fit",
        "files",
        "before",
        "after",
        "baselineUsdPerMonthBefore",
        "baselineUsdPerMonthAfter",
        "baselineDeltaUsdPerMonth",
        "peakUsdPerHourBefore",
        "peakUsdPerHourAfter",
        "peakDeltaUsdPerHour",
        "expectedDeltaUsdPerMonth",
        "changes",
        "newWarnings",
        "goneWarnings",
    }
    assert PlanDiff.model_validate_json(found.model_dump_json(by_alias=True)) == found
