"""The agent stacks that stand in the repository."""

from __future__ import annotations

from pathlib import Path

STACKS = Path(__file__).resolve().parents[1] / "stacks"
CUSTOMER_SERVICE = STACKS / "customer-service.yaml"
EXAMPLES = (CUSTOMER_SERVICE, *sorted((STACKS / "examples").glob("*.yaml")))
"""All of them; what stands beside them is for Pulumi."""
