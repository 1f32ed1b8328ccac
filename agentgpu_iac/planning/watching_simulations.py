"""When a simulation need not go on: so many requests were outside of their budgets that no share asked for can be reached."""

from __future__ import annotations

import math
from collections.abc import Mapping

from agentgpu_iac.plan import Plan, tiers_by_agent
from agentgpu_iac.simulation.measures import AgentMeasures
from agentgpu_iac.simulation.profiles import Traffic
from agentgpu_iac.simulation.volume import most_requests


class Watch:
    """Ends a simulation when so many requests were outside of their budgets that it cannot hold, however the others fare: for
    none of the shares that are asked for, and no nearer than a margin of each.
    """

    def __init__(self, plan: Plan, traffic: Traffic, hours: float, margins: Mapping[float | None, float]) -> None:
        self.at_most: tuple[float, ...] | None = None
        """The share that each agent could still have had, where it was ended."""
        self._margins = margins
        self._most = most_requests(plan, traffic, hours)
        tiers = tiers_by_agent(plan.workloads)
        self._percentiles = {each.name: tiers[each.deployment][0].latency.percentile for each in plan.served_agents}

    def __call__(self, counts: Mapping[str, AgentMeasures]) -> bool:
        """Whether it cannot hold any more."""
        shares = {name: each.inside_at_most(self._most[name]) for name, each in counts.items()}
        lost = any(each.lost for each in counts.values())
        for wanted, least in self._margins.items():
            short = (
                min(0.0, share - (self._percentiles[name] / 100 if wanted is None else wanted))
                for name, share in shares.items()
            )
            if math.fsum(short) - lost >= least:
                return False
        self.at_most = tuple(shares.values())
        return True
