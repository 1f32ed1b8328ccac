"""Who may ask LiteLLM's proxy, for what, how much in a minute and for how much money: the teams of ``teams.json``.

No database is needed. LiteLLM calls ``check_key`` for every request (``general_settings.custom_auth``) and keeps the limits
that it answers with. It tells ``spending`` what each answer cost (``litellm_settings.callbacks``). Keys are in the environment,
in the variables that ``teams.json`` names; a team without a variable is everybody.
"""

from __future__ import annotations

import hmac
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import litellm
from fastapi import Request
from litellm.caching.caching import DualCache, RedisCache
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

_KNOWN = json.loads((Path(__file__).parent / "teams.json").read_text(encoding="utf-8"))
_TEAMS: tuple[dict[str, Any], ...] = tuple(_KNOWN["teams"])
_MAX_TOKENS: dict[str, int] = _KNOWN["maxTokens"]
_ROUTES = ["/v1/chat/completions", "/v1/completions", "/v1/models"]
_KEPT_S = 32 * 24 * 3600
"""A month and a day: longer than any window of a budget."""
_NOT_FOR_CALLERS = (
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "num_retries",
    "timeout",
    "stream_timeout",
)
"""What LiteLLM would take from a request's body in place of what the plan decided."""

_SPENT: dict[str, float] = vars(litellm).setdefault("_agentgpu_spent", {})
"""What was spent, where no Redis holds it. LiteLLM loads this file once for each of its settings, and all must count as one."""


def _window(team: dict[str, Any]) -> str:
    """The day or month that it is, by UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d" if team["window"] == "day" else "%Y-%m")


def _counter(team: dict[str, Any]) -> str:
    return f"team_spend:{team['name']}:{_window(team)}"


class Spending(CustomLogger):
    """What each team has spent in its window: in Redis where there is one, so that it outlives this process."""

    def __init__(self) -> None:
        super().__init__()
        self._redis = RedisCache(url=os.environ["REDIS_URL"]) if os.environ.get("REDIS_URL") else None

    async def of(self, team: dict[str, Any]) -> float:
        """What the team has spent, in USD."""
        if self._redis is None:
            return _SPENT.get(_counter(team), 0.0)
        return float(await self._redis.async_get_cache(key=_counter(team)) or 0.0)

    async def async_pre_call_hook(
        self, user_api_key_dict: UserAPIKeyAuth, cache: DualCache, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Fallbacks, retries and timeouts are the plan's; what could cost more than the cap counts with is paid nowhere."""
        for key in _NOT_FOR_CALLERS:
            data.pop(key, None)
        asked = max(int(data.get("max_tokens") or 0), int(data.get("max_completion_tokens") or 0))
        several = max(int(data.get("n") or 1), int(data.get("best_of") or 1)) > 1
        most = _MAX_TOKENS.get(str(data.get("model")))
        if most is not None and (several or asked > most):
            data["disable_fallbacks"] = True
        return data

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: object, start_time: datetime, end_time: datetime
    ) -> None:
        """Charge the team of an answer with its cost."""
        logged = kwargs.get("standard_logging_object") or {}
        name = (logged.get("metadata") or {}).get("user_api_key_alias")
        for team in _TEAMS:
            if team["name"] == name and team["window"] is not None:
                await self._charge(_counter(team), float(logged.get("response_cost") or 0.0))

    async def _charge(self, counter: str, usd: float) -> None:
        if self._redis is None:
            _SPENT[counter] = _SPENT.get(counter, 0.0) + usd
        else:
            await self._redis.async_increment(key=counter, value=usd, ttl=_KEPT_S)


spending = Spending()


def _team_of(key: str) -> dict[str, Any] | None:
    """The team whose key it is. All are compared, so that the time taken tells nothing."""
    sent = key.removeprefix("Bearer ").encode()
    found = None
    for team in _TEAMS:
        known = team["variable"]
        if known is None or hmac.compare_digest(os.environ[known].strip().encode(), sent):
            found = found or team
    return found


async def check_key(request: Request, api_key: str) -> UserAPIKeyAuth:
    """What the sender of a request may do; refused with HTTP 401 for an unknown key, and 429 once a budget is used up."""
    team = _team_of(api_key or "")
    if team is None:
        raise ProxyException(
            message="no team of this stack has this key", type="auth_error", param="Authorization", code=401
        )
    if team["window"] is not None and await spending.of(team) >= team["usd"]:
        raise ProxyException(
            message=f"team {team['name']} has used up its USD {team['usd']} of this {team['window']}",
            type="budget_exceeded",
            param="budget",
            code=429,
        )
    return UserAPIKeyAuth(
        api_key=f"team:{team['name']}",
        key_alias=team["name"],
        models=list(team["models"]),
        rpm_limit=team["rpm"],
        tpm_limit=team["tpm"],
        user_role=LitellmUserRoles.INTERNAL_USER,
        allowed_routes=_ROUTES,
    )
