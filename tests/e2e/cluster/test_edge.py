"""Strange text is rendered so that the API server reads what we meant, or it is refused with a message; nothing in between.

The files go to the API server as they are: its YAML parser is not the one that wrote them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan.mounts import MODELS_MOUNT
from agentgpu_iac.rendering.render import render
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.drift import ALLOWED, differences
from tests.e2e.cluster.trees import Tree, identity, tree_of, tree_of_text
from tests.plans import make_plan, make_pool, make_workload

TEXTS = {
    "quotes": 'it\'s "quoted" and `ticked`',
    "lines": "first\nsecond\r\n\n  third\n",
    "jinja": "{{ name }} {% for a in b %} {# c #}",
    "variables": "${HOME} $HOME %s %(a)s {0} {a}",
    "yaml": "a: b # c & *d !e | > - [f] ? g",
    "document": "--- \n...\n%YAML 1.1",
    "spaces": "  before and after \t ",
    "backslashes": "C:\\new\\u0041 \\",
    "unicode": "naïve 模型 🚀 \u2028 \u0085 \ufeff",
    "leading-zeros": "007",
    "octal": "0o17",
    "exponent": "1e3",
    "underscores": "1_000",
    "base-sixty": "12:30:45",
    "date": "2026-01-01",
    "infinity": ".inf",
    "on": "on",
    "no": "no",
    "null": "null",
    "tilde": "~",
    "merge": "<<",
    "nothing": "",
    "long": "x" * 5000,
}
WORDS = ("on", "no", "yes", "null", "true", "off", "y", "n", "e3")
"""Names that some YAML parser takes for something else."""


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_is_read_back_byte_for_byte(equipped_cluster: ControlPlane, text: str) -> None:
    arguments = (f"{MODELS_MOUNT}/m", text, f"--option={text}", json.dumps({"key": text}))
    workload = make_workload()
    changed = {
        "model": text,
        "served_model_name": text,
        "engine": workload.engine.model_copy(update={"args": arguments}),
    }
    made = tree_of(make_plan(workloads=(workload.model_copy(update=changed),)))
    with applied(equipped_cluster, made):
        live = read_back(equipped_cluster, made)
        deployment = next(each for key, each in live.items() if key[0] == "Deployment")
        (engine,) = deployment["spec"]["template"]["spec"]["containers"]
        assert tuple(engine["args"]) == arguments
        assert deployment["metadata"]["annotations"]["agentgpu.dev/model"] == text
        endpoints = next(each for key, each in live.items() if key[2] == "endpoints")
        assert endpoints["data"]["SUPPORT_MODEL"] == text
        assert json.loads(endpoints["data"]["endpoints.json"])["support"]["model"] == text


@pytest.mark.parametrize(("word", "caller"), list(zip(WORDS, WORDS[1:] + WORDS[:1], strict=True)))
def test_names_that_look_like_something_else_stay_names(equipped_cluster: ControlPlane, word: str, caller: str) -> None:
    made = tree_of_text(
        f"""
        apiVersion: agentgpu.dev/v1alpha1
        kind: AgentStack
        metadata: {{name: "{word}"}}
        spec:
          modelCache: {{tokenSecret: "{word}"}}
          network: {{router: nginx, sessionHeader: "{word}"}}
          observability: {{labels: {{"{word}": "{word}", release: "007", team: "1e3", of: "on"}}}}
          security: {{callers: ["{caller}"], apiKeySecret: key, externalSecrets: {{store: "{word}", pathPrefix: "0o17/"}}}}
          gitops: {{tool: argocd, repository: "https://git.example.org/no.git", path: "0755", revision: "{word}"}}
          agents:
            - {{name: "{word}", role: "{word}", model: meta-llama/Llama-3.1-8B-Instruct, modelRevision: "0123"}}
        """
    )
    for namespace in made.foreign_namespaces:
        equipped_cluster.add_namespace(namespace)
    with applied(equipped_cluster, made):
        live = read_back(equipped_cluster, made)
        assert ("Deployment", word, word) in live
        assert live[("Deployment", word, word)]["metadata"]["labels"]["agentgpu.dev/agent"] == word
        assert live[("Deployment", word, word)]["metadata"]["annotations"]["agentgpu.dev/model-revision"] == "0123"


def test_the_longest_names_fit_everywhere(equipped_cluster: ControlPlane) -> None:
    """40 characters is what the spec allows; every name and label made of them stays within Kubernetes' 63."""
    stack, agent = "s" * 40, "a" * 40
    made = tree_of_text(
        f"""
        apiVersion: agentgpu.dev/v1alpha1
        kind: AgentStack
        metadata: {{name: {stack}}}
        spec:
          capacity: {{fastBurst: turn-away}}
          gitops: {{tool: flux, repository: "https://git.example.org/a.git", path: a}}
          agents:
            - name: {agent}
              model: Qwen/Qwen3-14B
              sessions: {{concurrent: 60}}
              conversation: {{maxContextTokens: 8192}}
              traffic: {{burstFactor: 4, rampS: 600}}
        """
    )
    for namespace in made.foreign_namespaces:
        equipped_cluster.add_namespace(namespace)
    with applied(equipped_cluster, made):
        assert ("Deployment", stack, f"{agent}-burst") in read_back(equipped_cluster, made)


@pytest.mark.parametrize(
    "name",
    [
        "a" * 41,
        "a" * 64,
        "Support",
        "sup port",
        "sup.port",
        "-support",
        "support-",
        "9support",
        'a"b',
        "a\\nb",
        "{{ a }}",
        "",
    ],
)
@pytest.mark.parametrize("place", ["stack", "agent"])
def test_a_name_that_cannot_be_is_refused_with_its_place_and_a_message(name: str, place: str) -> None:
    names = {"stack": "stack", "agent": "agent", place: name}
    text = f"""
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: {json.dumps(names["stack"])}}}
spec:
  agents:
    - {{name: {json.dumps(names["agent"])}, model: Qwen/Qwen3-8B}}
"""
    with pytest.raises(BadInput) as refused:
        tree_of_text(text)
    (fault,) = refused.value.faults
    assert fault.line == {"stack": 4, "agent": 7}[place]
    assert re.search(r"at most 40|is made of|must not be empty", fault.message)


@pytest.mark.parametrize("text", ["on the left", 'a"b', "a\nb", "{{ a }}", "a" * 64, "-a", "ä"])
@pytest.mark.parametrize("place", ["agent", "node_pool", "stack"])
def test_what_cannot_be_a_label_or_a_name_is_refused_by_rendering_too(text: str, place: str) -> None:
    """A plan may come from elsewhere."""
    changes: dict[str, Any] = {}
    match place:
        case "agent":
            changes = {"workloads": (make_workload(agent=text, name=text),)}
        case "node_pool":
            changes = {"workloads": (make_workload(node_pool=text),), "node_pools": (make_pool(name=text),)}
        case "stack":
            changes = {"stack": text}
    with pytest.raises(BadInput) as refused:
        render(make_plan(**changes))
    assert all(fault.message for fault in refused.value.faults)


@contextmanager
def applied(cluster: ControlPlane, made: Tree) -> Iterator[None]:
    """A stack, applied from the text of its files, strictly."""
    for body, text in zip(made.objects, made.texts, strict=True):
        cluster.put(body, text)
    yield
    cluster.remove(made.objects)


def read_back(cluster: ControlPlane, made: Tree) -> dict[tuple[str, str, str], Object]:
    """The live objects, which hold what we wrote and nothing else but what may be there."""
    live = {identity(each): cluster.get(cluster.place(each)) for each in made.objects}
    strange = [
        f"{each['kind']} {each['metadata']['name']}: {path}"
        for each in made.objects
        for path in differences(each, live[identity(each)])
        if not any(one.covers(each["kind"], path) for one in ALLOWED)
    ]
    assert strange == []
    return live
