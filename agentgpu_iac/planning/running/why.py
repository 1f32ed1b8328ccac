"""Why a deployment is where it is, in words."""

from __future__ import annotations

from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.units import counted


def part_in_words(member: Placed) -> str:
    """One of the parts of a divided baseline: how many replicas, of which cards, on which machine."""
    candidate, machine = member.candidate, member.option.machine
    on = f"{'your ' if machine.owned else ''}{machine.instance.name}"
    return (
        f"{member.replicas('baseline')} of {candidate.accelerators_per_replica} x {candidate.accelerator.name} on {on}"
    )


def _divided(member: Placed) -> str:
    warm = member.candidate.baseline_replicas
    if member.first is not None:
        return (
            f"the rest of a baseline of {counted(warm, 'warm replica')}: {part_in_words(member)}, beside "
            f"{part_in_words(member.first)}; "
            "every replica has the same part of the load"
        )
    both = " and ".join(part_in_words(each) for each in member.parts("baseline"))
    carry = f"{counted(warm, 'warm replica')} carry what is asked within memory, latency and throughput"
    return f"the cheapest placement in which {carry}: {both}"


def chosen_because(member: Placed) -> str:
    """Why the deployment is where it is, in one sentence without its full stop."""
    candidate, option = member.candidate, member.option
    if option.is_divided:
        return _divided(member)
    if member.beside is not None:
        more = candidate.burst_replicas
        return (
            f"with the baseline on {member.beside.accelerator.name} the cheapest placement in which "
            f"{counted(more, 'replica')} more of {candidate.accelerators_per_replica} x "
            f"{candidate.accelerator.name} carry the peak: every replica has the same part of it"
        )
    if option.is_shared:
        others = option.engines_per_accelerator - 1
        return (
            f"stays resident with {counted(others, 'other engine')} on one {candidate.accelerator.name}, "
            "which is cheaper than nodes of their own and fits memory and latency with all of them busy"
        )
    warm = candidate.baseline_replicas
    if candidate.demand.load is not None:
        return (
            f"the cheapest placement in which {counted(warm, 'warm replica')} of "
            f"{candidate.accelerators_per_replica} x {candidate.accelerator.name} {'answer' if warm > 1 else 'answers'} what is "
            "asked within memory, latency and throughput"
        )
    seats = min(candidate.demand.peak, warm * candidate.max_num_seqs)
    if candidate.nodes > 1:
        each = f"{counted(candidate.nodes, 'node')} of {candidate.accelerators_per_pod} x {candidate.accelerator.name}"
        return (
            f"no single node of {candidate.accelerators_per_pod} x {candidate.accelerator.name} holds the model; over "
            f"{each}, {counted(warm, 'warm replica')} {'carry' if warm > 1 else 'carries'} "
            f"{counted(seats, 'session')} within memory, latency and throughput, which is the cheapest placement"
        )
    return (
        f"the cheapest placement in which {counted(warm, 'warm replica')} of "
        f"{candidate.accelerators_per_replica} x {candidate.accelerator.name} "
        f"{'carry' if warm > 1 else 'carries'} {counted(seats, 'session')} "
        "within memory, latency and throughput"
    )
