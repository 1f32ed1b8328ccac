"""What the plan says about itself: its pattern and architecture, the headline, warnings, and purchases refused.

Every sentence is made from figures of the plan; none of them changes a decision.
"""

from agentgpu_iac.plan import Warning
from agentgpu_iac.planning.advice.agent import agent_warnings
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.purchases import purchase_rejections
from agentgpu_iac.planning.advice.stack import stack_warnings
from agentgpu_iac.planning.advice.summary import architecture, facts, pattern

__all__ = ("Context", "architecture", "facts", "pattern", "purchase_rejections", "warnings")


def warnings(context: Context) -> tuple[Warning, ...]:
    """All warnings: those of the stack first, then agent by agent."""
    found = [*stack_warnings(context)]
    for candidate in context.candidates:
        found.extend(agent_warnings(context, candidate))
    return tuple(found)
