"""Policies: what breaks one is named with the limit, the value and who may waive it; waivers end."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.policies import Policies, Policy, Waiver, _names, _names_card, policy_view, violations
from agentgpu_iac.review.policy_file import load_policies
from tests.plans import make_plan, make_pool, make_workload

DAY = "2026-11-27"


def policies(*waivers: Waiver, **limits: Any) -> Policies:
    policy = Policy(name="house", waivable_by=("finance",), **limits)
    return Policies(api_version="agentgpu.dev/v1alpha1", kind="Policies", policies=(policy,), waivers=waivers)


def waiver(**changes: Any) -> Waiver:
    fields = dict(
        policy="house", stack="demo", reason="the launch week needs it", by="finance", given="2026-11-01", until=DAY
    )
    return Waiver(**{**fields, **changes})


def dearer(times: int) -> Plan:
    plan = make_plan()
    cost = plan.cost.model_copy(update={"expected_usd_per_month": plan.cost.expected_usd_per_month * times})
    return plan.model_copy(update={"cost": cost})


def latent(**changes: Any) -> Plan:
    workload = make_workload()
    latency = workload.latency.model_copy(update=changes)
    return make_plan(workloads=(workload.model_copy(update={"latency": latency}),))


PINNED = "vllm/vllm-openai@sha256:" + "0" * 64
TTFT = {"budget_ttft_ms": 200.0, "ttft_at_percentile_ms": 192.0, "ttft_error_ratio": 0.45, "ttft_miss_ratio": 0.4}
BROKEN: list[tuple[dict[str, Any], Plan, str]] = [
    (
        {"budget_usd_per_month": Decimal(100)},
        make_plan(),
        "budgetUsdPerMonth allows USD 100.00 a month, the stack has USD",
    ),
    ({"peak_usd_per_hour": Decimal(1)}, make_plan(), "peakUsdPerHour allows USD 1.00 an hour"),
    (
        {"regions": ("eu-central-1",)},
        make_plan(),
        "regions allows eu-central-1, node pool demo-baseline-g6e-xlarge has us",
    ),
    ({"accelerators": ("h100",)}, make_plan(), "accelerators allows h100, node pool demo-baseline-g6e-xlarge has l40s"),
    ({"providers": ("gcp",)}, make_plan(), "providers allows gcp, node pool demo-baseline-g6e-xlarge has aws"),
    ({"pinned_images": True}, make_plan(), "workloads[support].engine.image has vllm/vllm-openai:v0.33.0"),
    (
        {"max_spot_ratio": 0.5},
        make_plan(node_pools=(make_pool(capacity_types=("spot", "on-demand")),)),
        "maxSpotRatio allows 50% of the accelerators at the peak on spot, the stack has 100%",
    ),
    ({"min_memory_headroom_ratio": 1.0}, make_plan(), "minMemoryHeadroomRatio allows 100% of the memory free at least"),
    (
        {"min_latency_headroom_ratio": 0.1},
        latent(**TTFT),
        "10% of the TTFT budget free at least, workload support has 4%",
    ),
    ({"max_error_ratio": 0.3}, latent(**TTFT), "maxErrorRatio allows ±30% of TTFT, workload support has ±45%"),
    ({"max_miss_ratio": 0.1}, latent(**TTFT), "maxMissRatio allows 10% to miss TTFT, workload support has 40%"),
]


@pytest.mark.parametrize(("limits", "plan", "words"), BROKEN, ids=[next(iter(each[0])) for each in BROKEN])
def test_each_limit(limits: dict[str, Any], plan: Plan, words: str) -> None:
    found = violations(policies(**limits), plan, day=DAY)
    assert any(words in each.sentence for each in found), [each.sentence for each in found]
    assert all(each.counts and each.sentence.endswith("; finance may waive it") for each in found)


def test_limits_that_are_kept() -> None:
    workload = make_workload()
    engine = workload.engine.model_copy(update={"image": PINNED})
    plan = make_plan(workloads=(workload.model_copy(update={"engine": engine}),))
    kept = policies(
        budget_usd_per_month=Decimal(10**6),
        peak_usd_per_hour=Decimal(10**6),
        increase_percent=10.0,
        max_spot_ratio=0.0,
        min_memory_headroom_ratio=0.0,
        regions=("us-east-1",),
        accelerators=("l40s",),
        providers=("aws",),
        max_miss_ratio=1.0,
        pinned_images=True,
    )
    assert violations(kept, plan, day=DAY, before=plan) == ()
    assert plain_text(policy_view(())) == "Every policy is kept.\n"


@pytest.mark.parametrize(("times", "broken"), [(1, False), (2, True)])
def test_an_increase_counts_from_what_was_before(times: int, broken: bool) -> None:
    limit = policies(increase_percent=50.0)
    found = violations(limit, dearer(times), day=DAY, before=make_plan())
    assert bool(found) is broken
    if broken:
        assert "increasePercent allows 50% more a month, the stack has 100.0% more (USD " in found[0].sentence
    assert violations(limit, dearer(times), day=DAY) == ()


def test_a_waiver_holds_until_its_last_day_and_no_longer() -> None:
    limits = policies(waiver(), budget_usd_per_month=Decimal(1))
    (today,) = violations(limits, make_plan(), day=DAY)
    assert not today.counts
    assert today.sentence.endswith("; waived by finance until 2026-11-27: the launch week needs it")
    (tomorrow,) = violations(limits, make_plan(), day="2026-11-28")
    assert tomorrow.counts
    assert tomorrow.sentence.endswith("; finance may waive it; the waiver ended on 2026-11-27")
    text = plain_text(policy_view((today, tomorrow)))
    assert "Policies that are broken" in text and "Waived" in text


@pytest.mark.parametrize(
    "changes", [{"stack": "other"}, {"given": "2026-11-28", "until": "2026-12-01"}, {"environment": "staging"}]
)
def test_a_waiver_of_something_else_waives_nothing(changes: dict[str, Any]) -> None:
    limits = policies(waiver(**changes), budget_usd_per_month=Decimal(1))
    (found,) = violations(limits, make_plan(), day=DAY, environment="production")
    assert found.counts


def test_a_policy_of_other_stacks_or_environments_does_not_hold() -> None:
    for scope in ({"stacks": ("other",)}, {"environments": ("staging",)}):
        assert not violations(policies(budget_usd_per_month=Decimal(1), **scope), make_plan(), day=DAY)
    only = policies(budget_usd_per_month=Decimal(1), environments=("staging",))
    assert violations(only, make_plan(), day=DAY, environment="staging")


FILE = """\
apiVersion: agentgpu.dev/v1alpha1
kind: Policies
policies:
  - {name: budget, budgetUsdPerMonth: 20000, waivableBy: [finance]}
  - {name: places, regions: [us-east-1], maxSpotRatio: 0.5}
waivers:
  - {policy: budget, stack: demo, reason: the launch week needs it, by: finance, given: "2026-11-01", until: "2026-12-01"}
"""


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "agentgpu-policies.yaml"
    path.write_text(FILE)
    found = load_policies(path)
    assert [each.name for each in found.policies] == ["budget", "places"]
    assert found.policies[0].budget_usd_per_month == 20_000
    assert found.waivers[0].until == "2026-12-01"


def test_every_fault_of_a_file_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        FILE.replace("maxSpotRatio: 0.5", "maxSpotRatio: 2, nope: 1")
        .replace("by: finance", "by: somebody")
        .replace('until: "2026-12-01"', 'until: "2026-10-01"')
        + "  - {policy: budgett, stack: demo, reason: short, by: finance, given: today, until: '2026-12-01'}\n"
    )
    with pytest.raises(BadInput) as refusal:
        load_policies(path)
    text = str(refusal.value)
    for line in (
        "p.yaml:5:",
        "policies[1].maxSpotRatio",
        "policies[1]: unknown key 'nope'",
        "p.yaml:7:",
        "waivers[0].by: 'somebody' may not waive budget: finance may",
        "waivers[0].until: ends before it begins (2026-11-01) (write a later day)",
        "waivers[1].policy: there is no policy 'budgett' (did you mean 'budget'?)",
        "waivers[1].given: is no day: 'today' (write it like 2026-12-31)",
    ):
        assert line in text, text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "the file must hold a mapping"),
        ("apiVersion: agentgpu.dev/v1alpha1\nkind: Policies\npolicies: [{name: a}]\n", "policies[0]: has no limit"),
        (FILE.replace("name: places", "name: budget"), "two policies are called 'budget'"),
        (FILE.replace("kind: Policies", "kind: AgentStack"), "kind: must be 'Policies'"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as refusal:
        load_policies(path)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("word", "is_broken"), [("L40S", False), ("NVIDIA L40S", False), ("l40s", False), ("L4", True)]
)
def test_a_policy_names_accelerators_as_people_do(word: str, is_broken: bool) -> None:
    """Once ``accelerators: [L40S]`` was broken by every plan on l40s."""
    assert _names_card((word,), "l40s") is not is_broken
    assert _names(("AWS",), "aws") and not _names(("aws",), "azure")
