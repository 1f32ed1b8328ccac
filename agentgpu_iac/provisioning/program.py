"""Which program carries out a plan: one for each target that Pulumi provisions.

Only the one that is asked for is imported: Pulumi starts the program anew for each preview and each ``up``, and the provider
libraries of the others take longer to read than a plan takes to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pulumi

from agentgpu_iac.errors import BadInput, MissingExtra
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.provisioning.deployed import OUTPUT, deployed_faults, identity
from agentgpu_iac.provisioning.faults import CONFIGURATION, PLAN
from agentgpu_iac.spec.vocabulary import Target

BURST = "burst"

_Settings = TypeVar("_Settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program(Generic[_Settings]):
    """What carries out the plans of a target."""

    settings: Callable[[pulumi.Config], _Settings]
    check: Callable[[Plan, _Settings], None]
    """Raises BadInput for what cannot be carried out."""
    make: Callable[[Plan, tuple[RenderedFile, ...], _Settings, pulumi.Resource | None], dict[str, Any]]

    def ready(self, plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> Deployment:
        """A plan that is checked with its settings, and only has to be made."""
        settings = self.settings(config)
        self.check(plan, settings)
        if faults := tuple(deployed_faults(plan)):
            raise BadInput(faults)
        return Deployment(plan=plan, _make=lambda parent: self.make(plan, files, settings, parent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A plan that can be carried out: nothing is made yet."""

    plan: Plan
    _make: Callable[[pulumi.Resource | None], Mapping[str, Any]]

    def make(self, parent: pulumi.Resource | None = None) -> dict[str, Any]:
        """Make what the plan needs, within a component or at the root, and return the outputs."""
        return {**self._make(parent), OUTPUT: identity(self.plan)}


def prepare(plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> Deployment:
    """Check a plan and the settings of the selected Pulumi stack. ``files`` are the rendered files of the same plan.

    Raises BadInput for a plan that cannot be carried out.
    """
    part = config.get("part")
    if part and part != BURST:
        raise BadInput.one(
            CONFIGURATION,
            f"{part!r} is no part of a plan",
            path="agentgpu:part",
            hint=f"{BURST}: the machines beside the cluster; unset: everything",
        )
    load = _burst if part else PROGRAMS.get(plan.target)
    if load is None:
        raise BadInput.one(
            PLAN,
            f"there is no Pulumi program for {plan.target!r}",
            path="target",
            hint="use the files that agentgpu render writes",
        )
    try:
        program = load()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("agentgpu_iac"):
            raise
        raise MissingExtra("the Pulumi program", "pulumi", error) from None
    return program.ready(plan, files, config)


def deploy(plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> None:
    """Carry a plan out: make what it needs and export what its users need.

    Call it from inside a Pulumi program. ``files`` are the rendered files of the same plan, ``config`` the settings of
    the selected Pulumi stack. Raises BadInput, before anything is made, for a plan that cannot be carried out.
    ``agentgpu_iac.pulumi.AgentStack`` does the same as a component.
    """
    for name, value in prepare(plan, files, config).make().items():
        pulumi.export(name, value)


def _eks() -> _Program[Any]:
    from agentgpu_iac.provisioning.aws import program  # noqa: PLC0415
    from agentgpu_iac.provisioning.aws.settings import Settings  # noqa: PLC0415

    return _Program(settings=Settings.from_config, check=program.check, make=program.make)


def _kubernetes() -> _Program[Any]:
    from agentgpu_iac.provisioning.kubernetes import program  # noqa: PLC0415

    return _Program(settings=program.Settings.from_config, check=program.check, make=program.make)


def _spheron() -> _Program[Any]:
    from agentgpu_iac.provisioning.spheron import program  # noqa: PLC0415

    return _Program(settings=program.Settings.from_config, check=program.check, make=program.make)


def _burst() -> _Program[Any]:
    """One part of a plan, in a Pulumi stack of its own."""
    from agentgpu_iac.provisioning.burst import program  # noqa: PLC0415

    return _Program(settings=program.Settings.from_config, check=program.check, make=program.make)


PROGRAMS: dict[Target, Callable[[], _Program[Any]]] = {"eks": _eks, "kubernetes": _kubernetes, "spheron": _spheron}
