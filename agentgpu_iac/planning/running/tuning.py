"""What makes a machine with accelerators serve better than it does as it comes. Nothing here is needed to serve.

Not among these: reserved huge pages (no engine here maps any, so they would be memory that nobody uses), and binding an
engine to the CPUs beside its accelerator (an engine over several accelerators may span NUMA nodes).
"""

from __future__ import annotations

from typing import Final

from agentgpu_iac.plan import TuningSetting

_ESNET: Final = "https://fasterdata.es.net/host-tuning/linux/"
_TRANSPARENT_HUGE_PAGES: Final = "https://docs.kernel.org/admin-guide/mm/transhuge.html"
_LARGEST_WINDOW_BYTES: Final = 32 * 2**20
"""ESnet's for hosts of 10 Gbit/s. The kernel's own 6 MiB carry one connection at 500 Mbit/s over 100 ms."""
_LARGEST_BUFFER_BYTES: Final = 64 * 2**20
"""ESnet's, for programs that choose their own."""

TUNING: Final = (
    TuningSetting(
        name="persistence-mode",
        rule="state",
        value="Enabled",
        reason="a driver that nobody uses lets an accelerator go, and the next start waits one to three seconds for each",
        source="https://docs.nvidia.com/deploy/driver-persistence/",
    ),
    TuningSetting(
        name="fabric-manager",
        rule="state",
        value="running",
        reason="accelerators behind NVSwitch start no CUDA program (error 802) before it has joined them; its version is "
        "the driver's",
        source="https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/",
    ),
    TuningSetting(
        name="/proc/sys/kernel/numa_balancing",
        rule="is",
        value="0",
        only_numa=True,
        reason="the kernel unmaps an engine's pages to see who uses them, and kernels of an accelerator wait meanwhile",
        source="https://rocm.docs.amd.com/en/docs-7.2.3/how-to/rocm-for-ai/inference/benchmark-docker/"
        "previous-versions/vllm-0.4.3.html",
    ),
    TuningSetting(
        name="interrupts",
        rule="state",
        value="on the NUMA node of their network card",
        only_numa=True,
        reason="packets that another socket handles cross the link between them, which traffic of accelerators needs",
        source="https://docs.kernel.org/core-api/irq/irq-affinity.html",
    ),
    TuningSetting(
        name="/sys/kernel/mm/transparent_hugepage/enabled",
        rule="chosen",
        value="madvise",
        reason="those who ask for huge pages get them; no other process waits for memory to be joined or takes more than it uses",
        source=_TRANSPARENT_HUGE_PAGES,
    ),
    TuningSetting(
        name="/sys/kernel/mm/transparent_hugepage/defrag",
        rule="chosen",
        value="madvise",
        reason="the same, for when no free huge page is there",
        source=_TRANSPARENT_HUGE_PAGES,
    ),
    TuningSetting(
        name="/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
        rule="is",
        value="performance",
        reason="an engine's CPU work between two steps is short, and over before another governor has raised the clock",
        source="https://documentation.ubuntu.com/server/explanation/performance/perf-tune-cpupower/",
    ),
    TuningSetting(
        name="/proc/sys/net/core/rmem_max",
        rule="least",
        value=str(_LARGEST_BUFFER_BYTES),
        reason="programs that choose their buffers (NCCL over sockets, downloads) may choose large ones",
        source=_ESNET,
    ),
    TuningSetting(
        name="/proc/sys/net/core/wmem_max",
        rule="least",
        value=str(_LARGEST_BUFFER_BYTES),
        reason="the same, for what is sent",
        source=_ESNET,
    ),
    TuningSetting(
        name="/proc/sys/net/ipv4/tcp_rmem",
        rule="least",
        value=str(_LARGEST_WINDOW_BYTES),
        reason="a connection that fetches weights from afar has as much under way as its line takes",
        source=_ESNET,
    ),
    TuningSetting(
        name="/proc/sys/net/ipv4/tcp_wmem",
        rule="least",
        value=str(_LARGEST_WINDOW_BYTES),
        reason="the same, for what is sent",
        source=_ESNET,
    ),
)
