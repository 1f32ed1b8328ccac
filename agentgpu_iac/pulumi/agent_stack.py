"""A whole agent stack as one component."""

from collections.abc import Mapping
from typing import Any, Optional

import pulumi

from agentgpu_iac.errors import AgentGpuError
from agentgpu_iac.provisioning.program import Deployment, prepare
from agentgpu_iac.provisioning.project_paths import project_folder
from agentgpu_iac.pulumi.arguments import AgentStackArgs, Answers
from agentgpu_iac.pulumi.source import plan_of
from agentgpu_iac.rendering.render import render


class AgentStack(pulumi.ComponentResource):
    """All that a plan needs, on the target that it is for: what ``agentgpu_iac.deploy`` makes, as one component.

    What the arguments leave out is read from the keys ``agentgpu:`` of the Pulumi stack's configuration. A plan that cannot
    be carried out, settings that do not go with it, and a saved plan of another version, target or stack are told in one
    message before anything is made.

    A stack that an earlier program deployed without this component is moved into it; nothing is made anew.
    """

    agent_urls: Optional[pulumi.Output[dict[str, Any]]]  # noqa: UP045 - Pulumi's schema reads no union of outputs
    """OpenAI base URL of each agent; where machines have addresses of their own, a list of them. A part of a stack has none."""
    cost: Optional[pulumi.Output[dict[str, Any]]]  # noqa: UP045
    """What it costs: sums, and a line for each node pool."""
    prerequisites: Optional[pulumi.Output[list[str]]]  # noqa: UP045
    """What you must still bring, each with what happens without it."""
    not_applied: Optional[pulumi.Output[list[str]]]  # noqa: UP045
    """Rendered objects whose operator is not installed."""
    kubeconfig: Optional[pulumi.Output[str]]  # noqa: UP045
    """Of a cluster that was made; a secret."""
    agent_stack: pulumi.Output[dict[str, str]]
    """Name and target of what was carried out, and what its plan was made from and by."""

    def __init__(
        self,
        name: str,
        args: AgentStackArgs = AgentStackArgs(),  # noqa: B008 - frozen
        opts: Optional[pulumi.ResourceOptions] = None,  # noqa: UP045
    ) -> None:
        deployment = _ready(args)
        super().__init__("agentgpu:index:AgentStack", name, None, opts)
        try:
            outputs = deployment.make(self)
        except AgentGpuError as error:
            raise pulumi.RunError(str(error)) from None
        self._outputs = outputs
        self.agent_urls = _maybe(outputs, "agentUrls")
        self.cost = _maybe(outputs, "cost")
        self.agent_stack = pulumi.Output.from_input(outputs["agentStack"])
        self.prerequisites = _maybe(outputs, "prerequisites")
        self.not_applied = _maybe(outputs, "notApplied")
        self.kubeconfig = _maybe(outputs, "kubeconfig")
        self.register_outputs(outputs)

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Everything that the target's program tells, by the names of ``pulumi stack output``."""
        return self._outputs


def _ready(args: AgentStackArgs) -> Deployment:
    """The plan that is asked for, checked: whatever is wrong with it is said before the component exists."""
    config = Answers(args)
    try:
        plan = plan_of(config, project_folder())
        return prepare(plan, render(plan), config)
    except AgentGpuError as error:
        raise pulumi.RunError(str(error)) from None


def _maybe(outputs: Mapping[str, Any], key: str) -> Optional[pulumi.Output[Any]]:  # noqa: UP045
    return pulumi.Output.from_input(outputs[key]) if key in outputs else None
