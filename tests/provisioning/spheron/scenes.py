"""A world, a clock that jumps instead of waiting, and the properties of one machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from agentgpu_iac import plan as p
from agentgpu_iac.provisioning.spheron import machine
from agentgpu_iac.provisioning.spheron.client import Budget, Budgets, CloudInit, Spheron, WriteFile
from agentgpu_iac.provisioning.spheron.clock import Clock
from tests.provisioning.spheron.world import KEY, World

SECRET = "an-api-key-of-callers"


@dataclass(slots=True)
class Time:
    """Passes only when someone waits."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


@dataclass(slots=True)
class Scene:
    """What one test acts in."""

    time: Time = field(default_factory=Time)
    world: World = field(init=False)
    before: Callable[[httpx.Request], httpx.Response | None] = field(default=lambda request: None)
    """Called with each request first: what it returns, or raises, is the answer."""

    def __post_init__(self) -> None:
        self.world = World(now_s=lambda: self.time.now)

    def client(self, key: str | None = KEY) -> Spheron:
        return Spheron(
            key=key,
            url="https://spheron.test",
            clock=self.time.clock,
            budgets=Budgets(reads=Budget(100), creates=Budget(10)),
            transport=httpx.MockTransport(self._handle),
        )

    def provider(self) -> machine.SpheronProvider:
        """A provider whose session is this scene's."""
        made = _Provider()
        made.session = machine.Session(self.client(), self.time.clock)
        return made

    def _handle(self, request: httpx.Request) -> httpx.Response:
        answer = self.before(request)
        if answer is not None:
            return answer
        body = json.loads(request.content) if request.content else None
        status, content = self.world.answer(
            request.method, request.url.path, dict(request.url.params), dict(request.headers), body
        )
        return httpx.Response(status, json=content)


class _Provider(machine.SpheronProvider):
    session: machine.Session

    def _session(self, props: Any) -> machine.Session:
        return self.session


def make_way(instance_type: str = "DEDICATED", price: str = "0.76", cap: str = "0.95") -> p.MarketWay:
    return p.MarketWay(
        instance_type=instance_type,
        capacity_type="spot" if instance_type == "SPOT" else "on-demand",
        usd_per_hour=Decimal(price),
        price_cap_usd_per_hour=Decimal(cap),
    )


def make_market(**changes: Any) -> p.MarketPlan:
    fields: dict[str, Any] = dict(
        ways=(make_way(),),
        accelerators=("rtx-5090",),
        regions=(),
        gpu_memory_gb=32.0,
        vcpus=4,
        host_memory_gib=8,
        disk_gib=77,
        start_timeout_s=1800,
    )
    return p.MarketPlan(**{**fields, **changes})


def cloud_init(text: str = f"VLLM_API_KEY='{SECRET}'\n") -> CloudInit:
    return CloudInit(
        packages=("nftables",),
        write_files=(
            WriteFile(path="/etc/agentgpu/secrets.env", content=text, owner="root:root", permissions="0600"),
            WriteFile(path="/opt/agentgpu/firewall.nft", content="table inet agentgpu {}\n", permissions="0755"),
        ),
        runcmd=("bash /opt/agentgpu/setup.sh",),
    )


def make_props(**changes: Any) -> dict[str, Any]:
    market = changes.pop("market", make_market())
    fields: dict[str, Any] = dict(
        url="https://spheron.test",
        owner="organization/agentgpu/test",
        pool="qa-baseline-spheron-rtx-5090-od",
        index=0,
        acceleratorsPerNode=1,
        market=market.model_dump_json(by_alias=True),
        sshPublicKey="ssh-ed25519 AAAA someone",
        cloudInit=cloud_init().model_dump_json(by_alias=True, exclude_none=True),
    )
    return {**fields, **changes}
