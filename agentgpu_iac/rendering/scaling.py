"""What scales the burst tiers: a KEDA ScaledObject each, or a HorizontalPodAutoscaler on metrics of an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import OpenHoursPlan, Plan, ScalingPlan, Schedule, Workload
from agentgpu_iac.plan.scaling import API_VERSIONS
from agentgpu_iac.plan.series import AGENT_SERIES_LABEL, decimal
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import SCALING, labels, workload_labels

_COMPONENT = "scaling"

_KEDA_LABEL = "scaledobject.keda.sh/name"
"""KEDA puts it on a ScaledObject that lacks it; there from the start, it is no drift."""

_AUTHENTICATION = "prometheus"
"""Name of the object that says how KEDA proves who it is."""

BURST_SERIES = {
    "requests": "agentgpu_burst_requests",
    "sessions": "agentgpu_burst_sessions",
    "kv-cache": "agentgpu_burst_kv_cache",
}
"""Series that recording rules make of the queries, for an adapter to serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledObjectContext(Context):
    """One burst tier, scaled by KEDA."""

    template: ClassVar[str] = "scaled-object.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    target_api_version: str
    target_kind: str
    target_name: str
    polling_interval_s: int
    cooldown_s: int
    min_replicas: int
    max_replicas: int
    fallback_failures: int
    fallback_replicas: int
    hpa_name: str
    scale_down_stabilization_s: int
    scale_down_period_s: int
    prometheus_url: str
    auth_modes: tuple[str, ...]
    """Empty, or the one way in which KEDA proves who it is."""
    aws_regions: tuple[str, ...]
    """Empty, or the one region that it signs for."""
    authentications: tuple[str, ...]
    """Empty, or the one object that says what is read from where."""
    queries: tuple[tuple[str, str, str], ...]
    """(name, query, threshold)."""
    schedules: tuple[tuple[str, str, str, str, str], ...]
    """(name, time zone, start, end, replicas)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledObjectContext(Context):
    """One baseline, scaled by KEDA by the clock."""

    template: ClassVar[str] = "scheduled-object.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    target_api_version: str
    target_kind: str
    target_name: str
    polling_interval_s: int
    min_replicas: int
    max_replicas: int
    hpa_name: str
    schedules: tuple[tuple[str, str, str, str, str], ...]
    """(name, time zone, start, end, replicas)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerAuthenticationContext(Context):
    """How KEDA proves to Prometheus who it is, for all burst tiers of the stack."""

    template: ClassVar[str] = "trigger-authentication.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    signs: bool
    """By KEDA's own AWS identity; else from a Secret."""
    reads: bool
    parameters: tuple[tuple[str, str, str], ...]
    """(parameter, Secret, key)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizontalPodAutoscalerContext(Context):
    """One burst tier, scaled by an HPA."""

    template: ClassVar[str] = "horizontal-pod-autoscaler.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    target_api_version: str
    target_kind: str
    target_name: str
    min_replicas: int
    max_replicas: int
    scale_down_stabilization_s: int
    scale_down_period_s: int
    selector: Pairs
    metrics: tuple[tuple[str, str], ...]
    """(series, target for one replica)."""


def scaling_drafts(plan: Plan) -> tuple[Draft, ...]:
    """One object for each tier that something scales: never two on one workload."""
    return (*_authentication(plan), *_scalers(plan), *_by_the_clock(plan))


def _authentication(plan: Plan) -> tuple[Draft, ...]:
    """One object for the stack: all its burst tiers ask the same Prometheus."""
    scaled = (workload.scaling for workload in plan.workloads if workload.scaling is not None)
    auth = next((scaling.prometheus_auth for scaling in scaled if scaling.prometheus_auth is not None), None)
    if auth is None:
        return ()
    context = TriggerAuthenticationContext(
        name=_AUTHENTICATION,
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=_AUTHENTICATION),
        signs=auth.mode is None,
        reads=auth.mode is not None,
        parameters=tuple((each.parameter, each.secret, each.key) for each in auth.parameters),
    )
    return (Draft(folder=SCALING, context=context),)


def _scalers(plan: Plan) -> tuple[Draft, ...]:
    return tuple(
        Draft(
            folder=SCALING,
            context=_scaled_object(plan, workload, workload.scaling)
            if workload.scaling.method == "keda"
            else _autoscaler(plan, workload, workload.scaling),
        )
        for workload in plan.workloads
        if workload.scaling is not None
    )


def _by_the_clock(plan: Plan) -> tuple[Draft, ...]:
    return tuple(
        Draft(folder=SCALING, context=_scheduled_object(plan, workload, workload.open_hours))
        for workload in plan.workloads
        if workload.open_hours is not None
    )


def _scheduled_object(plan: Plan, workload: Workload, hours: OpenHoursPlan) -> ScheduledObjectContext:
    about = (*workload_labels(workload), (_KEDA_LABEL, workload.name))
    return ScheduledObjectContext(
        name=workload.name,
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=workload.name, more=about),
        target_api_version=API_VERSIONS[workload.kind],
        target_kind=workload.kind,
        target_name=workload.name,
        polling_interval_s=hours.polling_interval_s,
        min_replicas=hours.replicas_outside,
        max_replicas=workload.replicas.max,
        hpa_name=f"keda-hpa-{workload.name}",
        schedules=_schedules(hours.windows),
    )


def _schedules(schedules: Sequence[Schedule]) -> tuple[tuple[str, str, str, str, str], ...]:
    return tuple(
        (f"schedule-{number}", schedule.timezone, schedule.start, schedule.end, str(schedule.replicas))
        for number, schedule in enumerate(schedules, start=1)
    )


def _scaled_object(plan: Plan, workload: Workload, scaling: ScalingPlan) -> ScaledObjectContext:
    auth = scaling.prometheus_auth
    about = (*workload_labels(workload), (_KEDA_LABEL, workload.name))
    return ScaledObjectContext(
        name=workload.name,
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=workload.name, more=about),
        target_api_version=scaling.target_api_version,
        target_kind=scaling.target_kind,
        target_name=workload.name,
        polling_interval_s=scaling.polling_interval_s,
        cooldown_s=scaling.cooldown_s,
        min_replicas=scaling.min_replicas,
        max_replicas=scaling.max_replicas,
        fallback_failures=scaling.fallback_failures,
        fallback_replicas=scaling.fallback_replicas,
        hpa_name=f"keda-hpa-{workload.name}",
        scale_down_stabilization_s=scaling.scale_down_stabilization_s,
        scale_down_period_s=scaling.scale_down_period_s,
        prometheus_url=scaling.prometheus_url,
        auth_modes=() if auth is None or auth.mode is None else (auth.mode,),
        aws_regions=() if auth is None or auth.aws_region is None else (auth.aws_region,),
        authentications=() if auth is None else (_AUTHENTICATION,),
        queries=tuple((trigger.name, trigger.query, decimal(trigger.threshold)) for trigger in scaling.triggers),
        schedules=_schedules(scaling.schedules),
    )


def _autoscaler(plan: Plan, workload: Workload, scaling: ScalingPlan) -> HorizontalPodAutoscalerContext:
    return HorizontalPodAutoscalerContext(
        name=workload.name,
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=workload.name, more=workload_labels(workload)),
        target_api_version=scaling.target_api_version,
        target_kind=scaling.target_kind,
        target_name=workload.name,
        min_replicas=scaling.min_replicas,
        max_replicas=scaling.max_replicas,
        scale_down_stabilization_s=scaling.scale_down_stabilization_s,
        scale_down_period_s=scaling.scale_down_period_s,
        selector=((AGENT_SERIES_LABEL, workload.agent),),
        metrics=tuple((BURST_SERIES[trigger.name], _quantity(trigger.threshold)) for trigger in scaling.triggers),
    )


def _quantity(value: float) -> str:
    """A Kubernetes quantity in the form that the API server gives back."""
    milli = round(value * 1000)
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"
