"""What a stranger expects at the top of a repository is there, and says what is so."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import agentgpu_iac
from tools.release import tag_faults, version

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STAGES = re.findall(r"^stage make (\S+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_workflow_calls_every_stage_and_no_other() -> None:
    """CI runs the targets of .ci/run, and each of them is one of the Makefile."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    matrices = (job["strategy"]["matrix"]["target"] for job in jobs if "strategy" in job)
    called = {target for targets in matrices for target in targets}
    called |= {
        step["run"].removeprefix("make ") for job in jobs for step in job["steps"] if "{{" not in step.get("run", "{{")
    }
    assert called == set(STAGES)
    assert set(STAGES) <= set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_little(path: Path) -> None:
    """No right but those that a job names, actions by hash or with the reason why not, and no words of others in a script."""
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert not re.search(r"\$\{\{\s*github\.(event|head_ref)", step.get("run", ""))
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    for line in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+(\.\d+)*|[\w./-]+@v\d+  # by tag: .+", line), line


def test_who_is_asked_to_review_what_is_there() -> None:
    for line in (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, *owners = line.split()
            assert pattern == "*" or (ROOT / pattern.strip("/")).exists(), pattern
            assert owners


def test_hooks_run_what_the_checkout_has() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [each["repo"] for each in hooks] == ["local"]
    for words in (hook["entry"].split() for hook in hooks[0]["hooks"]):
        for word in words:
            assert not word.startswith("tests/") or (ROOT / word).exists(), word


def test_forms_are_read_as_forms() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= set(form)
            assert len({part["id"] for part in form["body"] if "id" in part}) == sum(
                "id" in part for part in form["body"]
            )


def test_the_version_has_one_home() -> None:
    assert version() == agentgpu_iac.__version__
    stated = [
        path.relative_to(ROOT).as_posix()
        for path in (
            ROOT / "pyproject.toml",
            ROOT / "Pulumi.yaml",
            ROOT / "mkdocs.yml",
            ROOT / "README.md",
            ROOT / "SECURITY.md",
        )
        if agentgpu_iac.__version__ in path.read_text(encoding="utf-8")
    ]
    assert stated == []


def test_nothing_leads_to_an_address_that_is_not_ours() -> None:
    """``agentgpu.dev`` names API groups and labels, and is nobody's address that a reader could be sent to; neither the
    site nor the package states one. Pages are called by their path, and each path that a text of the tool or of a
    template names is there."""
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [ROOT / name for name in kept.split("\0") if name and (ROOT / name).is_file()]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8", errors="replace") for path in paths}
    assert len(texts) > 1000
    assert [name for name, text in texts.items() if re.search(r"//(?:[\w-]+\.)*agentgpu\.dev\b", text)] == []
    assert yaml.safe_load(texts["mkdocs.yml"])["site_url"] == ""
    assert "urls" not in tomllib.loads(texts["pyproject.toml"])["project"]
    told = [
        (name, path)
        for name, text in texts.items()
        if name.startswith(("agentgpu_iac/", "templates/")) and name.endswith((".py", ".j2", ".yaml", ".sh"))
        for path in re.findall(r"(?<![\w/.])docs/[\w/-]+\.md\b", text)
    ]
    others = {"docs/metrics.md", "docs/docs/benchmarking.md"}  # of the llm-d router, of infinity
    assert [each for each in told if each[1] not in others and not (ROOT / each[1]).is_file()] == []
    assert told


def test_the_changelog_goes_by_releases() -> None:
    """Unreleased on top, then versions, newest first, each with its day once it has one."""
    first, *rest = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert first == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d|unreleased)", title) for title in rest]
    assert all(found)
    numbers = [tuple(map(int, match.groups()[:3])) for match in found if match]
    assert numbers == sorted(numbers, reverse=True)


READY = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n\n- It works.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "says"),
    [
        ("v1.2.1", READY, "states 1.2.0"),
        ("1.2.0", READY, "tag v1.2.0"),
        ("v1.2.0", READY.replace("1.2.0", "1.1.0"), "no heading"),
        ("v1.2.0", READY.replace("2026-12-01", "unreleased"), "no heading"),
        ("v1.2.0", READY.replace("## [1.2.0]", "- Not told yet.\n\n## [1.2.0]"), "empty"),
    ],
)
def test_a_tag_that_is_no_release_is_refused(tag: str, changelog: str, says: str) -> None:
    assert says in " ".join(tag_faults(tag, "1.2.0", changelog))


def test_a_tag_that_fits_is_one() -> None:
    assert tag_faults("v1.2.0", "1.2.0", READY) == []
