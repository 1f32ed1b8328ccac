"""A saved plan is an input wherever a stack is, and what was reviewed can be held against what is there now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.running import SMALL, agentgpu, installed
from tests.examples import CUSTOMER_SERVICE

DEARER = """\
apiVersion: agentgpu.dev/v1alpha1
kind: CatalogOverlay
prices:
  - {provider: aws, region: us-east-1, instanceType: %s, capacityType: on-demand,
     usdPerHour: 9.5, source: mine, date: "2026-01-01"}
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def saved() -> dict[str, Any]:
    """A small stack beside its plan."""
    Path("stack.yaml").write_text(SMALL)
    assert agentgpu("plan", "stack.yaml", "-f", "json", "-o", "plan.json").code == 0
    plan: dict[str, Any] = json.loads(Path("plan.json").read_text())
    return plan


def files_of(folder: str) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("format", ["json", "yaml"])
def test_a_saved_plan_renders_to_the_same_bytes(format: str) -> None:
    agentgpu("plan", CUSTOMER_SERVICE, "-f", format, "-o", "saved")
    assert agentgpu("render", CUSTOMER_SERVICE, "-o", "of-the-stack").code == 0
    assert agentgpu("render", "saved", "-o", "of-the-plan").code == 0
    assert files_of("of-the-plan") == files_of("of-the-stack")


def test_the_plan_lies_beside_its_files_and_is_itself_an_input(saved: dict[str, Any]) -> None:
    agentgpu("render", "stack.yaml", "-o", "out")
    assert Path("out/plan.json").read_bytes() == Path("plan.json").read_bytes()
    assert "plan.json" in json.loads(Path("out/.agentgpu-inventory.json").read_text())["files"]
    kustomizations = [yaml.safe_load(path.read_text()) for path in Path("out").rglob("kustomization.yaml")]
    assert kustomizations
    assert not any("plan" in resource for one in kustomizations for resource in one["resources"])
    assert agentgpu("diff", "out/plan.json", "stack.yaml", "--exit-code").code == 0


def test_diff_takes_plans_and_stacks(saved: dict[str, Any]) -> None:
    assert agentgpu("diff", "plan.json", "stack.yaml", "--exit-code").out == "The two plans are the same.\n"
    answer = agentgpu("diff", "plan.json", "plan.json", "--catalog", "none.yaml")
    assert (answer.code, answer.err) == (
        2,
        "--catalog: changes nothing: both files are plans, which are made already\n",
    )


def test_a_catalog_changes_nothing_in_a_plan(saved: dict[str, Any]) -> None:
    answer = agentgpu("render", "plan.json", "-o", "out", "--catalog", "mine.yaml")
    assert answer.code == 2
    assert "plan.json is a plan, which is made already" in answer.err


def test_explain_says_the_same_of_a_saved_plan(saved: dict[str, Any]) -> None:
    assert agentgpu("explain", "plan.json", "-f", "json").data == saved["ledger"]


@pytest.mark.broad(every=8)
@pytest.mark.parametrize("command", [("render", "-o", "out"), ("explain",), ("status",), ("diff", "deep")])
@pytest.mark.parametrize("text", ["[" * 200_000, "apiVersion: agentgpu.dev/plan/v1alpha1\nx: " + "[" * 200_000])
def test_a_hostile_file_is_one_sentence(command: tuple[str, ...], text: str) -> None:
    """In a process of its own: what is tested is that it does not die."""
    Path("deep").write_text(text)
    answer = installed(command[0], "deep", *command[1:])
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert "nested" in answer.err


# ---- plan --locked


def test_the_same_catalog_and_tool_change_nothing(saved: dict[str, Any]) -> None:
    answer = agentgpu("plan", "stack.yaml", "--locked", "plan.json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        "Since the plan was saved: the same spec, catalog and agentgpu.\nThe two plans are the same.\n"
    )


def test_another_price_is_found(saved: dict[str, Any]) -> None:
    Path("mine.yaml").write_text(DEARER % saved["nodePools"][0]["instanceTypes"][0])
    answer = agentgpu("plan", "stack.yaml", "--locked", "plan.json", "--catalog", "mine.yaml")
    assert (answer.code, answer.err) == (1, "")
    assert answer.out.startswith(f"Since the plan was saved: catalog {saved['provenance']['catalogVersion']} -> ")
    assert "Baseline: USD " in answer.out
    answer = agentgpu("plan", "stack.yaml", "--locked", "plan.json", "--catalog", "mine.yaml", "-f", "json")
    assert answer.code == 1
    assert answer.data["saved"] == saved["provenance"]
    assert answer.data["difference"]["changes"]


def test_another_version_alone_changes_nothing(saved: dict[str, Any]) -> None:
    saved["provenance"]["toolVersion"] = "0.0.9"
    Path("plan.json").write_text(json.dumps(saved))
    answer = agentgpu("plan", "stack.yaml", "--locked", "plan.json", "-f", "markdown")
    assert answer.code == 0
    assert "agentgpu 0.0.9 -> " in answer.out


def test_a_difference_is_not_written_to_a_file(saved: dict[str, Any]) -> None:
    answer = agentgpu("plan", "stack.yaml", "--locked", "plan.json", "-o", "x")
    assert (answer.code, answer.err) == (2, "--locked: prints a difference, so it takes no --output\n")


# ---- render --check


def test_check_says_what_would_happen_and_writes_nothing(saved: dict[str, Any]) -> None:
    assert agentgpu("render", "stack.yaml", "--check", "out").code == 1
    assert not Path("out").exists()
    agentgpu("render", "stack.yaml", "-o", "out")
    same = agentgpu("render", "stack.yaml", "--check", "out")
    assert (same.code, same.out) == (0, f"out: {len(files_of('out')) - 1} files, all as they would be written.\n")

    Path("out/base/namespace-demo.yaml").unlink()
    Path("out/base/resourcequota-demo.yaml").write_text("edited")
    inventory = json.loads(Path("out/.agentgpu-inventory.json").read_text())
    Path("out/base/old.yaml").write_text("old")
    inventory["files"]["base/old.yaml"] = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4"
    Path("out/.agentgpu-inventory.json").write_text(json.dumps(inventory))
    before = files_of("out")
    answer = agentgpu("render", "stack.yaml", "--check", "out", "-f", "json")
    assert answer.code == 1
    assert answer.data == {
        "directory": "out",
        "added": ["base/namespace-demo.yaml"],
        "changed": ["base/resourcequota-demo.yaml"],
        "deleted": ["base/old.yaml"],
        "refused": ["base/resourcequota-demo.yaml: was edited since we wrote it"],
    }
    assert agentgpu("render", "stack.yaml", "--check", "out").out == (
        "would write base/namespace-demo.yaml\nwould change base/resourcequota-demo.yaml\nwould delete base/old.yaml\n"
        "would refuse without --force: base/resourcequota-demo.yaml: was edited since we wrote it\n"
    )
    assert files_of("out") == before


@pytest.mark.parametrize("options", [(), ("-o", "out", "--check", "out")])
def test_render_writes_or_looks(options: tuple[str, ...], saved: dict[str, Any]) -> None:
    answer = agentgpu("render", "stack.yaml", *options)
    assert answer.code == 2
    assert answer.err.startswith("render: needs one of --output and --check")
