"""Warnings about agents whose models generate nothing: what of a chat's is not said of them, and what is in its place."""

from __future__ import annotations

from agentgpu_iac.plan import Warning, Workload
from agentgpu_iac.plan.pooling import per_second
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.tiers import replicas_before_ready
from agentgpu_iac.units import counted


def burst_of_requests(candidate: Candidate, baseline: Workload) -> Warning | None:
    """Who answers what comes before burst replicas could be ready."""
    asked, ramp_s = baseline.pooling, candidate.demand.ramp_s
    cold_s = baseline.cold_start_s.upper.alone_total
    if asked is None or not candidate.demand.user_facing or candidate.demand.normal_ratio == 1 or ramp_s >= cold_s:
        return None
    outruns = (
        f"the burst to {per_second(asked.requests_per_s_peak)} requests/s in {ramp_s:,.0f} s outruns a cold start of up to "
        f"{cold_s:,.0f} s"
    )
    warm, needed = candidate.baseline_replicas, min(candidate.peak_replicas, replicas_before_ready(candidate, cold_s))
    if warm >= needed:
        plural = "s absorb" if warm > 1 else " absorbs"
        return warning("burst-absorbed", f"{outruns}: {warm} warm replica{plural} it", baseline.agent)
    return warning(
        "burst-outruns-cold-start",
        f"{outruns}: the {counted(warm, 'warm replica')} of {needed} answer {warm / needed:.0%} of it, and the "
        "rest waits or is turned away (503) until the burst tier is ready",
        baseline.agent,
    )


def unmeasured_answers(baseline: Workload) -> Warning | None:
    """No run in the data had an engine that answers with vectors or scores."""
    error = baseline.latency.e2e_error_ratio
    if error is None:
        return None
    return warning(
        "uncalibrated",
        f"no measured run of such a model backs its latency and rate: they are physics with the server's time of two runs, and "
        f"may be off by {error:.0%}; measure it, and set overrides.prefillTokensPerS",
        baseline.agent,
    )


def pairs_without_template(candidate: Candidate, baseline: Workload) -> Warning | None:
    """A reranker made from a chat model scores what its template makes of a pair, and its files hold no such template."""
    pooled = candidate.demand.model.pooling
    if pooled is None or not pooled.needs_pair_template:
        return None
    return warning(
        "pair-template",
        f"{candidate.demand.model.id} was trained on pairs in the words of its model card, and its files hold no template for "
        "them: have callers send query and documents in those words, or build an image with the template and name it in "
        "pins.engineImage; raw pairs are scored, and worse",
        baseline.agent,
    )


def answer_risk(candidate: Candidate, baseline: Workload) -> Warning | None:
    """A whole answer so near its budget that the upper half of the stated error does not fit."""
    latency, margin = baseline.latency, candidate.demand.margin
    value, budget = latency.e2e_at_percentile_ms, latency.budget_e2e_ms
    error, miss = latency.e2e_error_ratio, latency.e2e_miss_ratio
    if not value or not budget or error is None or miss is None or margin >= error or value * (1 + error) <= budget:
        return None
    return warning(
        "latency-risk",
        f"a whole answer at p{latency.percentile:g} of {value:,.0f} ms is {value / budget:.0%} of its budget of "
        f"{budget:,.0f} ms within ±{error:.0%}: a miss is {miss:.0%} likely. Set latency.margin: {error:.2f} to plan for the "
        "error, or measure and calibrate",
        baseline.agent,
    )
