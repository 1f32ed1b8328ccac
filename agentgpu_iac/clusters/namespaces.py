"""A namespace that is there already: whether it is the stack's, and what else lives in it.

A stack denies the traffic of its namespace, limits its resources and restricts its pods. Laid over a namespace that holds
the work of others, that stops them. Ours bears the stack's label; everything else is somebody's until a person says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agentgpu_iac.clusters.port import Body, Cluster, Forbidden, at
from agentgpu_iac.plan.nodes import STACK_LABEL

_NAMED: Final = 3


def is_stacks(body: Body, stack: str) -> bool:
    """Whether an object bears the stack's label."""
    return bool(at(body, "metadata", "labels", STACK_LABEL) == stack)


def pods_of_others(pods: Iterable[Body], stack: str) -> tuple[str, ...]:
    """Names of the pods that do not bear the stack's label and have not ended, in order."""
    return tuple(
        sorted(
            str(at(pod, "metadata", "name"))
            for pod in pods
            if not is_stacks(pod, stack) and at(pod, "status", "phase") not in ("Succeeded", "Failed")
        )
    )


def taken_over(kind: str, live: Body, stack: str, neighbours: tuple[str, ...]) -> str | None:
    """What applying a stack does to its namespace where that is not the stack's; None where it is, or for another kind."""
    if kind != "Namespace" or is_stacks(live, stack):
        return None
    owner = at(live, "metadata", "labels", STACK_LABEL)
    whose = f"belongs to the stack {owner}" if owner else f"does not bear the label {STACK_LABEL}={stack}"
    beside = f"{len(neighbours)} of others: {_few(neighbours)}" if neighbours else "none of others was seen"
    return (
        f"is there and {whose}: applying the stack takes it over, and its restricted Pod Security, denied traffic and quota "
        f"then hold for every pod in it ({beside})"
    )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")


def before_taking(stack: str) -> str:
    """What to do about it."""
    return f"rename the stack; if the namespace is meant for it: kubectl label namespace {stack} {STACK_LABEL}={stack}"


def standing(cluster: Cluster, stack: str) -> str | None:
    """The sentence on the namespace of a stack that is about to be applied; None where it is the stack's, or not there.

    Raises OutsideFailure where the cluster does not answer, and Forbidden where it does not tell.
    """
    core = cluster.resources("v1")
    live = cluster.item(core["Namespace"], "", stack) if "Namespace" in core else None
    if live is None or is_stacks(live, stack):
        return None
    try:
        pods = cluster.items(core["Pod"], stack) if "Pod" in core else ()
    except Forbidden:
        pods = ()
    return taken_over("Namespace", live, stack, pods_of_others(pods, stack))
