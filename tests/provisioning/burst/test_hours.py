"""Which windows of a schedule are open, as KEDA reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentgpu_iac.plan import Schedule
from agentgpu_iac.provisioning.burst.hours import scheduled_replicas

OFFICE = Schedule(start="45 7 * * 1-5", end="0 18 * * mon-fri", timezone="Europe/Berlin", replicas=2)
NIGHT = Schedule(start="0 22 * * *", end="0 6 * * *", timezone="UTC", replicas=3)
MONTHLY = Schedule(start="0 0 1 * *", end="0 0 3 * *", timezone="UTC", replicas=4)


@pytest.mark.parametrize(
    ("schedule", "moment", "replicas"),
    [
        (OFFICE, "2026-11-27T06:44:59", 0),  # 07:44 in Berlin, a Friday
        (OFFICE, "2026-11-27T06:45:00", 2),
        (OFFICE, "2026-11-27T16:59:00", 2),
        (OFFICE, "2026-11-27T17:00:00", 0),
        (OFFICE, "2026-11-28T10:00:00", 0),  # Saturday
        (OFFICE, "2026-07-27T05:45:00", 2),  # summer time, a Monday
        (NIGHT, "2026-11-27T23:00:00", 3),
        (NIGHT, "2026-11-28T05:59:00", 3),
        (NIGHT, "2026-11-28T06:00:00", 0),
        (MONTHLY, "2026-12-02T12:00:00", 4),
        (MONTHLY, "2026-11-27T12:00:00", 0),
    ],
)
def test_a_window_is_open_until_its_end(schedule: Schedule, moment: str, replicas: int) -> None:
    assert scheduled_replicas([schedule], datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) == replicas


def test_of_open_windows_the_most_counts() -> None:
    at_s = datetime(2026, 12, 1, 23, tzinfo=UTC).timestamp()
    assert scheduled_replicas([NIGHT, MONTHLY], at_s) == 4
    assert scheduled_replicas([], at_s) == 0
