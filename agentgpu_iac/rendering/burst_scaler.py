"""What follows the load with machines beside the cluster: a CronJob of ``agentgpu scale``, and its right to one ConfigMap.

It stands in the path of no request. What it runs is in an image of yours, beside your Pulumi project; where Pulumi's state is,
and how it is opened, is in a Secret of yours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from agentgpu_iac.plan import JoinedPlan, MachineScalerPlan, MachineScalingPlan, Plan
from agentgpu_iac.plan.names import BURST_SCALER_NAME
from agentgpu_iac.plan.scaling import PROMETHEUS_VARIABLES
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.gateway import RoleBindingContext, RoleContext
from agentgpu_iac.rendering.names import BURST_SCALER_COMPONENT, SCALING, labels
from agentgpu_iac.rendering.stack import ServiceAccountContext
from agentgpu_iac.units import cpu_quantity, mib_quantity

_UID: Final = 65_532
_GRACE_PERIOD_S: Final = 120
"""Pulumi takes down what it is about when it is told to end; what was rented meanwhile is found by its name later."""

_SCRIPT: Final = (
    'mkdir -p "$HOME" /tmp/pulumi && ln -s "$PULUMI_HOME/plugins" /tmp/pulumi/plugins && cp -r . /tmp/project && '
    'cd /tmp/project && export PULUMI_HOME=/tmp/pulumi && exec agentgpu scale "$@"'
)
"""The image's file system is read-only, and Pulumi writes the stack's settings beside the project."""

_READ_AND_WRITE: Final = ("create", "delete", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstScalerContext(Context):
    """The CronJob."""

    template: ClassVar[str] = "burst-scaler.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    schedule: str
    deadline_s: int
    grace_period_s: int
    uid: int
    image: str
    command: tuple[str, ...]
    environment: Pairs
    secret_environment: tuple[tuple[str, str, str], ...]
    secret: str
    cpu: str
    memory: str
    scratch_size: str


def burst_scaler_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The CronJob and its identity; nothing where ``agentgpu scale`` runs elsewhere, or nowhere."""
    joined = plan.joined
    if joined is None or joined.scaling is None or joined.scaling.scaler is None:
        return ()
    its_labels = labels(plan.stack, BURST_SCALER_COMPONENT, name=BURST_SCALER_NAME)
    contexts: tuple[Context, ...] = (
        ServiceAccountContext(name=BURST_SCALER_NAME, namespace=plan.stack, labels=its_labels),
        RoleContext(
            name=BURST_SCALER_NAME, namespace=plan.stack, labels=its_labels, named_rules=(_config_map_alone(joined),)
        ),
        RoleBindingContext(
            name=BURST_SCALER_NAME,
            namespace=plan.stack,
            labels=its_labels,
            role=BURST_SCALER_NAME,
            service_account=BURST_SCALER_NAME,
        ),
        _cron_job(plan, joined.scaling, joined.scaling.scaler, its_labels),
    )
    return tuple(Draft(folder=SCALING, context=context) for context in contexts)


def _config_map_alone(joined: JoinedPlan) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    return "", "configmaps", (joined.config_map,), _READ_AND_WRITE


def _cron_job(
    plan: Plan, scaling: MachineScalingPlan, scaler: MachineScalerPlan, its_labels: Pairs
) -> BurstScalerContext:
    auth = scaling.prometheus_auth
    return BurstScalerContext(
        name=BURST_SCALER_NAME,
        namespace=plan.stack,
        labels=its_labels,
        schedule=f"*/{scaler.every_minutes} * * * *",
        deadline_s=scaler.deadline_s,
        grace_period_s=_GRACE_PERIOD_S,
        uid=_UID,
        image=scaler.image,
        command=("sh", "-c", _SCRIPT, "scale", "--stack", scaler.pulumi_stack),
        environment=(("HOME", "/tmp/home"), ("PULUMI_SKIP_UPDATE_CHECK", "true")),  # noqa: S108 - the pod's own
        secret_environment=()
        if auth is None
        else tuple((PROMETHEUS_VARIABLES[each.parameter], each.secret, each.key) for each in auth.parameters),
        secret=scaler.secret,
        cpu=cpu_quantity(scaler.cpu_milli),
        memory=mib_quantity(scaler.memory_mib),
        scratch_size=mib_quantity(scaler.scratch_mib),
    )
