"""The agent stacks that stand in the repository."""

from __future__ import annotations

from pathlib import Path

from agentgpu_iac.spec.loader import load
from agentgpu_iac.targets import target_of

STACKS = Path(__file__).resolve().parents[1] / "stacks"
CUSTOMER_SERVICE = STACKS / "customer-service.yaml"
EXAMPLES = (CUSTOMER_SERVICE, *sorted((STACKS / "examples").glob("*.yaml")))
"""All of them; what stands beside them is for Pulumi."""
ON_A_CLUSTER = tuple(path for path in EXAMPLES if not target_of(load(path).stack.spec).can.runs_machines)
"""Those that are rendered as Kubernetes objects."""
