"""Every file says what made it, every planned number where it is from, and the tree has a page about itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, partial

import pytest
import yaml

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.meanings import RANK_ORDER
from agentgpu_iac.plan.opening import without_opening
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.rendering.reasons import numbers
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.tree import render_all
from tests.outcomes import scenes
from tests.plans import make_gateway_plan
from tests.rendered import rendered_once

TREES = (
    ("spot-burst", "eks"),
    ("engines", "kubernetes"),
    ("fleet", "spheron"),
    ("pinned", "compose"),
    ("spot-burst", "skyserve"),
)

WITHOUT_OPENING = re.compile(r"(\.json|\.service|\.timer|/setup\.sh|/model_\w+\.py|/front\.nft|README\.md|/engine/.*)$")
"""JSON has no comments; units, scripts and the rule of the front machine are the same for every stack, and say what they do
themselves; an engine's own settings are read by the engine alone; the page opens with the plan."""

THE_SAME_IN_EVERY_PLAN = (
    # of how any container is made
    "serviceAccountToken.expirationSeconds",
    "revisionHistoryLimit", "successThreshold", "timeoutSeconds", "runAsUser", "runAsGroup", "fsGroup", "defaultMode", "maxSkew",
    "initialDelaySeconds", "initContainers.resources", "env.value", "environment", "envs", "user", "logging.options",
    "healthcheck.timeout", "readinessProbe.failureThreshold", "ports.port", "grpc.port", "sysctls.value", "command",
    "entrypoint", "labels", "annotations",
    # of the filler, which only sleeps once it is done
    "model-cache.healthcheck", "updateStrategy.rollingUpdate",
    # of tools of others
    "retryInterval", "spec.interval", "spec.timeout", "httpPutResponseHopLimit", "backendRefs.weight", "endpointPickerRef.port",
    "scaleUp.stabilizationWindowSeconds", "scaleUp.policies.periodSeconds", "scaleDown.policies.value", "minAvailable",
    "maxUnavailable", "budgets.nodes", "expireAfter", "consolidateAfter", "terminationGracePeriod", "values",
    # of rules, whose expressions and waits the opening and the description of each explain
    "groups.interval", "groups.rules.for",
)  # fmt: skip
"""Where a template's own numbers stand, by keys on the way to them: no plan decides those."""

BY_COMPONENT = {
    "engine": ("home.emptyDir", "tmp.emptyDir"),
    "model-cache": ("readinessProbe", "terminationGracePeriodSeconds", "emptyDir.sizeLimit"),
    "router": ("readinessProbe", "livenessProbe", "progressDeadlineSeconds", "rollingUpdate", "run.emptyDir"),
    "endpoints": ("data",),
    "scaling": ("activationThreshold", "initialCooldownPeriod"),
    "endpoint-picker": ("readinessProbe", "livenessProbe", "progressDeadlineSeconds", "ports.containerPort"),
}
"""The same for objects of some components, whose engines' figures are planned."""

UNPLANNED_OPTIONS = ("--host", "--hostname", "--node-rank", "--nccl-timeout")
"""Options of an engine with a number that no plan decides."""


@cache
def planned(stack: str, target: str) -> Plan:
    return scenes.planned(stack, target)


def openings(files: tuple[RenderedFile, ...]) -> Iterator[tuple[str, str]]:
    for file in files:
        if not WITHOUT_OPENING.search(file.path):
            yield file.path, "\n".join(file.content.decode().split("\n")[:3])


@pytest.mark.parametrize(("stack", "target"), TREES)
def test_every_file_opens_with_what_made_it_and_how_to_change_it(stack: str, target: str) -> None:
    plan = planned(stack, target)
    for path, opening in openings(render_all(plan)):
        assert re.search(
            rf"# Made by agentgpu from the agent stack {plan.stack}: .*, plan [0-9a-f]{{12}}\.", opening
        ), path
        assert re.search(r"# Change .*, then: agentgpu render\. Why these numbers: agentgpu explain SPEC", opening), (
            path
        )


@pytest.mark.parametrize(("stack", "target"), TREES)
def test_every_planned_number_says_where_it_is_from(stack: str, target: str) -> None:
    silent: set[str] = set()
    for file in rendered_once(planned(stack, target)):
        text = file.content.decode()
        if (
            not file.path.endswith((".yaml", ".yml"))
            or "cloud-init" in file.path
            or file.path.endswith("prometheus.yml")
        ):
            continue
        if (
            "networkpolicy" in file.path
            or "dashboard" in file.path
            or file.path.endswith("/rules.yml")
            or "prometheusrule" in file.path
        ):
            continue
        lines = text.split("\n")
        found = re.search(r"app.kubernetes.io/component: (\S+)", text)
        component = "" if found is None else found[1]
        for number, steps, _, option in numbers(text):
            if " # plan: " not in lines[number]:
                known = (*THE_SAME_IN_EVERY_PLAN, *BY_COMPONENT.get(component, ()))
                if not (option in UNPLANNED_OPTIONS if option else any(passes(key, steps) for key in known)):
                    silent.add(f"{file.path}: {'.'.join(steps)} {option}")
    assert silent == set(), "give them a row in rendering/reasons.py, or say here why they are the same in every plan"


@pytest.mark.parametrize(
    "make",
    [*(partial(planned, *tree) for tree in TREES), make_gateway_plan],
    ids=[*map("-".join, TREES), "gateway"],
)
def test_comments_name_fields_that_have_a_value(make: Callable[[], Plan]) -> None:
    plan = make()
    body = plan.model_dump(by_alias=True)
    known = {"agents.kvOffloadGib", *with_a_value(body, "")}
    known.update(path for workload in body["workloads"] for path in with_a_value(workload, ""))
    for file in rendered_once(plan):
        for line in file.content.decode().split("\n"):
            named = line.partition(" # plan: ")[2]
            assert set(re.findall(r"[a-z]\w*(?:\.[a-z]\w+)+", named)) <= known, f"{file.path}: {line}"


def with_a_value(body: object, path: str) -> Iterator[str]:
    """The paths of the fields under it that are not null; the items of a list are at the path of the list."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield from with_a_value(value, f"{path}.{key}" if path else key)
    elif isinstance(body, list | tuple):
        for value in body:
            yield from with_a_value(value, path)
    if path and body is not None:
        yield path


@pytest.mark.broad(every=2)
@pytest.mark.parametrize(("stack", "target"), TREES)
def test_comments_change_no_value(stack: str, target: str) -> None:
    for file in rendered_once(planned(stack, target)):
        if file.path.endswith(".yaml") and "cloud-init" not in file.path:
            text = file.content.decode()
            bare = re.sub(r" # plan: .*$", "", text, flags=re.MULTILINE)
            assert yaml.load(text, yaml.CSafeLoader) == yaml.load(bare, yaml.CSafeLoader)


def passes(key: str, steps: tuple[str, ...]) -> bool:
    way = iter(steps)
    return all(part in way for part in key.split("."))


def with_longer_answer(plan: Plan, agent: str) -> Plan:
    workloads = tuple(
        each.model_copy(update={"max_model_len": each.max_model_len + 1}) if each.agent == agent else each
        for each in plan.workloads
    )
    return plan.model_copy(update={"workloads": workloads})


def test_a_change_of_one_agent_leaves_the_others_files_as_they_were() -> None:
    plan = planned("engines", "kubernetes")
    agents = sorted({workload.agent for workload in plan.workloads})
    before = {file.path: file.content for file in rendered_once(plan)}
    after = {file.path: file.content for file in render(with_longer_answer(plan, agents[0]))}
    changed = {path for path in before if before[path] != after[path]}
    assert f"base/deployment-{agents[0]}.yaml" in changed
    assert not {path for path in changed for agent in agents[1:] if path.endswith(f"-{agent}.yaml")}


def test_a_new_price_changes_no_file_that_is_applied() -> None:
    plan = planned("engines", "kubernetes")
    dearer = plan.model_copy(update={"cost": plan.cost.model_copy(update={"optimality_gap_ratio": 0.5})})
    assert render(plan) == render(dearer)
    assert plan_text(plan) != plan_text(dearer)


def test_on_a_machine_a_better_prediction_changes_the_openings_alone() -> None:
    plan = planned("fleet", "spheron")
    better = tuple(
        each.model_copy(update={"latency": each.latency.model_copy(update={"e2e_ms": 1.0})}) for each in plan.workloads
    )
    for old, new in zip(render(plan), render(plan.model_copy(update={"workloads": better})), strict=True):
        if not old.path.endswith("/cloud-init.yaml"):
            assert without_opening(old.content.decode()) == without_opening(new.content.decode()), old.path


@pytest.mark.parametrize(("stack", "target"), TREES)
def test_the_page_says_plan_cost_warnings_needs_and_how_to_see_it_answer(stack: str, target: str) -> None:
    plan = planned(stack, target)
    (page,) = (file.content.decode() for file in render_all(plan) if file.path == "README.md")
    for title in ("Agents", "Nodes", "Cost", "Beforehand", "Apply", "Does it answer?"):
        assert f"\n## {title}\n" in page
    for workload in plan.workloads:
        assert f"| {workload.agent} | {workload.tier} |" in page
    assert f"USD {plan.cost.baseline_usd_per_month:,.2f} a month" in page
    assert page.count("/chat/completions") == len({workload.agent for workload in plan.workloads})
    applied = [line for line in page.split("\n") if line.startswith("kubectl apply")]
    assert len(applied) <= 1, "a second overlay stands in place of the first, not beside it"
    for workload in plan.workloads:
        if (ttft := workload.latency.ttft_at_percentile_ms) is not None:
            assert f"| {ttft:,.0f}" in page
    if target in ("eks", "kubernetes") and plan.watching.monitors != "none":
        assert ("\n- NVIDIA's DCGM exporter" in page) == (plan.watching.accelerators != "none")
        assert "\n- kube-state-metrics" in page
    ranks = re.findall(r"^- \*\*([a-z-]+)\*\* \[", page, re.MULTILINE)
    assert ranks == sorted(ranks, key=RANK_ORDER.index)
    assert len(ranks) == len(plan.warnings)
