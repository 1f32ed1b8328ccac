"""What was worked out once, for as long as one plan is made.

A plan is placed several times: until its cold starts agree, and once for each change whose price it tells. Most deployments
are the same objects each time, and so is most of what is asked about them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, ParamSpec, TypeVar

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")
Thing = TypeVar("Thing")


class Itself(Generic[Thing]):
    """Something as a key, alike to itself alone: it holds what has no hash."""

    __slots__ = ("thing",)

    def __init__(self, thing: Thing) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.thing is self.thing


class Known:
    """Answers of pure functions by the very objects that they were given, which are never changed."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[tuple[object, ...], object]] = {}

    def of(self, question: Callable[_Asked, _Answer], *things: _Asked.args, **by_value: _Asked.kwargs) -> _Answer:
        """The function's answer; its arguments are told apart by identity, those by keyword by value."""
        key = (question, tuple(map(id, things)), tuple(by_value.values()))
        if key not in self._answers:  # which holds them, so that no other thing gets their ids
            self._answers[key] = (things, question(*things, **by_value))
        answer: _Answer = self._answers[key][1]  # type: ignore[assignment]
        return answer
