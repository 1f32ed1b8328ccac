"""Rules about teams and paid fallbacks: whom they name, and what stops them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.abilities import ABILITIES, abilities_of
from agentgpu_iac.spec.agent_rules import duplicate
from agentgpu_iac.spec.model import ModelProxy
from agentgpu_iac.spec.rule_values import LINE, Violation, items, mapping, part, word
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.yaml_tree import Data, Steps


def paid_fallback_rules(agent: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """A cap is one, and is counted by prices."""
    paid, at = part(agent, "paidFallback"), (*at, "paidFallback")
    if not paid:
        return
    yield from _one_window(
        paid, at, "a paid fallback has a hard cap", "write usdPerDay: 20, or usdPerMonth: what you would pay"
    )
    missing = [key for key in ("usdPerMillionInput", "usdPerMillionOutput") if paid.get(key) is None]
    if missing:
        yield Violation(
            steps=at,
            message=f"a cap is counted by the seller's prices, but {' and '.join(map(repr, missing))} "
            f"{'is' if len(missing) == 1 else 'are'} missing",
            hint="write usdPerMillionInput and usdPerMillionOutput as the seller lists them",
        )


def _one_window(data: Mapping[str, Data], at: Steps, what: str, needed: str) -> Iterator[Violation]:
    """At most one, or exactly one where it is said what to write if there is none."""
    given = [key for key in ("usdPerDay", "usdPerMonth") if data.get(key) is not None]
    if len(given) > 1:
        yield Violation(
            steps=(*at, "usdPerMonth"),
            message=f"{what} for one window, and usdPerDay is there too",
            hint=f"usdPerDay is on line {LINE}; leave one of them out",
            other=(*at, "usdPerDay"),
        )
    elif not given and needed:
        yield Violation(steps=at, message=f"{what}, but none is there", hint=needed)


def team_rules(spec: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A team has a name and a key that no other has, and calls agents of the stack that chat."""
    pooling = {agent.get("name") for agent in agents if agent.get("requests") is not None}
    chats = {name: None for agent in agents if isinstance(name := agent.get("name"), str) and name not in pooling}
    names: dict[str, Steps] = {}
    keys: dict[str, Steps] = {}
    for index, team in enumerate(mapping(each) for each in items(spec, "teams")):
        at: Steps = ("spec", "teams", index)
        if isinstance(name := team.get("name"), str):
            if name in names:
                yield duplicate("team", name, (*at, "name"), names[name])
            names.setdefault(name, (*at, "name"))
        if isinstance(key := team.get("keySecret"), str):
            if key in keys:
                yield Violation(
                    steps=(*at, "keySecret"),
                    message=f"the Secret {shown(key)} is another team's key, so nobody could tell the two apart",
                    hint=f"it is on line {LINE}; name a Secret of its own",
                    other=keys[key],
                )
            keys.setdefault(key, (*at, "keySecret"))
        yield from _one_window(team, at, "a team has one budget", "")
        first: dict[str, Steps] = {}
        for place, agent in enumerate(items(team, "agents")):
            steps: Steps = (*at, "agents", place)
            if not isinstance(agent, str):
                continue
            if agent in pooling:
                yield Violation(
                    steps=steps,
                    message=f"{shown(agent)} answers with vectors or scores, and callers ask it past the proxy",
                    hint="leave it out: security.callers says who may ask it",
                )
            elif agent not in chats:
                yield Violation(
                    steps=steps,
                    message=f"no agent of this stack is named {shown(agent)}",
                    hint=did_you_mean(agent, chats) if len(chats) <= _MOST_COMPARED else "",
                )
            elif agent in first:
                yield duplicate("agent", agent, steps, first[agent])
            first.setdefault(agent, steps)


def _with_proxy() -> tuple[str, ...]:
    """Targets that run a proxy."""
    return tuple(name for name, abilities in ABILITIES.items() if abilities.runs_proxy)


def _any_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


_MOST_COMPARED: Final = 1_000
"""In larger stacks nobody looks for the agent that a misspelt name meant."""


def proxy_rules(data: Data, agents: Sequence[Mapping[str, Data]], target: str) -> Iterator[Violation]:
    """What a proxy enforces needs one in the path of every request, on a target that runs it."""
    spec = part(data, "spec")
    teams: Steps = ("spec", "teams")
    asked: list[tuple[Steps, str]] = [(teams, "teams")] if items(spec, "teams") else []
    asked += [
        (("spec", "agents", index, "paidFallback"), "paid fallbacks")
        for index, agent in enumerate(agents)
        if part(agent, "paidFallback")
    ]
    proxy = part(spec, "proxy")
    abilities = abilities_of(target)
    runs = abilities is None or abilities.runs_proxy
    for steps, what in asked:
        if not runs:
            yield Violation(
                steps=steps,
                message=f"{what} need LiteLLM's proxy before the agents, and nothing runs it on the target {target!r}: "
                f"{abilities.why_no_proxy if abilities else ''}",
                hint=f"leave them out, or use target: {_any_of(_with_proxy())}",
            )
        elif word(proxy, "use", ModelProxy) == "none":
            yield Violation(
                steps=("spec", "proxy", "use"),
                message=f"{what} are kept by a proxy, and there is none",
                hint=f"they are on line {LINE}; leave them out, or write use: auto",
                other=steps,
            )
            return
    if runs and proxy.get("redisSecret") is None:
        for steps, _ in asked:
            if steps != teams:
                yield Violation(
                    steps=steps,
                    message="a cap outlives the proxy only where a Redis holds what was spent, but proxy.redisSecret is missing",
                    hint="write proxy: {redisSecret: proxy-redis}, the name of a Secret whose key url is its address",
                )
    if proxy.get("redisSecret") is not None and not asked and not any(agent.get("fallback") for agent in agents):
        yield Violation(
            steps=("spec", "proxy", "redisSecret"),
            message="a Redis counts for proxies, and without teams and fallbacks there is none",
            hint="leave it out",
        )
    if not items(spec, "teams"):
        return
    if part(spec, "network").get("router") == "gateway":
        yield Violation(
            steps=teams,
            message="keys and limits of teams hold where all requests pass the proxy, and the Gateway leads callers past it",
            hint="use router: nginx, or let the Gateway's own policies tell teams apart",
        )
    if abilities is not None and abilities.runs_machines and part(spec, "security").get("apiKeySecret") is None:
        yield Violation(
            steps=teams,
            message="whatever runs on a machine reaches its agents past the proxy, whatever team it is of, and needs no key",
            hint="write security: {apiKeySecret: agents-api-key}, the name of the secret that engines and the proxy share",
        )
    if (abilities is None or abilities.has_cluster) and part(spec, "security").get("networkPolicies") is False:
        yield Violation(
            steps=("spec", "security", "networkPolicies"),
            message="without policies every pod reaches the agents past the proxy, whatever team it is of",
            hint=f"the teams are on line {LINE}; take networkPolicies: false out",
            other=teams,
        )
