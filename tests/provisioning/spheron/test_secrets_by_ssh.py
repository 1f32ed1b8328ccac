"""Secrets that are brought to a machine by SSH: what it is made with instead, and what follows from a change of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from pulumi.dynamic import Config, ConfigureRequest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.provisioning.spheron.cloud_init import read_cloud_init
from agentgpu_iac.provisioning.spheron.machine import MachineError, machine_name
from agentgpu_iac.provisioning.spheron.machine_files import _FilesProvider
from agentgpu_iac.provisioning.spheron.program import Settings, deploy
from agentgpu_iac.provisioning.spheron.proof import SSH_KEY_CONFIG, proving, word_of
from agentgpu_iac.spec.loader import load, load_text
from tests.examples import STACKS
from tests.provisioning.recording import Recording, record
from tests.provisioning.spheron.scenes import Scene, cloud_init, make_props
from tests.provisioning.spheron.ssh_server import make_key, private
from tests.provisioning.spheron.test_front import BURSTING, FILES, LOGIN, MACHINE
from tests.provisioning.spheron.test_program import SPEC
from tests.rendered import rendered_once

OUTCOMES = Path(__file__).parents[2] / "outcomes"
SCENES = {
    "one machine": SPEC,
    "bursts": BURSTING,
    "gated": SPEC.replace("  agents:", "  modelCache: {tokenSecret: hub-token}\n  agents:"),
    **{path.stem: path for path in (STACKS / "examples/qa.yaml", STACKS / "examples/single.yaml")},
    **{path.parts[-3]: path for path in sorted((OUTCOMES / "golden").glob("*/spheron/spec.yaml"))},
}
ADMINS = ("203.0.113.7/32",)


@cache
def scene(name: str, admins: tuple[str, ...] = ADMINS) -> tuple[Plan, tuple[RenderedFile, ...]]:
    """The plan of a scene, with addresses that may log in, and its files."""
    source = SCENES[name]
    loaded = load(source) if isinstance(source, Path) else load_text(source, "stack.yaml")
    made = make_plan(loaded, load_catalog())
    hosts = tuple(one.model_copy(update={"admin_ranges": admins}) for one in made.hosts)
    made = made.model_copy(update={"hosts": hosts})
    return made, rendered_once(made)


def values(made: Plan) -> dict[str, str]:
    return {one.secret: f"value-of-{one.secret}" for host in made.hosts for one in host.secrets}


def deployed(name: str, admins: tuple[str, ...] = ADMINS, **settings: Any) -> Recording:
    made, files = scene(name, admins)
    given: dict[str, Any] = dict(ssh_public_key="ssh-ed25519 AAAA", secrets=values(made), ssh_private_key=LOGIN)
    return record(lambda: deploy(made, files, Settings(**{**given, **settings})))


def sent(recording: Recording) -> list[str]:
    """What each machine is made with."""
    contents = [one.inputs["cloudInit"] for one in recording.of(MACHINE)]
    return [content["value"] if isinstance(content, dict) else content for content in contents]


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("name", SCENES)
def test_no_machine_is_made_with_a_secret_and_each_is_brought_its_own(name: str) -> None:
    recording, (made, _) = deployed(name, burst_nodes=1), scene(name)
    hidden = [*values(made).values(), "its key", LOGIN.splitlines()[1]]
    machines = sent(recording)
    assert machines
    assert values(made)
    for content in machines:
        assert not [value for value in hidden if value in content]
        read = json.loads(content)
        assert read["runcmd"] == ["python3 /opt/agentgpu/prove.py", "bash /opt/agentgpu/setup.sh --yes prepare"]
    brought = [one for one in recording.of(FILES) if one.inputs["word"] == "secrets"]
    assert [one.name for one in brought] == [f"{one.name}-secrets" for one in recording.of(MACHINE)]
    for one in brought:
        files = one.inputs["files"]
        assert set(files) > {"value"}, "a secret, as Pulumi wraps it"
        for value in values(made).values():
            assert any(value in text for other in brought for text in other.inputs["files"]["value"].values())
        assert files["value"]["/etc/agentgpu/tls/tls.key"] == "its key"


@pytest.mark.parametrize(
    ("admins", "settings", "words"),
    [
        (ADMINS, {"ssh_private_key": None}, ["pulumi config set --secret agentgpu:sshPrivateKey"]),
        ((), {}, ["spec.hosts.adminRanges"]),
        ((), {"ssh_private_key": None}, ["agentgpu:sshPrivateKey", "spec.hosts.adminRanges"]),
    ],
)
def test_without_a_way_to_bring_them_secrets_are_user_data_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, admins: tuple[str, ...], settings: dict[str, Any], words: list[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    recording = deployed("one machine", admins, **settings)
    assert "value-of-agents-api-key" in sent(recording)[0]
    assert not recording.of(FILES)
    (warning,) = said
    assert warning.startswith("machines get callers' key")
    assert all(each in warning for each in words)


def test_where_they_are_brought_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    deployed("one machine")
    assert not said


def test_a_new_value_is_brought_and_makes_no_machine_anew() -> None:
    before, after = deployed("one machine"), deployed("one machine", secrets={"agents-api-key": "rotated"})
    assert sent(before) == sent(after)
    olds, news = ({**each.of(FILES)[0].inputs} for each in (before, after))
    for each in (olds, news):
        each["files"] = each["files"]["value"]
    found = _FilesProvider().diff("dep-1", {**olds, "hostKey": "k"}, news)
    assert (found.changes, found.replaces) == (True, [])
    assert "VLLM_API_KEY='rotated'\n" in news["files"].values()


PROPS = make_props(cloudInit=proving(cloud_init("")).model_dump_json(by_alias=True, exclude_none=True))
KEY = private(make_key())


def created(scene: Scene, key: str | None = KEY) -> dict[str, Any]:
    provider = scene.provider()
    provider.configure(ConfigureRequest(Config({SSH_KEY_CONFIG: key} if key else {}, "agentgpu")))
    return dict(provider.create(PROPS).outs or {})


def words(scene: Scene) -> list[str]:
    found = [one for body in scene.world.bodies for one in body["cloudInit"]["writeFiles"]]
    return [one["content"] for one in found if one["path"] == "/etc/agentgpu/word"]


def test_each_machine_is_made_with_a_word_of_its_own_which_stands_nowhere_else() -> None:
    scene = Scene()
    scene.world.refused_offers.add("rtx-good")
    outs = created(scene)
    first, second = words(scene)
    assert first != second, "an offer that was refused knows the first"
    assert second == word_of(KEY, outs["machineName"])
    assert outs["machineName"].startswith(f"{machine_name(PROPS)}-")
    assert len(outs["machineName"]) <= 63
    assert second not in str(outs)
    scene.world.reclaim("dep-1")
    again = created(scene)
    assert again["machineName"] != outs["machineName"]
    assert len(set(words(scene))) == len(words(scene)) > 2


def test_a_machine_that_an_interrupted_run_left_is_taken_on_with_its_word() -> None:
    scene = Scene()
    first = created(scene)
    second = created(scene)
    assert first["machineName"] == second["machineName"]
    assert len(scene.world.live) == 1
    assert words(scene) == [word_of(KEY, second["machineName"])]


def test_a_name_that_the_answer_to_a_create_leaves_out_is_the_one_that_was_sent() -> None:
    scene = Scene()

    def nameless(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            body = json.loads(request.content)
            status, made = scene.world.answer("POST", request.url.path, {}, dict(request.headers), body)
            return httpx.Response(status, json={name: value for name, value in made.items() if name != "name"})
        if scene.world.machines:
            raise httpx.ConnectError("down", request=request)
        return None

    scene.before = nameless
    assert created(scene)["machineName"] == scene.world.bodies[0]["name"]


def test_without_the_key_no_machine_is_made_that_could_not_be_asked() -> None:
    scene = Scene()
    with pytest.raises(MachineError, match="there is no key for the machine to be proven by: agentgpu:sshPrivateKey"):
        created(scene, None)
    assert not scene.world.bodies


def test_the_word_makes_no_machine_anew() -> None:
    scene = Scene()
    outs = created(scene)
    assert scene.provider().diff("dep-1", outs, PROPS).changes is False


def test_what_a_machine_is_made_with_begins_with_its_proof() -> None:
    made, files = scene("one machine")
    path = f"hosts/{made.node_pools[0].name}/cloud-init.yaml"
    rendered = next(file.content for file in files if file.path == path)
    proven = proving(read_cloud_init(rendered, path))
    assert [one.path for one in proven.write_files[:2]] == ["/etc/agentgpu/word", "/opt/agentgpu/prove.py"]
    assert proven.write_files[0].permissions == "0600"
