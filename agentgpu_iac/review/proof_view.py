"""The proof that a plan carries, as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Plan, ProofPlan
from agentgpu_iac.review.blocks import Block, Heading, Paragraph, Table
from agentgpu_iac.units import counted


def proof_blocks(plan: Plan, deployment: str | None = None) -> Iterator[Block]:
    """What was simulated of a deployment's agents, or of all; nothing where nothing was."""
    shown = [each for each in plan.proof if deployment in (None, plan.deployment_of(each.agent))]
    if not shown:
        return
    yield Heading(text="Proof")
    yield Table(
        columns=(
            "agent",
            "wanted",
            "inside TTFT",
            "inside TPOT",
            "95 % interval",
            "refused",
            "lost",
            "warm",
            "burst",
            "holds",
        ),
        rows=tuple(
            (
                each.agent,
                f"{each.wanted_ratio:.6g}",
                _share(each.inside_ttft_ratio),
                _share(each.inside_tpot_ratio),
                "-" if each.low_ratio is None else f"{each.low_ratio:.2%} to {each.high_ratio or 0:.2%}",
                f"{each.refused:,}",
                f"{each.lost:,}",
                _replicas(each.warm_replicas_before, each.warm_replicas),
                _replicas(each.burst_replicas_before, each.burst_replicas),
                "yes" if each.holds else "no",
            )
            for each in shown
        ),
        right=frozenset({1, 2, 3, 4, 5, 6}),
    )
    first = shown[0]
    requests = sum(each.requests for each in shown)
    text = f"Simulated: {counted(requests, 'request')}, {first.traffic}, {first.hours:g} h for each of {len(first.seeds)} seeds."
    if first.shortened_from_hours is not None:
        text += f" {first.traffic} has {first.shortened_from_hours:g} h of its own; its requests are many, so less was simulated."
    text += f" {first.plans} plans were simulated; an hour of this traffic costs USD {first.usd_per_hour:,.2f}"
    text += (
        "." if first.usd_per_hour == first.usd_per_hour_before else f", and {first.usd_per_hour_before:,.2f} before."
    )
    if plan.cost.baseline_usd_per_month != first.usd_per_month_before:
        now = plan.cost.baseline_usd_per_month
        text += f" The warm part costs USD {now:,.2f} a month, and {first.usd_per_month_before:,.2f} before."
    yield Paragraph(text=text)
    for each in shown:
        if each.constraint is not None:
            yield Paragraph(text=_refusal(each), tone="over")
    if first.is_cut_short:
        yield Paragraph(
            text="The search ended with the requests that it may simulate; plan with --hours for less of each and more plans."
        )
    if first.written:
        yield Paragraph(text=f"Changed until it held; to keep it, write into the spec: {first.written}")
    if plan.nines:
        yield Heading(text="What each further nine costs")
        yield Table(
            columns=(
                "of requests",
                "holds",
                "lowest end",
                "warm replicas",
                "USD a month",
                "more",
                "USD an hour, burst in",
            ),
            rows=tuple(
                (
                    f"{each.wanted_ratio:.6g}",
                    "yes" if each.holds else "no" if each.has_enough_requests else "too few requests to tell",
                    f"{each.low_ratio:.3%}",
                    str(each.warm_replicas),
                    f"{each.usd_per_month:,.2f}",
                    f"{each.more_usd_per_month:+,.2f}",
                    f"{each.usd_per_hour:,.2f}",
                )
                for each in plan.nines
            ),
            right=frozenset(range(2, 7)),
        )


def _refusal(proof: ProofPlan) -> str:
    if proof.constraint == "lost":
        return (
            f"{proof.agent}: {counted(proof.limit or 0, 'request', ',.0f')} {'was' if proof.limit == 1 else 'were'} "
            "lost, and none may be."
        )
    budget = "TTFT" if proof.constraint == "inside-ttft" else "TPOT"
    return (
        f"{proof.agent}: {proof.constraint}: {proof.need:.4%} of the requests must be within the {budget} budget, and "
        f"{proof.limit or 0.0:.4%} are for sure in the best of {proof.plans} plans."
    )


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2%}"


def _replicas(before: int, after: int) -> str:
    return str(after) if before == after else f"{after}, planned {before}"
