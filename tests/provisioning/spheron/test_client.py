"""The client: what it sends, how slowly, and what its errors say."""

from __future__ import annotations

import threading

import httpx
import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.provisioning.spheron.client import (
    POLL_S,
    CreateRequest,
    NoAnswer,
    RateLimited,
    Refused,
    Spheron,
    SpheronError,
)
from agentgpu_iac.provisioning.spheron.clock import Clock
from tests.provisioning.spheron.scenes import SECRET, Scene, cloud_init
from tests.provisioning.spheron.world import KEY, TEAM

REQUEST = CreateRequest(
    provider="massed-compute",
    offer_id="rtx-good",
    gpu_type="RTX5090",
    gpu_count=1,
    region="oslo-norway-3",
    operating_system="Ubuntu 22.04 LTS",
    instance_type="DEDICATED",
    name="qa-0",
    team_id=TEAM,
    ssh_public_key="ssh-ed25519 AAAA someone",
    cloud_init=cloud_init(),
)


def test_every_call_names_its_agent_and_only_calls_of_a_key_carry_one() -> None:
    scene, seen = Scene(), []
    scene.before = lambda request: seen.append(request.headers)
    scene.client(key=None).offers()
    scene.client().current_team()
    assert all(headers["User-Agent"].startswith("agentgpu-iac/") for headers in seen)
    assert "Authorization" not in seen[0]
    assert seen[-1]["Authorization"] == f"Bearer {KEY}"


def test_offers_are_read_to_the_last_page_once_each() -> None:
    scene = Scene()
    scene.world.page_size = 1
    found = scene.client(key=None).offers()
    listed = [offer["offerId"] for group in scene.world.groups for offer in group["offers"]]
    assert [offer.offer_id for offer in found.offers] == listed
    assert len(scene.world.calls) == len(scene.world.groups)


def test_one_unreadable_offer_does_not_hide_the_others() -> None:
    scene = Scene()
    scene.world.groups[0]["offers"][0] = {"provider": "odd", "offerId": "o", "price": "much", "gpuCount": 1}
    found = scene.client(key=None).offers()
    assert len(found.offers) == 9
    assert found.unreadable == ("odd o: instanceType, price",)


def test_a_spot_offer_costs_its_spot_price() -> None:
    prices = {offer.offer_id: str(offer.usd_per_hour) for offer in Scene().client(key=None).offers().offers}
    assert (prices["rtx-spot"], prices["rtx-good"]) == ("0.31", "0.8")


def test_reads_are_rationed_over_any_quarter_of_an_hour() -> None:
    scene = Scene()
    client = scene.client()
    for _ in range(150):
        client.deployment("dep-1")
    assert scene.time.now - 1_000.0 == 900.0
    assert 429 not in scene.time.slept
    assert len(scene.world.calls) == 150


def test_creates_are_rationed_too() -> None:
    scene = Scene()
    client = scene.client()
    for _ in range(11):
        client.create(REQUEST)
    assert scene.time.now - 1_000.0 == 900.0


def test_all_who_wait_share_one_look_in_each_pause() -> None:
    scene = Scene()
    client = scene.client()
    made = [client.create(REQUEST) for _ in range(3)]
    for _ in range(3):
        for one in made:
            client.watch(one.id)
    assert POLL_S >= 10
    assert all(pause >= 10 for pause in scene.time.slept)
    assert client.watch(made[0].id).status == "running"


def test_who_waited_for_the_look_of_another_takes_what_it_saw() -> None:
    scene = Scene()
    client = scene.client()
    made = [client.create(REQUEST) for _ in range(2)]
    client.watch(made[0].id)
    waiting = threading.Event()
    others: list[threading.Thread] = []
    found: list[object] = []

    def now_s() -> float:
        if threading.current_thread() in others:
            waiting.set()
        return scene.time.now

    def sleep(seconds: float) -> None:
        if not others:
            others.append(threading.Thread(target=lambda: found.append(client.watch(made[1].id))))
            others[0].start()
            assert waiting.wait(60)
        scene.time.sleep(seconds)

    client._clock = Clock(now_s=now_s, sleep=sleep)
    before = len(scene.world.calls)
    client.watch(made[0].id)
    others[0].join(60)
    assert found
    assert len(scene.world.calls) == before + 1


def test_a_limit_is_obeyed_and_the_call_asked_again() -> None:
    scene = Scene()
    answers = [httpx.Response(429, json={"error": "slow down", "retryAfter": 37})]
    scene.before = lambda request: answers.pop() if answers else None
    assert scene.client().current_team() == TEAM
    assert scene.time.slept == [37.0]


def test_reads_are_asked_again_when_nobody_answers() -> None:
    scene, tries = Scene(), []

    def broken(request: httpx.Request) -> httpx.Response | None:
        tries.append(request)
        if len(tries) < 3:
            raise httpx.ReadTimeout("slow", request=request)
        return None

    scene.before = broken
    assert scene.client().current_team() == TEAM
    assert len(tries) == 3


@pytest.mark.parametrize("call", ["create", "terminate"])
@pytest.mark.parametrize("kind", ["silence", "500", "429"])
def test_what_costs_money_is_sent_once(call: str, kind: str) -> None:
    scene, sent = Scene(), []

    def broken(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if kind == "silence":
            raise httpx.ReadTimeout("slow", request=request)
        return httpx.Response(int(kind), json={"error": "no"})

    scene.before = broken
    client = scene.client()
    errors = {"silence": NoAnswer, "500": Refused, "429": RateLimited}
    with pytest.raises(errors[kind]):
        client.create(REQUEST) if call == "create" else client.terminate("dep-1")
    assert len(sent) == 1


@pytest.mark.parametrize(
    "said",
    [
        f"bad key {KEY}",
        f"cannot parse VLLM_API_KEY='{SECRET}'",
        f"value {SECRET} is odd",
        "unexpected text: table inet agentgpu {}",
    ],
)
def test_errors_hold_neither_the_key_nor_cloud_init(said: str) -> None:
    scene = Scene()
    scene.before = lambda request: httpx.Response(400, json={"error": said, "details": {"received": KEY + SECRET}})
    with pytest.raises(Refused) as caught:
        scene.client().create(REQUEST)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "agentgpu {}" not in str(caught.value)
    assert "400" in str(caught.value)


def test_errors_say_what_the_envelope_says() -> None:
    scene = Scene()
    scene.world.refused_offers.add("rtx-good")
    with pytest.raises(Refused, match=r"POST /api/deployments with 409: Insufficient capacity, NO_CAPACITY$"):
        scene.client().create(REQUEST)


@pytest.mark.parametrize("content", [b"<html>gateway</html>", b"[1]", b'{"data": 3}'])
def test_an_answer_that_makes_no_sense_is_said_to_be_so(content: bytes) -> None:
    scene = Scene()
    scene.before = lambda request: httpx.Response(200, content=content)
    with pytest.raises(SpheronError):
        scene.client().live()


def test_a_machine_that_is_gone_already_counts_as_ended() -> None:
    scene = Scene()
    client = scene.client()
    client.terminate("never-was")
    made = client.create(REQUEST)
    scene.world.machines[made.id].content["status"] = "terminated"
    client.terminate(made.id)


def test_bodies_of_creates_are_as_the_api_wants_them() -> None:
    """The contract: every key, spelled as the API spells it, and nothing else."""
    scene = Scene()
    scene.client().create(REQUEST)
    assert scene.world.bodies == [
        {
            "provider": "massed-compute",
            "offerId": "rtx-good",
            "gpuType": "RTX5090",
            "gpuCount": 1,
            "region": "oslo-norway-3",
            "operatingSystem": "Ubuntu 22.04 LTS",
            "instanceType": "DEDICATED",
            "name": "qa-0",
            "teamId": TEAM,
            "ssh_public_key": "ssh-ed25519 AAAA someone",
            "cloudInit": {
                "packages": ["nftables"],
                "writeFiles": [
                    {
                        "path": "/etc/agentgpu/secrets.env",
                        "content": f"VLLM_API_KEY='{SECRET}'\n",
                        "owner": "root:root",
                        "permissions": "0600",
                    },
                    {
                        "path": "/opt/agentgpu/firewall.nft",
                        "content": "table inet agentgpu {}\n",
                        "permissions": "0755",
                    },
                ],
                "runcmd": ["bash /opt/agentgpu/setup.sh"],
            },
        }
    ]


@pytest.mark.parametrize("url", ["http://app.example.org", "https://me@app.example.org", "ftp://app.example.org"])
def test_a_key_is_given_to_no_address_where_others_could_read_it(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        Spheron(key="sp-key", url=url)
    assert str(caught.value).startswith("configuration of the Pulumi stack: agentgpu:spheronUrl: is no address")
    assert url not in str(caught.value)
    Spheron(key="sp-key", url="http://127.0.0.1:8080").close()
