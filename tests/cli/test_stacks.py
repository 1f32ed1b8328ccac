"""``init``, ``validate``, ``explain``, ``render``, ``diff``, ``catalog`` and ``schema`` on agent stacks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.spec.loader import load
from agentgpu_iac.spec.schema import schema_text
from tests.cli.running import FAULTY, SMALL, TOO_LARGE, agentgpu
from tests.examples import CUSTOMER_SERVICE, EXAMPLES, STACKS


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- help, init, validate


def test_no_command_shows_the_help() -> None:
    assert agentgpu().code == 2
    helped = agentgpu("--help")
    assert helped.code == 0
    commands = ["init", "validate", "plan", "explain", "render", "diff", "schema", "size", "predict", "catalog"]
    assert all(f"\n  {command} " in helped.out for command in commands)
    assert all(agentgpu(command, "--help").code == 0 for command in commands)


def test_init_writes_a_stack_that_plans() -> None:
    answer = agentgpu("init")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "Wrote agentstack.yaml. Next: agentgpu plan agentstack.yaml\n"
    assert load(Path("agentstack.yaml")).stack.metadata.name == "my-agents"
    assert agentgpu("plan", "agentstack.yaml").code == 0


def test_init_takes_a_name_and_a_model() -> None:
    assert agentgpu("init", "a b.yaml", "--name", "desk", "--model", "qwen/qwen3-8b").out.endswith(
        "agentgpu plan 'a b.yaml'\n"
    )
    stack = load(Path("a b.yaml")).stack
    assert (stack.metadata.name, stack.spec.agents[0].model) == ("desk", "qwen/qwen3-8b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("taken.yaml",), "taken.yaml: the file exists already (name another one)\n"),
        (("a/b.yaml",), "a/b.yaml: cannot be written: No such file or directory\n"),
        (("b.yaml", "--name", "Bad Name"), "b.yaml:6:9: metadata.name: "),
        (("b.yaml", "--name", ""), "b.yaml:6:8: metadata.name: "),
        (("b.yaml", "--name", "yes"), "b.yaml:6:9: metadata.name: "),
        (("b.yaml", "--name", "{x"), "b.yaml:"),
        (("b.yaml", "--model", "Qwen/Nope-9000"), "catalog: there is no model 'Qwen/Nope-9000'"),
    ],
)
def test_init_refuses_and_leaves_nothing_behind(arguments: tuple[str, ...], message: str) -> None:
    written("taken.yaml", "mine")
    answer = agentgpu("init", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(message)
    assert files_of(Path()) == {"taken.yaml": b"mine"}


@pytest.mark.parametrize(("setup", "folder"), [("compose", "machine"), ("gitops", "deploy")])
def test_init_sets_up_a_repository_that_checks_itself(setup: str, folder: str) -> None:
    answer = agentgpu("init", f"--{setup}")
    assert (answer.code, answer.err) == (0, "")
    assert set(files_of(Path())) == {"agentstack.yaml", "agentstack.schema.json", ".github/workflows/agentgpu.yaml"}
    assert Path("agentstack.schema.json").read_text() == schema_text()
    workflow = yaml.safe_load(Path(".github/workflows/agentgpu.yaml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    assert f"agentgpu render --check {folder}" in steps
    assert agentgpu("validate").code == 0
    assert answer.out.endswith(f"then agentgpu render agentstack.yaml -o {folder}\n")
    again = agentgpu("init", f"--{setup}")
    assert (again.code, again.err) == (2, "agentstack.yaml: the file exists already (name another one)\n")


def test_init_sets_up_one_thing_and_all_of_it_or_nothing() -> None:
    assert agentgpu("init", "--compose", "--gitops").code == 2
    written("agentstack.schema.json", "mine")
    assert agentgpu("init", "--gitops").code == 2
    assert files_of(Path()) == {"agentstack.schema.json": b"mine"}


def answering(*answers: str) -> Any:
    """Somebody at the terminal."""
    left = list(answers)
    asked: list[str] = []

    def prompt(question: str, **_: object) -> str:
        asked.append(question)
        return left.pop(0)

    return prompt, asked


def test_init_asks_three_questions_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt, asked = answering("My Desk!", "desk", "Qwen/Nope-9000", "Qwen/Qwen3-8B", "nothing", "gitops")
    monkeypatch.setattr("agentgpu_iac.cli.app.somebody_answers", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    answer = agentgpu("init")
    assert answer.code == 0
    assert len(dict.fromkeys(asked)) == 3
    assert answer.err.splitlines()[0].startswith("'My Desk!' holds the capital 'M'; a name is made of a-z")
    assert answer.err.splitlines()[1].startswith("there is no model 'Qwen/Nope-9000'")
    spec = load(Path("agentstack.yaml")).stack
    assert (spec.metadata.name, spec.spec.agents[0].model) == ("desk", "Qwen/Qwen3-8B")
    assert spec.spec.gitops is not None
    prompt, asked = answering()
    monkeypatch.setattr("typer.prompt", prompt)
    assert (
        agentgpu("init", "b/../c.yaml", "--name", "x", "--model", "Qwen/Qwen3-8B", "--compose").code == 2
    )  # schema is there
    taken = agentgpu("init")
    assert (taken.code, taken.err) == (2, "agentstack.yaml: the file exists already (name another one)\n")
    assert asked == []


@pytest.mark.parametrize("is_meant", [True, False])
def test_render_asks_before_it_writes_beside_files_of_somebody_else(
    monkeypatch: pytest.MonkeyPatch, is_meant: bool
) -> None:
    Path("out").mkdir()
    written("out/mine", "mine")
    monkeypatch.setattr("agentgpu_iac.cli.app.somebody_answers", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: is_meant)
    answer = agentgpu("render", STACKS / "examples" / "one-machine.yaml", "-o", "out")
    assert answer.code == (0 if is_meant else 1)
    assert (len(files_of(Path("out"))) > 1) is is_meant


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    answer = agentgpu("validate", path, "-f", "json")
    stack = load(path).stack
    assert answer.code == 0
    assert answer.data == {"valid": True, "stack": stack.metadata.name, "agents": len(stack.spec.agents)}


def test_validate_in_words() -> None:
    path = written("stack.yaml", SMALL)
    assert agentgpu("validate", path).out == "stack.yaml: demo is a valid agent stack of 1 agent.\n"
    assert agentgpu("validate", STACKS / "examples" / "trio.yaml").out.endswith("a valid agent stack of 3 agents.\n")


def test_validate_tells_every_fault_in_words_and_as_data() -> None:
    path = written("stack.yaml", FAULTY + "      sessions: {concurrent: 0}\n")
    words, data = agentgpu("validate", path), agentgpu("validate", path, "-f", "json")
    assert (words.code, words.out) == (2, "")
    assert (data.code, data.err) == (2, words.err)
    assert data.data["valid"] is False
    assert [(one["line"], one["column"], one["path"]) for one in data.data["faults"]] == [
        (7, 21, "spec.agents[0].latencyClass"),
        (8, 14, "spec.agents[0].model"),
        (9, 30, "spec.agents[0].sessions.concurrent"),
    ]
    assert all(set(one) == {"source", "line", "column", "path", "message", "hint"} for one in data.data["faults"])
    assert len(words.err.splitlines()) == 3


def test_validate_knows_the_catalog() -> None:
    path = written("stack.yaml", SMALL.replace("14B", "14"))
    answer = agentgpu("validate", path, "-f", "json")
    assert answer.code == 2
    assert answer.data["faults"][0]["hint"] == "did you mean 'Qwen/Qwen3-14B'?"


# ---- explain


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved plan of three agents."""
    path = tmp_path_factory.mktemp("trio") / "trio.json"
    agentgpu("plan", STACKS / "examples" / "trio.yaml", "-f", "json", "-o", path)
    return path


def test_explain_goes_from_a_page_to_an_agent_to_a_number_to_all(trio: Path) -> None:
    page, one = agentgpu("explain", trio), agentgpu("explain", trio, "coder")
    assert (page.code, one.code) == (0, 0)
    assert max(len(page.out.splitlines()), len(one.out.splitlines())) <= 45
    assert page.out.splitlines()[0].endswith(": where its numbers are from")
    assert one.out.startswith("coder: meta-llama/Llama-2-13b-chat-hf on ")
    assert re.search(r"^kvGib +[0-9.]+ GiB ", one.out, re.M)
    number = agentgpu("explain", trio, "coder", "KVGIB").out
    assert all(f"\n{word} " in number for word in ("formula", "with", "result", "source"))
    section = agentgpu("explain", trio, "coder", "cold start").out
    assert section.count("\nformula ") > 5
    whole = agentgpu("explain", trio, "--all").out
    assert agentgpu("explain", trio, "coder", "--all").out.strip() in whole
    assert len(whole.splitlines()) > 3 * len(page.out.splitlines())


def test_no_number_of_the_whole_explanation_is_out_of_reach(trio: Path) -> None:
    entries = agentgpu("explain", trio, "coder", "-f", "json").data
    page = " ".join(agentgpu("explain", trio, "coder").out.split())
    assert all(f"{entry['section']} (" in page for entry in entries), "each section is named, and holds its numbers"
    alone = agentgpu("explain", trio, "coder", entries[0]["name"], "-f", "json").data
    assert entries[0] in alone


def test_explain_a_number_that_is_not_there(trio: Path) -> None:
    answer = agentgpu("explain", trio, "coder", "kvGb")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"{trio}: coder has no number 'kvGb' (did you mean 'kvGib'?)\n"
    assert agentgpu("explain", trio, "coder", "kvGib", "--all").code == 2
    assert agentgpu("explain", trio, "cost", "kvGib").code == 2


def test_explain_the_cost_and_the_warnings(trio: Path) -> None:
    saved = json.loads(trio.read_text())
    said = agentgpu("explain", trio, "warnings").out
    assert all(warning["message"] in said for warning in saved["warnings"])
    groups = agentgpu("explain", trio, "warnings", "-f", "json").data
    assert sum(len(group["warnings"]) for group in groups) == len(saved["warnings"])
    assert agentgpu("explain", trio, "cost", "-f", "json").data == saved["cost"]
    assert "Not in the cost" in agentgpu("explain", trio, "cost").out


def test_explain_as_data() -> None:
    steps = agentgpu("explain", CUSTOMER_SERVICE, "-f", "json").data
    assert all(set(step) >= {"section", "name", "formula", "inputs", "result", "source"} for step in steps)
    assert {"weightsGib", "kvGib", "ttftMs", "replicas", "total"} <= {step["name"] for step in steps}


@pytest.mark.parametrize(("agent", "hint"), [("suport", " (did you mean 'support'?)"), ("zzz", " (agents: support)")])
@pytest.mark.parametrize("format", ["json", "table"])
def test_explain_an_agent_that_is_not_there(agent: str, hint: str, format: str) -> None:
    answer = agentgpu("explain", CUSTOMER_SERVICE, agent, "-f", format)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"{CUSTOMER_SERVICE}: there is no agent {agent!r} in the stack{hint}\n"


# ---- render


def test_render_writes_once_and_then_leaves_all_unchanged() -> None:
    first = agentgpu("render", CUSTOMER_SERVICE, "-o", "out/deep/er", "-f", "json")
    assert first.code == 0
    count = first.data["written"]
    assert first.data == {"directory": "out/deep/er", "written": count, "unchanged": 0, "deleted": 0}
    before = files_of(Path("out/deep/er"))
    assert len(before) == count + 1  # and the inventory
    second = agentgpu("render", CUSTOMER_SERVICE, "-o", "out/deep/er", "-f", "json")
    assert second.data == {"directory": "out/deep/er", "written": 0, "unchanged": count, "deleted": 0}
    assert files_of(Path("out/deep/er")) == before


def test_render_says_where_a_machine_s_files_go() -> None:
    answer = agentgpu("render", STACKS / "examples" / "one-machine.yaml", "-o", "out", "--validate")
    assert (answer.code, answer.err) == (0, "")
    (pool,) = Path("out/hosts").iterdir()
    assert answer.out.endswith(
        f"Next: copy {pool} to /opt/agentgpu of its machine, then: sudo bash /opt/agentgpu/setup.sh\n"
    )
    spheron = agentgpu("render", STACKS / "examples" / "qa.yaml", "-o", "other")
    assert spheron.out.endswith("Next: pulumi up makes the machines, each from the cloud-init.yaml of its pool\n")


def test_a_target_without_a_cluster_has_no_status() -> None:
    answer = agentgpu("status", STACKS / "examples" / "one-machine.yaml")
    assert answer.code == 2
    assert answer.err == (
        "status: the files of this target are for virtual machines, not for a cluster (on each machine: docker compose ps)\n"
    )


def test_skyserve_services_are_rendered_and_are_no_cluster() -> None:
    spec = written("sky.yaml", SMALL.replace("spec:\n", "spec:\n  target: skyserve\n", 1))
    answer = agentgpu("render", spec, "-o", "out", "--validate")
    assert answer.code == 0
    (file,) = Path("out/skyserve").iterdir()
    assert answer.err == f"no schema to check against: skyserve/{file.name}: SkyServe service\n"
    assert f"Next: sky serve up --service-name demo-{file.stem} out/skyserve/{file.name}\n" in answer.out
    status = agentgpu("status", spec)
    assert status.code == 2
    assert status.err == "status: the files of this target are for SkyServe, not for a cluster (sky serve status)\n"


@pytest.mark.parametrize(
    ("spec", "folder", "command"),
    [
        (CUSTOMER_SERVICE, "out", "kubectl apply -k out/overlays/karpenter (or overlays/node-groups)"),
        (CUSTOMER_SERVICE, "my out", "kubectl apply -k 'my out/overlays/karpenter' (or overlays/node-groups)"),
        (STACKS / "examples" / "support.yaml", "out", "kubectl apply -k out/overlays/node-groups"),
    ],
)
def test_render_names_the_overlay_that_it_wrote(spec: Path, folder: str, command: str) -> None:
    answer = agentgpu("render", spec, "-o", folder)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.endswith(f" written, 0 unchanged, 0 deleted. Next: {command}\n")
    named = [part for part in ("karpenter", "node-groups") if part in command]
    assert sorted(path.name for path in (Path(folder) / "overlays").iterdir()) == named


def test_render_refuses_what_is_not_ours() -> None:
    stranger = Path("out/base/kustomization.yaml")
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    asked = agentgpu("render", CUSTOMER_SERVICE, "-o", "out")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == "out: holds files, and none that we wrote (--yes writes beside them; or name a new folder)\n"
    answer = agentgpu("render", CUSTOMER_SERVICE, "-o", "out", "--yes")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("base/kustomization.yaml: is not ours\n")
    assert files_of(Path("out")) == {"base/kustomization.yaml": b"mine"}
    assert agentgpu("render", CUSTOMER_SERVICE, "-o", "out", "--force").code == 0
    assert stranger.read_text() != "mine"


def test_render_checks_before_it_writes() -> None:
    assert agentgpu("render", CUSTOMER_SERVICE, "-o", "out", "--validate").code == 0


@pytest.mark.parametrize("text", [TOO_LARGE, FAULTY])
def test_render_writes_nothing_without_a_plan(text: str) -> None:
    path = written("stack.yaml", text)
    assert agentgpu("render", path, "-o", "out").code == (1 if text == TOO_LARGE else 2)
    assert not Path("out").exists()


def test_render_where_no_folder_can_be() -> None:
    written("file", "")
    answer = agentgpu("render", CUSTOMER_SERVICE, "-o", "file/out")
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err and "file" in answer.err
    if Path("/proc").is_dir():
        answer = agentgpu("render", CUSTOMER_SERVICE, "-o", "/proc/nope")
        assert answer.code == 2
        assert answer.err == "/proc/nope: cannot be written: No such file or directory\n"


# ---- diff


@pytest.fixture
def larger() -> Path:
    return written("larger.yaml", CUSTOMER_SERVICE.read_text().replace("concurrent: 5", "concurrent: 50"))


def test_a_stack_and_its_printed_plan_are_the_same() -> None:
    for format in ("json", "yaml"):
        agentgpu("plan", CUSTOMER_SERVICE, "-f", format, "-o", f"plan.{format}")
    for before, after in (
        (CUSTOMER_SERVICE, CUSTOMER_SERVICE),
        (CUSTOMER_SERVICE, "plan.json"),
        ("plan.yaml", CUSTOMER_SERVICE),
        ("plan.yaml", "plan.json"),
    ):
        answer = agentgpu("diff", before, after, "--exit-code")
        assert (answer.code, answer.out, answer.err) == (0, "The two plans are the same.\n", "")


def test_a_difference_in_each_format(larger: Path) -> None:
    table = agentgpu("diff", CUSTOMER_SERVICE, larger)
    assert (table.code, table.err) == (0, "")
    assert re.match(r"customer-service: \+[0-9,.]+ USD a month\n-+\n- Baseline: USD ", table.out)
    assert "\nworkload support\n----------------\nfield " in agentgpu("diff", CUSTOMER_SERVICE, larger, "--all").out
    data = agentgpu("diff", CUSTOMER_SERVICE, larger, "-f", "json").data
    assert data["baselineDeltaUsdPerMonth"] == pytest.approx(
        data["baselineUsdPerMonthAfter"] - data["baselineUsdPerMonthBefore"]
    )
    assert {"deployment", "where", "field", "before", "after", "section"} == set(data["changes"][0])
    assert yaml.safe_load(agentgpu("diff", CUSTOMER_SERVICE, larger, "-f", "yaml").out) == data
    comment = agentgpu("diff", CUSTOMER_SERVICE, larger, "-f", "markdown").out
    assert comment.startswith("## ") and comment.count("\n") < 60
    assert "| workload support | " in comment


def test_a_difference_is_a_no_where_that_is_asked(larger: Path) -> None:
    assert agentgpu("diff", CUSTOMER_SERVICE, larger, "--exit-code").code == 1
    assert agentgpu("diff", CUSTOMER_SERVICE, larger, "-f", "json", "--exit-code").code == 1


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (TOO_LARGE, 1, "agent 'big'"),
        (FAULTY, 2, "other:7:21: "),
        ('{"apiVersion": "agentgpu.dev/plan/v1alpha1"}', 2, "other: architecture: "),
        ("apiVersion: agentgpu.dev/plan/v1alpha1\nx: [", 2, "other:2:5: is not valid YAML: "),
        ("[]", 2, "other:1:1: the file must hold a mapping"),
    ],
)
def test_what_cannot_be_compared(content: str, code: int, message: str) -> None:
    path = written("other", content)
    for arguments in ((CUSTOMER_SERVICE, path), (path, CUSTOMER_SERVICE)):
        answer = agentgpu("diff", *arguments)
        assert (answer.code, answer.out) == (code, "")
        assert answer.err.startswith(message)


def test_a_file_that_is_missing() -> None:
    answer = agentgpu("diff", CUSTOMER_SERVICE, "nope.yaml")
    assert (answer.code, answer.err) == (2, "nope.yaml: cannot be read: No such file or directory\n")


# ---- catalog, schema

KINDS: dict[str, str] = {
    "accelerators": "id",
    "models": "id",
    "offerings": "usdPerHour",
    "engines": "version",
    "providers": "interruptionNoticeS",
    "excluded": "reason",
}


@pytest.mark.parametrize(("kind", "key"), KINDS.items())
def test_the_catalog_is_listed(kind: str, key: str) -> None:
    rows = agentgpu("catalog", "list", kind, "-f", "json").data
    assert rows and all(key in row for row in rows)
    answer = agentgpu("catalog", "list", kind)
    assert answer.code == 0
    assert len(answer.out.splitlines()) == len(rows) + 2


def test_accelerators_are_listed_unless_asked_otherwise() -> None:
    assert agentgpu("catalog", "list").out == agentgpu("catalog", "list", "accelerators").out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("l40s", "accelerator"), ("Qwen/Qwen3-14B", "model"), ("g6e.xlarge", "instance type"), ("aws", "provider")),
        *(("NVIDIA L40S 48GB", "accelerator"), ("qwen3-14b", "model"), ("G6E.xlarge", "instance type")),
        ("Amazon Web Services", "provider"),
    ],
)
def test_a_row_is_shown_with_its_sources(name: str, kind: str) -> None:
    found = agentgpu("catalog", "show", name, "-f", "json").data
    assert found["kind"] == kind
    assert found["sources"]
    assert found["sources"][0] in agentgpu("catalog", "show", name).out


def test_a_row_that_is_not_there() -> None:
    answer = agentgpu("catalog", "show", "l40")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "catalog: nothing is called 'l40' (did you mean 'l40s'?)\n"
    several = agentgpu("catalog", "show", "NVIDIA H100 80GB").err
    assert several == "catalog: accelerator 'NVIDIA H100 80GB' may mean 2 (write one of 'h100-pcie', 'h100-sxm')\n"
    assert agentgpu("catalog", "list", "nope").code == 2
    assert agentgpu("catalog").code == 2


def test_a_local_model_is_shown() -> None:
    shape: dict[str, Any] = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
    }
    written("config.json", json.dumps(shape))
    assert agentgpu("catalog", "show", "config.json", "-f", "json").data["hiddenSize"] == 4096
    assert agentgpu("size", "--model", "./config.json", "--accelerator", "l40s", "--max-model-len", 4096).code == 0


def test_the_schema_is_printed() -> None:
    answer = agentgpu("schema")
    assert (answer.code, answer.out, answer.err) == (0, schema_text(), "")
    assert answer.data["$id"].endswith(":agentstack.v1alpha1")


def test_the_schema_of_a_plan() -> None:
    docs = Path(__file__).parents[2] / "docs"
    assert agentgpu("schema", "plan").out == (docs / "schema" / "plan.v1alpha1.json").read_text()
    assert agentgpu("schema", "plan", "--format", "markdown").out == (docs / "plan.md").read_text()
    assert agentgpu("schema", "stack").out == agentgpu("schema").out == schema_text()


@pytest.mark.parametrize("answer", ["levers", "frontier"])
def test_the_schema_of_an_answer(answer: str) -> None:
    schema = agentgpu("schema", answer).data
    assert schema["$id"].endswith(f":{answer}.v1alpha1")
    assert "## " in agentgpu("schema", answer, "-f", "markdown").out
