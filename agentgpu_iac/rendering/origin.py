"""What a rendered file opens with: what made it, and how to change it.

The digest is of the part of the plan that the file is about (an agent's workloads, a node pool, or what the stack has once),
not of the whole plan: so a file changes where its part does, and a new price of one agent's nodes leaves the others' files
as they were. JSON has no comments and opens with nothing; ``plan.json`` is the plan itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.opening import MADE_BY
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import plural

_DIGITS: Final = 12

_FIELDS: Final = {
    "engine": "",
    "model-cache": "spec.modelCache, spec.capacity",
    "router": "spec.network",
    "endpoint-picker": "spec.network",
    "monitoring": "spec.observability",
    "scaling": "spec.scaling",
    "node-pool": "spec.capacity, spec.accelerators",
    "device-plugin": "spec.capacity.shareAccelerators",
    "network-policy": "spec.security",
    "secret": "spec.security.externalSecrets, spec.modelCache.tokenSecret",
    "quota": "spec.security.resourceQuota",
    "priority": "spec.clusterObjects.priorityClasses",
    "gitops": "spec.gitops",
    "namespace": "metadata.name",
    "charts": "spec.clusterObjects.helmValues",
    "machines": "spec.hosts, spec.network",
}
"""What of a spec a file of each component follows from, beside the agents."""

_STACK_PARTS: Final = (
    "priority_classes",
    "cluster_objects",
    "security",
    "quota",
    "gitops",
    "router",
    "policy",
    "watching",
)


class Origins:
    """The openings of a plan's files. Each part's digest is computed once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._digests: dict[tuple[str, str], str] = {}

    def of_agent(self, agent: str, component: str = "engine") -> str:
        """Of a file about one agent, or about a deployment that serves several."""
        workloads = [workload for workload in self._plan.workloads if agent in (workload.agent, *workload.served)]
        served = workloads[0].served
        about = f"agent {agent}" if len(served) == 1 else f"deployment {agent} of {', '.join(served)}"
        who = f"agent{plural(len(served))} {', '.join(served)} in spec.agents"
        fields = ", ".join(part for part in (who, _FIELDS.get(component, "")) if part)
        return self._lines(about, self._digest("agent", agent, workloads), fields, f"SPEC {agent}")

    def of_pool(self, pool: str, component: str = "node-pool") -> str:
        """Of a file about one node pool, or about its machines."""
        plan = self._plan
        workloads = (workload for workload in plan.workloads if workload.node_pool == pool)
        hosts = (host for host in plan.hosts if host.node_pool == pool)
        digest = self._digest("pool", pool, (plan.pool(pool), *workloads, *hosts))
        return self._lines(f"node pool {pool}", digest, _FIELDS.get(component, "spec.capacity"), "SPEC")

    def of_stack(self, component: str = "") -> str:
        """Of a file that the stack has once."""
        parts = (getattr(self._plan, name) for name in _STACK_PARTS)
        flat = (item for part in parts for item in (part if isinstance(part, tuple) else (part,)))
        digest = self._digest("stack", "", (item for item in flat if isinstance(item, Document)))
        return self._lines("what the stack has once", digest, _FIELDS.get(component, "the spec"), "SPEC")

    def _digest(self, kind: str, name: str, parts: Iterable[Document]) -> str:
        key = (kind, name)
        if key not in self._digests:
            self._digests[key] = digest_of(parts)
        return self._digests[key]

    def _lines(self, about: str, digest: str, fields: str, arguments: str) -> str:
        return (
            f"{MADE_BY}{self._plan.stack}: {about}, plan {digest}.\n"
            f"# Change {fields or 'the spec'}, then: agentgpu render. Why these numbers: agentgpu explain {arguments}\n"
        )


def digest_of(parts: Iterable[Document]) -> str:
    """First digits of a SHA-256 over parts of a plan, as plan.json holds them, without what a node may cost.

    A price changes no file that is applied; on a machine that boots from its files it would make the machine anew.
    """
    made = hashlib.sha256()
    for part in parts:
        made.update(json.dumps(_without_prices(part.model_dump(mode="json", by_alias=True)), sort_keys=True).encode())
        made.update(b"\0")
    return made.hexdigest()[:_DIGITS]


def _without_prices(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_prices(inner) for key, inner in value.items() if not _PRICE.search(key)}
    return [_without_prices(inner) for inner in value] if isinstance(value, list) else value


_PRICE = re.compile(r"usd|price|^market$", re.IGNORECASE)
"""Fields that say what is paid, or what an offer may cost."""
