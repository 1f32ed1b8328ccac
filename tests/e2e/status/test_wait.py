"""``agentgpu status --wait`` beside pods that come up one phase after the other."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from tests.cli.running import COMMAND
from tests.e2e import processes
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.processes import PATIENCE_S
from tests.e2e.status.scenes import RUNNING_READY, Scene, container, now_text, running

Make = Callable[[str], Scene]


def test_wait_shows_each_phase_and_ends_when_all_serve(equipped_cluster: ControlPlane, tmp_path: Path) -> None:
    scene = Scene(equipped_cluster, tmp_path, "rising")
    lines: list[str] = []
    ended: list[int] = []
    waiting = threading.Thread(target=_follow, args=(scene, lines, ended))
    waiting.start()
    told = lambda word: lambda: any(word in line for line in lines)  # noqa: E731
    equipped_cluster.until("it says that nothing is applied", told("objects"))
    scene.apply()
    equipped_cluster.until("it waits for a node", told(": node"))
    scene.add_node(played=True)
    equipped_cluster.until("it waits for the image", told(": image"))
    scene.play(
        phase="Pending",
        initContainerStatuses=[container("wait-for-model", {"running": {"startedAt": now_text()}})],
        containerStatuses=[container("engine", {"waiting": {"reason": "PodInitializing"}})],
    )
    equipped_cluster.until("it waits for the weights", told(": weights"))
    filled = container("wait-for-model", {"terminated": {"exitCode": 0, "finishedAt": now_text()}}, ready=True)
    scene.play(
        phase="Running",
        initContainerStatuses=[filled],
        containerStatuses=[container("engine", {"running": {"startedAt": now_text()}}, started=False)],
    )
    equipped_cluster.until("it waits for the engine", told(": loading"))
    assert not ended
    scene.play(
        phase="Running",
        initContainerStatuses=[filled],
        containerStatuses=[running("engine")],
        conditions=RUNNING_READY,
    )
    equipped_cluster.until("it waits for the filler", told(f"{scene.agent}: ready"))
    scene.play("model-cache", phase="Running", containerStatuses=[running("filler")], conditions=RUNNING_READY)
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    stages = [
        line.split(": ", 1)[1].split(" ", 1)[0].strip(",") for line in lines if line.startswith(f"{scene.agent}: ")
    ]
    assert list(dict.fromkeys(stages)) == ["objects", "node", "image", "weights", "loading", "ready"]
    assert any("(plan: " in line for line in lines)
    assert ended == [0]


def test_wait_ends_at_its_timeout_and_says_for_what_it_waited(equipped_cluster: ControlPlane, tmp_path: Path) -> None:
    scene = Scene(equipped_cluster, tmp_path, "slow")
    scene.apply()
    scene.until_said("pending", "capacity")
    answer = scene.status("--wait", "--timeout", "2s")
    assert answer.code == 1
    assert f"{scene.agent}: node" in answer.err
    assert "has no node" in answer.out


def _follow(scene: Scene, lines: list[str], ended: list[int]) -> None:
    """Run the command in a process of its own, and keep what it says while it waits."""
    command = [COMMAND, "status", scene.spec, "--kubeconfig", scene.cluster.kubeconfig, "--overlay", "node-groups"]
    with processes.start(
        [*command, "--wait", "--timeout", f"{2 * PATIENCE_S}s"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
        ended.append(process.wait())
        processes.end(process)
