"""The script that takes the startup taint off, as it ships, against an API server that others change too."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from agentgpu_iac.plan.nodes import STARTUP_TAINT
from agentgpu_iac.rendering.templates import template_folder

SCRIPT = template_folder() / "startup_taint.py"


def imported() -> ModuleType:
    """The script as a module, without a compiled copy beside it."""
    module = ModuleType("startup_taint_script")
    exec(compile(SCRIPT.read_text(), SCRIPT, "exec"), module.__dict__)
    return module


script = imported()
OTHER = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
OURS = {"key": STARTUP_TAINT, "value": "filling", "effect": "PreferNoSchedule"}


class Node:
    """A node behind an API server that refuses a patch whose test fails, and may be out of reach for a while."""

    def __init__(self, *taints: dict[str, str], unreachable: int = 0, changes: int = 0) -> None:
        self.taints = list(taints)
        self.unreachable = unreachable
        self.changes = changes

    def ask(self, method: str, body: Any) -> Any:
        if self.unreachable:
            self.unreachable -= 1
            raise OSError("no route to host")
        if method == "PATCH":
            if self.changes:
                self.changes -= 1
                self.taints.insert(0, {"key": f"other-{self.changes}", "effect": "NoSchedule"})
            test, remove = body
            index = int(test["path"].rsplit("/", 1)[1])
            if index >= len(self.taints) or self.taints[index] != test["value"]:
                raise OSError("HTTP Error 422: the test operation failed")
            assert remove == {"op": "remove", "path": test["path"]}
            del self.taints[index]
        return {"spec": {"taints": list(self.taints)} if self.taints else {}}


def lifted(node: Node) -> int:
    """Lift the taint; answers how often the script had to wait."""
    pauses: list[float] = []
    script.lift(node.ask, STARTUP_TAINT, pauses.append)
    return len(pauses)


def test_only_its_own_taint_goes() -> None:
    node = Node(OTHER, OURS)
    assert lifted(node) == 0
    assert node.taints == [OTHER]


def test_a_node_without_the_taint_is_left_alone() -> None:
    assert script.patch_without({"spec": {"taints": [OTHER]}}, STARTUP_TAINT) == []
    assert script.patch_without({"spec": {}}, STARTUP_TAINT) == []


def test_it_tries_again_where_others_change_the_taints_meanwhile() -> None:
    node = Node(OURS, changes=2)
    assert lifted(node) == 2
    assert [each["key"] for each in node.taints] == ["other-0", "other-1"]


def test_it_waits_for_an_api_server_that_is_away() -> None:
    node = Node(OURS, unreachable=3)
    assert lifted(node) == 3
    assert node.taints == []
