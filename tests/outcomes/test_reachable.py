"""Every agent of every kept stack is reachable: by its endpoint's address, along the objects of its tree, at an engine that
knows the name it is asked for by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import count, repeat
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import GatewayPlan, Plan
from agentgpu_iac.plan.endpoints import Endpoint, endpoints
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.planning import planner
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text
from tests.outcomes.scenes import CASES, GOLDEN, loaded
from tests.plans import make_plan, make_route, make_router, make_workload

Tree = Mapping[str, str]
Words = tuple[str, ...]


def kept(stack: str, target: str) -> tuple[Plan, Tree]:
    folder = GOLDEN / stack / target / "tree"
    files = (path for path in folder.rglob("*") if path.is_file())
    return load_plan(folder.parent / "plan.json"), {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files
    }


@pytest.mark.broad(every=4)
@pytest.mark.parametrize(("stack", "target"), CASES)
def test_every_agent_is_reached_by_its_name(stack: str, target: str) -> None:
    plan, tree = kept(stack, target)
    named = [agent.name for agent in loaded(stack, target).stack.spec.agents]
    assert [endpoint.agent for endpoint in endpoints(plan)] == named
    all_are_reached(plan, tree)


SHARED = ("planner", "coder", "critic")


def team(**changes: Any) -> Plan:
    """A deployment of three agents, as it stands in a plan."""
    words = ("/models/acme", "--served-model-name", *SHARED, "--port", "8000")
    workload = make_workload(agent="acme", name="acme", agents=SHARED)
    workload = workload.model_copy(update={"engine": workload.engine.model_copy(update={"args": words})})
    return with_agents(make_plan(workloads=(workload,), **changes))


def with_agents(plan: Plan) -> Plan:
    """The same with an entry for each agent, and a route where the plan has a router."""
    (first,) = plan.served_agents
    agents = tuple(first.model_copy(update={"name": name, "served_model_name": name}) for name in SHARED)
    router = plan.router
    if router is not None:
        ports = count(10_000) if router.kind == "nginx" else repeat(None)
        routes = tuple(
            router.routes[0].model_copy(update={"agent": name, "deployment": first.name, "port": port})
            for name, port in zip(SHARED, ports, strict=False)
        )
        router = router.model_copy(update={"routes": routes})
    return plan.model_copy(update={"agents": agents, "router": router})


GATEWAY = GatewayPlan(name="edge", namespace="gateways", hostname="agents.example.org", scheme="https")


@pytest.mark.parametrize(
    "plan",
    [
        team(),
        team(router=make_router()),
        team(router=make_router(kind="gateway", gateway=GATEWAY, exporter=None, routes=(make_route(port=None),))),
    ],
    ids=["services", "nginx", "gateway"],
)
def test_every_agent_of_a_shared_deployment_is_reached_by_its_name(plan: Plan) -> None:
    assert tuple(endpoint.agent for endpoint in endpoints(plan)) == SHARED
    all_are_reached(plan, rendered(plan))


@pytest.mark.parametrize("target", ["compose", "spheron"])
def test_every_agent_of_a_shared_deployment_on_machines_is_reached_by_its_name(target: str) -> None:
    stack = load_text(MACHINES.format(target=target), "team.yaml")
    plan = planner.make_plan(stack, load_catalog())
    assert len({workload.agent for workload in plan.workloads}) == 1
    all_are_reached(plan, rendered(plan))


MACHINES = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: team}}
spec:
  target: {target}
  accelerators: {{allow: [rtx-5090]}}
  security: {{apiKeySecret: callers}}
  hosts: {{callerRanges: [203.0.113.0/24]}}
  agents:
    - {{name: planner, model: Qwen/Qwen3-8B}}
    - {{name: coder, model: Qwen/Qwen3-8B}}
    - {{name: critic, model: Qwen/Qwen3-8B}}
"""


def rendered(plan: Plan) -> Tree:
    return {file.path: file.content.decode() for file in render(plan)}


def all_are_reached(plan: Plan, tree: Tree) -> None:
    for endpoint in endpoints(plan):
        engines = tuple(reached(plan, tree, endpoint))
        assert engines, endpoint.agent
        assert all(answers_to(words, endpoint.model) for words in engines), (endpoint, engines)


def answers_to(words: Words, name: str) -> bool:
    """Whether an engine started so takes a request for that model."""
    if "--served-model-name" in words:
        at = words.index("--served-model-name") + 1
        names = list(words[at:])
        return name in names[: next((place for place, word in enumerate(names) if word.startswith("--")), len(names))]
    return name == "tgi" or any(word.endswith(f"/{name}") for word in words)


def reached(plan: Plan, tree: Tree, endpoint: Endpoint) -> Iterator[Words]:
    """The words of every engine that a request to the endpoint may come to."""
    if plan.sky_services:
        yield from in_sky(plan, tree, endpoint)
    elif plan.hosts:
        yield from on_machines(plan, tree, endpoint)
    else:
        yield from in_cluster(plan, tree, endpoint)


def in_sky(plan: Plan, tree: Tree, endpoint: Endpoint) -> Iterator[Words]:
    name = endpoint.address_from.rpartition(" ")[2].rstrip("`")
    for path in sorted(path for path in tree if path.startswith("skyserve/")):
        service = yaml.load(tree[path], yaml.CSafeLoader)
        if service.get("name") == name:
            yield tuple(service["run"].replace("\\\n", " ").split())


def on_machines(plan: Plan, tree: Tree, endpoint: Endpoint) -> Iterator[Words]:
    port = int(endpoint.base_url.rpartition(":")[2].partition("/")[0])
    for path in sorted(path for path in tree if path.endswith("/nginx.conf")):
        services = yaml.load(tree[path.replace("nginx.conf", "docker-compose.yaml")], yaml.CSafeLoader)["services"]
        for server in servers_of(tree[path], port, endpoint.agent):
            for service in services.values():
                if any(each.startswith(f"{server}:") for each in service.get("ports", ())):
                    yield tuple(map(str, service["command"]))


def servers_of(config: str, port: int, agent: str) -> list[str]:
    """What NGINX's upstream names behind the server that listens on a port and is called by its agent."""
    for block in re.findall(r"^ {4}server \{\n(.*?)^ {4}\}", config, re.MULTILINE | re.DOTALL):
        if re.search(rf"^ +listen (\S+:)?{port}\b", block, re.MULTILINE):
            assert re.search(rf"^ +server_name {re.escape(agent)};", block, re.MULTILINE)
            upstream = re.search(r"proxy_pass http://([\w-]+)", block)
            assert upstream
            found = re.search(rf"^ {{4}}upstream {upstream[1]} \{{\n(.*?)^ {{4}}\}}", config, re.MULTILINE | re.DOTALL)
            assert found
            return re.findall(r"^ +server (\S+?)[ ;]", found[1], re.MULTILINE)
    return []


Objects = list[dict[str, Any]]


def in_cluster(plan: Plan, tree: Tree, endpoint: Endpoint) -> Iterator[Words]:
    objects = [
        yaml.load(text, yaml.CSafeLoader)
        for path, text in sorted(tree.items())
        if path.partition("/")[0] in ("base", "groups", "gateway") and not path.endswith("kustomization.yaml")
    ]
    told = json.loads(next(each for each in objects if is_a(each, "ConfigMap", "endpoints"))["data"]["endpoints.json"])
    assert told[endpoint.agent]["model"] == endpoint.model
    assert told[endpoint.agent]["baseUrl"] == endpoint.base_url
    host, _, path = endpoint.base_url.split("//", 1)[1].partition("/")
    if ".svc.cluster.local" not in host:
        yield from through_gateway(objects, f"/{path}")
        return
    yield from through_services(objects, host, endpoint.agent, endpoint.model)


def through_services(objects: Objects, host: str, agent: str, model: str) -> Iterator[Words]:
    name, port = host.split(".", maxsplit=1)[0], int(host.rpartition(":")[2])
    service = next(each for each in objects if is_a(each, "Service", name))
    (way,) = (each for each in service["spec"]["ports"] if each["port"] == port)
    pods = list(selected(objects, service["spec"]["selector"]))
    if name == "model-proxy":
        config = next(each for each in objects if is_a(each, "ConfigMap", name))["data"]["config.yaml"]
        (told,) = (
            each["litellm_params"]
            for each in yaml.load(config, yaml.CSafeLoader)["model_list"]
            if each["model_name"] == model
        )
        assert told["model"].partition("/")[2] == model
        yield from through_services(objects, told["api_base"].split("//", 1)[1].partition("/")[0], agent, model)
        return
    router = [pod for pod in pods if any(each["name"] == "nginx" for each in pod["containers"])]
    if not router:
        yield from (words_of(pod) for pod in pods)
        return
    (number,) = {
        each["containerPort"]
        for pod in router
        for container in pod["containers"]
        for each in container.get("ports", ())
        if each.get("name") == way["targetPort"]
    }
    config = next(each for each in objects if is_a(each, "ConfigMap", "traffic-router"))["data"]["nginx.conf"]
    for server in servers_of(config, number, agent):
        engines = next(each for each in objects if is_a(each, "Service", server.split(".")[0]))
        yield from (words_of(pod) for pod in selected(objects, engines["spec"]["selector"]))


def through_gateway(objects: Objects, path: str) -> Iterator[Words]:
    for route in (each for each in objects if each["kind"] == "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            if any(path == match["path"]["value"] for match in rule["matches"]):
                for behind in rule["backendRefs"]:
                    pool = next(each for each in objects if is_a(each, "InferencePool", behind["name"]))
                    labels = pool["spec"]["selector"]["matchLabels"]
                    yield from (words_of(pod) for pod in selected(objects, labels))


def is_a(body: Mapping[str, Any], kind: str, name: str) -> bool:
    return body["kind"] == kind and body["metadata"]["name"] == name


def selected(objects: Objects, labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The pods that bear the labels; of a group over several nodes the one that leads."""
    for body in objects:
        template = body.get("spec", {}).get("template")
        if body["kind"] == "LeaderWorkerSet":
            template = body["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
        if (
            body["kind"] in ("Deployment", "LeaderWorkerSet")
            and labels.items() <= template["metadata"]["labels"].items()
        ):
            yield template["spec"]


def words_of(pod: Mapping[str, Any]) -> Words:
    return tuple(map(str, pod["containers"][0]["args"]))
