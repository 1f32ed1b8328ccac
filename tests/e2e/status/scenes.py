"""A small stack on a control plane: applied, given nodes, played through its phases, and asked about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from agentgpu_iac.spec.loader import load
from tests.cli.running import SMALL, Answer, agentgpu
from tests.e2e.cluster.control_plane import FAKE_NODE, ControlPlane, Object

POOL_LABEL = "agentgpu.dev/node-pool"
ACCELERATOR = "nvidia.com/gpu"


class Scene:
    """One stack on a running control plane."""

    def __init__(self, cluster: ControlPlane, folder: Path, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.spec = folder / f"{name}.yaml"
        self.spec.write_text(SMALL.replace("name: demo", f"name: {name}"), encoding="utf-8")
        self.plan = make_plan(load(self.spec), load_catalog())
        self.pool = self.plan.node_pools[0]
        self.tree = folder / "tree"
        write(render(self.plan), self.tree)
        self.agent = self.plan.workloads[0].name
        self.core = f"/api/v1/namespaces/{name}"
        self.deployment = f"/apis/apps/v1/namespaces/{name}/deployments/{self.agent}"

    def apply(self, overlay: str = "node-groups") -> None:
        self.cluster.kubectl("apply", "--server-side", "-k", self.tree / "overlays" / overlay)

    def add_node(
        self, *, played: bool = False, accelerators: int | None = None, taints: tuple[Object, ...] = ()
    ) -> str:
        """A node of the pool; KWOK plays its kubelet, unless the test does."""
        amount = self.pool.accelerators_per_node if accelerators is None else accelerators
        room = {
            "cpu": "192",
            "memory": "2000Gi",
            "pods": "110",
            "ephemeral-storage": "4000Gi",
            ACCELERATOR: str(amount),
        }
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
        number = len(self.cluster.items("/api/v1/nodes"))
        name = f"{self.name}-{number}"
        self.cluster.create(
            "/api/v1/nodes",
            {
                "metadata": {
                    "name": name,
                    "labels": {POOL_LABEL: self.pool.name, "kubernetes.io/hostname": name},
                    "annotations": {} if played else {FAKE_NODE: "fake"},
                },
                "spec": {"taints": [{"key": ACCELERATOR, "value": "present", "effect": "NoSchedule"}, *taints]},
                "status": {"allocatable": room, "capacity": room, "conditions": [{**ready, "reason": "KubeletReady"}]},
            },
        )
        return name

    def status(self, *options: object) -> Answer:
        return agentgpu(
            "status", self.spec, "--kubeconfig", self.cluster.kubeconfig, "--overlay", "node-groups", *options
        )

    def findings(self) -> list[tuple[str, str, str | None]]:
        """What is said now, as kind, object and reason."""
        return [(each["kind"], each["object"], each["reason"]) for each in self.data()["findings"]]

    def data(self) -> Any:
        answer = self.status("--format", "json")
        assert answer.out, answer.err
        return answer.data

    def until_said(self, kind: str, reason: str | None, words: str = "") -> Any:
        """The finding of this kind and reason with these words, once it is there; the command exits with 1 then."""

        def said() -> Any:
            answer = self.status("--format", "json")
            found = [each for each in answer.data["findings"] if (each["kind"], each["reason"]) == (kind, reason)]
            return next(((answer, each) for each in found if words in each["message"]), None)

        answer, found = self.cluster.until(f"status says {kind} {reason}", said, 40, pause_s=0.5)
        assert answer.code == 1
        return found

    def until_in_line(self) -> None:
        self.cluster.until("the stack is in line", lambda: self.data()["inLine"], 40, pause_s=0.5)

    def engine_pod(self) -> Object:
        """The one pod of the agent, once it is there."""
        path = f"{self.core}/pods?labelSelector=app.kubernetes.io/component=engine"
        return self.cluster.until("there is an engine pod", lambda: self.cluster.items(path), 30)[0]

    def play(self, **status: Any) -> None:
        """Report a status of the engine's pod, as a kubelet would."""
        pod = self.engine_pod()
        conditions = status.pop("conditions", [])
        kept = [each for each in pod["status"].get("conditions", []) if each["type"] == "PodScheduled"]
        path = f"{self.core}/pods/{pod['metadata']['name']}/status"
        self.cluster.merge(path, {"status": {**status, "conditions": [*kept, *conditions]}})


def now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def container(name: str, state: Object, *, ready: bool = False, started: bool | None = None, **more: Any) -> Object:
    """A container's status as a kubelet reports it."""
    return {
        "name": name,
        "image": "engine",
        "imageID": "",
        "ready": ready,
        "started": started,
        "restartCount": more.pop("restarts", 0),
        "state": state,
        **more,
    }


RUNNING_READY = ({"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"})
