"""IAM policies, read back."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import botocore.session

NOT_OPERATIONS = frozenset({"iam:PassRole", "s3:ListBucket"})
"""Actions that guard another operation than the one of their name."""


def statements(document: str) -> list[dict[str, Any]]:
    """The statements of a policy, actions and resources always as lists."""
    parsed = json.loads(document)
    assert parsed["Version"] == "2012-10-17"
    return [
        {**one, "Action": listed(one["Action"]), "Resource": listed(one.get("Resource", []))}
        for one in parsed["Statement"]
    ]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def size(document: str) -> int:
    """Characters as IAM counts them: without white space."""
    return len(re.sub(r"\s", "", document))


def is_known(action: str) -> bool:
    """Whether AWS has such an action."""
    service, _, name = action.partition(":")
    return action in NOT_OPERATIONS or name in _operations(service)


@cache
def _operations(service: str) -> frozenset[str]:
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)
