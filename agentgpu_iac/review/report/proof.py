"""The proof of a plan in its report: what was simulated, how long users waited, and each deployment over time."""

from __future__ import annotations

from agentgpu_iac.plan import Plan, ProofCourse
from agentgpu_iac.review.proof_view import proof_blocks
from agentgpu_iac.review.report.parts import MOST_FIGURES, Part, of_blocks
from agentgpu_iac.review.report.traffic import Course, Waited, courses_figures, fleet_lines, load_lines, waits_figure
from agentgpu_iac.units import counted


def proof_parts(plan: Plan) -> tuple[Part, ...]:
    """A part where the plan has a proof: its tables, and the curves that the plan recorded."""
    if not plan.proof:
        return ()
    told = of_blocks("Proof", proof_blocks(plan))
    budgets = {each.name: each.budget_ttft_ms for each in plan.served_agents}
    waited = [
        Waited(
            agent=each.agent,
            at=(each.waits.p50_ms, each.waits.p95_ms, each.waits.p99_ms),
            budget_ms=budgets.get(each.agent),
        )
        for each in plan.proof
        if each.waits is not None
    ]
    courses = [_course(plan.deployment_of(each.agent), each.course) for each in plan.proof if each.course is not None]
    sentences = list(told.sentences)
    if courses:
        sentences.append("The curves are of the simulation that went worst; the times are means over all of them.")
    if len(courses) > MOST_FIGURES:
        sentences.append(f"Of {counted(len(courses), 'deployment')} the first {MOST_FIGURES} are drawn.")
    return (
        Part(
            id="proof",
            title="Proof: simulated, request by request",
            sentences=tuple(sentences),
            grids=told.grids,
            figures=(*((waits_figure(waited),) if waited else ()), *courses_figures(courses[:MOST_FIGURES])),
        ),
    )


def _course(deployment: str, found: ProofCourse) -> Course:
    return Course(
        deployment=deployment,
        minutes=found.minutes,
        load=load_lines(found.sessions, found.running, found.waiting),
        fleet=fleet_lines(found.warm_replicas, found.burst_replicas, found.starting_replicas),
        told=f"seed {found.seed}.",
    )
