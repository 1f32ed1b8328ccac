"""Files of policies, read with all their faults at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agentgpu_iac.errors import did_you_mean, shortened
from agentgpu_iac.inputs import MIB
from agentgpu_iac.review.policies import Policies
from agentgpu_iac.spec.documents import read_document
from agentgpu_iac.spec.rule_values import Violation, items, mapping
from agentgpu_iac.spec.yaml_tree import Data

MOST_BYTES: Final = 4 * MIB
_DAY: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_NO_LIMITS: Final = {"name", "stacks", "environments", "waivableBy"}


def load_policies(path: Path) -> Policies:
    """The policies of a file. Raises BadInput with every fault: line, field, and what to write."""
    return read_document(path, Policies, _rules, most_bytes=MOST_BYTES).document


def _rules(data: Data) -> Iterator[Violation]:
    policies = items(mapping(data), "policies")
    names = [mapping(each).get("name") for each in policies]
    times = Counter(name for name in names if isinstance(name, str))
    for index, each in enumerate(policies):
        name = names[index]
        if isinstance(name, str) and times[name] > 1:
            yield Violation(steps=("policies", index, "name"), message=f"two policies are called {name!r}")
        if isinstance(each, dict) and not set(each) - _NO_LIMITS:
            hint = "write one, such as budgetUsdPerMonth: 20000"
            yield Violation(steps=("policies", index), message="has no limit", hint=hint)
    by_name = {name: mapping(each) for name, each in zip(names, policies, strict=True) if isinstance(name, str)}
    for index, each in enumerate(items(mapping(data), "waivers")):
        waiver = mapping(each)
        name, by = waiver.get("policy"), waiver.get("by")
        given, until = waiver.get("given"), waiver.get("until")
        if isinstance(name, str) and name not in by_name:
            yield Violation(
                steps=("waivers", index, "policy"),
                message=f"there is no policy {name!r}",
                hint=did_you_mean(name, by_name),
            )
        elif isinstance(name, str) and isinstance(by, str):
            may = tuple(who for who in items(by_name[name], "waivableBy") if isinstance(who, str))
            if by not in may:
                who = f"{' or '.join(may)} may" if may else "nobody may"
                message = f"{by!r} may not waive {name}: {who}"
                yield Violation(steps=("waivers", index, "by"), message=message)
        wrong = [
            field for field in ("given", "until") if isinstance(waiver.get(field), str) and not _is_day(waiver[field])
        ]
        for field in wrong:
            message = f"is no day: {shortened(str(waiver[field]))!r}"
            yield Violation(steps=("waivers", index, field), message=message, hint="write it like 2026-12-31")
        if not wrong and isinstance(given, str) and isinstance(until, str) and until < given:
            message = f"ends before it begins ({given})"
            yield Violation(steps=("waivers", index, "until"), message=message, hint="write a later day")


def _is_day(value: Data) -> bool:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    year, month, day = map(int, value.split("-"))
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= _DAYS.get(month, 31) + (month == 2 and is_leap)


_DAYS: Final = {2: 28, 4: 30, 6: 30, 9: 30, 11: 30}
"""Days of the months that have fewer than 31."""
