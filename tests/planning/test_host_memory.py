"""A pod's part of its node: host memory, and /dev/shm in it."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.choosing import host_memory
from tests.planning.scenes import make_agent, only, plan, workload


@pytest.mark.parametrize(
    ("accelerators", "memory_mib", "wanted"),
    [(1, 40_960, 1_024), (2, 81_920, 2_048), (8, 1_000_000, 8_192), (32, 1_000_000, 16_384), (8, 16_384, 4_096)],
)
def test_shared_memory_grows_with_the_ranks_and_stays_a_quarter_of_the_pod(
    accelerators: int, memory_mib: int, wanted: int
) -> None:
    assert host_memory.shm_mib(accelerators, memory_mib) == wanted


def test_shared_memory_and_offloaded_cache_are_inside_the_pods_memory() -> None:
    found = workload(plan(make_agent(kvOffloadGib=4.0), accelerators=only("small-40")))
    pod = found.pod
    assert pod.kv_offload_mib == 4_096
    assert pod.shm_mib + pod.kv_offload_mib < pod.memory_mib
