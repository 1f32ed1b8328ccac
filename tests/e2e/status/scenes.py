"""A small stack on a control plane: applied, given nodes, played through its phases, and asked about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.operations.planned import planned_objects
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from agentgpu_iac.spec.loader import load
from tests.cli.running import SMALL, Answer, agentgpu
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.nodes import pool_node


class Scene:
    """One stack on a running control plane."""

    def __init__(self, cluster: ControlPlane, folder: Path, name: str, spec: Path | None = None) -> None:
        self.cluster = cluster
        if spec is None:
            spec = folder / f"{name}.yaml"
            spec.write_text(SMALL.replace("name: demo", f"name: {name}"), encoding="utf-8")
        self.spec = spec
        self.plan = make_plan(load(spec), load_catalog())
        self.name = self.plan.stack
        self.pool = self.plan.node_pools[0]
        self.planned = planned_objects(render(self.plan), "node-groups")
        self.tree = folder / f"tree-{name}"
        write(render(self.plan), self.tree)
        self.agent = self.plan.workloads[0].name
        self.core = f"/api/v1/namespaces/{self.name}"
        self.deployment = f"/apis/apps/v1/namespaces/{self.name}/deployments/{self.agent}"

    def apply(self, overlay: str = "node-groups") -> None:
        self.cluster.kubectl("apply", "--server-side", "-k", self.tree / "overlays" / overlay)

    def other_namespaces(self) -> set[str]:
        """Namespaces in which objects of the stack lie and that it does not bring."""
        own = {ref.name for ref in self.planned if ref.kind.name == "Namespace"}
        return {ref.namespace for ref in self.planned} - own - {""}

    def add_node(
        self, *, played: bool = False, accelerators: int | None = None, taints: tuple[Object, ...] = ()
    ) -> str:
        """A node of the pool; KWOK plays its kubelet, unless the test does."""
        made = pool_node(self.plan, self.pool, len(self.cluster.items("/api/v1/nodes")))
        made["spec"]["taints"] = [*made["spec"]["taints"], *taints]
        if accelerators is not None:
            made["status"]["allocatable"] = {**made["status"]["allocatable"], ACCELERATOR_RESOURCE: str(accelerators)}
        if played:
            made["metadata"]["annotations"] = {}
            made["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastHeartbeatTime": now_text()}]
        self.cluster.create("/api/v1/nodes", made)
        return str(made["metadata"]["name"])

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

        answer, found = self.cluster.until(f"status says {kind} {reason}", said, pause_s=0.5)
        assert answer.code == 1
        return found

    def until_in_line(self, *but: str) -> None:
        """Wait until nothing is said any more, but about objects of some kinds."""

        def nothing_said() -> bool:
            return all(subject.split()[0] in but for _, subject, _ in self.findings())

        try:
            self.cluster.until("the stack is in line", nothing_said, pause_s=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.status().out}") from None

    def pod(self, component: str = "engine") -> Object:
        """The one pod of a component, once it is there."""
        path = f"{self.core}/pods?labelSelector=app.kubernetes.io/component={component}"
        return self.cluster.until(f"there is a pod of {component}", lambda: self.cluster.items(path))[0]

    def play(self, component: str = "engine", **status: Any) -> None:
        """Report a status of a pod, as the kubelet of its node would."""
        self.cluster.until("the pod has a node", lambda: self.pod(component)["spec"].get("nodeName"))
        pod = self.pod(component)
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


def running(name: str) -> Object:
    """The status of a container that runs and is ready."""
    return container(name, {"running": {"startedAt": now_text()}}, ready=True, started=True)


RUNNING_READY = ({"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"})
