"""What is asked now: of Prometheus, and of each machine whether its engine answers."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from agentgpu_iac.errors import BadInput, Fault, OutsideFailure
from agentgpu_iac.plan import JoinedPlan, MachinePoolScaling, MachineScalingPlan
from agentgpu_iac.plan.scaling import PROMETHEUS_VARIABLES
from agentgpu_iac.provisioning.burst.deciding import Held

_TIMEOUT_S: Final = 10.0
_TOKEN, _USERNAME, _PASSWORD, _HEADER, _VALUE = PROMETHEUS_VARIABLES.values()


class PrometheusError(OutsideFailure):
    """Prometheus did not answer, or knows nothing of what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """The Prometheus that KEDA asks in the cluster."""

    client: httpx.Client

    def held(self, pool: MachinePoolScaling, step_s: int) -> dict[str, Held]:
        """What each query of a pool gives. Raises PrometheusError where one gives nothing: a missing series is no 0."""
        return {
            trigger.name: Held(
                now=self._value(trigger.held),
                most=self._value(f"max_over_time(({trigger.held})[{pool.stay_s}s:{step_s}s])"),
            )
            for trigger in pool.triggers
        }

    def _value(self, query: str) -> float:
        try:
            answer = self.client.post("api/v1/query", data={"query": query})
            answer.raise_for_status()
            result: Any = answer.json()["data"]["result"]
            values = [float(series["value"][1]) for series in result]
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            raise PrometheusError(f"Prometheus at {self.client.base_url} did not answer: {error}") from None
        if len(values) != 1 or not 0 <= values[0] < float("inf"):
            raise PrometheusError(f"Prometheus at {self.client.base_url} gives {values or 'nothing'} for: {query}")
        return values[0]


def prometheus_client(
    scaling: MachineScalingPlan, environment: Mapping[str, str], url: str | None = None
) -> httpx.Client:
    """A client that proves who it is as the plan says. Raises BadInput where the environment lacks what that takes."""
    auth = scaling.prometheus_auth
    values = dict[str, str]()
    if auth is not None:
        needed = [PROMETHEUS_VARIABLES[parameter.parameter] for parameter in auth.parameters]
        if faults := [
            Fault(source=name, message="is not set", hint="it holds what scaling.prometheusAuth names")
            for name in needed
            if not environment.get(name)
        ]:
            raise BadInput(faults)
        if auth.aws_region is not None:
            raise BadInput.one("scaling.prometheusAuth", "aws-sigv4 is KEDA's own AWS identity, which nobody has here")
        values = {name: environment[name] for name in needed}
    headers = {values[_HEADER]: values[_VALUE]} if _HEADER in values else {}
    if _TOKEN in values:
        headers["Authorization"] = f"Bearer {values[_TOKEN]}"
    return httpx.Client(
        base_url=f"{(url or scaling.prometheus_url).rstrip('/')}/",
        headers=headers,
        auth=(values[_USERNAME], values[_PASSWORD]) if _USERNAME in values else None,
        timeout=_TIMEOUT_S,
    )


def serves(joined: JoinedPlan, name: str, address: str, certificate: str) -> bool:
    """Whether each engine of a machine answers, if only that it wants a key: what NGINX would get there as well."""
    routes = next((machine.routes for machine in joined.machines if machine.name == name), ())
    trusting = ssl.create_default_context(cadata=certificate)
    host = f"[{address}]" if ":" in address else address
    with httpx.Client(verify=trusting, timeout=_TIMEOUT_S, trust_env=False) as client:
        return bool(routes) and all(
            _answers(client, f"https://{host}:{route.target_port}/v1/models", joined.server_name) for route in routes
        )


def _answers(client: httpx.Client, url: str, server_name: str) -> bool:
    try:
        answer = client.get(url, headers={"Host": server_name}, extensions={"sni_hostname": server_name})
    except httpx.HTTPError:
        return False
    return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR


def weights(joined: JoinedPlan, agent_routes: Sequence[str]) -> dict[str, int]:
    """What NGINX weighs each machine by for some agents that share a deployment: theirs are alike."""
    return {
        machine.name: max((route.weight or 0 for route in machine.routes if route.agent in agent_routes), default=0)
        for machine in joined.machines
    }
