"""How advice is put into words."""

from __future__ import annotations

from agentgpu_iac.plan import Warning, WarningCode


def plural(count: int) -> str:
    """The s of a noun that is counted."""
    return "" if count == 1 else "s"


def warning(code: WarningCode, message: str, agent: str | None = None) -> Warning:
    """A warning about an agent, or about the stack."""
    return Warning(code=code, agent=agent, message=message)
