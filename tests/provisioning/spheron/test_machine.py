"""One machine's life, against the API in memory."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider

from agentgpu_iac.plan.opening import MADE_BY
from agentgpu_iac.provisioning.spheron.client import CloudInit, WriteFile
from agentgpu_iac.provisioning.spheron.machine import MachineError, SpheronProvider, machine_name
from tests.provisioning.spheron.scenes import SECRET, Scene, cloud_init, make_market, make_props, make_way
from tests.provisioning.spheron.world import KEY

PROPS = make_props()


def posts(scene: Scene) -> list[str]:
    return [body["offerId"] for body in scene.world.bodies]


def created(scene: Scene, props: dict[str, Any] = PROPS) -> tuple[str, dict[str, Any]]:
    made = scene.provider().create(props)
    return made.id, dict(made.outs or {})


def test_a_machine_is_made_on_the_best_offer_and_waited_for() -> None:
    scene = Scene()
    _, outs = created(scene)
    assert posts(scene) == ["rtx-good"]
    assert outs["status"] == "running"
    assert outs["ipAddress"] == "198.51.100.1"
    assert (outs["usdPerHour"], outs["accelerator"], outs["region"]) == ("0.8", "rtx-5090", "oslo-norway-3")
    assert scene.world.bodies[0]["name"] == machine_name(PROPS)
    assert scene.world.bodies[0]["operatingSystem"] == "Ubuntu 24.04 with Docker and CUDA 12.8"


def test_an_image_without_a_driver_is_the_last_resort_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    created(Scene())
    assert not said
    bare = Scene()
    for gpus in bare.world.groups:
        for one in gpus["offers"]:
            one["os_options"] = ["Ubuntu 22.04 LTS"]
    created(bare)
    (warning,) = said
    assert "starts with the image 'Ubuntu 22.04 LTS', whose name says nothing of an NVIDIA driver" in warning


def test_what_pulumi_keeps_holds_no_secret() -> None:
    _, outs = created(Scene())
    assert SECRET not in str(outs)
    assert KEY not in str(outs)


def test_the_stored_provider_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPHERON_API_KEY", KEY)
    stored = base64.b64decode(serialize_provider(SpheronProvider()))
    assert KEY.encode() not in stored
    assert b"spheron.machine" in stored
    assert len(stored) < 500, "the class is stored by its name, not by its code"


def test_a_refused_offer_is_tried_once_and_then_the_next() -> None:
    scene = Scene()
    scene.world.refused_offers.add("rtx-good")
    created(scene)
    assert posts(scene) == ["rtx-good", "rtx-next"]


def test_a_machine_that_fails_while_it_starts_is_no_machine() -> None:
    scene = Scene()
    scene.world.failing_offers.add("rtx-good")
    _, outs = created(scene)
    assert posts(scene) == ["rtx-good", "rtx-next"]
    assert outs["machineName"] == machine_name(PROPS)


def test_when_nothing_can_be_had_each_offer_says_why() -> None:
    scene = Scene()
    scene.world.refused_offers |= {"rtx-good", "rtx-next"}
    with pytest.raises(MachineError) as caught:
        created(scene)
    assert posts(scene) == ["rtx-good", "rtx-next"]
    for words in (
        "rtx-good: Spheron refused",
        "NO_CAPACITY",
        "rtx-dear: USD 1.9 an hour",
        "rtx-bare: it takes no cloud-init",
    ):
        assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_machine_of_the_name_is_taken_on_and_not_made_twice() -> None:
    scene = Scene()
    first, _ = created(scene)
    second, outs = created(scene)
    assert first == second
    assert len(scene.world.live) == 1
    assert outs["status"] == "running"


def test_a_reclaimed_machine_of_the_name_is_not_taken_on() -> None:
    scene = Scene()
    first, _ = created(scene)
    scene.world.reclaim(first)
    assert created(scene)[0] != first


def test_an_answer_that_never_came_is_followed_by_a_look_for_the_name() -> None:
    scene = Scene()

    def silent(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            scene.world.answer("POST", "/api/deployments", {}, dict(request.headers), json.loads(request.content))
            raise httpx.ReadTimeout("slow", request=request)
        return None

    scene.before = silent
    machine_id, _ = created(scene)
    assert machine_id == "dep-1"
    assert len(scene.world.live) == 1


def test_without_a_trace_of_the_name_nothing_is_sent_again() -> None:
    scene, sent = Scene(), []

    def silent(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            sent.append(request)
            raise httpx.ReadTimeout("slow", request=request)
        return None

    scene.before = silent
    with pytest.raises(MachineError, match=r"nobody knows whether qa-.* was made.*Run pulumi up again"):
        created(scene)
    assert len(sent) == 1


def test_a_refused_key_stops_at_once() -> None:
    scene = Scene()
    scene.world.answer_to_create = (402, {"error": "Insufficient balance"})
    with pytest.raises(MachineError, match="402: Insufficient balance"):
        created(scene)
    assert len(posts(scene)) == 1


def test_a_limit_on_creates_is_waited_for_once() -> None:
    scene = Scene()
    answers = [httpx.Response(429, json={"error": "slow down", "retryAfter": 120})]
    scene.before = lambda request: answers.pop() if request.method == "POST" and answers else None
    created(scene)
    assert 120.0 in scene.time.slept
    assert len(scene.world.live) == 1


def test_a_machine_that_is_late_is_kept_and_waited_for_by_the_next_up() -> None:
    scene = Scene()
    scene.world.boot_s = 4_000
    props = make_props(market=make_market(start_timeout_s=600))
    machine_id, outs = created(scene, props)
    assert outs["status"] == "deploying"
    assert scene.time.now < 1_000 + 700
    provider = scene.provider()
    assert provider.diff(machine_id, outs, props).changes
    assert provider.diff(machine_id, outs, props).replaces == []
    scene.world.boot_s = 60
    assert provider.update(machine_id, outs, props).outs["status"] == "running"
    assert len(scene.world.live) == 1


def test_an_api_that_goes_down_while_one_waits_loses_no_machine() -> None:
    scene = Scene()

    def down_after_create(request: httpx.Request) -> httpx.Response | None:
        if scene.world.machines and request.method == "GET":
            raise httpx.ConnectError("down", request=request)
        return None

    scene.before = down_after_create
    machine_id, outs = created(scene)
    assert (machine_id, outs["status"]) == ("dep-1", "deploying")


def changed(**changes: Any) -> dict[str, Any]:
    return make_props(**changes)


@pytest.mark.parametrize(
    ("news", "replaces"),
    [
        (changed(), []),
        (changed(market=make_market(ways=(make_way(price="0.9", cap="1.2"),), start_timeout_s=60)), []),
        (changed(market=make_market(accelerators=("rtx-5090", "h100-sxm"))), []),
        (changed(market=make_market(regions=("oslo-norway-3", "casper-usa-1"))), []),
        (changed(teamId="other"), []),
        (changed(cloudInit=cloud_init("VLLM_API_KEY='another-one'\n").model_dump_json(by_alias=True)), ["cloudInit"]),
        (changed(market=make_market(accelerators=("h100-sxm",))), ["plannedAccelerator"]),
        (changed(acceleratorsPerNode=2), ["acceleratorsPerNode"]),
        (changed(sshPublicKey="ssh-ed25519 BBBB other"), ["ssh"]),
        (changed(market=make_market(ways=(make_way("SPOT"),))), ["market"]),
        (changed(market=make_market(regions=("casper-usa-1",))), ["market"]),
    ],
)
def test_what_replaces_a_machine_and_what_does_not(news: dict[str, Any], replaces: list[str]) -> None:
    scene = Scene()
    machine_id, outs = created(scene)
    found = scene.provider().diff(machine_id, {**outs, "acceleratorsPerNode": 1.0}, news)
    assert found.replaces == replaces
    assert found.changes is bool(replaces)
    if replaces == ["market"]:
        return
    assert (machine_name(news) != machine_name(PROPS)) is bool(replaces), "a new machine must not take on the old one"


def test_another_digest_in_the_opening_of_a_file_makes_no_other_machine() -> None:
    """It is new with every figure of the plan; what the file does is not."""

    def opened(digest: str, body: str = "services: {}\n") -> dict[str, Any]:
        text = f"{MADE_BY}demo: node pool one, plan {digest}.\n# Change spec.hosts, then: agentgpu render.\n{body}"
        file = WriteFile(path="/opt/agentgpu/docker-compose.yaml", content=text)
        return changed(cloudInit=CloudInit(write_files=(file,)).model_dump_json(by_alias=True, exclude_none=True))

    old, new, other = opened("0" * 12), opened("1" * 12), opened("0" * 12, "services: {one: {}}\n")
    assert machine_name(old) == machine_name(new) != machine_name(other)


def test_a_replacement_elsewhere_does_not_take_on_the_old_machine() -> None:
    scene = Scene()
    first, _ = created(scene)
    second, outs = created(scene, changed(market=make_market(regions=("casper-usa-1",))))
    assert first != second
    assert outs["region"] == "casper-usa-1"


@pytest.mark.parametrize("field", ["owner", "pool", "index"])
def test_machines_of_other_stacks_pools_and_numbers_have_other_names(field: str) -> None:
    assert machine_name(make_props(**{field: "7"})) != machine_name(PROPS)


@pytest.mark.parametrize("status", ["terminated", "terminated-provider", "failed"])
def test_a_machine_that_is_gone_is_no_resource_any_more(status: str) -> None:
    scene = Scene()
    machine_id, outs = created(scene)
    scene.world.machines[machine_id].content["status"] = status
    assert not scene.provider().read(machine_id, outs).id
    scene.world.machines.clear()
    assert not scene.provider().read(machine_id, outs).id


def test_reading_keeps_what_is_known_and_sees_what_changed() -> None:
    scene = Scene()
    machine_id, outs = created(scene)
    scene.world.machines[machine_id].content["hourlyRate"] = 0.83
    found = scene.provider().read(machine_id, outs)
    assert found.id == machine_id
    assert found.outs == {**outs, "usdPerHour": "0.83"}


def test_before_its_minimum_runtime_a_machine_stays_and_the_error_says_how_long() -> None:
    scene = Scene()
    machine_id, outs = created(scene)
    scene.time.now = 1_000 + 60 * 5.0
    with pytest.raises(MachineError, match=r"must run 1[56] more minutes \(at least 20 in all\), at USD 0.8 an hour"):
        scene.provider().delete(machine_id, outs)
    assert scene.world.live
    scene.time.now += 60 * 20.0
    scene.provider().delete(machine_id, outs)
    assert not scene.world.live


def test_a_short_rest_of_the_minimum_runtime_is_waited_for() -> None:
    scene = Scene()
    machine_id, outs = created(scene)
    scene.time.now = 1_000 + 60 * 17.0
    scene.provider().delete(machine_id, outs)
    assert not scene.world.live
    assert max(scene.time.slept) <= 300


@pytest.mark.parametrize("status", ["terminated", "terminated-provider"])
def test_ending_a_machine_that_is_gone_is_well(status: str) -> None:
    scene = Scene()
    machine_id, outs = created(scene)
    scene.world.machines[machine_id].content["status"] = status
    scene.provider().delete(machine_id, outs)
    scene.provider().delete("never-was", outs)


def test_the_key_comes_from_the_environment_else_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPHERON_API_KEY", raising=False)
    provider = SpheronProvider()
    (failure,) = provider.check({}, PROPS).failures
    assert "pulumi config set --secret agentgpu:spheronApiKey" in failure.reason
    provider.configure(ConfigureRequest(Config({"agentgpu:spheronApiKey": KEY}, "agentgpu")))
    assert provider.check({}, PROPS).failures == []
    monkeypatch.setenv("SPHERON_API_KEY", "other")
    assert SpheronProvider().check({}, PROPS).failures == []


def test_a_machine_has_one_ssh_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPHERON_API_KEY", KEY)
    (failure,) = SpheronProvider().check({}, {**PROPS, "sshKeyId": "k"}).failures
    assert failure.property == "sshPublicKey"
