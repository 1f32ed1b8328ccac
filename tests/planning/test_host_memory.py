"""What a pod takes of its node's host: one sum, and /dev/shm in it."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing import host_memory
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text
from tests.planning.scenes import make_agent, make_catalog, offerings, only, plan, workload


@pytest.mark.parametrize(
    ("accelerators", "memory_mib", "wanted"),
    [(1, 40_960, 1_024), (2, 81_920, 2_048), (8, 1_000_000, 8_192), (32, 1_000_000, 16_384), (8, 16_384, 4_096)],
)
def test_shared_memory_of_ranks_grows_with_them_and_stays_a_quarter_of_the_pod(
    accelerators: int, memory_mib: int, wanted: int
) -> None:
    assert host_memory.ranks_shm_mib(accelerators, memory_mib) == wanted


def offloading(engine: str, version: str, gib: float) -> Workload:
    return workload(plan(make_agent(engine=engine, engineVersion=version, kvOffloadGib=gib)))


class TestOffload:
    """vLLM maps a file of the whole size in /dev/shm and checks its room; what does not is memory of its own."""

    def test_what_is_checked_at_start_has_room_beside_the_ranks(self) -> None:
        pod = offloading("vllm", "0.33.0", 16).pod
        assert pod.shm_mib == 16 * 1024 + 1_024
        assert pod.kv_offload_mib == 16 * 1024

    def test_older_versions_pin_memory_that_is_rounded_up(self) -> None:
        pod = offloading("vllm", "0.22.0", 16).pod
        assert (pod.shm_mib, pod.kv_offload_mib) == (1_024, 2 * 16 * 1024)

    def test_sglang_keeps_it_by_itself(self) -> None:
        pod = offloading("sglang", "0.5.23", 32).pod
        assert (pod.shm_mib, pod.kv_offload_mib) == (1_024, 32 * 1024)

    @pytest.mark.parametrize(("engine", "version"), [("vllm", "0.22.0"), ("vllm", "0.33.0"), ("sglang", "0.5.23")])
    def test_the_pod_s_memory_holds_shared_memory_and_the_engine(self, engine: str, version: str) -> None:
        pod = offloading(engine, version, 20).pod
        outside_shm = 0 if pod.shm_mib > pod.kv_offload_mib else pod.kv_offload_mib
        assert pod.memory_mib >= pod.shm_mib + outside_shm + host_memory.ENGINE_MIB_PER_ACCELERATOR

    def test_its_sum_is_in_the_ledger(self) -> None:
        found = plan(make_agent(kvOffloadGib=16.0), accelerators=only("small-40"))
        lines = {entry.name: entry for entry in found.ledger if entry.section == "Host memory of a pod"}
        assert lines["shmMib"].value == workload(found).pod.shm_mib
        assert lines["hostNeedMib"].value <= workload(found).pod.memory_mib


REPORTED = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: offload}
spec:
  target: TARGET
  accelerators: {allow: [rtx-pro-6000-blackwell-server]}
  agents:
    - name: chat
      model: Qwen/Qwen3.8-27B
      precision: nvfp4
      kvCacheDtype: fp8
      kvOffloadGib: 16
      sessions: {concurrent: 2}
      conversation: {maxContextTokens: 131072}
      ttftMs: 20000
      tpotMs: 200
"""
"""A stack as it was reported (vllm-project/vllm 44888, pull 52496): 16 GiB beside a /dev/shm of 1 GiB cannot start."""


@pytest.mark.parametrize(
    ("target", "wanted"), [("eks", "medium: Memory\n          sizeLimit: 17Gi"), ("compose", "shm_size: 17408m")]
)
def test_the_reported_stack_has_room_for_what_it_maps(target: str, wanted: str) -> None:
    found = make_plan(load_text(REPORTED.replace("TARGET", target), "offload.yaml"), load_catalog())
    written = "\n".join(file.content.decode() for file in render(found))
    assert wanted in written
    (one,) = found.workloads
    assert one.pod.memory_mib >= one.pod.shm_mib + host_memory.ENGINE_MIB_PER_ACCELERATOR


class TestStreaming:
    """The streaming loader reads ahead 40 GB in every process unless it is told otherwise."""

    @pytest.fixture(scope="class")
    @classmethod
    def pods(cls) -> dict[int, Workload]:
        def on(memory_gib: int) -> Workload:
            bare = offerings("e1", "small-40", on_demand="1.00", nvme_count=0, nvme_total_gb=0, memory_gib=memory_gib)
            return workload(plan(catalog=make_catalog(bare)))

        return {memory_gib: on(memory_gib) for memory_gib in (12, 28, 256)}

    def test_it_is_told_what_the_pod_has_room_for(self, pods: dict[int, Workload]) -> None:
        for pod in (pods[28], pods[256]):
            limit = {variable.name: variable.value for variable in pod.engine.environment}[
                "RUNAI_STREAMER_MEMORY_LIMIT"
            ]
            assert int(limit) == pod.pod.streamer_mib * 2**20
            assert pod.pod.streamer_mib + pod.pod.shm_mib + host_memory.ENGINE_MIB_PER_ACCELERATOR <= pod.pod.memory_mib
        assert pods[28].pod.streamer_mib < pods[256].pod.streamer_mib

    def test_without_room_for_it_nobody_streams(self, pods: dict[int, Workload]) -> None:
        assert pods[12].model_cache.loader == "default"
        assert pods[12].pod.streamer_mib == 0

    def test_nothing_is_told_to_other_loaders(self) -> None:
        one = workload(plan())
        assert "RUNAI_STREAMER_MEMORY_LIMIT" not in {variable.name for variable in one.engine.environment}
