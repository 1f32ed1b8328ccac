"""Whatever agents are called: every engine, Service and file serves its own agent's model, on every target."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.names import ROUTER_NAME, clashes, endpoint_picker, engines_service, workload_name
from agentgpu_iac.plan.nodes import AGENT_LABEL
from agentgpu_iac.plan.reading import plan_in
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.manifest import manifest
from agentgpu_iac.rendering.render import object_drafts, render
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.reserved import reserved
from agentgpu_iac.spec.vocabulary import Target
from tests.outcomes.scenes import CASES, catalog, planned
from tests.rendering.trees import PLANS

MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-14B", "Qwen/Qwen3-4B")
STANDINS = tuple(f"{word}-".ljust(40, "z") for word in ("zero", "one", "two"))
"""So long that names of pools hold them shortened, and renaming leaves those alone."""

HOSTILE = (
    "requests", "callers", "requests-in-flight", "tls-sessions", "session", "default", "server", "upstream", "unix",
    "localhost", "endpoints", "engine", "engines", "engine-cache", "wait", "nginx", "folders", "model-cache", "prometheus",
    "ollama", "dcgm-exporter", "accelerators", "stack", "router", "router-health", "router-status", "http", "x", "x-1",
    "x-1-1", "x-2", "x-base", "burst", "picker", "group", "share-1", "traffic", "keda-hpa", "grafana-dashboard-1", "null",
    "true", "y", "on", "n" * 40, "a" + "-" * 38 + "b", "allow-dns", "hosts", "all",
)  # fmt: skip
"""Names that mean something to NGINX, Compose, Kubernetes, YAML or us, or nearly those of parts of other agents."""

names = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.from_regex(r"[a-z]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)),
    min_size=3, max_size=3, unique=True,
).filter(lambda found: not any(reserved(name) for name in found))  # fmt: skip


def spec(target: str, *agents: str) -> str:
    rows = "".join(
        f"    - {{name: {json.dumps(name)}, model: {model}, sessions: {{concurrent: 30}}, "
        "traffic: {burstFactor: 12, rampS: 900}}\n"
        for name, model in zip(agents, MODELS, strict=False)
    )
    return (
        f"apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {{name: law}}\nspec:\n  target: {target}\n"
        "  security: {apiKeySecret: key}\n  hosts: {callerRanges: [203.0.113.0/24]}\n"
        f"  capacity: {{shareAccelerators: never}}\n  agents:\n{rows}"
    )


def read(content: bytes | str) -> Any:
    return yaml.load(content, yaml.CSafeLoader)


@cache
def standins(target: str) -> str:
    return plan_text(make_plan(load_text(spec(target, *STANDINS), "law.yaml"), catalog()))


def renamed(target: str, agents: list[str]) -> Plan:
    """The plan as it is for agents of other names: nothing in it depends on what they are called."""
    text = standins(target)
    for standin, agent in zip(STANDINS, agents, strict=True):
        text = text.replace(standin, agent)
    found = plan_in(text.encode(), "plan.json")
    assert found is not None
    return found


def served(words: list[str], agent: str, plan: Plan) -> bool:
    """Whether an engine's words name the agent's own model, and the name that requests ask for."""
    workload = next(each for each in plan.workloads if each.agent == agent)
    return workload.model_cache.path in " ".join(words) and workload.served_model_name in words


@settings(max_examples=3, deadline=None)
@given(agents=names)
@example(agents=["requests", "callers", "x"])
@example(agents=["x", "x-1", "x-1-1"])
def test_every_machine_s_engine_serves_its_own_agent_s_model(agents: list[str]) -> None:
    for target in ("compose",):
        plan = renamed(target, agents)
        files = {file.path: file.content.decode() for file in render(plan)}
        for host in plan.hosts:
            compose = read(files[f"hosts/{host.node_pool}/docker-compose.yaml"])
            engines = {
                name: each for name, each in compose["services"].items() if AGENT_LABEL in each.get("labels", {})
            }
            assert len(engines) == len(host.engines)
            ports = {}
            for engine in engines.values():
                agent = engine["labels"][AGENT_LABEL]
                assert served(engine["command"], agent, plan)
                ports[engine["ports"][0].split(":")[1]] = agent
            check_nginx(files[f"hosts/{host.node_pool}/nginx.conf"], ports)


def check_nginx(text: str, ports: dict[str, str]) -> None:
    zones = re.findall(r"(?:zone[ =]|shared:)([^ :;]+)", text)
    assert [zone for zone, times in Counter(zones).items() if times > 1] == []
    upstreams = dict(re.findall(r"upstream (\S+) \{(.*?)\n    \}", text, re.DOTALL))
    for agent, engines in upstreams.items():
        for port in re.findall(r"server 127\.0\.0\.1:(\d+) max_fails", engines):
            assert ports[port] == agent


@settings(max_examples=3, deadline=None)
@given(agents=names)
@example(agents=["x", "x-1", "x-1-1"])
def test_every_object_of_a_cluster_serves_its_own_agent_s_model(agents: list[str]) -> None:
    plan = renamed("kubernetes", agents)
    bodies = [read(file.content) for file in render(plan) if file.path.startswith("base/")]
    for body in bodies:
        labels = body.get("metadata", {}).get("labels", {})
        if body["kind"] == "Deployment" and AGENT_LABEL in labels:
            (container,) = body["spec"]["template"]["spec"]["containers"]
            assert served(container["args"], labels[AGENT_LABEL], plan)
            assert body["spec"]["selector"]["matchLabels"][AGENT_LABEL] == labels[AGENT_LABEL]
    services = {body["metadata"]["name"]: body for body in bodies if body["kind"] == "Service"}
    for agent in agents:
        pods = services[engines_service(agent)]
        assert pods["spec"]["selector"][AGENT_LABEL] == agent


@pytest.mark.broad(every=0)
@settings(max_examples=3, deadline=None)
@given(agents=names)
def test_every_sky_service_serves_its_own_agent_s_model(agents: list[str]) -> None:
    plan = renamed("skyserve", agents)
    files = {file.path: read(file.content) for file in render(plan)}
    for agent in agents:
        workload = next(each for each in plan.workloads if each.agent == agent)
        assert workload.model_cache.path in files[f"skyserve/{agent}.yaml"]["run"]


TARGETS: tuple[Target, ...] = ("compose", "kubernetes", "skyserve")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [workload_name("x", "burst"), engines_service("x"), endpoint_picker("x"), ROUTER_NAME])
def test_a_derived_name_is_refused_at_its_line(target: Target, name: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_text(spec(target, "x", name), "law.yaml")
    (fault,) = refused.value.faults
    assert (fault.path, fault.line > 1) == ("spec.agents[1].name", True)
    assert "so no agent may have it" in fault.message


@pytest.mark.parametrize("name", ["kube-system", "default"])
def test_a_stack_takes_no_namespace_of_others(name: str) -> None:
    for target, faults in (("kubernetes", 1), ("compose", 0)):
        text = spec(target, "x").replace("{name: law}", f"{{name: {name}}}")
        try:
            load_text(text, "law.yaml")
            found = 0
        except BadInput as refused:
            found = len(refused.faults)
        assert found == faults


TREES = {
    "made by hand": lambda: {name: make() for name, make in PLANS.items()},
    "of every stack": lambda: {f"{stack}-{target}": planned(stack, target) for stack, target in CASES},
}


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("plans", TREES)
def test_where_agents_name_objects_no_other_object_has_a_name_that_an_agent_may_have(plans: str) -> None:
    """Every kind of which one object bears an agent's bare name: what else it names is refused as the name of an agent."""
    bare: set[str] = set()
    others: dict[tuple[str, str], str] = {}
    for where, plan in TREES[plans]().items():
        if plan.hosts or plan.sky_services:
            continue
        agents = {agent.name for agent in plan.served_agents}
        for draft in object_drafts(plan):
            made = manifest(draft)
            of_agent = dict(getattr(draft.context, "labels", ())).get(AGENT_LABEL)
            if made.name == of_agent and made.name != plan.stack:
                bare.add(made.kind)
            elif made.name != plan.stack and made.name not in agents:
                others[made.kind, made.name] = where
    assert {"Deployment", "Service", "InferencePool"} <= bare
    free = {
        key: where
        for key, where in others.items()
        if key[0] in bare and not reserved(key[1]) and re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", key[1])
    }
    assert free == {}, "give them names that spec/reserved.py keeps from agents"


def test_a_saved_plan_with_two_things_of_one_name_is_refused() -> None:
    text = standins("compose").replace(STANDINS[1], STANDINS[0])
    with pytest.raises(BadInput, match="would both be the workload 'zero-z"):
        plan_in(text.encode(), "plan.json")


def test_groups_and_agents_are_told_apart() -> None:
    plan = PLANS["grouped"]()
    group = next(each for each in plan.workloads if each.kind == "LeaderWorkerSet")
    other = group.model_copy(update={"agent": f"{group.agent}-0", "name": f"{group.agent}-0"})
    (clash,) = {each.message for each in clashes(plan.model_copy(update={"workloads": (*plan.workloads, other)}))}
    assert f"the Service '{group.agent}-0'" in clash
