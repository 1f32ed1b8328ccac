"""The real Pulumi stack, seller and Prometheus of a look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentgpu_iac.plan import JoinedPlan, MachineScalingPlan
from agentgpu_iac.provisioning.burst.follow import Around
from agentgpu_iac.provisioning.burst.hours import now_s
from agentgpu_iac.provisioning.burst.measuring import Prometheus, prometheus_client, serves
from agentgpu_iac.provisioning.burst.state import BurstStack
from agentgpu_iac.provisioning.spheron.client import URL
from agentgpu_iac.provisioning.spheron.machine import shared_session


def surroundings(
    selected: BurstStack,
    joined: JoinedPlan,
    scaling: MachineScalingPlan,
    *,
    prometheus: str | None,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Around:
    """What a look is taken with. Raises BadInput for a folder, a stack or an environment that will not do."""
    load = Prometheus(client=prometheus_client(scaling, environment, prometheus))
    url = selected.setting("agentgpu:spheronUrl") or URL
    return Around(
        stack=selected,
        seller=shared_session(selected.seller_key(environment), url).client,
        load=load,
        serves=lambda name, address, certificate: serves(joined, name, address, certificate),
        now_s=now_s(),
        say=say,
    )
