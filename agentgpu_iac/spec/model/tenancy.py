"""Who calls the agents, how much, and where a request goes when its agent cannot answer: what a proxy in front enforces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import LISTED, MAX_COUNT, Name, PositiveCount, Url

Usd = Annotated[float, Field(gt=0, le=MAX_COUNT)]


class PaidFallback(Document):
    """A model at somebody who sells it by the token, asked last and never for more money than its cap."""

    api_model: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+/[A-Za-z0-9][\w.:/-]*$", max_length=200)]
    """The model as LiteLLM names it: the seller, a slash, and the seller's own name of it, such as openai/gpt-5-mini."""
    key_secret: Name
    """Name of a Secret whose key ``key`` is the seller's API key. The key itself is never written here."""
    base_url: Url | None = None
    """Base URL of the seller's API. Unset: the one that LiteLLM knows of the seller."""
    usd_per_day: Usd | None = None
    """The most that it may cost in 24 hours, which begin with the first answer. Either this or ``usdPerMonth``."""
    usd_per_month: Usd | None = None
    """The most that it may cost in 30 days, which begin with the first answer."""
    usd_per_million_input: Usd | None = None
    """The seller's price of a million tokens of prompts, by which the cap is counted. Needed."""
    usd_per_million_output: Usd | None = None
    """The seller's price of a million generated tokens. Needed."""


class Team(Document):
    """Callers with a key of their own, and what they may use."""

    name: Name
    """Name of the team, unique in the stack."""
    key_secret: Name
    """Name of a Secret whose key ``key`` is the team's API key. The key itself is never written here."""
    agents: Annotated[tuple[Name, ...], LISTED] = ()
    """Agents that it may call. What these fall back to answers for them. Empty: all agents that chat."""
    requests_per_minute: PositiveCount | None = None
    """Requests that it may make in a minute; more are refused with HTTP 429. Unset: no limit of its own."""
    tokens_per_minute: PositiveCount | None = None
    """Tokens, of prompts and answers together, that it may use in a minute. Unset: no limit of its own."""
    usd_per_day: Usd | None = None
    """What it may use in a day by UTC: its part of the stack's own cost by the tokens, and what paid fallbacks cost for it."""
    usd_per_month: Usd | None = None
    """The same for a calendar month. Either this or ``usdPerDay``."""


class ModelProxy(Document):
    """LiteLLM's proxy in front of the agents, which knows the teams and asks fallbacks."""

    use: Literal["auto", "none"] = "auto"
    """auto: there is one where an agent has a fallback or the stack has teams, on targets that can run it. none: there is none;
    a ``fallback`` is then named in the endpoints, for callers to heed."""
    redis_secret: Name | None = None
    """Name of a Secret whose key ``url`` is the address of a Redis, such as redis://..., that counts for all proxies; needed by
    ``paidFallback``. Set: what was spent outlives the proxies, and two or more run. Unset: where teams have limits there is one
    proxy, which counts in its memory and forgets when it starts anew."""
