"""``agentgpu status``, beside clusters made in Python."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.cli import output
from agentgpu_iac.clusters import port
from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.operations.planned import planned_objects
from agentgpu_iac.operations.report import report
from agentgpu_iac.operations.snapshot import Kind, Ref, Snapshot
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load
from tests.cli.running import FAULTY, SMALL, Answer, agentgpu
from tests.operations.scenes import FakeCluster, live, node


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def plan(spec: Path) -> Plan:
    return make_plan(load(spec), load_catalog())


@pytest.fixture
def snapshot(plan: Plan) -> Snapshot:
    """A cluster that runs the small stack as planned."""
    pool = plan.node_pools[0]
    planned = planned_objects(render(plan), "karpenter")
    made = node(
        metadata={"labels": {"agentgpu.dev/node-pool": pool.name}},
        status={"allocatable": {"nvidia.com/gpu": str(pool.accelerators_per_node)}},
    )
    return Snapshot(objects={ref: live(body) for ref, body in planned.items()}, nodes=(made,) * pool.min)


Ask = Callable[..., Answer]


@pytest.fixture
def ask(spec: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    def asked(cluster: object, *options: object) -> Answer:
        monkeypatch.setattr(port, "connect", lambda *_: cluster)
        return agentgpu("status", spec, *options)

    return asked


def service(plan: Plan) -> Ref:
    return Ref(kind=Kind(api_version="v1", name="Service"), namespace="demo", name=plan.workloads[0].agent)


def test_a_saved_plan_stands_for_its_stack(
    tmp_path: Path, plan: Plan, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "plan.json"
    saved.write_text(plan_text(plan), encoding="utf-8")
    monkeypatch.setattr(port, "connect", lambda *_: FakeCluster(snapshot))
    answer = agentgpu("status", saved)
    assert (answer.code, answer.err) == (0, ""), answer.out
    assert answer.out.startswith("demo: in line with the plan.")


def test_in_line_is_exit_code_0(ask: Ask, snapshot: Snapshot) -> None:
    answer = ask(FakeCluster(snapshot))
    assert (answer.code, answer.err) == (0, ""), answer.out
    assert answer.out.startswith("demo: in line with the plan.")


def test_drift_is_exit_code_1_in_every_format(ask: Ask, snapshot: Snapshot, plan: Plan) -> None:
    cluster = FakeCluster(snapshot)
    del cluster.objects[service(plan)]
    name = f"Service demo/{plan.workloads[0].agent}"
    for form in ("table", "json", "markdown"):
        answer = ask(cluster, "--format", form)
        assert (answer.code, name in answer.out) == (1, True)
    data = ask(cluster, "--format", "json").data
    assert (data["stack"], data["inLine"]) == ("demo", False)
    assert [(each["kind"], each["object"]) for each in data["findings"]] == [("missing", name)]


def test_the_other_overlay_asks_for_other_objects(ask: Ask, snapshot: Snapshot) -> None:
    answer = ask(FakeCluster(snapshot), "--overlay", "node-groups", "--format", "json")
    found = {(each["object"].split()[0], each["kind"]) for each in answer.data["findings"]}
    assert found == {("NodePool", "orphan"), ("EC2NodeClass", "orphan"), ("Deployment", "changed")}, (
        "its rollouts stay in place"
    )


def test_what_may_not_be_read_is_exit_code_3(ask: Ask, snapshot: Snapshot) -> None:
    answer = ask(FakeCluster(snapshot, forbidden=frozenset({"Service"})))
    assert answer.code == 3
    assert "Service (v1)" in answer.out


def test_a_cluster_that_does_not_answer_is_one_line_and_exit_code_3(ask: Ask) -> None:
    class Gone:
        def resources(self, api_version: str) -> Any:
            raise OutsideFailure("https://cluster does not answer: refused")

    answer = ask(Gone())
    assert (answer.code, answer.out, answer.err) == (3, "", "https://cluster does not answer: refused\n")


def test_bad_input_is_exit_code_2_before_any_cluster_is_asked(ask: Ask, spec: Path) -> None:
    for options in (("--overlay", "gitops"), ("--timeout", "soon")):
        answer = ask(None, *options)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(options[0])
    spec.write_text(FAULTY, encoding="utf-8")
    assert ask(None).code == 2


@pytest.mark.parametrize("library", ["kubernetes", "urllib3"])
def test_without_the_client_it_says_what_to_install(spec: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "agentgpu_iac.clusters.kubernetes_api", raising=False)
    answer = agentgpu("status", spec)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"status: needs {library}, which is not installed (pip install 'agentgpu-iac[cluster]')\n"


def test_an_unknown_kubeconfig_is_exit_code_2(spec: Path, tmp_path: Path) -> None:
    answer = agentgpu("status", spec, "--kubeconfig", tmp_path / "absent")
    assert (answer.code, answer.out) == (2, "")
    assert "no such file" in answer.err


def test_wait_tells_what_moves_on_standard_error_and_answers_at_the_end(
    ask: Ask, snapshot: Snapshot, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentgpu_iac.operations.waiting.POLL_S", 0.0)
    name = plan.workloads[0].name
    deployment = next(ref for ref in snapshot.objects if (ref.kind.name, ref.name) == ("Deployment", name))
    body = dict(snapshot.objects[deployment])
    cluster = FakeCluster(replace(snapshot, objects={**snapshot.objects, deployment: {**body, "status": {}}}))
    readings = iter(range(10))
    resources = cluster.resources

    def counted(api_version: str) -> Any:
        if api_version == "apps/v1" and next(readings) == 2:
            cluster.objects[deployment] = body
        return resources(api_version)

    monkeypatch.setattr(cluster, "resources", counted)
    answer = ask(cluster, "--wait", "--format", "json")
    assert (answer.code, answer.data["inLine"]) == (0, True)
    lines = [line for line in answer.err.splitlines() if line.startswith(f"{name}: ")]
    assert [line.split()[1].strip(",") for line in lines] == ["node", "ready"]


def test_on_a_terminal_progress_is_a_table_and_elsewhere_a_line_without_colour(
    snapshot: Snapshot, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    found = report(plan, planned_objects(render(plan), "karpenter"), replace(snapshot, objects={}), datetime.now(UTC))
    printed = {}
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm-256color")
        with output.progress() as show:
            show(found)
            show(found)
        printed[stream.isatty()] = stream.getvalue()
    assert "waiting for" in printed[True]
    assert "\x1b[" in printed[True]
    assert "\x1b[" not in printed[False]
    assert printed[False].count(f"{plan.workloads[0].name}: objects") == 1, "what has not changed is not said again"


def test_wait_ends_at_its_timeout_with_exit_code_1(ask: Ask, snapshot: Snapshot, plan: Plan) -> None:
    cluster = FakeCluster(snapshot)
    del cluster.objects[service(plan)]
    answer = ask(cluster, "--wait", "--timeout", "0s")
    assert answer.code == 1
    assert "missing: Service demo/" in answer.err
