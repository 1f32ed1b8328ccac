"""Infrastructure as code for the GPUs behind AI agents: one agent stack in, one plan out.

What a program may use stands here, and nothing else is promised to stay::

    from pathlib import Path
    import agentgpu_iac as agentgpu

    stack = agentgpu.load_stack(Path("stack.yaml"))                    # every fault at once, as BadInput
    plan = agentgpu.make_plan(stack, agentgpu.load_catalog())          # NoPlan where nothing on offer serves
    agentgpu.write(agentgpu.render_all(plan), Path("build"))           # what agentgpu render writes
    assert agentgpu.load_plan(Path("build/plan.json")) == plan         # what was reviewed is what is applied

Each name is fetched from its room when it is used, so that importing this package costs nothing and needs no extra:
``deploy`` alone needs ``agentgpu-iac[pulumi]``. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_ERRORS = "agentgpu_iac.errors"
_HOMES = {
    "AgentGpuError": (_ERRORS, "AgentGpuError"),
    "BadInput": (_ERRORS, "BadInput"),
    "Catalog": ("agentgpu_iac.catalog.store", "Catalog"),
    "Fault": (_ERRORS, "Fault"),
    "Infeasible": (_ERRORS, "Infeasible"),
    "LoadedStack": ("agentgpu_iac.spec.loader", "LoadedStack"),
    "MissingExtra": (_ERRORS, "MissingExtra"),
    "NoPlan": ("agentgpu_iac.planning.planner", "NoPlan"),
    "OutsideFailure": (_ERRORS, "OutsideFailure"),
    "OwnershipConflict": (_ERRORS, "OwnershipConflict"),
    "Plan": ("agentgpu_iac.plan.document", "Plan"),
    "RenderedFile": ("agentgpu_iac.plan.files", "RenderedFile"),
    "deploy": ("agentgpu_iac.provisioning.program", "deploy"),
    "load_catalog": ("agentgpu_iac.catalog.store", "load_catalog"),
    "load_plan": ("agentgpu_iac.plan.reading", "load_plan"),
    "load_stack": ("agentgpu_iac.spec.loader", "load"),
    "make_plan": ("agentgpu_iac.planning.planner", "make_plan"),
    "plan_text": ("agentgpu_iac.plan.writing", "plan_text"),
    "render": ("agentgpu_iac.rendering.render", "render"),
    "render_all": ("agentgpu_iac.rendering.tree", "render_all"),
    "write": ("agentgpu_iac.rendering.write", "write"),
}
"""Where each name is made, and what it is called there."""
_EXTRAS = {"deploy": "pulumi"}
"""What brings the libraries that a name needs."""

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


def __getattr__(name: str) -> Any:
    """A public name, from its room (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own_name = _HOMES[name]
    try:
        return getattr(importlib.import_module(module), own_name)
    except ModuleNotFoundError as error:
        if name not in _EXTRAS:
            raise
        missing = importlib.import_module(_ERRORS).MissingExtra
        raise missing(f"{__name__}.{name}", _EXTRAS[name], error) from None


def __dir__() -> list[str]:
    return sorted(__all__)
