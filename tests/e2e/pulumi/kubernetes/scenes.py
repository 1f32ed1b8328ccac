"""The stacks of this suite, and what Pulumi and the API server say of their objects, in the same words."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.drift import ALLOWED, differences
from tests.e2e.cluster.trees import Tree, identity, tree_of_text
from tests.e2e.pulumi.cli import Project
from tools.install import path as tool

Identity = tuple[str, str, str]

_PROVIDERS_OWN = ("metadata.annotations", "metadata.annotations.pulumi.com/skipAwait")
"""What pulumi-kubernetes writes into objects: that it does not wait for them."""


def stack(name: str, *, method: str = "none", concurrent: int = 60, digest: bool = False, extra: str = "") -> str:
    """A spec for a cluster that is there: a user-facing agent with a burst tier, and perhaps one in the background."""
    background = """
    - name: digest
      model: Qwen/Qwen3-8B
      latencyClass: background
      interruptible: true
      sessions: {concurrent: 20}
      conversation: {turns: 1, inputTokensPerTurn: 4000, outputTokensPerTurn: 300, thinkTimeS: 0}"""
    return f"""
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: {name}}}
spec:
  target: kubernetes
  providers: [aws]
  regions: [us-east-1]
  scaling: {{method: {method}}}
  {extra}
  agents:
    - name: support
      model: Qwen/Qwen3-8B
      sessions: {{concurrent: {concurrent}}}
      conversation: {{maxContextTokens: 8192, thinkTimeS: 0}}
      traffic: {{burstFactor: 4, rampS: 3600}}{background if digest else ""}
"""


def plugins() -> Path:
    """The folder of the real Kubernetes provider."""
    return tool("pulumi-resource-kubernetes").parent


def built_in(tree: Tree) -> dict[Identity, Object]:
    """The objects of a tree that a cluster without operators takes."""
    return {identity(each): each for each in tree.objects if is_built_in(each)}


def is_built_in(body: Object) -> bool:
    """Whether every cluster serves the kind."""
    group = str(body["apiVersion"]).rpartition("/")[0]
    return "." not in group or (group.endswith(".k8s.io") and group != "leaderworkerset.x-k8s.io")


def expected(spec: str) -> dict[Identity, Object]:
    """What a spec puts into a cluster without operators."""
    return built_in(tree_of_text(spec))


def named(urn: str) -> Identity | None:
    """The object of a Kubernetes resource's URN; None for what is no object of the cluster."""
    kind, _, name = urn.rpartition("::")
    kind = kind.rpartition("$")[2].rpartition("::")[2]
    if not kind.startswith("kubernetes:") or kind.startswith("kubernetes:yaml/"):
        return None
    namespace, _, simple = name.partition(":")[2].rpartition("/")
    return kind.rpartition(":")[2], namespace, simple


def planned(project: Project) -> dict[str, set[Identity]]:
    """What an ``up`` would do with which objects; what stays the same is left out."""
    found = {op: {one for urn in urns if (one := named(urn))} for op, urns in project.planned().items()}
    return {op: objects for op, objects in found.items() if objects}


def drift(cluster: ControlPlane, objects: dict[Identity, Object]) -> list[str]:
    """Where the cluster has something else than what was rendered."""
    found = []
    for ours in objects.values():
        live = cluster.get(cluster.place(ours))
        for path in differences(ours, live):
            if path not in _PROVIDERS_OWN and not any(one.covers(ours["kind"], path) for one in ALLOWED):
                found.append(f"{ours['kind']} {ours['metadata']['name']}: {path}")
    return found


def left(cluster: ControlPlane, objects: dict[Identity, Object]) -> list[Identity]:
    """Those of the objects that the cluster has."""
    return [key for key, each in objects.items() if cluster.exists(cluster.place(each))]
