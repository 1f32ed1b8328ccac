"""Files that are put on a machine which runs: by whom, in what order, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider

from agentgpu_iac.provisioning.spheron import machine_files
from agentgpu_iac.provisioning.spheron.machine_files import FilesError, Login, put_files, read_key
from tests.provisioning.spheron.scenes import Time
from tests.provisioning.spheron.ssh_server import Machines, make_key, private

KEY = make_key()
SETUP = (
    "read() { cat /etc/agentgpu/one; }\ncase $1 in machines) read >/etc/agentgpu/read;; *) echo no $1; exit 3;; esac\n"
)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(folder=tmp_path / "machines", client=KEY, files=lambda _: {"/opt/agentgpu/setup.sh": SETUP})
    made.start()
    yield made
    made.close()


def put(machines: Machines, *, known: str | None = None, word: str = "machines", **changes: Any) -> str:
    given: dict[str, Any] = dict(
        login=Login(user="dep-1", host="127.0.0.1", port=machines.port), key=KEY, files={"/etc/agentgpu/one": "1\n"}
    )
    given |= changes
    time = given.pop("time", Time())
    return put_files(given["login"], given["key"], given["files"], word, known=known, clock=time.clock)


def test_files_are_written_before_the_setup_reads_them(machines: Machines) -> None:
    shown = put(machines)
    assert machines.written("dep-1", "/etc/agentgpu/read") == "1\n"
    assert shown == " ".join(machines.host_key.export_public_key("openssh").decode().split()[:2])
    assert put(machines, known=shown, files={"/etc/agentgpu/one": "2\n"}) == shown
    assert machines.written("dep-1", "/etc/agentgpu/read") == "2\n"
    assert not machines.has("dep-1", "/etc/agentgpu/one.new")
    assert [call.split()[0] for call in machines.calls("dep-1")] == ["sudo"] * 4


def test_root_needs_no_sudo(machines: Machines) -> None:
    put(machines, login=Login(user="root", host="127.0.0.1", port=machines.port))
    assert not machines.has("root", "/calls")


def test_another_host_key_is_refused_and_nothing_is_sent(machines: Machines) -> None:
    shown = put(machines)
    machines.show_another_key()
    sent = len(machines.commands)
    with pytest.raises(FilesError, match=r"shows the host key SHA256:\S+, and showed SHA256:\S+ before"):
        put(machines, known=shown)
    assert len(machines.commands) == sent


def test_a_machine_that_is_not_there_yet_is_waited_for(machines: Machines) -> None:
    port, time = machines.port, Time()
    machines.close()
    with pytest.raises(FilesError, match=r"hosts\.adminRanges must hold the address that Pulumi runs at"):
        put(machines, login=Login(user="dep-1", host="127.0.0.1", port=port), time=time)
    assert sum(time.slept) >= machine_files.PATIENCE_S


def test_a_key_that_is_refused_is_not_tried_for_long(machines: Machines) -> None:
    time = Time()
    with pytest.raises(FilesError, match="it refuses dep-1 with the key of agentgpu:sshPrivateKey"):
        put(machines, key=make_key(), time=time)
    assert machine_files.REFUSALS_S <= sum(time.slept) < machine_files.PATIENCE_S


def test_what_the_setup_says_when_it_fails_is_shown(machines: Machines) -> None:
    with pytest.raises(FilesError, match=r"setup\.sh dance' failed: no dance"):
        put(machines, word="dance")


@pytest.mark.parametrize(
    ("command", "login"),
    [
        ("ssh ubuntu@198.51.100.1", Login(user="ubuntu", host="198.51.100.1")),
        ("ssh root@198.51.100.1 -p 2222", Login(user="root", host="198.51.100.1", port=2222)),
        ("ssh -p 2222 root@198.51.100.1", Login(user="root", host="198.51.100.1", port=2222)),
    ],
)
def test_how_to_log_in_is_read_from_the_command(command: str, login: Login) -> None:
    assert Login.of(command) == login


def test_a_command_that_is_none_is_refused() -> None:
    with pytest.raises(FilesError, match="no 'ssh USER@HOST'"):
        Login.of("telnet somewhere")


def test_a_key_that_cannot_be_read_is_not_shown() -> None:
    locked = "-----BEGIN nonsense"
    with pytest.raises(FilesError, match="no private SSH key without a passphrase") as caught:
        read_key(locked)
    assert "nonsense" not in str(caught.value)
    assert read_key(private(KEY).strip()) == KEY


def test_the_stored_provider_holds_no_key() -> None:
    provider = machine_files._FilesProvider()
    assert len(serialize_provider(provider)) < 500
    provider.configure(ConfigureRequest(config=Config({"agentgpu:sshPrivateKey": private(KEY)}, "agentgpu")))
    fresh = base64.b64decode(serialize_provider(machine_files._FilesProvider()))
    assert private(KEY).encode() not in fresh


def test_a_machine_that_is_told_no_more_is_left_as_before(machines: Machines) -> None:
    provider = machine_files._FilesProvider()
    provider.configure(ConfigureRequest(config=Config({"agentgpu:sshPrivateKey": private(KEY)}, "agentgpu")))
    login = f"ssh dep-1@127.0.0.1 -p {machines.port}"
    props = {"ssh": login, "left": {"/etc/agentgpu/one": ""}, "word": "machines", "hostKey": put(machines)}
    provider.delete("dep-1", {**props, "left": {}})
    assert machines.written("dep-1", "/etc/agentgpu/read") == "1\n"
    provider.delete("dep-1", props)
    assert machines.written("dep-1", "/etc/agentgpu/read") == ""
    machines.close()
    provider.delete("dep-1", props)


def test_the_same_machine_is_updated_and_another_one_replaced() -> None:
    diff = machine_files._FilesProvider().diff
    olds = {"machine": "dep-1", "ssh": "ssh a@b", "files": {"/x": "1"}, "left": {}, "word": "front", "hostKey": "k"}
    news = {name: olds[name] for name in ("machine", "ssh", "files", "left", "word")}
    assert diff("i", olds, news).changes is False
    changed = diff("i", olds, {**news, "files": {"/x": "2"}})
    assert (changed.changes, changed.replaces) == (True, [])
    assert diff("i", olds, {**news, "machine": "dep-2"}).replaces == ["machine"]
