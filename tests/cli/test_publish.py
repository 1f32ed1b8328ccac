"""``agentgpu publish``, ``check`` and ``comment``, on a small repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.operations.publishing.environments import placed
from agentgpu_iac.operations.publishing.settings import load_settings
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.inventory import sha256
from agentgpu_iac.rendering.tree import render_all
from tests.cli.running import SMALL, TOO_LARGE, agentgpu
from tests.operations.publishing.scenes import Clone, clone, git

SETTINGS = """\
apiVersion: agentgpu.dev/v1alpha1
kind: Publishing
stacks: [stacks]
into: clusters
policies: agentgpu-policies.yaml
environments:
  - name: staging
    overlays:
      - spec: {agents: {support: {sessions: {concurrent: 2}}}}
"""
POLICIES = """\
apiVersion: agentgpu.dev/v1alpha1
kind: Policies
policies:
  - {name: budget, budgetUsdPerMonth: MOST, waivableBy: [finance]}
"""


def write_all(made: Clone, *, most: int = 100_000, settings: str = SETTINGS) -> None:
    for path, text in (
        ("stacks/a.yaml", SMALL),
        ("agentgpu-publish.yaml", settings),
        ("agentgpu-policies.yaml", POLICIES.replace("MOST", str(most))),
    ):
        (made.folder / path).parent.mkdir(exist_ok=True)
        (made.folder / path).write_text(text)
    git(made.folder, "add", "-A")
    git(made.folder, "commit", "-q", "-m", "write")
    git(made.folder, "push", "-q", "origin", "main")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository whose stack is published and merged."""
    made = clone(tmp_path_factory.mktemp("published"))
    write_all(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.folder)
        answer = agentgpu("publish", "-f", "json")
    assert (answer.code, answer.data["folders"]) == (0, ["clusters/demo/staging"])
    made.merge()
    return made


@pytest.fixture
def there(published: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    monkeypatch.chdir(published.folder)
    return published


def test_the_tree_the_plan_and_the_inventory_are_in_the_commit(published: Clone) -> None:
    files = published.files("main")
    plan = json.loads(files["clusters/demo/staging/plan.json"])
    assert plan["stack"] == "demo"
    assert plan["agents"][0]["sessionsConcurrent"] == 2
    assert set(json.loads(files["clusters/demo/staging/.agentgpu-inventory.json"])["files"]) == {
        path.removeprefix("clusters/demo/staging/")
        for path in files
        if path.startswith("clusters/") and not path.endswith(".agentgpu-inventory.json")
    }


def test_what_is_published_is_not_planned_again(there: Clone) -> None:
    answer = agentgpu("publish")
    assert answer.code == 0
    assert answer.out == "0 planned, 1 as they were published.\nNothing to publish: the base holds all of it.\n"


def test_a_published_folder_is_one_that_render_finds_as_it_would_write_it(there: Clone) -> None:
    assert agentgpu("diff", "HEAD:clusters/demo/staging", "clusters/demo/staging", "--exit-code").code == 0
    assert agentgpu("render", "clusters/demo/staging/plan.json", "--check", "clusters/demo/staging").code == 0


def test_a_refresh_of_the_same_facts_changes_nothing(there: Clone) -> None:
    answer = agentgpu("publish", "--refresh", "-f", "json")
    assert (answer.code, answer.data["commit"], answer.data["planned"]) == (0, None, 1)


def test_a_refresh_of_newer_prices_is_a_branch_with_its_reason(there: Clone) -> None:
    path = there.folder / "clusters/demo/staging/plan.json"
    kind = json.loads(path.read_text())["nodePools"][0]["instanceTypes"][0]
    overlay = (
        "apiVersion: agentgpu.dev/v1alpha1\nkind: CatalogOverlay\nprices:\n"
        f"  - {{provider: aws, region: us-east-1, instanceType: {kind}, capacityType: on-demand,\n"
        "     usdPerHour: 0.5, source: mine, date: '2026-11-01'}\n"
    )
    git(there.folder, "checkout", "-q", "-b", "dearer")
    try:
        (there.folder / "prices.yaml").write_text(overlay)
        (there.folder / "agentgpu-publish.yaml").write_text(SETTINGS + "catalog: prices.yaml\n")
        git(there.folder, "add", "-A")
        git(there.folder, "commit", "-q", "-m", "prices")
        assert agentgpu("publish", "--no-push").out.endswith("Nothing to publish: the base holds all of it.\n")
        answer = agentgpu("publish", "--refresh", "--no-push", "-f", "json")
        assert (answer.code, answer.data["branch"]) == (0, "agentgpu/refresh")
        message = git(there.folder, "log", "-1", "--format=%B", "agentgpu/refresh")
        assert "The specs are the same; what they rest on is not: catalog " in message
    finally:
        git(there.folder, "checkout", "-q", "main")


def test_environments_that_share_what_was_evaluated_are_planned_as_if_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker processes remember evaluations between the environments of a stack; the bytes are those of a plan alone."""
    made = clone(tmp_path)
    overlays = {
        "dear": "{capacity: {spot: never}}",
        "few": "{agents: {support: {sessions: {concurrent: 2}}}}",
        "same": "{}",
    }
    environments = "".join(
        f"  - name: {name}\n    overlays:\n      - spec: {spec}\n" for name, spec in overlays.items()
    )
    write_all(made, settings=f"{SETTINGS.partition('environments:')[0]}environments:\n{environments}")
    monkeypatch.chdir(made.folder)
    answer = agentgpu("publish", "-f", "json")
    assert (answer.code, answer.data["planned"]) == (0, 3)
    files = made.files("agentgpu/publish")
    settings = load_settings(Path("agentgpu-publish.yaml"))
    stacks = {each.environment: each.loaded for each in placed(Path.cwd(), settings)}
    assert set(stacks) == set(overlays)
    for name, loaded in stacks.items():
        alone = {
            file.path: sha256(file.content) for file in render_all(make_plan(loaded, load_catalog(), Evaluators()))
        }
        assert json.loads(files[f"clusters/demo/{name}/.agentgpu-inventory.json"])["files"] == alone


def test_specs_that_no_commit_holds_are_not_published(there: Clone) -> None:
    path = there.folder / "stacks" / "a.yaml"
    path.write_text(SMALL + "# mine\n")
    try:
        answer = agentgpu("publish")
        assert answer.code == 2
        assert "is not as the last commit has it: stacks/a.yaml (commit it first" in answer.err
    finally:
        path.write_text(SMALL)


def test_a_policy_that_is_broken_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clone(tmp_path)
    write_all(made, most=1)
    monkeypatch.chdir(made.folder)
    answer = agentgpu("publish")
    assert answer.code == 1
    assert "demo/staging: policy budget: budgetUsdPerMonth allows USD 1.00 a month, the stack has USD " in answer.out
    assert answer.out.endswith("finance may waive it\nNothing was published.\n")
    assert git(made.remote, "branch", "--list", "agentgpu/*") == ""


def test_a_stack_that_no_machine_serves_is_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clone(tmp_path)
    write_all(
        made,
        settings=SETTINGS.replace(
            "    overlays:\n      - spec: {agents: {support: {sessions: {concurrent: 2}}}}\n", ""
        ),
    )
    made.commit("stacks/b.yaml", TOO_LARGE)
    monkeypatch.chdir(made.folder)
    answer = agentgpu("publish")
    assert answer.code == 1
    assert "too-large/staging (stacks/b.yaml): agent 'big'" in answer.err
    assert git(made.remote, "branch", "--list", "agentgpu/*") == ""


def test_a_forge_without_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clone(tmp_path)
    write_all(made, settings=SETTINGS + "forge: {kind: github, project: acme/x, tokenVariable: NO_SUCH_TOKEN}\n")
    monkeypatch.chdir(made.folder)
    answer = agentgpu("publish")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("$NO_SUCH_TOKEN: is not set, and should hold a token (")


def test_a_file_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert agentgpu("publish").err == (
        "agentgpu-publish.yaml: is not here, and no FILE is given "
        "(name one; what stands in it: docs/pull-requests.md#publish)\n"
    )


def test_check_holds_a_plan_against_policies(there: Clone) -> None:
    kept = agentgpu("check", "clusters/demo/staging")
    assert (kept.code, kept.out) == (0, "Every policy is kept.\n")
    Path("strict.yaml").write_text(POLICIES.replace("MOST", "1"))
    try:
        broken = agentgpu("check", "clusters/demo/staging/plan.json", "-p", "strict.yaml", "-f", "json")
        assert broken.code == 1
        assert [(each["policy"], each["limit"]) for each in broken.data] == [("budget", "budgetUsdPerMonth")]
        assert broken.data[0]["waivableBy"] == ["finance"]
    finally:
        Path("strict.yaml").unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--project", "../x"), "--project: "),
        (("--project", "acme/x", "--kind", "nope"), "--kind: "),
        (("--project", "acme/x", "--token-variable", "a b"), "--tokenVariable: "),
    ],
)
def test_a_comment_to_nowhere(there: Clone, words: tuple[str, ...], message: str) -> None:
    answer = agentgpu("comment", "7", "--text", "README.md", *words)
    assert answer.code == 2
    assert answer.err.startswith(message)
