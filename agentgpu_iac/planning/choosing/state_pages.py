"""Pages at whose end an engine keeps recurrent states, so that another request may begin from there.

A step that ends before a page does keeps no state; vLLM up to 0.20 does not start with such steps at all (``In Mamba cache
align mode, block_size must be <= max_num_batched_tokens``: pull request 36734 is of 0.17.1; 0.23 has no such check).
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.planning.choosing.parallelism import Sizes
from agentgpu_iac.planning.choosing.requests import shapes
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.paging import PoolRequest, state_page_tokens
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES
from agentgpu_iac.units import counted


def page_tokens(demand: Demand, rules: Rules, accelerator: Accelerator, sizes: Sizes) -> int:
    """Tokens of such a page; 0 where the engine keeps no states of prefixes, or is not known to keep them by pages."""
    agent, release = demand.agent, rules.release
    if not demand.model.layers.recurrent or not SIZING_PORTS[release.engine].keeps_states_by_pages:
        return 0
    return state_page_tokens(
        PoolRequest(
            model=demand.model,
            version=release.version,
            kv_dtype=agent.kv_cache_dtype,
            dtype_bytes=2,
            tensor_parallel=sizes.tensor,
            pipeline_parallel=sizes.pipeline,
            max_model_len=demand.longest_context_tokens,
            max_num_batched_tokens=0,
            compute_capability=accelerator.compute_capability,
            prefix_cached=rules.prefix_cache != "never",
        )
    )


def found_ratio(demand: Demand, page: int) -> float:
    """Part of a session's own history that its last request finds: what lies behind the last whole page is read again.

    Up to a page less one token is (vLLM 0.32.0: ``resolve_kv_cache_block_sizes``, where --prefix-match-unit is not set; issue
    48401 has contexts below a page, of which nothing was ever found).
    """
    history = max((shape.longest_history_tokens - shape.shared_tokens for shape in shapes(demand)), default=0)
    if page == 0 or history <= 0:
        return 1.0
    return max(0.0, 1.0 - (page - 1) / history)


def cut_page(
    demand: Demand, rules: Rules, accelerator: Accelerator, sizes: Sizes, batched: int
) -> tuple[str, int] | None:
    """Why steps of so few tokens are refused, with the tokens that they need; None where they are not."""
    page, release = page_tokens(demand, rules, accelerator, sizes), rules.release
    until = SIZING_PORTS[release.engine].starts_with_whole_pages_until
    if batched >= page or until is None or not at_least(until, release.version):
        return None
    message = (
        f"{ENGINE_TITLES[release.engine]} {release.version} keeps recurrent states of {demand.model.id} at the end of pages of "
        f"{counted(page, 'token')}, and does not start with steps of fewer: maxNumBatchedTokens is {batched:,}"
    )
    return message, page
