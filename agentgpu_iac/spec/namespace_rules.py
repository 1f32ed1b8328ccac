"""Rules about namespaces: a stack takes none that is somebody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentgpu_iac.spec.abilities import abilities_of
from agentgpu_iac.spec.reserved import namespace_bearer, namespace_of_service
from agentgpu_iac.spec.rule_values import LINE, Violation, items, mapping, part
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.yaml_tree import Data, Steps


def namespace_rules(data: Data, target: str) -> Iterator[Violation]:
    """In a cluster a stack has a namespace of its own, whose traffic it denies and whose resources it limits."""
    name, abilities = part(data, "metadata").get("name"), abilities_of(target)
    if not isinstance(name, str) or abilities is None or not abilities.has_cluster:
        return
    if bearer := namespace_bearer(name):
        yield Violation(
            steps=("metadata", "name"),
            message=f"the namespace {shown(name)} is {bearer}, and the stack has one of its own",
            hint="name the stack after what its agents do",
        )
        return
    for steps, namespace, what in _namespaces_named(part(data, "spec")):
        if namespace == name:
            yield Violation(
                steps=("metadata", "name"),
                message=f"{shown(name)} is also the namespace of {what}, whose traffic the stack would deny",
                hint=f"that is on line {LINE}; name the stack after what its agents do",
                other=steps,
            )


def _namespaces_named(spec: Mapping[str, Data]) -> Iterator[tuple[Steps, str, str]]:
    """Namespaces of others that a spec names: where, which, and what is in it."""
    security, gitops, network = part(spec, "security"), part(spec, "gitops"), part(spec, "network")
    for index, caller in enumerate(items(security, "callers")):
        if isinstance(caller, str):
            yield ("spec", "security", "callers", index), caller, "callers"
    names: tuple[tuple[Steps, Data, str], ...] = (
        (("spec", "security", "monitoringNamespace"), security.get("monitoringNamespace"), "the monitoring"),
        (("spec", "gitops", "namespace"), gitops.get("namespace"), "the GitOps tool"),
        (("spec", "network", "gateway", "namespace"), part(network, "gateway").get("namespace"), "the Gateway"),
    )
    for steps, value, what in names:
        if isinstance(value, str):
            yield steps, value, what
    addresses: list[tuple[Steps, Data, str]] = [
        (("spec", "scaling", "prometheusUrl"), part(spec, "scaling").get("prometheusUrl"), "Prometheus")
    ]
    for index, agent in enumerate(mapping(each) for each in items(spec, "agents")):
        paid = part(agent, "paidFallback").get("baseUrl")
        addresses.append((("spec", "agents", index, "paidFallback", "baseUrl"), paid, "a paid fallback"))
    for steps, value, what in addresses:
        if isinstance(value, str) and (namespace := namespace_of_service(value)):
            yield steps, namespace, what
