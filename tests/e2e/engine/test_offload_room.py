"""KV cache that vLLM moves to the host: the real engine's shared file in a /dev/shm of the planned size."""

from __future__ import annotations

import subprocess

import pytest

from tests.planning.scenes import make_agent, plan, workload
from tools.install import path as tool

GIB = 1.1
"""More than the ranks' own part of /dev/shm, and little enough to be filled in a test."""

START = """
import mmap, sys
from vllm.v1.kv_offload.cpu.shared_offload_region import SharedOffloadRegion
page = mmap.PAGESIZE
region = SharedOffloadRegion("test", int(sys.argv[1]) // page, None, page, page)
print("mapped", region.total_size_bytes)
region.cleanup()
"""


def _started(shm_mib: int, size_bytes: int) -> subprocess.CompletedProcess[str]:
    """The engine's shared region in a mount namespace whose /dev/shm has that size."""
    python = tool("vllm-python")
    inside = 'mount -t tmpfs -o size="$1"m tmpfs /dev/shm && exec "$2" -c "$3" "$4"'
    words = ["unshare", "--mount", "sh", "-c", inside, "sh", str(shm_mib), str(python), START, str(size_bytes)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.optional("it mounts a /dev/shm of its own, which takes rights that a runner may not give")
def test_the_planned_shared_memory_holds_what_the_engine_maps() -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace may be made here")
    pod = workload(plan(make_agent(engineVersion="0.33.0", kvOffloadGib=GIB))).pod
    size_bytes = int(GIB * 2**30)
    started = _started(pod.shm_mib, size_bytes)
    assert started.returncode == 0, started.stderr[-2000:]
    assert "mapped" in started.stdout
    without = _started(pod.shm_mib - pod.kv_offload_mib, size_bytes)
    assert without.returncode != 0
    assert "Insufficient space in /dev/shm" in without.stderr
