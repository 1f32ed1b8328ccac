"""Sizes with which the engine does not start, whatever the sessions: known before memory and time are looked at."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.parallelism import Sizes
from agentgpu_iac.planning.choosing.rejections import sizes_rejection
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.choosing.state_pages import cut_page
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import quantises_at_load
from agentgpu_iac.sizing.capacity import capacity
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.parallelism import blocks_fault
from agentgpu_iac.sizing.weights import weights_gib_per_accelerator
from agentgpu_iac.spec.vocabulary import ENGINE_TITLES


def impossible(demand: Demand, rules: Rules, accelerator: Accelerator, sizes: Sizes) -> Rejection | None:
    """Why the engine would end at start with these sizes, if it is known to."""
    return next(_impossible(demand, rules, accelerator, sizes), None)


def _impossible(demand: Demand, rules: Rules, accelerator: Accelerator, sizes: Sizes) -> Iterator[Rejection]:
    release, model = rules.release, demand.model
    fault = blocks_fault(release.engine, release.version, model, demand.precision, sizes.tensor, sizes.expert)
    if fault is not None:
        message, need, limit, unit = fault
        yield sizes_rejection(demand, accelerator, sizes, "parallelism", message, need=need, limit=limit, unit=unit)
    by_hand = demand.agent.overrides.max_num_batched_tokens
    if by_hand and (cut := cut_page(demand, rules, accelerator, sizes, by_hand)):
        message, page = cut
        yield sizes_rejection(
            demand, accelerator, sizes, "batched-tokens", message, need=page, limit=by_hand, unit="tokens"
        )
    since = SIZING_PORTS[release.engine].quantises_by_layers_since
    if since and quantises_at_load(model, demand.precision) and before(release.version, since):
        weights = weights_gib_per_accelerator(model, model.native_precision, sizes.tensor, sizes.pipeline)
        has = capacity(accelerator).capacity_gib
        if weights > has:
            message = (
                f"{ENGINE_TITLES[release.engine]} {release.version} loads all weights in 16 bit before it makes "
                f"{demand.precision} of them: {weights:.2f} GiB per accelerator, which has {has:.2f}; {since} and newer do it "
                "layer by layer, and a published FP8 checkpoint needs nothing of it"
            )
            yield sizes_rejection(demand, accelerator, sizes, "memory", message, need=weights, limit=has, unit="GiB")
