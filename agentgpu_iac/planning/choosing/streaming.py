"""Whether an engine streams its weights from the bucket to the accelerators, past the node's cache.

What is compared is the first start on a fresh node, which is what a burst waits for: the bucket's bytes streamed, or first
copied to the node and then read from it. A restart on the same node streams again, and may be slower than from its disk.
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.planning.choosing import host_memory
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing import loading
from agentgpu_iac.spec.model import Agent, StackSpec
from agentgpu_iac.spec.vocabulary import Storage


def bar(agent: Agent, release: EngineRelease) -> str | None:
    """Why the agent's engine cannot stream its model from a bucket; None where it can."""
    port = PORTS[release.engine]
    if not port.streams_buckets(release.version):
        since = port.streams_buckets_since
        newer = "" if since is None else f"; {since} and newer can"
        return f"whether {port.title} {release.version} streams weights from a bucket is not known{newer}"
    if agent.lora_adapters:
        return "LoRA adapters are read from the node's cache, so the model is filled beside them: stream: auto leaves it so"
    if agent.speculative is not None and agent.speculative.model is not None:
        return (
            "a draft model is read from the node's cache, so the model is filled beside it: stream: auto leaves it so"
        )
    return None


def streams(
    candidate: Candidate,
    machine: Machine,
    release: EngineRelease,
    spec: StackSpec,
    *,
    loaded_gib: float,
    cached_on: Storage,
    volume_mib_per_s: int,
    engines: int = 1,
) -> bool:
    """Whether this replica streams on this machine; ``cached_on`` is where its cache would lie, by itself."""
    wanted = spec.model_cache.stream
    if wanted == "never" or bar(candidate.demand.agent, release) is not None:
        return False
    if wanted == "always":
        return True
    if loading.expected_network_gbps(machine.instance) is None or candidate.nodes > 1:
        return False
    if host_memory.streamer_mib(candidate, machine, loaded_gib, engines) is None:
        return False
    streamed_s = loaded_gib / loading.bucket_gib_per_s(machine.instance)
    filled_s = loaded_gib / loading.fill_gib_per_s(machine.instance, cached_on, volume_mib_per_s)
    read_s = loaded_gib / loading.storage_gib_per_s(
        machine.instance, cached_on, volume_mib_per_s, ranks=candidate.accelerators_per_pod
    )
    return streamed_s < filled_s + read_s
