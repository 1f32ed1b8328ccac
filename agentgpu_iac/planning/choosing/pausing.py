"""What a pause is worth: the ways to leave a paused session's cache that an agent, its engine and its model have."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing.pausing import Away, reload_gb_per_s
from agentgpu_iac.units import GIB


def ways_away(kept: Candidate, release: EngineRelease) -> Iterator[Away]:
    """To host memory and to nowhere, as far as the agent leaves it open and its engine and model can.

    A reload, or reading the history again, is held against the budget of the next turn's TTFT; where there is none, nothing says
    how long it may take, and a cache is kept unless the spec says otherwise.
    """
    demand, agent, terms = kept.demand, kept.demand.agent, kept.memory
    asked = agent.paused_cache
    if demand.load is not None or kept.groups.count > 1 or kept.speed is None or asked == "keep":
        return
    if asked == "auto" and (agent.kv_offload_gib is not None or demand.budget_ttft_ms is None or not demand.pause_s):
        return
    resident = min(demand.peak, terms.most_sessions(demand.peak))
    own = demand.context_tokens - terms.shared_tokens
    each_gb = terms.kv_own_gib * GIB / 1e9
    if (
        asked in ("auto", "offload")
        and PORTS[release.engine].moves_kv_to_host(release.version)
        and not terms.kv_fixed_bytes
    ):
        per_token_ms = each_gb / own / reload_gb_per_s(kept.accelerator.pcie_generation) * 1000
        longest = max(0, min(demand.shape.longest_history_tokens, demand.context_tokens) - terms.shared_tokens)
        yield Away(
            to="offload",
            resident=resident,
            mean_ms=min(own, demand.shape.history_tokens) * per_token_ms,
            longest_ms=longest * per_token_ms,
        )
    if asked in ("auto", "drop"):
        yield Away(to="drop", resident=resident, mean_ms=0.0, longest_ms=0.0)
