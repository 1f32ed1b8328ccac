"""tune.sh on a machine made of files: what it says, what it sets, and that it takes all of it back."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentgpu_iac.planning.running.tuning import TUNING
from agentgpu_iac.rendering.hosts.tuning import tune
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.templates import filled
from tests.plans import make_machines_plan

GOVERNOR = "sys/devices/system/cpu/cpufreq/policy{}/scaling_governor"
IRQ = "proc/irq/{}/smp_affinity_list"
AS_IT_COMES = {
    "proc/sys/kernel/numa_balancing": "1\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
    "sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never\n",
    GOVERNOR.format(0): "powersave\n",
    GOVERNOR.format(1): "performance\n",
    "proc/sys/net/core/rmem_max": "212992\n",
    "proc/sys/net/core/wmem_max": "134217728\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/net/ipv4/tcp_wmem": "4096\t16384\t4194304\n",
    "sys/devices/system/node/node0/cpulist": "0-3,8\n",
    "sys/devices/system/node/node1/cpulist": "4-7\n",
    "sys/class/net/eth0/device/numa_node": "1\n",
    "sys/class/net/eth0/device/msi_irqs/40": "",
    "sys/class/net/eth0/device/msi_irqs/41": "",
    IRQ.format(40): "0-7\n",
    IRQ.format(41): "5\n",
    "sys/bus/pci/devices/0000:07:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:07:00.0/class": "0x068000\n",
}
NVIDIA_SMI = """mode=$(cat "$STATE/mode")
case $1 in
--query-gpu=index) printf '0\\n1\\n' ;;
--query-gpu=persistence_mode) printf '%s\\n%s\\n' "$mode" "$mode" ;;
--query-gpu=driver_version) printf '570.86.15\\n570.86.15\\n' ;;
--query-gpu=fabric.state) cat "$STATE/fabric" ;;
--persistence-mode=1) echo Enabled >"$STATE/mode" ;;
--persistence-mode=0) echo Disabled >"$STATE/mode" ;;
*) exit 2 ;;
esac"""
SYSTEMCTL = """case $1 in
is-active) cat "$STATE/$2" 2>/dev/null || { echo inactive; exit 3; } ;;
cat) [ -e "$STATE/has-$2" ] ;;
start) echo active >"$STATE/$2" ;;
stop) rm "$STATE/$2" ;;
esac"""
UNITS = ("nvidia-persistenced.service", "nvidia-fabricmanager.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A machine: its files, and programs that keep what they were told in a folder of their own."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, *words: str) -> tuple[int, str]:
        ran = subprocess.run(
            ["bash", "-s", "--", *words],
            input=SCRIPT,
            env={
                "PATH": f"{self.folder / 'programs'}:{os.defpath}",
                "AGENTGPU_ROOT": str(self.root),
                "STATE": str(self.state),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return ran.returncode, ran.stdout + ran.stderr

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): path.read_text()
            for part in (self.root, self.state)
            for path in sorted(part.rglob("*"))
            if path.is_file()
        }

    def read(self, path: str) -> str:
        return (self.root / path).read_text().strip()


SCRIPT = filled(tune(make_machines_plan().hosts[0].model_copy(update={"tuning": TUNING})))


@pytest.fixture
def machine(tmp_path: Path) -> Made:
    made = Made(folder=tmp_path)
    for path, text in AS_IT_COMES.items():
        file = made.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    programs = tmp_path / "programs"
    programs.mkdir()
    version = "echo 'Fabric Manager version is : 570.86.15'"
    for name, body in (
        ("nvidia-smi", NVIDIA_SMI),
        ("systemctl", SYSTEMCTL),
        ("nv-fabricmanager", version),
        ("id", "echo 0"),
    ):
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    made.state.mkdir()
    (made.state / "mode").write_text("Disabled\n")
    (made.state / "fabric").write_text("N/A\nN/A\n")
    for unit in UNITS:
        (made.state / f"has-{unit}").write_text("")
    return made


def test_a_check_says_what_is_and_what_should_be_and_changes_nothing(machine: Made) -> None:
    before = machine.files()
    code, said = machine.run("--check")
    assert code == 1
    assert machine.files() == before
    for line in (
        "not ok  persistence-mode: is Disabled, should be Enabled",
        "not ok  fabric-manager: is not running (version 570.86.15 beside driver 570.86.15), should be running",
        "not ok  /proc/sys/kernel/numa_balancing: is 1, should be 0",
        "not ok  interrupt 40 of eth0: is on CPUs 0-7, should be on 4-7, of NUMA node 1",
        "ok      interrupt 41 of eth0: on CPUs 5",
        "not ok  /sys/kernel/mm/transparent_hugepage/enabled: is always, should be madvise",
        "ok      /sys/kernel/mm/transparent_hugepage/defrag: madvise",
        "not ok  /sys/devices/system/cpu/cpufreq/policy0/scaling_governor: is powersave, should be performance",
        "ok      /sys/devices/system/cpu/cpufreq/policy1/scaling_governor: performance",
        "not ok  /proc/sys/net/core/rmem_max: is 212992, should be at least 67108864",
        "ok      /proc/sys/net/core/wmem_max: 134217728",
        "not ok  /proc/sys/net/ipv4/tcp_rmem: is 4096 131072 6291456, should be at least 33554432",
        "9 of 13 settings are not as they should be",
    ):
        assert f"agentgpu: {line}" in said, said


def test_what_is_set_is_well_and_is_taken_back_whole(machine: Made) -> None:
    before = machine.files()
    code, said = machine.run("--apply")
    assert code == 0, said
    assert machine.read("proc/sys/net/ipv4/tcp_rmem") == "4096 131072 33554432"
    assert machine.read(IRQ.format(40)) == "4-7"
    assert machine.read(IRQ.format(41)) == "5"
    assert {(machine.state / unit).read_text() for unit in UNITS} == {"active\n"}
    # A file of the kernel shows a chosen word in brackets; one of the test shows what was written.
    assert machine.read("sys/kernel/mm/transparent_hugepage/enabled") == "madvise"
    assert machine.run("--check")[0] == 0
    # A second time finds nothing to do, and does not take its own settings for what was there before.
    again, _ = machine.run("--apply")
    assert again == 0
    code, said = machine.run("--undo")
    assert code == 0, said
    (machine.root / "sys/kernel/mm/transparent_hugepage/enabled").write_text("[always] madvise never\n")
    after = {path: text.replace("\t", " ") for path, text in machine.files().items()}
    assert after == {path: text.replace("\t", " ") for path, text in before.items()}
    code, said = machine.run("--undo")
    assert (code, "nothing was set here" in said) == (1, True)


def test_what_cannot_be_set_stays_and_is_not_kept_for_undoing(machine: Made) -> None:
    """As with an interrupt that its driver manages; no right, root's neither, lets anybody write the kernel's version."""
    file = machine.root / GOVERNOR.format(0)
    file.unlink()
    file.symlink_to("/proc/version")
    code, said = machine.run("--apply")
    assert code == 1, said
    assert "not ok  /sys/devices/system/cpu/cpufreq/policy0/scaling_governor: is Linux version" in said
    assert "1 of 13 settings" in said
    assert "scaling_governor" not in (machine.root / "etc/agentgpu/tuned").read_text()


@pytest.mark.parametrize(
    ("fabric", "says"),
    [
        ("Completed", "ok      fabric-manager: the fabric is joined"),
        ("In Progress", "not ok  fabric-manager: is not installed, should be running, from the package"),
        ("N/A", "-       fabric-manager: no NVSwitch here"),
    ],
)
def test_a_fabric_that_others_manage_is_well(machine: Made, fabric: str, says: str) -> None:
    """In a virtual machine the switches may be the host's; and behind newer ones no bridge is on the bus."""
    (machine.root / "sys/bus/pci/devices/0000:07:00.0/class").write_text("0x030200\n")
    (machine.state / "fabric").write_text(f"{fabric}\n{fabric}\n")
    (machine.state / f"has-{UNITS[1]}").unlink()
    assert f"agentgpu: {says}" in machine.run("--check")[1]


def test_another_version_of_the_fabric_manager_is_not_started(machine: Made) -> None:
    program = machine.folder / "programs" / "nv-fabricmanager"
    program.write_text("#!/bin/sh\necho 'Fabric Manager version is : 535.1'\n")
    code, said = machine.run("--apply")
    assert code == 1
    assert "fabric-manager: is not running (version 535.1 beside driver 570.86.15)" in said
    assert not (machine.state / UNITS[1]).exists()


def test_a_virtual_machine_without_most_of_it_is_well(machine: Made) -> None:
    """One NUMA node, no governor, no accelerator that answers."""
    for path in ("sys/devices/system/node/node1/cpulist", GOVERNOR.format(0), GOVERNOR.format(1)):
        (machine.root / path).unlink()
    (machine.root / "sys/devices/system/node/node1").rmdir()
    (machine.folder / "programs" / "nvidia-smi").unlink()
    _, said = machine.run("--check")
    assert "-       interrupts: this machine has one NUMA node" in said
    assert "-       persistence-mode: nvidia-smi finds no accelerator" in said
    assert "scaling_governor: this machine has none" in said
    assert "4 of 6 settings" in said


def test_without_a_word_nothing_is_done(machine: Made) -> None:
    before = machine.files()
    assert machine.run()[0] == 2
    assert machine.files() == before


def test_every_machine_has_the_script_beside_its_files_with_reasons_and_sources() -> None:
    host = make_machines_plan().hosts[0].model_copy(update={"tuning": TUNING})
    plan = make_machines_plan()
    files = {file.path for file in render(plan)}
    assert all(f"hosts/{each.node_pool}/tune.sh" in files for each in plan.hosts)
    lines = filled(tune(host)).splitlines()
    page = Path("docs/tuning.md").read_text(encoding="utf-8")
    for setting in TUNING:
        row = next(index for index, line in enumerate(lines) if line.startswith(f"{setting.name} {setting.rule} "))
        assert lines[row - 2 : row] == [f"# {setting.reason}", f"# {setting.source}"]
        assert f"`{setting.name}`" in page
        assert f"`{setting.value}`" in page
        assert setting.source in page
