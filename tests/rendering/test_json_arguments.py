"""An argument that is JSON reaches the engine as it stands in the plan, through YAML, Compose's variables and a shell."""

from __future__ import annotations

import json
import subprocess

from agentgpu_iac import plan as p
from agentgpu_iac.rendering.render import render
from tests.plans import make_grouped_plan, make_machines_plan, make_plan, make_workload
from tests.rendering.test_groups import engine, pod
from tests.rendering.test_hosts import engines, with_engine
from tests.rendering.test_skyserve import body_of, make_service
from tests.rendering.trees import of_kind

TOLD = json.dumps({"enable_thinking": False, "note": 'it\'s $HOME, "quoted" and `run` # not: a comment'})
WORDS = ("/models/m", "--default-chat-template-kwargs", TOLD)


def told(workload: p.Workload) -> p.Workload:
    return workload.model_copy(update={"engine": workload.engine.model_copy(update={"args": WORDS})})


def test_in_a_deployment() -> None:
    found = of_kind(make_plan(workloads=(told(make_workload()),)), "Deployment")
    assert engine(found["support"]["spec"]["template"])["args"] == list(WORDS)


def test_in_a_group_on_every_node() -> None:
    plan = with_engine(make_grouped_plan(), args=WORDS, worker_args=(*WORDS, "--headless"))
    assert engine(pod(plan, "leader"))["args"] == list(WORDS)
    assert engine(pod(plan, "worker"))["args"] == [*WORDS, "--headless"]


def test_on_a_machine() -> None:
    """Compose takes two dollars for one."""
    plan = with_engine(make_machines_plan(), args=WORDS)
    for found in engines(plan).values():
        assert [word.replace("$$", "$") for word in found["command"]] == list(WORDS)
        assert not any("$H" in word.replace("$$", "") for word in found["command"])
    assert render(plan)


def test_in_a_service_of_skypilot() -> None:
    run = body_of(make_service(), told(make_workload()))["run"]
    echo = 'vllm() { for word in "$@"; do printf "%s\\n" "$word"; done; }'
    script = f"{echo}\n{run[run.index('vllm serve') :]}"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["serve", *WORDS]
