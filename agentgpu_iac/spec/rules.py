"""Rules that join several fields of an agent stack.

They run on what the file holds, before or beside the models, so that people see them together with every other fault.
A rule looks only at values of the right kind and passes over the rest: what is malformed is reported elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.abilities import abilities_of
from agentgpu_iac.spec.agent_rules import (
    adapter_rules,
    budget_rules,
    caller_rules,
    conversation_rules,
    duplicate,
    engine_rules,
    fan_out_rules,
    request_rules,
    session_rules,
    speculative_rules,
    thinking_rules,
)
from agentgpu_iac.spec.commitment_rules import commitment_rules
from agentgpu_iac.spec.cron import cron_fault
from agentgpu_iac.spec.model import (
    ADDRESS_RANGE,
    Agent,
    ModelCache,
    StackSpec,
)
from agentgpu_iac.spec.namespace_rules import namespace_rules
from agentgpu_iac.spec.provider_rules import provider_rules
from agentgpu_iac.spec.reserved import reserved
from agentgpu_iac.spec.rule_values import LINE, Violation, is_count, items, mapping, part, word
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.schedule_rules import agent_schedule_rules, cover_rules, peak_hours_rules, work_rules
from agentgpu_iac.spec.tenancy_rules import paid_fallback_rules, proxy_rules, team_rules
from agentgpu_iac.spec.window import closed_hours, offset_minutes, weekly_starts
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import counted

_MOST_COMPARISONS = 100**2
"""In larger stacks nobody looks for the agent that a misspelt name meant: that would take minutes."""


def violations(data: Data) -> Iterator[Violation]:
    """Every rule that the content of a file breaks."""
    spec = part(data, "spec")
    agents = tuple(mapping(agent) for agent in items(spec, "agents"))
    yield from _accelerator_rules(part(spec, "accelerators"))
    yield from _observed_rules(part(spec, "observed"))
    yield from _model_source_rules(part(spec, "modelCache"))
    yield from _secret_rules(part(spec, "modelCache"), part(spec, "security"))
    yield from _router_rules(part(spec, "network"))
    yield from _caller_rules(part(spec, "network"), part(spec, "security"))
    yield from _name_rules(agents)
    yield from _fallback_rules(agents)
    yield from team_rules(spec, agents)
    yield from caller_rules(agents)
    yield from fan_out_rules(agents)
    yield from _schedule_rules(part(spec, "scaling"), agents)
    yield from _queue_rules(part(spec, "network"), agents)
    yield from peak_hours_rules(part(spec, "scaling"), agents)
    yield from cover_rules(agents)
    yield from _inventory_rules(part(spec, "capacity"))
    yield from _beyond_rules(part(spec, "capacity"))
    yield from _inventory_places(part(spec, "capacity"), items(spec, "regions"))
    yield from commitment_rules(part(spec, "capacity"))
    yield from _zone_rules(part(spec, "capacity"), part(spec, "clusterObjects"))
    yield from _quota_rules(part(spec, "capacity"))
    yield from _window_rules(part(part(spec, "capacity"), "maintenanceWindow"))
    yield from _prometheus_auth_rules(part(spec, "scaling"))
    yield from _image_rules(part(spec, "pins"), agents)
    target = word(spec, "target", StackSpec)
    yield from namespace_rules(data, target)
    yield from _range_rules(part(spec, "hosts"))
    yield from _target_rules(data, target)
    yield from _cluster_rules(spec)
    yield from proxy_rules(data, agents, target)
    yield from provider_rules(data, target)
    for index, agent in enumerate(agents):
        at: Steps = ("spec", "agents", index)
        yield from budget_rules(agent, at)
        yield from engine_rules(agent, target, at)
        yield from speculative_rules(part(agent, "speculative"), (*at, "speculative"))
        yield from session_rules(part(agent, "sessions"), (*at, "sessions"))
        yield from conversation_rules(part(agent, "conversation"), (*at, "conversation"))
        yield from thinking_rules(agent, at)
        yield from request_rules(agent, at)
        yield from agent_schedule_rules(agent, target, part(spec, "scaling"), at)
        yield from work_rules(agent, at)
        yield from paid_fallback_rules(agent, at)


def _accelerator_rules(accelerators: Mapping[str, Data]) -> Iterator[Violation]:
    """What is denied cannot be allowed."""
    allowed: dict[str, int] = {}
    for index, named in enumerate(items(accelerators, "allow")):
        if isinstance(named, str):
            allowed.setdefault(named, index)
    for index, named in enumerate(items(accelerators, "deny")):
        if isinstance(named, str) and named in allowed:
            yield Violation(
                steps=("spec", "accelerators", "deny", index),
                message=f"{shown(named)} is both allowed and denied",
                hint=f"allowed on line {LINE}",
                other=("spec", "accelerators", "allow", allowed[named]),
            )


def _observed_rules(observed: Mapping[str, Data]) -> Iterator[Violation]:
    """Days of measurement mean nothing without what was measured."""
    days = observed.get("days")
    if is_count(days) and days and "baselineSessions" not in observed:
        yield Violation(
            steps=("spec", "observed", "days"),
            message=f"{counted(days, 'day')} {'is' if days == 1 else 'are'} observed, but 'baselineSessions' is missing",
            hint="write how many sessions were held at any time over those days",
        )


def _model_source_rules(cache: Mapping[str, Data]) -> Iterator[Violation]:
    """Models come from one place: a bucket belongs to S3, a token to Hugging Face."""
    at: Steps = ("spec", "modelCache")
    source = word(cache, "source", ModelCache)
    if source == "s3" and cache.get("bucket") is None:
        yield Violation(
            steps=(*at, "source"),
            message="models come from S3, but 'bucket' is missing",
            hint="write bucket: s3://<bucket>/<prefix>",
        )
    if source == "huggingface" and cache.get("bucket") is not None:
        yield Violation(
            steps=(*at, "bucket"),
            message="a bucket is named, but models come from Hugging Face",
            hint="write source: s3, or take the bucket out",
        )
    stream, loader = word(cache, "stream", ModelCache), word(cache, "loader", ModelCache)
    if stream in ("auto", "always") and source == "huggingface":
        yield Violation(
            steps=(*at, "stream"),
            message="engines stream weights from a bucket, and models come from Hugging Face",
            hint="write source: s3 with a bucket, or take stream out",
        )
    if stream in ("auto", "always") and loader in ("safetensors", "fastsafetensors"):
        yield Violation(
            steps=(*at, "loader"),
            message=f"the loader {loader} reads files of the node, and stream: {stream} has engines read a bucket",
            hint="leave one of the two out",
        )
    if source == "s3" and cache.get("tokenSecret") is not None:
        yield Violation(
            steps=(*at, "tokenSecret"),
            message="a Hugging Face token opens no bucket",
            hint="take it out; the ServiceAccount model-cache is what S3 lets in",
        )


def _secret_rules(cache: Mapping[str, Data], security: Mapping[str, Data]) -> Iterator[Violation]:
    """A store makes the Secrets that are named, each for one purpose."""
    at: Steps = ("spec", "security")
    token, api_key = cache.get("tokenSecret"), security.get("apiKeySecret")
    if part(security, "externalSecrets") and token is None and api_key is None:
        yield Violation(
            steps=(*at, "externalSecrets"),
            message="a store is named, but no Secret that it should make",
            hint="name one in security.apiKeySecret or modelCache.tokenSecret",
        )
    if isinstance(api_key, str) and api_key == token:
        yield Violation(
            steps=(*at, "apiKeySecret"),
            message=f"the Secret {shown(api_key)} holds the models' token already",
            hint=f"on line {LINE}; whoever may read one need not read the other",
            other=("spec", "modelCache", "tokenSecret"),
        )


def _router_rules(network: Mapping[str, Data]) -> Iterator[Violation]:
    """Routes attach to a Gateway, which somebody runs and only the spec can name."""
    if network.get("router") == "gateway" and network.get("gateway") is None:
        yield Violation(
            steps=("spec", "network", "router"),
            message="routes of a Gateway need one to attach to, but 'gateway' is missing",
            hint="write gateway: {name: ..., namespace: ...}, or use router: nginx",
        )
    if network.get("gateway") is not None and network.get("router") != "gateway":
        yield Violation(
            steps=("spec", "network", "gateway"),
            message="a Gateway is named, but the router is not 'gateway'",
            hint="write router: gateway, or leave the Gateway out",
        )


def _queue_rules(network: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """Behind a Gateway no engine refuses: its picker holds what waits, for as long as it is told."""
    if network.get("router") != "gateway":
        return
    for index, agent in enumerate(agents):
        if part(agent, "overrides").get("maxWaitingRequests") is not None:
            yield Violation(
                steps=("spec", "agents", index, "overrides", "maxWaitingRequests"),
                message="behind a Gateway the picker holds what waits, and no engine refuses",
                hint="leave it out, or use router: nginx",
            )


def _caller_rules(network: Mapping[str, Data], security: Mapping[str, Data]) -> Iterator[Violation]:
    """A label of the callers can be asked for only where they come by themselves, and where something asks."""
    at: Steps = ("spec", "security", "callersNeedLabel")
    if security.get("callersNeedLabel") is not True:
        return
    if network.get("router") == "gateway":
        yield Violation(
            steps=at,
            message="callers come through the Gateway, whose pods carry no label of theirs",
            hint="let the Gateway decide who may call, or use router: nginx",
        )
    if security.get("networkPolicies") is False:
        yield Violation(
            steps=at, message="nothing asks for the label without policies", hint="take networkPolicies: false out"
        )


def _range_rules(hosts: Mapping[str, Data]) -> Iterator[Violation]:
    """Address ranges are some."""
    for key in ("callerRanges", "adminRanges"):
        for index, address_range in enumerate(items(hosts, key)):
            if isinstance(address_range, str) and _is_range(address_range) and not _is_network(address_range):
                yield Violation(
                    steps=("spec", "hosts", key, index),
                    message=f"{shown(address_range)} is no address range",
                    hint="write the first address and the length of its prefix, for example 203.0.113.0/24",
                )


def _target_rules(data: Data, target: str) -> Iterator[Violation]:
    """What the target needs is there, and what it cannot do is not asked of it."""
    abilities = abilities_of(target)
    if abilities is None:
        return
    for need in abilities.needs:
        if _value_at(data, need.at) in (None, ()):
            yield Violation(steps=need.at, message=need.message, hint=need.hint)
    for refusal in abilities.refuses:
        value = _value_at(data, refusal.at)
        if value in refusal.words if refusal.words else value not in (None, (), {}):
            yield Violation(steps=refusal.at, message=refusal.message, hint=refusal.hint)


def _value_at(data: Data, steps: Steps) -> Data:
    """What the file holds at the end of some keys; None where it holds nothing."""
    for step in steps:
        data = data.get(step) if isinstance(data, dict) and isinstance(step, str) else None
    return data


def _is_range(text: str) -> bool:
    """Whether it looks like one; what does not is reported elsewhere."""
    return re.fullmatch(ADDRESS_RANGE, text) is not None


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _name_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """Agents answer to their names, and so do adapters: each name belongs to one of them."""
    first: dict[str, Steps] = {}
    for index, agent in enumerate(agents):
        steps: Steps = ("spec", "agents", index, "name")
        name = agent.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield duplicate("agent", name, steps, first[name])
        first.setdefault(name, steps)
        if whose := reserved(name):
            yield Violation(
                steps=steps,
                message=f"the name {shown(name)} {whose}, so no agent may have it",
                hint="name it otherwise",
            )
    for index, agent in enumerate(agents):
        yield from adapter_rules(agent, ("spec", "agents", index, "loraAdapters"), first)


def _image_rules(pins: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """One image is that of one engine."""
    engines = sorted({engine for agent in agents if (engine := word(agent, "engine", Agent))})
    if pins.get("engineImage") is not None and len(engines) > 1:
        yield Violation(
            steps=("spec", "pins", "engineImage"),
            message=f"one image cannot be that of {' and '.join(engines)}",
            hint="leave it out, or give each engine a stack of its own",
        )


def _fallback_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A fallback is another agent of the stack, and the way from fallback to fallback ends."""
    position: dict[str, int] = {}
    for index, agent in enumerate(agents):
        if isinstance(name := agent.get("name"), str):
            position.setdefault(name, index)
    next_of: dict[str, str] = {}
    for index, agent in enumerate(agents):
        name, fallback = agent.get("name"), agent.get("fallback")
        if not isinstance(fallback, str):
            continue
        steps: Steps = ("spec", "agents", index, "fallback")
        if fallback == name:
            yield Violation(steps=steps, message="an agent cannot be its own fallback", hint="name another agent")
        elif fallback in position and agents[position[fallback]].get("requests") is not None:
            yield Violation(
                steps=steps,
                message=f"{shown(fallback)} answers with vectors or scores, so it is no fallback of a chat",
                hint="name an agent that chats",
            )
        elif fallback not in position:
            near = did_you_mean(fallback, position) if len(position) * len(agents) <= _MOST_COMPARISONS else ""
            yield Violation(steps=steps, message=f"no agent of this stack is named {shown(fallback)}", hint=near)
        elif isinstance(name, str):
            next_of.setdefault(name, fallback)
    for circle in _circles(next_of):
        way = " -> ".join((*circle, circle[0]) if len(circle) <= 6 else (*circle[:6], "…", circle[0]))
        yield Violation(
            steps=("spec", "agents", position[circle[0]], "fallback"),
            message=f"the fallbacks go round in a circle: {way}",
            hint="one agent of the circle must do without a fallback",
        )


def _schedule_rules(scaling: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A known peak is an agent's of this stack, at hours that a clock has, and ends at another time than it starts."""
    names = {name: None for agent in agents if isinstance(name := agent.get("name"), str)}
    schedule = items(scaling, "schedule")
    for index, item in enumerate(schedule):
        peak = mapping(item)
        at: Steps = ("spec", "scaling", "schedule", index)
        name = peak.get("agent")
        if isinstance(name, str) and name not in names:
            near = did_you_mean(name, names) if len(names) * len(schedule) <= _MOST_COMPARISONS else ""
            yield Violation(steps=(*at, "agent"), message=f"no agent of this stack is named {shown(name)}", hint=near)
        for key in ("start", "end"):
            fault = cron_fault(value) if isinstance(value := peak.get(key), str) else ""
            if fault:
                yield Violation(
                    steps=(*at, key), message=fault, hint="minute hour day month weekday, for example 45 7 * * 1-5"
                )
        start, end = peak.get("start"), peak.get("end")
        if isinstance(start, str) and start == end:
            yield Violation(steps=(*at, "end"), message="the schedule ends when it starts")


_QUARTERS_OF_AN_HOUR = 4


def _inventory_rules(capacity: Mapping[str, Data]) -> Iterator[Violation]:
    """Each kind of machine stands there once, with all that there are."""
    for at, other, machine in _named_again(capacity, "inventory", "machine", "provider"):
        yield Violation(
            steps=at,
            message=f"{shown(machine)} is in the inventory already, in line {LINE}",
            hint="write each kind once, with all that there are as its count",
            other=other,
        )


def _beyond_rules(capacity: Mapping[str, Data]) -> Iterator[Violation]:
    """Only where something is there can something be beyond it."""
    if capacity.get("beyondInventory") is not None and not items(capacity, "inventory"):
        yield Violation(
            steps=("spec", "capacity", "beyondInventory"),
            message="no inventory says which machines there are, so all are rented",
            hint="leave it out, or write inventory: [{machine: NAME, count: 2}], the machines that are yours",
        )


def _inventory_places(capacity: Mapping[str, Data], regions: Sequence[Data]) -> Iterator[Violation]:
    """Where a stack names its regions, machines that stand elsewhere are none of it."""
    named = [region for region in regions if isinstance(region, str)]
    for index, owned in enumerate(items(capacity, "inventory")):
        region = mapping(owned).get("region")
        if named and isinstance(region, str) and region not in named:
            yield Violation(
                steps=("spec", "capacity", "inventory", index, "region"),
                message=f"these machines stand in {shown(region)}, and the stack may be in {' or '.join(named)} alone",
                hint="name it in regions too, or leave the machines out",
            )


def _quota_rules(capacity: Mapping[str, Data]) -> Iterator[Violation]:
    """Each quota has one number in a region."""
    for at, other, code in _named_again(capacity, "quotas", "code", "region"):
        yield Violation(
            steps=at,
            message=f"the quota {code} has a number already, in line {LINE}",
            hint="write it once for each region",
            other=other,
        )


def _named_again(capacity: Mapping[str, Data], key: str, name: str, place: str) -> Iterator[tuple[Steps, Steps, str]]:
    """Names of a list that stand there already for the same place: where, where first, and the name."""
    at: Steps = ("spec", "capacity", key)
    seen: dict[tuple[str, str], int] = {}
    for index, stated in enumerate(mapping(each) for each in items(capacity, key)):
        named, where = stated.get(name), stated.get(place) or ""
        if isinstance(named, str) and isinstance(where, str):
            first = seen.setdefault((named, where), index)
            if first != index:
                yield (*at, index, name), (*at, first, name), named


def _zone_rules(capacity: Mapping[str, Data], objects: Mapping[str, Data]) -> Iterator[Violation]:
    """What is spread over zones has a constraint that spreads it, and a share of spot some spot."""
    spread = ("maxSharePerPool",) if capacity.get("maxSharePerPool") is not None else ()
    for key in (*spread, *(("survive",) if capacity.get("survive") == "zone" else ())):
        if objects.get("topologySpread") is False:
            yield Violation(
                steps=("spec", "capacity", key),
                message=f"it spreads replicas over zones, and topologySpread on line {LINE} is false",
                hint="leave one of the two out",
                other=("spec", "clusterObjects", "topologySpread"),
            )
    if spread and capacity.get("spot") == "never":
        yield Violation(
            steps=("spec", "capacity", "maxSharePerPool"),
            message=f"a share of spot is limited, and nothing is on spot: line {LINE}",
            hint="leave one of the two out",
            other=("spec", "capacity", "spot"),
        )


def _cluster_rules(spec: Mapping[str, Data]) -> Iterator[Violation]:
    """A cluster that is there has its nodes without accelerators already."""
    if spec.get("cluster") == "existing" and part(spec, "capacity").get("systemNodes"):
        yield Violation(
            steps=("spec", "capacity", "systemNodes"),
            message=f"the cluster is there already (line {LINE}), and so are its nodes without accelerators",
            hint="leave one of the two out; the plan says how much room it needs there (existingCluster)",
            other=("spec", "cluster"),
        )


def _window_rules(window: Mapping[str, Data]) -> Iterator[Violation]:
    """A window is the same every week, closes again, and has a clock that Karpenter's, which is UTC, can follow."""
    at: Steps = ("spec", "capacity", "maintenanceWindow")
    start, hours, timezone = window.get("start"), window.get("hours"), window.get("timezone", "UTC")
    starts = None
    if isinstance(start, str) and len(start.split()) == 5:
        starts = weekly_starts(start)
        if starts is None:
            yield Violation(
                steps=(*at, "start"),
                message=cron_fault(start) or f"{shown(start)} is not at one time of day, every week alike",
                hint="minute and hour as numbers, * for day and month, then weekdays, for example 0 2 * * 1-5",
            )
    if isinstance(timezone, str) and offset_minutes(timezone) is None:
        yield Violation(
            steps=(*at, "timezone"),
            message=f"Karpenter's clock is UTC, and the clock of {shown(timezone)} may change over the year",
            hint="write start in UTC and leave timezone out, or name a zone without summer time, such as Etc/GMT-1, which is "
            "an hour ahead of UTC",
        )
    if isinstance(hours, bool) or not isinstance(hours, int | float):
        return
    if hours * _QUARTERS_OF_AN_HOUR % 1:
        yield Violation(steps=(*at, "hours"), message=f"{hours:g} h is no whole number of quarters of an hour")
    elif starts and 0 < hours <= 24 and not closed_hours(starts, round(hours * 60)):
        yield Violation(
            steps=(*at, "hours"), message="the window never closes", hint="leave it out: nodes may then go at any time"
        )


def _prometheus_auth_rules(scaling: Mapping[str, Data]) -> Iterator[Violation]:
    """A Secret or an AWS region, as the method takes it; and KEDA, since an HPA asks an adapter that asks Prometheus."""
    auth, at = mapping(scaling.get("prometheusAuth")), ("spec", "scaling", "prometheusAuth")
    if not auth:
        return
    if scaling.get("method") == "hpa":
        yield Violation(
            steps=at,
            message="an HPA asks your adapter, which proves by itself who it is",
            hint="leave it out, or method: keda",
        )
    signs = auth.get("method") == "aws-sigv4"
    needed, other = ("awsRegion", "secret") if signs else ("secret", "awsRegion")
    if isinstance(auth.get("method"), str) and needed not in auth:
        example = "awsRegion: eu-central-1" if signs else "secret: the name of a Secret"
        yield Violation(steps=(*at, "method"), message=f"{auth['method']} needs {needed}", hint=example)
    if isinstance(auth.get("method"), str) and other in auth:
        yield Violation(steps=(*at, other), message=f"{auth['method']} takes no {other}", hint="leave it out")


def _circles(next_of: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The circles that following ``next_of`` leads into, each once, in time linear in its length."""
    visited: set[str] = set()
    for start in next_of:
        way: dict[str, None] = {}
        name = start
        while name in next_of and name not in visited:
            visited.add(name)
            way[name] = None
            name = next_of[name]
        if name in way:
            passed = list(way)
            yield tuple(passed[passed.index(name) :])
