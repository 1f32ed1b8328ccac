"""How long the nodes of a pool take to fill their model caches, all at once."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import NodePool
from agentgpu_iac.planning.choosing.caching import LEAST_FILL_TIMEOUT_S
from agentgpu_iac.sizing import loading, starting
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted

SECTION = "Filling the model cache"


def filling_lines(pool: NodePool) -> Iterator[Line]:
    """The fill while all nodes of the pool fill their caches, and the time after which a filler starts over."""
    filler = pool.filler
    if filler is None:
        return
    gib = sum(model.gib for model in pool.cached_models if model.fill)
    yield Line(
        name="fillS",
        formula="longest delay + GiB of the pool's models / GiB/s of a node while all nodes fill",
        inputs=f"{filler.start_delay_s} + {gib:.3f} / {filler.gib_per_s:.6f}",
        value=filler.fill_s,
        result=f"{filler.fill_s:g} s for {counted(filler.nodes_at_once, 'node')} at once",
        unit="s",
        source=f"{loading.HUB_GIB_PER_S} GiB/s of a source at most, and the network and disk of a node; nodes that download "
        f"from the hub share a gateway of {loading.GATEWAY_GBPS:g} Gbit/s",
    )
    ratio = 1 + starting.FILL_ERROR_RATIO
    yield Line(
        name="timeoutS",
        formula=f"fillS x {ratio:g}, in whole minutes, {LEAST_FILL_TIMEOUT_S:,} s at least",
        inputs=f"{filler.fill_s:g} x {ratio:g}",
        value=filler.timeout_s,
        result=f"{filler.timeout_s:,} s",
        unit="s",
        source="the error of measured downloads; a filler that starts over keeps what is whole",
    )
