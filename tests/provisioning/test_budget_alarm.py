"""A letter when the stack costs more than planned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.provisioning.aws.budget_alarm import email_faults
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from agentgpu_iac.provisioning.deployed import LAST_OUTPUTS
from tests.plans import make_plan
from tests.provisioning.recording import record
from tests.provisioning.scenes import FILES, SETTINGS, scene

BUDGET = "aws:budgets/budget:Budget"


def test_there_is_no_budget_without_anybody_to_write_to() -> None:
    assert scene("single").of(BUDGET) == []


def test_the_budget_is_the_planned_baseline_of_what_carries_the_stacks_tag() -> None:
    (budget,) = scene("private").of(BUDGET)
    assert (budget.inputs["limitAmount"], budget.inputs["limitUnit"]) == ("1339.92", "USD")
    assert budget.inputs["timeUnit"] == "MONTHLY"
    assert budget.inputs["costFilters"] == [{"name": "TagKeyValue", "values": ["user:agentgpu.dev/stack$demo"]}]


def test_letters_go_out_above_the_plan_and_above_the_specs_own_budget() -> None:
    (budget,) = scene("private").of(BUDGET)
    seen = [(one["notificationType"], one["threshold"], one["thresholdType"]) for one in budget.inputs["notifications"]]
    assert seen == [
        ("FORECASTED", 120, "PERCENTAGE"),
        ("ACTUAL", 120, "PERCENTAGE"),
        ("FORECASTED", 2000, "ABSOLUTE_VALUE"),
        ("ACTUAL", 2000, "ABSOLUTE_VALUE"),
    ]
    assert all(one["subscriberEmailAddresses"] == ["ops@example.org"] for one in budget.inputs["notifications"])


def test_without_a_budget_in_the_spec_the_plan_alone_counts() -> None:
    settings = replace(SETTINGS, budget_emails=("ops@example.org",))
    (budget,) = record(lambda: deploy(make_plan(), FILES, settings)).of(BUDGET)
    assert {one["thresholdType"] for one in budget.inputs["notifications"]} == {"PERCENTAGE"}


def test_the_outputs_say_that_the_tag_must_be_activated() -> None:
    assert any("activated for cost allocation" in one for one in scene("private").outputs["prerequisites"])
    assert not any("cost allocation" in one for one in scene("single").outputs["prerequisites"])


@pytest.mark.parametrize(
    ("emails", "message"),
    [
        (("ops",), "'ops' is no e-mail address"),
        (tuple(f"ops{number}@example.org" for number in range(11)), "10 addresses at most, and there are 11"),
    ],
)
def test_addresses_that_aws_would_refuse_are_bad_input(emails: tuple[str, ...], message: str) -> None:
    (fault,) = email_faults(emails, "configuration")
    assert message in str(fault)


def test_whatever_is_wrong_with_the_settings_is_told_at_once_and_before_anything_is_made() -> None:
    settings = Settings(
        admin_role_arns=("me",),
        vpc_id="vpc-1",
        capacity_reservation_ids={"nobody": "cr-1"},
        reserve=True,
        budget_emails=("ops",),
    )

    def program() -> None:
        with pytest.raises(BadInput) as caught:
            deploy(make_plan(), FILES, settings)
        assert [fault.path.partition(".")[0] for fault in caught.value.faults] == [
            "agentgpu:adminRoleArns",
            "agentgpu:apiAllowedCidrs",
            "agentgpu:budgetEmails",
            "agentgpu:capacityReservationIds",
            "agentgpu:privateSubnetIds",
            "agentgpu:reserve",
        ]

    recording = record(program)
    assert recording.resources == []
    assert {token for token, _ in recording.calls} <= {LAST_OUTPUTS}
