"""Every command in every format: exit code, standard output of the format that was asked for, nothing on standard error."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.cli.main import app
from tests.smoke.cases import CASES, Case
from tests.smoke.servers import empty_cluster, marketplace, serving
from tests.smoke.shell import EXTRAS, ROOT, agentgpu

SMALL = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  agents:
    - name: support
      model: Qwen/Qwen3-14B
"""
TOO_LARGE = SMALL.replace("spec:\n", "spec:\n  accelerators: {allow: [l4]}\n").replace(
    "Qwen/Qwen3-14B", "Qwen/Qwen2.5-72B-Instruct"
)
FILES = {
    "small": ("yaml", SMALL),
    "faulty": ("yaml", SMALL.replace("14B", "14")),
    "deep": ("yaml", "[" * 100_000),
    "too_large": ("yaml", TOO_LARGE),
    "policies": (
        "yaml",
        "apiVersion: agentgpu.dev/v1alpha1\nkind: Policies\npolicies: [{name: budget, budgetUsdPerMonth: 1}]\n",
    ),
    "sky": ("yaml", SMALL.replace("spec:\n", "spec:\n  target: skyserve\n")),
    "benchmark": (
        "json",
        json.dumps(
            {
                "model_id": "Qwen/Qwen3-14B",
                "completed": 200,
                "total_input_tokens": 204_800,
                "total_output_tokens": 51_200,
                "mean_ttft_ms": 310.5,
                "mean_tpot_ms": 24.8,
                "max_concurrency": 32,
            }
        ),
    ),
}
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: empty
contexts: [{{name: empty, context: {{cluster: empty, user: nobody}}}}]
clusters: [{{name: empty, cluster: {{server: "{server}"}}}}]
users: [{{name: nobody, user: {{}}}}]
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    """Addresses of a cluster and of a marketplace."""
    with serving(empty_cluster) as cluster, serving(marketplace()) as spheron:
        yield cluster, spheron


@pytest.fixture
def world(tmp_path: Path, servers: tuple[str, str]) -> dict[str, object]:
    """What the words in braces stand for."""
    cluster, spheron = servers
    for name, (suffix, text) in FILES.items():
        (tmp_path / f"{name}.{suffix}").write_text(text, encoding="utf-8")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.format(server=cluster), encoding="utf-8")
    return {
        **{name: tmp_path / f"{name}.{suffix}" for name, (suffix, _) in FILES.items()},
        "new": tmp_path / "new.yaml",
        "folder": tmp_path,
        "stacks": ROOT / "stacks",
        "kubeconfig": kubeconfig,
        "marketplace": spheron,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.line)
def test_the_answer_is_in_its_format(case: Case, world: dict[str, object], tmp_path: Path) -> None:
    answer = agentgpu(*case.line.format(**world).split(), cwd=tmp_path, stdin=case.stdin)
    assert "Traceback" not in answer.err
    if case.extra and case.extra not in EXTRAS:
        assert (answer.code, answer.out) == (2, ""), answer
        assert answer.err.endswith(f", which is not installed (pip install 'agentgpu-iac[{case.extra}]')\n")
        assert len(answer.err.splitlines()) == 1
        return
    assert answer.code == case.code, answer
    assert case.says in answer.err if case.says else answer.err == "", answer
    assert bool(answer.out) == (case.form != "nothing"), answer
    assert answer.content(case.form) or case.form == "nothing"


def formats(command: Callable[..., Any]) -> tuple[str | None, ...]:
    """What --format may be; none where there is no such option."""
    option = inspect.signature(command).parameters.get("format")
    return tuple(option.default.__class__) if option else (None,)


def test_every_command_is_tried_in_every_format() -> None:
    groups = [
        ("", app),
        *((f"{each.typer_instance.info.name} ", each.typer_instance) for each in app.registered_groups),
    ]
    offered = {
        (f"{prefix}{command.name or command.callback.__name__}", each)
        for prefix, group in groups
        for command in group.registered_commands
        for each in formats(command.callback)
    }
    assert len(offered) > 20
    assert offered <= {(case.command, case.format) for case in CASES}
