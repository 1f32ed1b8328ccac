"""The Pulumi program: the plan of the agent stack that the configuration names, or the saved plan that it names, carried out."""

import pulumi

from agentgpu_iac.pulumi import AgentStack

for name, value in AgentStack("agents").outputs.items():
    pulumi.export(name, value)
