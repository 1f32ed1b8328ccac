"""The policies read inputs of anybody's program; each has a resource that breaks it alone, and a twin that does not."""

from __future__ import annotations

from collections import UserDict, UserList
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.policy_pack import rules
from agentgpu_iac.policy_pack.folder import pack_files
from agentgpu_iac.policy_pack.rules import Seen

FACTS = load_catalog()
PRICED = next(
    offer for offer in FACTS.offerings
    if offer.provider == "aws" and offer.capacity_type == "on-demand" and offer.usd_per_hour is not None
)  # fmt: skip
KIND, REGION, PRICE = PRICED.instance_type.name, PRICED.region, PRICED.usd_per_hour
DIGEST = f"@sha256:{'a' * 64}"


def cluster(**access: Any) -> Seen:
    return Seen(type="aws:eks/cluster:Cluster", name="main", inputs={"vpcConfig": access})


def group(**inputs: Any) -> Seen:
    base = {"instanceTypes": [KIND], "scalingConfig": {"minSize": 2, "maxSize": 4}}
    return Seen(type="aws:eks/nodeGroup:NodeGroup", name="gpus", inputs=base | inputs, region=REGION)


def pods(kind: str = "apps/v1:Deployment", **container: Any) -> Seen:
    template = {"spec": {"containers": [{"name": "engine", "image": f"vllm{DIGEST}"} | container]}}
    return Seen(type=f"kubernetes:{kind}", name="engine", inputs={"spec": {"template": template}})


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (cluster(), "nothing says who may reach it"),
        (cluster(endpointPublicAccess=True, publicAccessCidrs=[]), "nothing says who may reach it"),
        (cluster(publicAccessCidrs=["10.0.0.0/8", "0.0.0.0/0"]), "open to everybody"),
        (cluster(publicAccessCidrs=["203.0.113.0/24"]), ""),
        (cluster(endpointPublicAccess=False), ""),
        (Seen(type="aws:s3/bucket:Bucket", name="b", inputs={}), ""),
    ],
)
def test_a_public_api_has_an_allow_list(seen: Seen, told: str) -> None:
    sentences = list(rules.public_api(seen))
    assert len(sentences) == bool(told)
    assert all(told in sentence for sentence in sentences)


def test_everybody_may_be_allowed() -> None:
    assert not list(rules.public_api(cluster(publicAccessCidrs=["0.0.0.0/0"]), everybody=True))
    assert list(rules.public_api(cluster(), everybody=True))


def test_nodes_that_always_run_are_not_on_spot() -> None:
    (told,) = rules.spot_baseline(group(capacityType="SPOT"), FACTS)
    assert f"keeps 2 x {KIND} on spot" in told
    assert not list(rules.spot_baseline(group(capacityType="SPOT"), FACTS, interruptible=("gpus",)))
    assert not list(rules.spot_baseline(group(capacityType="SPOT", scalingConfig={"minSize": 0}), FACTS))
    assert not list(rules.spot_baseline(group(), FACTS))
    assert not list(rules.spot_baseline(group(capacityType="SPOT", instanceTypes=["no.gpu"]), FACTS))


def test_machines_with_accelerators_have_a_price() -> None:
    (told,) = rules.unpriced(group(instanceTypes=["brand.new"], amiType="AL2023_x86_64_NVIDIA"), FACTS)
    assert f"nobody knows what brand.new of gpus costs in {REGION} as on-demand" in told
    assert not list(rules.unpriced(group(instanceTypes=["brand.new"]), FACTS))
    assert not list(rules.unpriced(group(), FACTS))


def test_machines_that_always_run_stay_within_the_budget() -> None:
    assert PRICE is not None
    month = PRICE * 2 * 720
    stack = [group(), group(scalingConfig={"minSize": 0}), cluster()]
    assert not list(rules.over_budget(stack, FACTS, budget_usd_per_month=month))
    (told,) = rules.over_budget(stack, FACTS, budget_usd_per_month=month - Decimal("0.01"))
    assert told.startswith(f"gpus cost USD {month:,.2f} a month, over the budget of USD")


@pytest.mark.parametrize("image", ["vllm", "vllm:latest", "registry.example:5000/vllm", f"vllm:v1{DIGEST}", "vllm:v1"])
def test_images_are_pinned(image: str) -> None:
    moves = "@" not in image and not image.endswith(":v1")
    assert bool(list(rules.unpinned_images(pods(image=image)))) == moves
    assert bool(list(rules.unpinned_images(pods(image=image), digests=True))) == ("@" not in image)


@pytest.mark.parametrize(
    "kind", ["apps/v1:Deployment", "batch/v1:CronJob", "core/v1:Pod", "leaderworkerset.x-k8s.io/v1:LeaderWorkerSet"]
)
def test_pods_are_found_in_whatever_makes_them(kind: str) -> None:
    assert list(rules.unpinned_images(pods(kind, image="vllm")))


def test_credentials_do_not_stand_in_clear() -> None:
    (told,) = rules.secrets_in_clear(
        pods(env=[{"name": "HF_TOKEN", "value": "word"}, {"name": "PORT", "value": "8000"}])
    )
    assert "variable HF_TOKEN of engine" in told
    assert "word" not in told
    by_reference = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}}
    assert not list(rules.secrets_in_clear(pods(env=[by_reference])))
    token = "hf_" + "aB3" * 12
    (told,) = rules.secrets_in_clear(Seen(type="aws:ssm/parameter:Parameter", name="p", inputs={"value": token}))
    assert told.startswith("value of p holds a Hugging Face token")
    assert token not in told
    assert not list(rules.secrets_in_clear(Seen(type="pulumi:providers:spheron", name="p", inputs={"token": token})))
    marked = Seen(type="aws:ssm/parameter:Parameter", name="p", inputs={"value": token})
    assert not list(rules.secrets_in_clear(marked, marked=("p",)))


def handed_over(value: Any) -> Any:
    """As Pulumi's policy library hands inputs over: views, which are no dicts and no lists."""
    if isinstance(value, Mapping):
        return UserDict({key: handed_over(inner) for key, inner in value.items()})
    return UserList(map(handed_over, value)) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        (rules.public_api, cluster(publicAccessCidrs=["0.0.0.0/0"])),
        (rules.unpinned_images, pods(image="vllm:latest")),
        (rules.secrets_in_clear, pods(env=[{"name": "HF_TOKEN", "value": "word"}])),
        (rules.secrets_in_clear, pods(args=["--token", "hf_" + "aB3" * 12])),
        (partial(rules.unpriced, facts=FACTS), group(instanceTypes=["g99.huge"], taints=[{"key": "nvidia.com/gpu"}])),
    ],
)
def test_a_rule_says_the_same_of_views(rule: Callable[[Seen], Iterator[str]], seen: Seen) -> None:
    told = list(rule(seen))
    assert told
    assert list(rule(replace(seen, inputs=handed_over(seen.inputs)))) == told


def test_the_pack_has_locked_requirements_and_a_program() -> None:
    files = pack_files("1.2.3")
    assert set(files) == {"PulumiPolicy.yaml", "__main__.py", "requirements.txt"}
    assert "pulumi-policy==" in files["requirements.txt"]
    compile(files["__main__.py"], "__main__.py", "exec")
