"""The warm replicas of a deployment, as its sums say them."""

from __future__ import annotations

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing.candidates import Candidate


def warm_replicas(candidate: Candidate, workload: Workload) -> int:
    """What the sum over sessions or rates comes to: of a baseline on two kinds of machine that of both."""
    return candidate.baseline_replicas if _is_divided(candidate, workload) else workload.replicas.max


def warm_in_words(candidate: Candidate, workload: Workload) -> str:
    """The same, and how many of them stand here."""
    warm = f"{warm_replicas(candidate, workload)} warm"
    return f"{warm}, {workload.replicas.max} of them here" if _is_divided(candidate, workload) else warm


def _is_divided(candidate: Candidate, workload: Workload) -> bool:
    return workload.tier == "baseline" and workload.replicas.max != candidate.baseline_replicas
