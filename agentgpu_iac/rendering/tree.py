"""Everything that ``agentgpu render`` writes: the files that are applied, and what lies beside them."""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.rendering.helm_values import helm_values
from agentgpu_iac.rendering.plan_file import plan_file
from agentgpu_iac.rendering.readme import readme
from agentgpu_iac.rendering.render import render


def render_all(plan: Plan) -> tuple[RenderedFile, ...]:
    """The whole output folder of a plan."""
    files = render(plan)
    return (*files, *beside(plan, files))


def beside(plan: Plan, files: Sequence[RenderedFile]) -> tuple[RenderedFile, ...]:
    """What nobody applies: values for charts of others, the plan itself, and a page about it all. ``files``: those applied."""
    return (*helm_values(plan), plan_file(plan), readme(plan, files))
