"""Spheron's API as its reference and its clients describe it, in memory: what it sells, what it made, and what it refuses.

It does not de-duplicate: two create calls of one name make two machines that cost money. What it does not check: the
balance, SSH keys, the text of cloud-init, and who owns what in a team.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEY = "sai_pk_test-key-that-nobody-may-see"
TEAM = "team-1"

Reply = tuple[int, dict[str, Any]]


def offer(offer_id: str, **changes: Any) -> dict[str, Any]:
    """One RTX 5090, dedicated, that can set itself up."""
    return {
        "provider": "massed-compute",
        "offerId": offer_id,
        "name": offer_id,
        "vcpus": 12,
        "memory": 96,
        "storage": 500,
        "gpuCount": 1,
        "price": 0.80,
        "available": True,
        "maintenance": False,
        "clusters": ["oslo-norway-3"],
        "gpu_memory": 32,
        "os_options": ["Ubuntu 22.04 LTS", "Ubuntu 24.04 with Docker and CUDA 12.8", "Debian 12"],
        "interconnectType": "PCIe",
        "instanceType": "DEDICATED",
        "supportsCloudInit": True,
        "minimumRuntimeMinutes": 20,
        "fieldOfTomorrow": {"anything": [1, None]},
        **changes,
    }


def group(gpu_type: str, display_name: str, *offers: dict[str, Any]) -> dict[str, Any]:
    """Offers of one GPU."""
    return {
        "gpuType": gpu_type,
        "gpuModel": display_name,
        "displayName": display_name,
        "totalAvailable": len(offers),
        "offers": list(offers),
    }


def usual_groups() -> list[dict[str, Any]]:
    """What is on offer unless a test says otherwise."""
    return [
        group(
            "RTX5090",
            "RTX 5090",
            offer("rtx-bare", price=0.60, supportsCloudInit=False, provider="spheron-ai"),
            offer("rtx-good"),
            offer("rtx-next", price=0.85, provider="sesterce", clusters=["casper-usa-1", "oslo-norway-3"]),
            offer("rtx-dear", price=1.90),
            offer("rtx-sold-out", price=0.70, available=False),
            offer("rtx-in-repair", price=0.70, maintenance=True),
            offer("rtx-spot", price=0.80, spot_price=0.31, instanceType="SPOT"),
            offer("rtx-pair", price=1.55, gpuCount=2),
        ),
        group(
            "H100_SXM5",
            "H100 SXM5",
            offer("h100-good", price=2.4, vcpus=32, gpu_memory=80, interconnectType="SXM5", provider="voltage-park"),
        ),
        group("X9000", "Unheard-of X9000", offer("x9000", gpu_memory=7)),
    ]


@dataclass(slots=True)
class Machine:
    """A deployment."""

    content: dict[str, Any]
    made_at_s: float
    request: dict[str, Any]


def as_written(file: Mapping[str, str]) -> str:
    """What cloud-init makes of a file that it was sent."""
    match file.get("encoding"):
        case None:
            return file["content"]
        case "gz+b64":
            return gzip.decompress(base64.b64decode(file["content"], validate=True)).decode()
        case other:
            raise AssertionError(f"we pack no file as {other}")


@dataclass(slots=True)
class World:
    """All state, and how it answers. Seconds are those of its own clock."""

    now_s: Callable[[], float]
    groups: list[dict[str, Any]] = field(default_factory=usual_groups)
    key: str = KEY
    boot_s: float = 45.0
    login: str = "ssh ubuntu@198.51.100.{number}"
    """How to log in to the machine of a number."""
    minimum_runtime_minutes: float = 20.0
    reads_per_window: int = 100
    creates_per_window: int = 10
    refused_offers: set[str] = field(default_factory=set)
    """Offers whose capacity has gone since they were listed."""
    failing_offers: set[str] = field(default_factory=set)
    """Offers whose machines are made and then fail."""
    machines: dict[str, Machine] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any] | None]] = field(default_factory=list)
    page_size: int | None = None
    """The most groups that one page holds, whatever was asked for."""
    answer_to_create: Reply | None = None
    too_busy: set[str] = field(default_factory=set)
    """Methods whose next call is one too many."""
    _reads_at_s: list[float] = field(default_factory=list)
    _creates_at_s: list[float] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _lock: Any = field(default_factory=threading.RLock)

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: dict[str, Any] | None
    ) -> Reply:
        """Answer one call."""
        with self._lock:
            self.calls.append((method, path, body))
            return self._answer(method, path, query, {name.lower(): value for name, value in headers.items()}, body)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What creates were sent."""
        return [body for method, _, body in self.calls if method == "POST" and body is not None]

    @property
    def live(self) -> list[dict[str, Any]]:
        """Machines that cost money now."""
        with self._lock:
            self._age()
            return [one.content for one in self.machines.values() if one.content["status"] in {"deploying", "running"}]

    def reclaim(self, machine_id: str) -> None:
        """The supplier takes a spot machine back."""
        with self._lock:
            self.machines[machine_id].content["status"] = "terminated-provider"

    def _answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: dict[str, Any] | None
    ) -> Reply:
        if not headers.get("user-agent") or re.match(r"(?i)python|httpx|curl", headers["user-agent"]):
            return 403, {"error": "Forbidden", "code": "FORBIDDEN"}
        public = path in {"/api/gpu-offers", "/api/providers"}
        if not public and headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"error": "Invalid API key", "message": f"key {headers.get('authorization')} is not known"}
        if limited := self._limited(method):
            return limited
        self._age()
        match method, path.removeprefix("/api").split("/")[1:]:
            case "GET", ["gpu-offers"]:
                return self._offers(query)
            case "GET", ["balance"]:
                teams = [
                    {"teamId": "team-0", "teamName": "old", "balance": 0, "isCurrentTeam": False, "role": "owner"},
                    {"teamId": TEAM, "teamName": "ours", "balance": 50, "isCurrentTeam": True, "role": "owner"},
                ]
                return 200, {"teams": teams, "currency": "USD"}
            case "POST", ["deployments"]:
                return self._create(body or {})
            case "GET", ["deployments"]:
                wanted = {"deploying", "running"} if query.get("status") == "active" else None
                found = [one.content for one in self.machines.values()]
                return 200, {"data": [one for one in found if wanted is None or one["status"] in wanted]}
            case "GET", ["deployments", machine_id]:
                return (200, self.machines[machine_id].content) if machine_id in self.machines else _not_found()
            case "GET", ["deployments", machine_id, "can-terminate"]:
                return (200, self._can_terminate(machine_id)) if machine_id in self.machines else _not_found()
            case "DELETE", ["deployments", machine_id]:
                return self._terminate(machine_id)
        return _not_found()

    def _limited(self, method: str) -> Reply | None:
        if method in self.too_busy:
            self.too_busy.remove(method)
            return 429, {"error": "Too many requests", "retryAfter": 30}
        if method == "DELETE":
            return None
        at_s, most = (
            (self._creates_at_s, self.creates_per_window)
            if method == "POST"
            else (self._reads_at_s, self.reads_per_window)
        )
        now_s = self.now_s()
        at_s[:] = [one for one in at_s if one > now_s - 900]
        if len(at_s) >= most:
            return 429, {"error": "Too many requests", "retryAfter": max(1, int(at_s[0] + 900 - now_s) + 1)}
        at_s.append(now_s)
        return None

    def _age(self) -> None:
        for one in self.machines.values():
            if one.content["status"] == "deploying" and self.now_s() >= one.made_at_s + self.boot_s:
                if one.request["offerId"] in self.failing_offers:
                    one.content["status"] = "failed"
                    continue
                number = one.content["id"].removeprefix("dep-")
                one.content |= {
                    "status": "running",
                    "ipAddress": f"198.51.100.{number}",
                    "sshCommand": self.login.format(number=number),
                }

    def _offers(self, query: dict[str, str]) -> Reply:
        page, limit = int(query.get("page", 1)), int(query.get("limit", 20))
        size = min(limit, self.page_size or limit)
        shown = self.groups[(page - 1) * size : page * size]
        pages = -(-len(self.groups) // size)
        return 200, {"data": shown, "total": len(self.groups), "page": page, "limit": size, "totalPages": pages}

    def _create(self, body: dict[str, Any]) -> Reply:
        if self.answer_to_create is not None:
            return self.answer_to_create
        if not body.get("teamId"):
            return 400, {"error": "Team ID is required"}
        if ("sshKeyId" in body) == ("ssh_public_key" in body):
            return 400, {"error": "Exactly one of sshKeyId and ssh_public_key is required"}
        found = next(
            (
                (each, one)
                for each in self.groups
                for one in each["offers"]
                if (one["provider"], one["offerId"]) == (body.get("provider"), body.get("offerId"))
            ),
            None,
        )
        if found is None:
            return 404, {"error": "Offer not found", "code": "OFFER_NOT_FOUND"}
        each, sold = found
        mixed = [
            name
            for name, good in (
                ("gpuType", body.get("gpuType") == each["gpuType"]),
                ("gpuCount", body.get("gpuCount") == sold["gpuCount"]),
                ("region", body.get("region") in sold["clusters"]),
                ("operatingSystem", body.get("operatingSystem") in sold["os_options"]),
                ("instanceType", body.get("instanceType") == sold["instanceType"]),
                ("cloudInit", "cloudInit" not in body or sold["supportsCloudInit"]),
            )
            if not good
        ]
        if mixed:
            return 400, {"error": "Invalid request", "details": {"fields": mixed, "received": body}}
        if not sold["available"] or sold["offerId"] in self.refused_offers:
            return 409, {"error": "Insufficient capacity", "code": "NO_CAPACITY", "details": {"received": body}}
        machine_id = f"dep-{next(self._numbers)}"
        content = {
            "id": machine_id,
            "name": body["name"],
            "providerId": sold["provider"],
            "gpuCount": sold["gpuCount"],
            "region": body["region"],
            "instanceType": sold["instanceType"],
            "status": "deploying",
            "hourlyRate": sold.get("spot_price") or sold["price"],
            "ipAddress": None,
            "sshCommand": None,
        }
        self.machines[machine_id] = Machine(content=content, made_at_s=self.now_s(), request=body)
        return 201, dict(content)

    def _can_terminate(self, machine_id: str) -> dict[str, Any]:
        machine = self.machines[machine_id]
        runtime = (self.now_s() - machine.made_at_s) / 60
        remaining = max(0.0, self.minimum_runtime_minutes - runtime)
        return {
            "canTerminate": remaining == 0 and machine.content["status"] in {"running", "deploying"},
            "runtime": runtime,
            "timeRemaining": remaining,
            "minimumRuntime": self.minimum_runtime_minutes,
        }

    def _terminate(self, machine_id: str) -> Reply:
        if machine_id not in self.machines:
            return _not_found()
        machine = self.machines[machine_id]
        status = machine.content["status"]
        if status not in {"running", "deploying"}:
            return 400, {"error": f"Deployment is {status}", "currentStatus": status}
        may = self._can_terminate(machine_id)
        if not may["canTerminate"]:
            return 400, {"error": "Minimum runtime not met", **may}
        machine.content["status"] = "terminated"
        return 200, {"message": "terminated", "deployment": {"id": machine_id, "status": "terminated"}}


def _not_found() -> Reply:
    return 404, {"error": "Not found", "code": "NOT_FOUND"}
