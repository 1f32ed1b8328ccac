"""Rules of whose machines a stack may use, and of what machines beside a cluster ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from agentgpu_iac.spec.abilities import Abilities, abilities_of
from agentgpu_iac.spec.model import ModelCache
from agentgpu_iac.spec.model.serving import Network, Scaling
from agentgpu_iac.spec.rule_values import Violation, items, mapping, part, word
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.yaml_tree import Data, Steps

_PROVIDERS: Steps = ("spec", "providers")
_MACHINES_FROM: Steps = ("spec", "capacity", "machinesFrom")


def provider_rules(data: Data, target: str) -> Iterator[Violation]:
    """Where a target makes machines of its own sellers, those of others carry bursts behind its NGINX, or nothing."""
    abilities = abilities_of(target)
    if abilities is None:
        return
    spec = part(data, "spec")
    providers = _in_lower_case(items(spec, "providers"))
    machines_from = _in_lower_case(items(part(spec, "capacity"), "machinesFrom"))
    yield from _foreign(providers, target, abilities)
    yield from _machines_from(machines_from, target, abilities)
    joined = next(
        (
            (*at, index)
            for at, named in ((_PROVIDERS, _beside(providers, abilities)), (_MACHINES_FROM, machines_from))
            for index, provider in enumerate(named)
            if provider in abilities.joins
        ),
        None,
    )
    if joined is not None:
        yield from _beside_a_cluster(data, joined)
    yield from _scaler_rules(part(spec, "scaling"), target, abilities, joined)


def _scaler_rules(
    scaling: Mapping[str, Data], target: str, abilities: Abilities, beside: Steps | None
) -> Iterator[Violation]:
    """What follows the load with machines beside the cluster needs such machines, and a load that it may follow."""
    if scaling.get("machines") is None:
        return
    at: Steps = ("spec", "scaling", "machines")
    if not abilities.joins:
        yield Violation(
            steps=at,
            message=f"it follows the load with machines beside a cluster, and the target {target!r} has none",
            hint="leave it out, or use target: eks or kubernetes",
        )
    elif beside is None:
        yield Violation(
            steps=at,
            message="no machine stands beside the cluster that it could start",
            hint=f"write capacity: {{machinesFrom: [{', '.join(abilities.joins)}]}}, or leave it out",
        )
    if word(scaling, "method", Scaling) == "none":
        yield Violation(
            steps=(*at[:2], "method"),
            message="method: none means that nothing follows the load, and scaling.machines asks for what does",
            hint="leave one of the two out",
        )
    if mapping(scaling.get("prometheusAuth")).get("method") == "aws-sigv4":
        yield Violation(
            steps=at,
            message="aws-sigv4 is signed by KEDA's own AWS identity, which what starts machines does not have",
            hint="use bearer, basic or header, or leave scaling.machines out",
        )


def _in_lower_case(named: Sequence[Data]) -> Sequence[Data]:
    """Providers as their ids are spelt."""
    return tuple(each.casefold() if isinstance(each, str) else each for each in named)


def _beside(providers: Sequence[Data], abilities: Abilities) -> Sequence[Data]:
    """Providers that can only be meant to carry bursts beside the cluster, in their places."""
    return providers if abilities.buys_from else ()


def _foreign(providers: Sequence[Data], target: str, abilities: Abilities) -> Iterator[Violation]:
    own, joins = abilities.buys_from, abilities.joins
    if not own or (len(providers) == 1 and not abilities.makes_nodes_on_demand):
        return
    for index, provider in enumerate(providers):
        if isinstance(provider, str) and not re.fullmatch("[a-z0-9-]+", provider):
            yield Violation(
                steps=(*_PROVIDERS, index),
                message=f"{shown(provider)} is no provider's id",
                hint=f"agentgpu catalog list providers has the ids; target {target} takes {' and '.join((*own, *joins))}",
            )
        elif isinstance(provider, str) and provider not in own and provider not in joins:
            yield Violation(
                steps=(*_PROVIDERS, index),
                message=f"target {target} makes machines of {' and '.join(own)} alone, and nothing in front joins those of "
                f"{shown(provider)} to them",
                hint=f"leave {provider} out, use target: kubernetes, whose nodes you join yourself, or plan a stack for each",
            )
    names = {provider for provider in providers if isinstance(provider, str)}
    if names and names <= set(joins):
        yield Violation(
            steps=(*_PROVIDERS, 0),
            message=f"machines of {' and '.join(sorted(names))} carry bursts alone, and the baseline of target {target} stands "
            f"on nodes of {' and '.join(own)}",
            hint=f"write providers: [{', '.join((*own, *sorted(names)))}], or use target: {sorted(names)[0]}",
        )


def _machines_from(named: Sequence[Data], target: str, abilities: Abilities) -> Iterator[Violation]:
    for index, provider in enumerate(named):
        if not isinstance(provider, str) or provider in abilities.joins:
            continue
        if abilities.joins:
            message = f"nothing makes machines of {shown(provider)} that NGINX could reach"
            hint = f"name {' or '.join(abilities.joins)}, or leave it out"
        else:
            message = f"machines stand behind the NGINX of a cluster, and the target {target!r} has none"
            hint = "leave it out, or use target: eks or kubernetes"
        yield Violation(steps=(*_MACHINES_FROM, index), message=message, hint=hint)


def _beside_a_cluster(data: Data, named_at: Steps) -> Iterator[Violation]:
    """What such machines need: a key, since they stand on the open internet, and an NGINX that knows of them."""
    spec = part(data, "spec")
    if part(spec, "security").get("apiKeySecret") is None:
        yield Violation(
            steps=named_at,
            message="machines beside the cluster have public addresses, but no key is asked for: 'apiKeySecret' is missing",
            hint="write security: {apiKeySecret: agents-api-key}, the name of the Secret that holds it",
        )
    network, cache = part(spec, "network"), part(spec, "modelCache")
    router = word(network, "router", Network)
    if router not in ("auto", "nginx"):
        yield Violation(
            steps=("spec", "network", "router"),
            message=f"NGINX alone sends requests to machines beside the cluster, and the router is {shown(router)}",
            hint="write router: nginx, or leave it out",
        )
    if word(cache, "source", ModelCache) == "s3":
        yield Violation(
            steps=("spec", "modelCache", "source"),
            message="a machine beside the cluster has no identity that opens a bucket",
            hint="use source: huggingface, or leave those machines out",
        )
