"""The proxy that stands in front of the agents: LiteLLM, which knows teams, asks fallbacks, and stops paid ones at their cap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from agentgpu_iac.plan.replica import DrainPlan
from agentgpu_iac.plan.router import RoutePlan
from agentgpu_iac.plan.vocabulary import PriorityLevel, Topology
from agentgpu_iac.spec.document import Document, Money

Window = Literal["day", "month"]

STACK_KEY: Final = "STACK_KEY"
"""Variable in which the proxy finds the key that engines ask for."""
REDIS_VARIABLE: Final = "REDIS_URL"
"""Variable by which LiteLLM finds its Redis."""
_KEY, _URL = "key", "url"


class ProxyRoute(Document):
    """One agent, or one LoRA adapter of it, as the proxy serves it."""

    model: str
    """Model name that callers ask the proxy for: the agent's, or the adapter's."""
    agent: str
    """The agent."""
    served_model_name: str
    """Model name that the proxy asks the engine for."""
    base_url: str
    """Where the proxy sends its requests: the agent's own address, with its router and its replicas behind it."""
    fallbacks: tuple[str, ...]
    """Models of the proxy that are asked where this one fails, in order: the agent's fallback, that one's own, and so on, then
    the agent's paid one."""
    max_parallel_requests: int | None
    """Requests that one proxy has under way at once; the next goes to the first fallback, or is refused with HTTP 429. Where
    there is a fallback the seats of all replicas of the peak, since requests beyond them would wait; else what the router
    lets through; null: no limit."""
    first_token_timeout_s: int
    """The longest silence of a streamed answer before a fallback is asked: the time in which the router may try other replicas,
    and the TTFT at its percentile or with a lost cache, whichever is longer, on the slow side of its stated error."""
    answer_timeout_s: int
    """The longest time of an answer that is not streamed: as the router's."""
    max_tokens: int
    """The most tokens that a prompt and its answer may have together."""
    usd_per_million_tokens: Money | None
    """What a million of the agent's tokens cost here: its part of the stack's cost by all tokens of its conversations. Budgets of
    teams count it; null: the spec does not say how many there are, and none is counted."""


class PaidRoute(Document):
    """A paid API as the proxy asks it."""

    model: str
    """Model name within the proxy; no team may ask for it by itself."""
    agent: str
    """The agent that falls back to it."""
    api_model: str
    """As in the spec."""
    base_url: str | None
    """As in the spec; null: LiteLLM knows it."""
    key_secret: str
    """Secret whose key ``key`` is the seller's API key."""
    key_variable: str
    """Variable in which the proxy finds it."""
    window: Window
    """What the cap is about: 24 hours or 30 days, from the first answer on."""
    cap_usd: Money
    """As in the spec."""
    budget_usd: Money
    """What was spent at which the proxy stops asking: the cap less all requests that may then be under way."""
    dearest_request_usd: Money
    """The dearest single request: a prompt and an answer of ``maxTokens`` each."""
    max_parallel_requests: int
    """Requests that one proxy has under way at once: the agent's seats, or as many as half of the cap pays for."""
    max_tokens: int
    """Longest prompt that is sent there, and longest answer that is asked for."""
    usd_per_million_input: Money
    """As in the spec."""
    usd_per_million_output: Money
    """As in the spec."""
    first_token_timeout_s: int
    """The longest silence of a streamed answer."""
    answer_timeout_s: int
    """The longest time of one that is not streamed."""


class TeamPlan(Document):
    """A team as the proxy knows it."""

    name: str
    """As in the spec."""
    key_secret: str
    """Secret whose key ``key`` is the team's API key."""
    key_variable: str
    """Variable in which the proxy finds it."""
    agents: tuple[str, ...]
    """Agents that it may call."""
    models: tuple[str, ...]
    """The same as the proxy's models, adapters included."""
    requests_per_minute: int | None
    """As in the spec."""
    tokens_per_minute: int | None
    """As in the spec."""
    budget_usd: Money | None
    """As in the spec; null: none."""
    window: Window | None
    """A day or month by UTC; null where there is no budget."""

    @property
    def is_limited(self) -> bool:
        """Whether anything of what it uses is counted."""
        return any(limit is not None for limit in (self.requests_per_minute, self.tokens_per_minute, self.budget_usd))


def secret_variables(
    teams: Iterable[TeamPlan], paid: Iterable[PaidRoute], redis_secret: str | None, stack_key: str | None
) -> tuple[tuple[str, str, str], ...]:
    """Variables in which the proxy finds what Secrets hold: the variable, the Secret and its key."""
    return (
        *(() if stack_key is None else ((STACK_KEY, stack_key, _KEY),)),
        *((team.key_variable, team.key_secret, _KEY) for team in teams),
        *((route.key_variable, route.key_secret, _KEY) for route in paid),
        *(() if redis_secret is None else ((REDIS_VARIABLE, redis_secret, _URL),)),
    )


def counts_alone(teams: Iterable[TeamPlan], redis_secret: str | None) -> bool:
    """Whether a proxy counts, in its own memory, what teams may use."""
    return redis_secret is None and any(team.is_limited for team in teams)


class ProxyPlan(Document):
    """LiteLLM's proxy, and all that it is told."""

    version: str
    """Version of LiteLLM."""
    image: str
    """Image by digest where the spec pins one, else by tag."""
    port: int
    """Port on which it answers: on a virtual machine of its loopback, and callers reach it by ``hosts.proxy.route``."""
    replicas: int
    """As many as the tokens of the peak take, and one more; one where it counts alone; one on each virtual machine."""
    spread: tuple[Topology, ...]
    """Over what they are spread where that is possible."""
    priority: PriorityLevel
    """Priority of its pods: the highest of the agents behind it."""
    cpu_milli: int
    """CPU of one pod: all tokens of the peak at 0.5 ms each, on one core at most, since a LiteLLM process has one thread."""
    memory_mib: int
    """Memory of one pod."""
    start_s: int
    """Seconds from its start until it must be ready."""
    drain: DrainPlan
    """As long as the slowest engine behind it."""
    redis_secret: str | None
    """Secret whose key ``url`` is the address of the Redis; null: it counts in its memory."""
    session_header: str
    """Header of callers that it passes on, as all that begin with ``x-``."""
    routes: tuple[ProxyRoute, ...]
    """In the order of the agents, each with its adapters. What it is told on a virtual machine is in ``hosts.proxy.routes``."""
    paid: tuple[PaidRoute, ...]
    """In the order of the agents."""
    teams: tuple[TeamPlan, ...]
    """In the order of the spec. Empty: all callers are alike, and need the stack's key where there is one."""

    @property
    def counts_alone(self) -> bool:
        """Whether it counts, in its own memory, what teams may use: then there is one, as two would each allow all of it."""
        return counts_alone(self.teams, self.redis_secret)

    @property
    def agents(self) -> frozenset[str]:
        """The agents behind it."""
        return frozenset(route.agent for route in self.routes)


class HostProxyPlan(Document):
    """LiteLLM on each machine of a pool: it knows the agents of the machine, and NGINX leads callers to it."""

    route: RoutePlan
    """Where NGINX listens for callers of it, and how long an answer may take: the agent and its fallbacks, one after the other.
    NGINX listens for the agents behind it on the machine's loopback alone."""
    routes: tuple[ProxyRoute, ...]
    """The agents of the machine, with the seats of its engines; fallbacks are those that are there."""
    paid: tuple[PaidRoute, ...]
    """The paid fallbacks of the machine's agents."""
