"""One machine on Spheron as a Pulumi resource.

Nothing about a machine is changed in place: it is made, looked at, replaced and ended. Creates cost money at once and the API
takes each as a new wish, so a machine has a name that follows from what it is to be, and a create first looks for that name:
what an interrupted run left behind is taken on, not made a second time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

import httpx
import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from agentgpu_iac.errors import AgentGpuError
from agentgpu_iac.plan import MarketPlan
from agentgpu_iac.plan.opening import without_opening
from agentgpu_iac.provisioning.spheron.client import (
    RUNNING,
    WINDOW_S,
    CloudInit,
    CreateRequest,
    Deployment,
    NoAnswer,
    Offers,
    RateLimited,
    Refused,
    Spheron,
    SpheronError,
    Termination,
)
from agentgpu_iac.provisioning.spheron.clock import CLOCK, Clock
from agentgpu_iac.provisioning.spheron.cloud_init import for_the_way
from agentgpu_iac.provisioning.spheron.offers import Candidate, Choice, choose
from agentgpu_iac.provisioning.spheron.proof import SSH_KEY_CONFIG, is_proving, once_named, with_word, word_of
from agentgpu_iac.units import counted

API_KEY_VARIABLE: Final = "SPHERON_API_KEY"
API_KEY_CONFIG: Final = "agentgpu:spheronApiKey"

MOST_TRIES: Final = 5
"""Offers that one machine is tried on: ten creates in 15 minutes are all that a user has."""
OFFERS_KEPT_S: Final = 60.0
"""Machines that are made together choose from one reading of the offers."""
LONGEST_WAIT_TO_END_S: Final = 300.0
"""A machine may be ended after its minimum runtime. The rest of it is waited for where it is no longer than this."""
_END_MARGIN_S: Final = 15.0
_STALE_KEY: Final = (
    f". To destroy and refresh, the key is that of the last pulumi up, unless {API_KEY_VARIABLE} holds another"
)
_STOPS_EVERYTHING: Final = frozenset({401, 402, 403})
"""No other offer helps where the key, its rights or its balance do not do."""
_DIGEST_ROUNDS: Final = 100_000
"""Names are no secrets, and what they are made from holds some: guessing one from the other must be slow."""
_LONGEST_STEM: Final = 40

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class MachineError(Exception):
    """What Pulumi shows of a failure: one sentence."""


def _plainly(method: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Our errors as one sentence, without the calls that led to them."""

    @wraps(method)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        try:
            return method(*args, **kwargs)
        except AgentGpuError as error:
            stale = isinstance(error, Refused) and error.status == httpx.codes.UNAUTHORIZED
            raise MachineError(f"{error}{_STALE_KEY if stale else ''}") from None

    return wrapped


class SpheronProvider(ResourceProvider):
    """Makes, looks at and ends machines. It is stored in Pulumi's state with every machine, so it holds no key.

    The key comes from the environment, else from the configuration, whenever the provider is started.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        super().__init__()
        self._configured_key: str | None = None
        self._login_key: str | None = None

    def configure(self, req: ConfigureRequest) -> None:
        """Keep the keys in memory."""
        self._configured_key = req.config.get(API_KEY_CONFIG)
        self._login_key = req.config.get(SSH_KEY_CONFIG)

    @_plainly
    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, before anything is made, what could not be made."""
        failures = []
        if not self._key():
            failures.append(
                CheckFailure(
                    "",
                    f"there is no key for Spheron: pulumi config set --secret {API_KEY_CONFIG}, or {API_KEY_VARIABLE}",
                )
            )
        if bool(news.get("sshKeyId")) == bool(news.get("sshPublicKey")):
            failures.append(
                CheckFailure(
                    "sshPublicKey",
                    "a machine has exactly one SSH key: set agentgpu:sshPublicKey or agentgpu:spheronSshKeyId",
                )
            )
        return CheckResult(news, failures)

    @_plainly
    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """What makes a machine another one. Prices, limits and further offers matter only when one is made."""
        market, asked = _market(news), _asked(news)
        replaces = [name for name, value in asked.items() if value != _plain(olds.get(name))]
        if olds.get("cloudInitDigest") != _slow_digest(_done_by(news["cloudInit"])):
            replaces.append("cloudInit")
        if not _acceptable(market, olds.get("region"), olds.get("instanceType")):
            replaces.append("market")
        if olds.get("status") == "stopped":
            replaces.append("status")
        unfinished = olds.get("status") != RUNNING
        return DiffResult(changes=bool(replaces) or unfinished, replaces=replaces, delete_before_replace=False)

    @_plainly
    def create(self, props: dict[str, Any]) -> CreateResult:
        """Adopt the machine of this name, else make it on the first offer that can be had; then wait until it runs.

        A machine that does not run in time is kept all the same: it costs money, so Pulumi must know of it.
        """
        made = self._maker(props).make()
        return CreateResult(made.id, made.facts)

    @_plainly
    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Resume waiting for a machine that did not run in time."""
        made = self._maker(news).wait(_id, olds)
        if made is None:
            raise SpheronError(f"{olds.get('machineName')} is gone: pulumi up --refresh makes another")
        return UpdateResult(made.facts)

    @_plainly
    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at a machine. One that is gone for good, or was taken back, is no resource any more: the next up makes another."""
        found = self._session(props).client.deployment(id_)
        if found is None or found.is_gone:
            return ReadResult("", {})
        return ReadResult(id_, {**props, **_seen(found, props)})

    @_plainly
    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End a machine, once its minimum runtime is over."""
        session = self._session(props)
        answer = session.client.can_terminate(_id)
        if answer is not None and not answer.can_terminate:
            found = session.client.deployment(_id)
            if found is None or found.is_gone:
                return
            wait_s = answer.time_remaining * 60 + _END_MARGIN_S
            if wait_s <= LONGEST_WAIT_TO_END_S:
                session.clock.sleep(wait_s)
                answer = session.client.can_terminate(_id)
        if answer is None:
            return
        if not answer.can_terminate:
            raise SpheronError(_too_early(answer, props, _id))
        try:
            session.client.terminate(_id)
        except Refused as refusal:
            if "timeRemaining" not in refusal.body:
                raise
            raise SpheronError(_too_early(Termination.model_validate(refusal.body), props, _id)) from None

    def _key(self) -> str | None:
        return os.environ.get(API_KEY_VARIABLE) or self._configured_key

    def _session(self, props: Mapping[str, Any]) -> Session:
        key = self._key()
        if not key:
            raise SpheronError(f"there is no key for Spheron: set {API_KEY_CONFIG} or {API_KEY_VARIABLE}")
        return shared_session(key, str(props["url"]))

    def _maker(self, props: Mapping[str, Any]) -> _Maker:
        return _Maker(self._session(props), props, self._login_key)


class _Made:
    """A machine, and what Pulumi keeps of it."""

    def __init__(self, deployment: Deployment, facts: dict[str, Any]) -> None:
        self.id = deployment.id
        self.facts = facts


class Session:
    """What all machines of a process share: the client with its limits, and one reading of the offers."""

    def __init__(self, client: Spheron, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._lock = threading.Lock()
        self._offers: Offers | None = None
        self._read_at_s = 0.0
        self._team: str | None = None

    def offers(self) -> Offers:
        """The offers, a minute old at most."""
        with self._lock:
            if self._offers is None or self.clock.now_s() > self._read_at_s + OFFERS_KEPT_S:
                self._offers = self.client.offers()
                self._read_at_s = self.clock.now_s()
            return self._offers

    def team(self) -> str:
        """The team that pays: asked for once."""
        with self._lock:
            if self._team is None:
                self._team = self.client.current_team()
            return self._team


@cache
def shared_session(key: str, url: str) -> Session:
    """The one session of this process with a key."""
    return Session(Spheron(key=key, url=url, clock=CLOCK), CLOCK)


class _Maker:
    """Makes one machine."""

    def __init__(self, session: Session, props: Mapping[str, Any], login_key: str | None) -> None:
        self.session = session
        self.client = session.client
        self.props = props
        self.market = _market(props)
        self.name = machine_name(props)
        self.cloud_init = CloudInit.model_validate_json(props["cloudInit"])
        self.login_key = login_key
        self.failures: list[str] = []

    def make(self) -> _Made:
        """The machine: the one that is there, else a new one."""
        found = self._named()
        if found is not None:
            made = self._wait(found, {})
            if made is not None:
                return made
        choice = choose(self.session.offers().offers, self.market, int(self.props["acceleratorsPerNode"]))
        for candidate in choice.candidates[:MOST_TRIES]:
            created = self._try(candidate)
            if created is None:
                continue
            if candidate.needs_driver:
                pulumi.log.warn(_driver_is_missing(self.name, candidate))
            made = self._wait(created, {**_bought(candidate), "machineName": created.name})
            if made is not None:
                return made
            self.failures.append(f"{candidate.offer}: it ended before it ran")
        raise SpheronError(self._why_not(choice))

    def wait(self, deployment_id: str, olds: Mapping[str, Any]) -> _Made | None:
        """A machine that was made before, once it runs; None where it is gone."""
        found = self.client.deployment(deployment_id)
        return None if found is None else self._wait(found, olds)

    def _named(self) -> Deployment | None:
        """The live machine of this name, one that runs before one that is about to."""
        named = [
            deployment
            for deployment in self.client.live()
            if self._is_named(deployment.name) and _acceptable(self.market, deployment.region, deployment.instance_type)
        ]
        return max(named, key=lambda deployment: deployment.status == RUNNING, default=None)

    def _is_named(self, name: str) -> bool:
        """One that proves its host key has a name of its own, which only begins with this one."""
        return name.startswith(f"{self.name}-") if is_proving(self.cloud_init) else name == self.name

    def _try(self, candidate: Candidate) -> Deployment | None:
        """Send the create call; a second time only where the API says that it did nothing yet. None: this offer cannot be had."""
        try:
            return self._create(candidate)
        except RateLimited as refusal:
            if refusal.retry_after_s > WINDOW_S:
                raise
            self.session.clock.sleep(refusal.retry_after_s)
            return self._named() or self._create(candidate)

    def _create(self, candidate: Candidate) -> Deployment | None:
        """Send the create call, once. None: this offer cannot be had."""
        try:
            request = self._request(candidate)
            created = self.client.create(request)
            return created if created.name else created.model_copy(update={"name": request.name})
        except RateLimited:
            raise
        except NoAnswer as error:
            found = self._named()
            if found is None:
                raise SpheronError(
                    f"{error}; nobody knows whether {self.name} was made. "
                    "Run pulumi up again: it looks for that name before it makes anything"
                ) from None
            return found
        except Refused as refusal:
            if refusal.status in _STOPS_EVERYTHING:
                raise
            self.failures.append(f"{candidate.offer}: {refusal}")
            return self._named() if refusal.status >= 500 else None

    def _request(self, candidate: Candidate) -> CreateRequest:
        offer, name, cloud_init = candidate.offer, self.name, self.cloud_init
        if is_proving(cloud_init):
            if not self.login_key:
                raise SpheronError(f"there is no key for the machine to be proven by: {SSH_KEY_CONFIG}")
            name = once_named(name)
            cloud_init = with_word(cloud_init, word_of(self.login_key, name))
        return CreateRequest(
            provider=offer.provider,
            offer_id=offer.offer_id,
            gpu_type=offer.gpu_type,
            gpu_count=offer.gpu_count,
            region=candidate.region,
            operating_system=candidate.operating_system,
            instance_type=offer.instance_type,
            name=name,
            team_id=self.props.get("teamId") or self.session.team(),
            ssh_key_id=self.props.get("sshKeyId"),
            ssh_public_key=self.props.get("sshPublicKey"),
            cloud_init=for_the_way(cloud_init),
        )

    def _wait(self, deployment: Deployment, known: Mapping[str, Any]) -> _Made | None:
        """The machine once it runs, or as it is when its time is over or nobody answers; None where it is gone."""
        deadline_s = self.session.clock.now_s() + self.market.start_timeout_s
        current, seen = deployment, True
        while seen and not current.is_gone and not (current.status == RUNNING and current.ip_address):
            if self.session.clock.now_s() >= deadline_s:
                break
            try:
                found = self.client.watch(current.id)
            except SpheronError:
                break
            seen = found is not None
            current = found or current
        return None if current.is_gone or not seen else _Made(current, self._facts(current, known))

    def _facts(self, deployment: Deployment, known: Mapping[str, Any]) -> dict[str, Any]:
        """What Pulumi keeps. A machine that was taken on does not tell all that its offer did: that stays empty."""
        return {
            "url": self.props["url"],
            "machineName": deployment.name or known.get("machineName") or self.name,
            "cloudInitDigest": _slow_digest(_done_by(self.props["cloudInit"])),
            **_asked(self.props),
            "accelerator": known.get("accelerator") or "",
            **_seen(deployment, known),
        }

    def _why_not(self, choice: Choice) -> str:
        pool, cards = self.props["pool"], int(self.props["acceleratorsPerNode"])
        what = f"{cards} x {' or '.join(self.market.accelerators)} for {pool}"
        parts = [*self.failures, *(str(passed) for passed in choice.passed_over)]
        if not parts:
            return f"no offer on Spheron has {what} now. Try again later, or plan for another accelerator"
        left = len(choice.candidates) - MOST_TRIES
        more = f"; {left} more were not tried" if left > 0 else ""
        return f"no offer on Spheron could be had of {what}: {'; '.join(parts)}{more}"


def _driver_is_missing(name: str, candidate: Candidate) -> str:
    return (
        f"{name} starts with the image {candidate.operating_system!r}, whose name says nothing of an NVIDIA driver, and no "
        "offer left has one that does. Setup installs no driver and fails without: log in (hosts.adminRanges), install it, "
        "then: sudo bash /opt/agentgpu/setup.sh"
    )


def _too_early(answer: Termination, props: Mapping[str, Any], deployment_id: str) -> str:
    minutes = math.ceil(answer.time_remaining)
    least = f" (at least {answer.minimum_runtime:g} in all)" if answer.minimum_runtime else ""
    rate = f", at USD {props['usdPerHour']} an hour" if props.get("usdPerHour") else ""
    because = f". Spheron says: {answer.reason}" if answer.reason else ""
    return (
        f"{props.get('machineName') or deployment_id} may not be ended yet: it must run {counted(minutes, 'more minute')}"
        f"{least}{rate}. It stays in Pulumi's state: run the same command again "
        f"after that{because}"
    )


def _bought(candidate: Candidate) -> dict[str, Any]:
    return {
        "accelerator": candidate.accelerator,
        "instanceType": candidate.offer.instance_type,
        "region": candidate.region,
        "usdPerHour": str(candidate.usd_per_hour),
    }


def _seen(deployment: Deployment, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a deployment reports, completed by what is already known."""
    rate: Decimal | None = deployment.hourly_rate
    return {
        "status": deployment.status,
        "ipAddress": deployment.ip_address or "",
        "sshCommand": deployment.ssh_command or "",
        "region": deployment.region or known.get("region") or "",
        "instanceType": deployment.instance_type or known.get("instanceType") or "",
        "usdPerHour": str(rate) if rate else known.get("usdPerHour") or "",
    }


def _asked(props: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for and may be shown; each of it makes another machine."""
    return {
        "plannedAccelerator": _market(props).accelerators[0],
        "acceleratorsPerNode": int(props["acceleratorsPerNode"]),
        "ssh": props.get("sshKeyId") or props.get("sshPublicKey") or "",
    }


def _plain(value: Any) -> Any:
    """Numbers come back from Pulumi's state as floats."""
    return int(value) if isinstance(value, float) else value


def _acceptable(market: MarketPlan, region: str | None, instance_type: str | None) -> bool:
    """Whether a machine's region and type match the plan; fields it does not report count as matching."""
    right_place = not region or not market.regions or region in market.regions
    return right_place and (not instance_type or instance_type in {way.instance_type for way in market.ways})


def _market(props: Mapping[str, Any]) -> MarketPlan:
    return MarketPlan.model_validate_json(props["market"])


def machine_name(props: Mapping[str, Any]) -> str:
    """The name of a machine: its pool, which begins with the stack's name, its number, and what it is to be."""
    return f"{str(props['pool'])[:_LONGEST_STEM].rstrip('-')}-{int(props['index'])}-{_digest(props)}"


def _digest(props: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits of what makes a machine, and of the Pulumi stack that it belongs to."""
    parts = {
        **_asked(props),
        **{key: props[key] for key in ("owner", "pool")},
        "cloudInit": _done_by(props["cloudInit"]),
        "index": int(props["index"]),
    }
    return _slow_digest(json.dumps(parts, sort_keys=True))


@cache
def _done_by(cloud_init: str) -> str:
    """What a cloud-init does: the same where only the openings of its files are new."""
    read = CloudInit.model_validate_json(cloud_init)
    files = tuple(file.model_copy(update={"content": without_opening(file.content)}) for file in read.write_files)
    return read.model_copy(update={"write_files": files}).model_dump_json(by_alias=True, exclude_none=True)


@cache
def _slow_digest(text: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"agentgpu-spheron-machine", _DIGEST_ROUNDS).hex()[:10]


class SpheronMachine(Resource, module="agentgpu", name="SpheronMachine"):
    """A machine on Spheron that sets itself up."""

    accelerator: pulumi.Output[str]
    instanceType: pulumi.Output[str]  # noqa: N815 - Pulumi's own spelling
    ipAddress: pulumi.Output[str]  # noqa: N815
    machineName: pulumi.Output[str]  # noqa: N815
    region: pulumi.Output[str]
    sshCommand: pulumi.Output[str]  # noqa: N815
    status: pulumi.Output[str]
    usdPerHour: pulumi.Output[str]  # noqa: N815

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        unknown = dict.fromkeys(type(self).__annotations__)
        super().__init__(SpheronProvider(), name, cast("pulumi.Inputs", {**unknown, **props}), opts)
