"""Types of what ``__init__.py`` fetches when it is used."""

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.errors import (
    AgentGpuError,
    BadInput,
    Fault,
    Infeasible,
    MissingExtra,
    OutsideFailure,
    OwnershipConflict,
)
from agentgpu_iac.plan.document import Plan
from agentgpu_iac.plan.files import RenderedFile
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.provisioning.program import deploy
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.tree import render_all
from agentgpu_iac.rendering.write import write
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.loader import load as load_stack

__version__: str
__all__ = (
    "AgentGpuError",
    "BadInput",
    "Catalog",
    "Fault",
    "Infeasible",
    "LoadedStack",
    "MissingExtra",
    "NoPlan",
    "OutsideFailure",
    "OwnershipConflict",
    "Plan",
    "RenderedFile",
    "__version__",
    "deploy",
    "load_catalog",
    "load_plan",
    "load_stack",
    "make_plan",
    "plan_text",
    "render",
    "render_all",
    "write",
)
