"""Faults that a test orders: errors in place of answers, and things of EKS that do not become what was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.e2e.pulumi.aws.front.answers import AwsError

THROTTLED: Final = AwsError(400, "ThrottlingException", "Rate exceeded")
DENIED: Final = AwsError(
    403,
    "AccessDeniedException",
    "User: arn:aws:iam::123456789012:user/ops is not authorized to perform this action with an explicit deny",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The next calls of an operation are answered by an error."""

    operation: str
    """As AWS calls it: CreateVpc."""
    error: AwsError
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a thing of EKS: its status, and what EKS says of its health."""

    beginning: str
    """Of the thing's name."""
    status: str
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Faults:
    """What was ordered and has not happened yet."""

    fates: list[Fate] = field(default_factory=list)
    looks: int = 0
    """How often a thing is still being made when it is looked at: 0 where it is ready at the first look."""
    _refusals: dict[str, tuple[AwsError, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def ordered(self, *orders: Refusal | Fate, looks: int = 0) -> Iterator[None]:
        """These happen as long as the block runs."""
        self.looks = looks
        self.fates = [order for order in orders if isinstance(order, Fate)]
        self._refusals = {order.operation: (order.error, order.times) for order in orders if isinstance(order, Refusal)}
        try:
            yield
        finally:
            self.looks, self.fates, self._refusals = 0, [], {}

    def refuse(self, operation: str) -> None:
        """Raise the error that this operation is to meet."""
        with self._lock:
            error, times = self._refusals.get(operation, (None, 0))
            if error is None or not times:
                return
            self._refusals[operation] = (error, times - 1)
        raise error

    def fate(self, name: str) -> Fate | None:
        """What becomes of a thing that is made now."""
        return next((fate for fate in self.fates if name.startswith(fate.beginning)), None)
