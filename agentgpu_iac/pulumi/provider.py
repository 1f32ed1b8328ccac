"""The components for programs in other languages: what ``pulumi package add`` asks for its schema and the engine starts."""

import sys
from collections.abc import Mapping
from typing import Any, Final, cast

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider

from agentgpu_iac import __version__
from agentgpu_iac.errors import AgentGpuError
from agentgpu_iac.pulumi.agent_stack import AgentStack
from agentgpu_iac.pulumi.arguments import AgentStackArgs
from agentgpu_iac.pulumi.shapes import PARTS

NAME: Final = "agentgpu"


class Components(ComponentProvider):
    """Hosts the components under their names; Pulumi reads the schema from the annotations of their shapes."""

    def __init__(self) -> None:
        shapes = (AgentStack, *PARTS)
        super().__init__(cast("list[type[pulumi.ComponentResource]]", list(shapes)), NAME, None, __version__)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: pulumi.Inputs,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Make a component. What is wrong with its arguments or its plan is one message, as in Python."""
        self.validate_resource_type(NAME, resource_type)
        kind = resource_type.rpartition(":")[2]
        shape = self._component_defs[kind]
        try:
            made = _MAKERS[kind](name, self.map_inputs(inputs, shape), options)
        except (AgentGpuError, pulumi.RunError) as error:
            raise InputPropertiesError(str(error), []) from None  # without a list Pulumi's server fails itself (3.272)
        return ConstructResult(made.urn, self.get_state(made, shape))


def _agent_stack(name: str, args: Mapping[str, Any], options: pulumi.ResourceOptions | None) -> AgentStack:
    return AgentStack(name, AgentStackArgs(**args), options)


_MAKERS: Final[Mapping[str, Any]] = {
    AgentStack.__name__: _agent_stack,
    **{part.__name__: part for part in PARTS},
}


def run() -> None:
    """Entry point of ``pulumi-resource-agentgpu``."""
    main(Components(), sys.argv[1:])
