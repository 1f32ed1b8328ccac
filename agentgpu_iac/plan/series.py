"""How queries name an agent's Prometheus series, and how they write numbers."""

from __future__ import annotations

from typing import Final

AGENT_SERIES_LABEL: Final = "agentgpu_dev_agent"
TIER_SERIES_LABEL: Final = "agentgpu_dev_tier"
"""What Prometheus makes of the pods' labels when a monitor copies them to the series."""


PICKER_QUEUE: Final = "llm_d_epp_flow_control_queue_size"
"""Gauge of the endpoint picker: requests that it holds until a replica has room (llm-d router, docs/metrics.md)."""


def selector(stack: str, agent: str) -> str:
    """Label matchers of an agent's series, both tiers."""
    return f'namespace="{stack}",{AGENT_SERIES_LABEL}="{agent}"'


def decimal(value: float) -> str:
    """A number in its shortest plain form, to the millionth, as PromQL and KEDA read it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
