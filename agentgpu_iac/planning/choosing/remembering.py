"""What was evaluated once and may be asked again: the same demand under the same rules, at other prices or in another region.

Which candidates serve takes nearly all the time of a plan, and hangs on nothing that is bought. So whoever plans several
times, because there are several regions, or to see what a change would cost, lets the evaluators remember.
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.demand import Demand


class RememberingEvaluator(Evaluator):
    """An evaluator that answers the same question once."""

    __slots__ = ("_on_one", "_over_nodes")

    def __init__(self, demand: Demand, rules: Rules) -> None:
        super().__init__(demand, rules)
        self._on_one: dict[tuple[str, int], tuple[Candidate | Rejection, ...]] = {}
        self._over_nodes: dict[tuple[str, int, float], tuple[Candidate | Rejection, ...]] = {}

    def evaluate(self, accelerator: Accelerator, most_per_replica: int) -> list[Candidate | Rejection]:
        """As the plain one does."""
        key = (accelerator.id, most_per_replica)
        if key not in self._on_one:
            self._on_one[key] = tuple(super().evaluate(accelerator, most_per_replica))
        return list(self._on_one[key])

    def evaluate_over_nodes(
        self, accelerator: Accelerator, accelerators_per_node: int, gbps_between_nodes: float
    ) -> list[Candidate | Rejection]:
        """As the plain one does."""
        key = (accelerator.id, accelerators_per_node, gbps_between_nodes)
        if key not in self._over_nodes:
            self._over_nodes[key] = tuple(
                super().evaluate_over_nodes(accelerator, accelerators_per_node, gbps_between_nodes)
            )
        return list(self._over_nodes[key])


class Evaluators:
    """The evaluators of all that was asked so far, over one catalog."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[Demand, Rules, RememberingEvaluator]]] = {}

    def of(self, demand: Demand, rules: Rules) -> Evaluator:
        """The evaluator of that demand under those rules: the same one whenever both are equal."""
        known = self._known.setdefault(demand.name, [])
        for its_demand, its_rules, evaluator in known:
            if its_demand == demand and its_rules == rules:
                return evaluator
        made = RememberingEvaluator(demand, rules)
        known.append((demand, rules, made))
        return made
