"""kube-score and checkov find nothing in our manifests that is not a decision of ours, with its reason beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster.trees import STACK_NAMES, tree
from tools.install import path as tool

EXCEPTIONS = Path(__file__).parents[1] / "lint_exceptions.yaml"

GOOD_GRADE = 10
"""kube-score's best; anything less is a warning or worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a linter says against one object."""

    check: str
    stack: str
    kind: str
    name: str
    said: str
    container: str = ""
    """The first container that it is said of, where the linter tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """Findings that are decisions of ours."""

    checks: frozenset[str]
    kinds: frozenset[str]
    stacks: re.Pattern[str]
    names: re.Pattern[str]
    containers: re.Pattern[str]
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is one of them."""
        return bool(
            finding.check in self.checks
            and finding.kind in self.kinds
            and self.stacks.fullmatch(finding.stack)
            and self.names.fullmatch(finding.name)
            and self.containers.fullmatch(finding.container)
        )


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every stack, with a file for each object."""
    folder = tmp_path_factory.mktemp("rendered")
    for name in STACK_NAMES:
        (folder / name).mkdir()
        for number, text in enumerate(tree(name).texts):
            (folder / name / f"{number:03}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def findings(rendered: Path) -> tuple[Finding, ...]:
    """What both linters say."""
    return (*kube_score(rendered), *checkov(rendered))


def test_every_finding_has_a_reason(findings: tuple[Finding, ...]) -> None:
    unexplained = [each for each in findings if not any(one.covers(each) for one in exemptions())]
    lines = (
        f"{each.check} {each.stack}: {each.kind} {each.name} {each.container}: {each.said}" for each in unexplained
    )
    assert not unexplained, "\n".join(lines)


def test_every_exception_is_needed(findings: tuple[Finding, ...]) -> None:
    covered = [{each.check for each in findings if one.covers(each)} for one in exemptions()]
    unused = [sorted(one.checks - seen) for one, seen in zip(exemptions(), covered, strict=True) if one.checks - seen]
    assert unused == []


def test_every_exception_says_why() -> None:
    assert all(len(one.reason.split()) >= 5 for one in exemptions())


def test_a_careless_pod_is_found(tmp_path: Path) -> None:
    """The linters do look: neither likes this one."""
    container = {"name": "any", "image": "any:latest"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless", "namespace": "any"},
        "spec": {"containers": [container]},
    }
    folder = tmp_path / "careless"
    folder.mkdir()
    (folder / "pod-careless.yaml").write_text(yaml.safe_dump(pod), encoding="utf-8")
    assert {"container-resources", "CKV_K8S_37"} <= {each.check for each in (*kube_score(tmp_path), *checkov(tmp_path))}


def exemptions() -> tuple[Exemption, ...]:
    """The committed exceptions."""
    return tuple(
        Exemption(
            checks=frozenset(each["checks"]),
            kinds=frozenset(each["kinds"]),
            stacks=re.compile(each.get("stacks", ".*")),
            names=re.compile(each.get("names", ".*")),
            containers=re.compile(each.get("containers", ".*")),
            reason=each["reason"],
        )
        for each in yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    )


def kube_score(folder: Path) -> tuple[Finding, ...]:
    """What kube-score says, stack by stack: it looks for budgets and policies among the files that it is given."""
    found = []
    for stack in sorted(folder.iterdir()):
        options = ("score", "--kubernetes-version=v1.36", "--output-format=json")
        for each in answer(tool("kube-score"), *options, *sorted(stack.iterdir())):
            for check in each["checks"]:
                if check["grade"] < GOOD_GRADE and not check["skipped"]:
                    said = "; ".join(comment["summary"] for comment in check["comments"] or ())
                    found.append(
                        Finding(
                            check=check["check"]["id"],
                            stack=stack.name,
                            kind=each["type_meta"]["kind"],
                            name=each["object_meta"]["name"],
                            said=said,
                        )
                    )
    return tuple(found)


def checkov(folder: Path) -> tuple[Finding, ...]:
    """What checkov says about all stacks in one run, since its start takes the most time. It asks nobody for anything."""
    options = ("--framework=kubernetes", "--output=json", "--quiet", "--compact", "--skip-download")
    report = answer(tool("checkov"), *options, f"--directory={folder}")
    found = []
    for each in report["results"]["failed_checks"]:
        _, stack, *_ = Path(each["file_path"]).parts
        body = yaml.safe_load((folder / each["file_path"].lstrip("/")).read_text(encoding="utf-8"))
        found.append(
            Finding(
                check=each["check_id"],
                stack=stack,
                kind=body["kind"],
                name=body["metadata"]["name"],
                said=each["check_name"],
                container=container_of(body, each["check_result"].get("evaluated_keys") or ()),
            )
        )
    return tuple(found)


def container_of(body: dict[str, Any], keys: Sequence[str]) -> str:
    """The name of the container that a key such as ``spec/template/spec/containers/[1]/livenessProbe`` leads to."""
    for key in keys:
        if found := re.match(r"spec/template/spec/containers/\[(\d+)\]", key):
            return str(body["spec"]["template"]["spec"]["containers"][int(found[1])]["name"])
    return ""


def answer(*command: object) -> Any:
    """What a linter prints. Its exit code says only that it found something."""
    environment = {**os.environ, "LOG_LEVEL": "ERROR", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise AssertionError(
            f"{command[0]} exited {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        ) from error
