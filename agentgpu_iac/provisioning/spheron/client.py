"""Spheron's REST API, typed. It asks slowly, obeys refusals, and never sends twice what would cost money twice.

What the API answers is read leniently, as it grows fields; what it refuses becomes one sentence, in which neither the key
nor anything of a machine's cloud-init can stand.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentgpu_iac import __version__
from agentgpu_iac.catalog.marketplace import SpheronInstanceType
from agentgpu_iac.errors import BadInput, Fault, OutsideFailure
from agentgpu_iac.provisioning.faults import CONFIGURATION
from agentgpu_iac.provisioning.spheron.clock import CLOCK, Clock
from agentgpu_iac.spec.addresses import keeps_secrets
from agentgpu_iac.spec.document import camel

URL: Final = "https://app.spheron.ai"
ADDRESS_FAULT: Final = Fault(
    source=CONFIGURATION,
    path="agentgpu:spheronUrl",
    message="is no address to which a key may be sent, so it is not repeated",
    hint="write https://, a host and no user; http:// is for this machine alone",
)
"""Of an address of the API that ``keeps_secrets`` refuses."""
USER_AGENT: Final = f"agentgpu-iac/{__version__}"
"""The API answers 403 to the default agents of libraries."""

READS_PER_WINDOW: Final = 100
CREATES_PER_WINDOW: Final = 10
WINDOW_S: Final = 900.0
"""100 reads and 10 creates in 15 minutes are the lowest limits that are documented."""

POLL_S: Final = 20.0
"""Pause between two looks at the deployments. The API asks for 15 to 30 s, and never less than 10."""

PAGE_SIZE: Final = 100
MOST_PAGES: Final = 50
_TIMEOUT: Final = httpx.Timeout(60.0, connect=15.0)
_TRIES: Final = 3
_RETRY_PAUSE_S: Final = 5.0
_DEFAULT_RETRY_AFTER_S: Final = 60.0
_LONGEST_MESSAGE: Final = 300
_SHORTEST_HIDDEN_LINE: Final = 12
_SHORTEST_HIDDEN_VALUE: Final = 6
"""Shorter texts stand in other words too."""

GONE: Final = frozenset({"terminated", "terminated-provider", "failed"})
"""Statuses from which a deployment never comes back."""
STARTING: Final = frozenset({"deploying", "provisioning"})
RUNNING: Final = "running"


class Answer(BaseModel):
    """Something that the API says. Fields that we do not use may come and go."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=camel,
        populate_by_name=True,
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
    )


class Offer(Answer):
    """One machine that one supplier sells in one way."""

    provider: str
    offer_id: str
    gpu_count: int = Field(ge=1)
    price: Decimal = Field(ge=0)
    """USD per hour for the whole machine."""
    spot_price: Decimal | None = Field(None, alias="spot_price")
    instance_type: SpheronInstanceType
    available: bool = False
    maintenance: bool = False
    supports_cloud_init: bool = False
    clusters: tuple[str, ...] = ()
    """Regions."""
    os_options: tuple[str, ...] = Field((), alias="os_options")
    gpu_memory: float | None = Field(None, alias="gpu_memory")
    """GB of one GPU."""
    interconnect_type: str | None = None
    vcpus: int | None = None
    memory: float | None = None
    """GB of the host."""
    storage: float | None = None
    """GB."""
    minimum_runtime_minutes: float | None = None
    gpu_type: str = ""
    """This, and the next two, are those of the group that the offer stands in."""
    gpu_model: str = ""
    display_name: str = ""

    @property
    def usd_per_hour(self) -> Decimal:
        """What the whole machine costs, bought the way that it is offered."""
        return self.spot_price if self.instance_type == "SPOT" and self.spot_price else self.price

    def __str__(self) -> str:
        return f"{self.provider} {self.offer_id}"


class Deployment(Answer):
    """A machine that was made."""

    id: str
    name: str = ""
    status: str
    region: str | None = None
    instance_type: str | None = None
    gpu_count: int | None = None
    ip_address: str | None = None
    hourly_rate: Decimal | None = None
    ssh_command: str | None = None

    @property
    def is_gone(self) -> bool:
        """The machine is gone for good."""
        return self.status in GONE

    @property
    def is_live(self) -> bool:
        """It runs, or is about to."""
        return self.status == RUNNING or self.status in STARTING


class Termination(Answer):
    """Whether a deployment may be ended now; times in minutes."""

    can_terminate: bool
    time_remaining: float = 0.0
    minimum_runtime: float | None = None
    reason: str | None = None


class Team(Answer):
    """A team that the key's owner belongs to."""

    team_id: str
    is_current_team: bool = False


class WriteFile(Answer):
    """A file that cloud-init writes."""

    path: str
    content: str
    owner: str | None = None
    permissions: str | None = None
    encoding: str | None = None


class CloudInit(Answer):
    """What a machine does at its first start, in the API's shape."""

    packages: tuple[str, ...] = ()
    write_files: tuple[WriteFile, ...] = ()
    runcmd: tuple[str, ...] = ()


class CreateRequest(Answer):
    """One machine to make. What describes the offer must come from one offer, verbatim."""

    provider: str
    offer_id: str
    gpu_type: str
    gpu_count: int
    region: str
    operating_system: str
    instance_type: SpheronInstanceType
    name: str
    team_id: str
    ssh_key_id: str | None = None
    ssh_public_key: str | None = Field(None, alias="ssh_public_key")
    cloud_init: CloudInit

    def body(self) -> dict[str, Any]:
        """The body of the call."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """All that is on offer, and what of it could not be read."""

    offers: tuple[Offer, ...]
    unreadable: tuple[str, ...]


class SpheronError(OutsideFailure):
    """The API refused, or did not answer."""


class NoAnswer(SpheronError):
    """The outcome of the call is unknown: it may have been carried out."""


class Refused(SpheronError):
    """The API answered, and the answer is no."""

    def __init__(self, message: str, *, status: int, code: str = "", body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: Mapping[str, Any] = body or {}


class RateLimited(Refused):
    """Too many calls: nothing was done."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, status=429)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Budget:
    """A rate limit for the whole process: a number of calls in any 15 minutes; further callers wait."""

    most: int
    window_s: float = WINDOW_S
    _at_s: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, clock: Clock) -> None:
        """Wait until another call may be made, and count it."""
        with self._lock:
            now_s = clock.now_s()
            while len(self._at_s) >= self.most:
                wait_s = self._at_s[0] + self.window_s - now_s
                if wait_s <= 0:
                    self._at_s.popleft()
                    continue
                clock.sleep(wait_s)
                now_s = clock.now_s()
            self._at_s.append(now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What one process may ask, and how often."""

    reads: Budget = field(default_factory=lambda: Budget(READS_PER_WINDOW))
    creates: Budget = field(default_factory=lambda: Budget(CREATES_PER_WINDOW))


PROCESS_BUDGETS: Final = Budgets()

AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


class Spheron:
    """The calls that we make. Threads may share one."""

    def __init__(
        self,
        *,
        key: str | None = None,
        url: str = URL,
        clock: Clock | None = None,
        budgets: Budgets = PROCESS_BUDGETS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client. Without a key it can read the offers, which are public.

        Raises:
            BadInput: a key is to be sent to an address where others could read it.
        """
        if key is not None and not keeps_secrets(url):
            raise BadInput((ADDRESS_FAULT,))
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._key = key
        self._clock = clock or CLOCK
        self._budgets = budgets
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, transport=transport)
        self._looking = threading.Lock()
        self._active: tuple[Deployment, ...] = ()
        self._looked_at_s: float | None = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def offers(self) -> Offers:
        """Everything on offer, page by page."""
        found: list[Offer] = []
        unreadable: list[str] = []
        for page in range(1, MOST_PAGES + 1):
            answer = self._get("/api/gpu-offers", {"page": page, "limit": PAGE_SIZE})
            groups = answer.get("data")
            if not isinstance(groups, list):
                raise SpheronError("Spheron's answer about its offers holds no list of them")
            for group in groups:
                for content in _offers_of(group):
                    try:
                        found.append(Offer.model_validate(content))
                    except ValidationError as error:
                        unreadable.append(_why_unreadable(content, error))
            pages = answer.get("totalPages")
            if not groups or not isinstance(pages, int) or page >= pages:
                break
        return Offers(offers=tuple(found), unreadable=tuple(unreadable))

    def current_team(self) -> str:
        """Id of the team that the key works for now."""
        teams = [_read(Team, team) for team in _list(self._get("/api/balance"), "teams")]
        for team in teams:
            if team.is_current_team:
                return team.team_id
        if len(teams) == 1:
            return teams[0].team_id
        raise SpheronError("Spheron names no current team of this key: set agentgpu:spheronTeamId")

    def live(self) -> tuple[Deployment, ...]:
        """The deployments that run or are about to, as they are now.

        It looks into both lists, the active ones and all, since nobody documents where a machine stands that is being made.
        """
        with self._looking:
            found = {deployment.id: deployment for deployment in (*self._look({}), *self._look({"status": "active"}))}
        return tuple(deployment for deployment in found.values() if deployment.is_live)

    def watch(self, deployment_id: str) -> Deployment | None:
        """How a deployment stands, at most one pause old; None where it is gone for good.

        All that wait share one list, so that many machines ask no more than one: who waited for another's look takes what
        that saw.
        """
        asked_at_s = self._clock.now_s()
        with self._looking:
            if self._looked_at_s is None or self._looked_at_s <= asked_at_s:
                self._pause()
                self._active = self._look({"status": "active"})
            found = next((deployment for deployment in self._active if deployment.id == deployment_id), None)
        return found or self.deployment(deployment_id)

    def deployment(self, deployment_id: str) -> Deployment | None:
        """One deployment; None where there is none of that id."""
        try:
            return _deployment(self._get(f"/api/deployments/{deployment_id}"))
        except Refused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def create(self, request: CreateRequest) -> Deployment:
        """Create a machine. Never retried: a second request could create a second machine."""
        self._budgets.creates.take(self._clock)
        hidden = tuple(line for file in request.cloud_init.write_files for line in _hidden_lines(file.content))
        return _deployment(self._send("POST", "/api/deployments", body=request.body(), hidden=hidden))

    def can_terminate(self, deployment_id: str) -> Termination | None:
        """Whether a deployment may be ended now; None where there is none of that id."""
        try:
            return _read(Termination, self._get(f"/api/deployments/{deployment_id}/can-terminate"))
        except Refused as refusal:
            if refusal.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def terminate(self, deployment_id: str) -> None:
        """Delete a deployment. Idempotent: succeeds if the deployment is already gone. Never retried."""
        try:
            self._send("DELETE", f"/api/deployments/{deployment_id}")
        except Refused as refusal:
            ended = refusal.body.get("currentStatus") in GONE
            if refusal.status == httpx.codes.NOT_FOUND or (refusal.status == httpx.codes.BAD_REQUEST and ended):
                return
            raise

    def _pause(self) -> None:
        if self._looked_at_s is not None:
            self._clock.sleep(max(0.0, self._looked_at_s + POLL_S - self._clock.now_s()))

    def _look(self, parameters: Mapping[str, Any]) -> tuple[Deployment, ...]:
        answer = self._get("/api/deployments", parameters)
        self._looked_at_s = self._clock.now_s()
        return tuple(_read(Deployment, deployment) for deployment in _list(answer, "deployments", "data"))

    def _get(self, path: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a GET request; retried, since it changes nothing."""
        for attempt in range(1, _TRIES + 1):
            self._budgets.reads.take(self._clock)
            try:
                return self._send("GET", path, parameters=parameters)
            except RateLimited as refusal:
                if attempt == _TRIES or refusal.retry_after_s > WINDOW_S:
                    raise
                self._clock.sleep(refusal.retry_after_s)
            except (NoAnswer, Refused) as error:
                if attempt == _TRIES or (isinstance(error, Refused) and error.status < 500):
                    raise
                self._clock.sleep(_RETRY_PAUSE_S * attempt)
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        hidden: Sequence[str] = (),
    ) -> dict[str, Any]:
        what = f"{method} {path}"
        try:
            response = self._http.request(method, path, params=parameters, json=body)
        except httpx.HTTPError as error:
            raise NoAnswer(f"Spheron did not answer {what}: {type(error).__name__}") from None
        content = _content(response)
        if response.is_success:
            if content is None:
                raise SpheronError(f"Spheron answered {what} with something that is no JSON object")
            return content
        said = self._said(content or {}, hidden)
        message = f"Spheron refused {what} with {response.status_code}{f': {said}' if said else ''}"
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            retry_after_s = _retry_after_s(content or {}, response.headers)
            raise RateLimited(f"{message}; it takes calls again in {retry_after_s:.0f} s", retry_after_s=retry_after_s)
        code = (content or {}).get("code")
        raise Refused(message, status=response.status_code, code=str(code or ""), body=content)

    def _said(self, content: Mapping[str, Any], hidden: Sequence[str]) -> str:
        """What the error envelope says, without ``details``, which may repeat the request."""
        parts = dict.fromkeys(
            str(content[key]) for key in ("error", "message", "code") if isinstance(content.get(key), str | int)
        )
        text = ", ".join(parts)
        if any(secret in text for secret in (*hidden, *((self._key,) if self._key else ()))):
            return "its words repeat what is secret and are not shown"
        return " ".join(text.split())[:_LONGEST_MESSAGE]


def _offers_of(group: object) -> Iterator[dict[str, Any]]:
    if not isinstance(group, dict) or not isinstance(group.get("offers"), list):
        return
    names = {key: group.get(key) or "" for key in ("gpuType", "gpuModel", "displayName")}
    for offer in group["offers"]:
        if isinstance(offer, dict):
            yield {**{key: value for key, value in offer.items() if value is not None}, **names}


def _why_unreadable(content: Mapping[str, Any], error: ValidationError) -> str:
    fields = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors()}))
    return f"{content.get('provider', '?')} {content.get('offerId', '?')}: {fields}"


def _deployment(content: Mapping[str, Any]) -> Deployment:
    """A deployment, whether it is the answer or stands in it under its name."""
    inner = content.get("deployment")
    return _read(Deployment, inner if isinstance(inner, dict) else content)


def _read(kind: type[AnyAnswer], content: object) -> AnyAnswer:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors()}))
        raise SpheronError(f"Spheron's answer is no {kind.__name__.lower()} that we can read: {fields}") from None


def _list(content: Mapping[str, Any], *keys: str) -> list[Any]:
    for key in keys:
        if isinstance(value := content.get(key), list):
            return value
    raise SpheronError(f"Spheron's answer holds no list of {keys[0]}")


def _content(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of an answer; a bare list stands under ``data``. None: neither."""
    try:
        content = json.loads(response.text)
    except ValueError:
        return None
    if isinstance(content, list):
        return {"data": content}
    return content if isinstance(content, dict) else None


def _retry_after_s(content: Mapping[str, Any], headers: Mapping[str, str]) -> float:
    for value in (content.get("retryAfter"), headers.get("Retry-After")):
        try:
            return max(1.0, float(value))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
    return _DEFAULT_RETRY_AFTER_S


def _hidden_lines(content: str) -> Iterator[str]:
    """What of a file must not be repeated: its lines, and the values of its assignments."""
    for line in content.splitlines():
        text = line.strip()
        value = text.partition("=")[2].strip("'\"")
        if len(text) >= _SHORTEST_HIDDEN_LINE:
            yield text
        if len(value) >= _SHORTEST_HIDDEN_VALUE:
            yield value
