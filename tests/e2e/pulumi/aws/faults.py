"""Faults that a test orders and a plugin carries out: creates that fail, and operations that are held.

The order is a file that a test writes before it starts a command. Creates of AWS are counted within one command. What
is held tells of itself in a second file and then waits for ever: the test kills it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Moment = Literal["check", "before", "after"]


class OrderedFailure(Exception):
    """The error that a test ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to go wrong in the next command."""

    fail: tuple[int, ...] = ()
    """Creates that fail, counted from one; nothing is made then."""
    hold: tuple[str, ...] = ()
    """Every create (or check) of these types is held..."""
    moment: Moment = "after"
    """...when the thing has been made but nobody told, before it is made, or while its inputs are only looked at."""


class Faults:
    """The order and the report, both files in the double's folder."""

    def __init__(self, folder: Path) -> None:
        self._order = folder / "order.json"
        self._report = folder / "held.txt"
        self._lock = threading.Lock()
        self._creates = 0

    def order(self, order: Order) -> None:
        """For tests: what the next commands shall suffer."""
        self._report.unlink(missing_ok=True)
        self._order.write_text(json.dumps(asdict(order)), encoding="utf-8")

    def cease(self) -> None:
        """For tests: nothing goes wrong any more."""
        self._order.unlink(missing_ok=True)

    def held(self) -> set[str]:
        """For tests: URNs of what is being held."""
        return set(self._report.read_text("utf-8").splitlines()) if self._report.exists() else set()

    def count_create(self) -> None:
        """Fail where this create was told to."""
        with self._lock:
            self._creates += 1
            if self._creates in self._ordered().fail:
                raise OrderedFailure(f"ordered to fail at create {self._creates}")

    def pass_by(self, moment: Moment, token: str, urn: str) -> None:
        """Stay here for ever if that was ordered."""
        order = self._ordered()
        if token not in order.hold or order.moment != moment:
            return
        with self._lock, self._report.open("a", encoding="utf-8") as file:
            file.write(f"{urn}\n")
        while True:
            time.sleep(3600)

    def _ordered(self) -> Order:
        if not self._order.exists():
            return Order()
        given = json.loads(self._order.read_text("utf-8"))
        return Order(**{**given, "fail": tuple(given["fail"]), "hold": tuple(given["hold"])})
