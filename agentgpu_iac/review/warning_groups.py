"""The warnings of a plan in the order in which they matter, those of one kind together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentgpu_iac.plan import Plan, Warning
from agentgpu_iac.plan.codes import WarningCode
from agentgpu_iac.plan.meanings import RANK_ORDER, RANKS, WARNINGS, Rank

RANK_TITLES: Final[dict[Rank, str]] = {
    "serving": "Agents may not answer, or late",
    "safety-and-cost": "Money or access",
    "to-know": "Good to know",
}
"""What each rank is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningGroup:
    """All warnings of one code."""

    rank: Rank
    code: WarningCode
    warnings: tuple[Warning, ...]
    remedy: str
    """What a reader can do about them."""

    @property
    def line(self) -> str:
        """The group in one line: the warning itself, or of several what they say and of whom."""
        first = self.warnings[0]
        whose = tuple(dict.fromkeys(each.agent for each in self.warnings if each.agent is not None))
        if len(self.warnings) == 1:
            return f"[{self.code}] {f'{first.agent}: ' if first.agent else ''}{first.message}"
        who = f" ({', '.join(whose)})" if whose else ""
        return f"[{self.code} x{len(self.warnings)}] {WARNINGS[self.code].says}{who}"


def grouped(plan: Plan) -> tuple[WarningGroup, ...]:
    """The groups of a plan, the worst rank first; within a rank as the plan has them."""
    codes = tuple(dict.fromkeys(warning.code for warning in plan.warnings))
    groups = [
        WarningGroup(
            rank=RANKS[code],
            code=code,
            warnings=tuple(warning for warning in plan.warnings if warning.code == code),
            remedy=WARNINGS[code].remedy,
        )
        for code in codes
    ]
    return tuple(sorted(groups, key=lambda group: RANK_ORDER.index(group.rank)))
