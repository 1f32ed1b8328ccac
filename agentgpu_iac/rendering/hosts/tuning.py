"""The script that checks, sets and undoes what makes a machine serve better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import HostPlan
from agentgpu_iac.rendering.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneContext(Context):
    """The settings: name, rule, where it matters, value, reason and source of each."""

    template: ClassVar[str] = "tune.sh.j2"
    settings: tuple[tuple[str, str, str, str, str, str], ...]


def tune(host: HostPlan) -> TuneContext:
    """The script of one host of the plan."""
    return TuneContext(
        settings=tuple(
            (
                setting.name,
                setting.rule,
                "numa" if setting.only_numa else "everywhere",
                setting.value,
                setting.reason,
                setting.source,
            )
            for setting in host.tuning
        )
    )
