"""How advice is put into words."""

from __future__ import annotations

from agentgpu_iac.plan import Warning, WarningCode


def warning(code: WarningCode, message: str, agent: str | None = None) -> Warning:
    """A warning about an agent, or about the stack."""
    return Warning(code=code, agent=agent, message=message)
