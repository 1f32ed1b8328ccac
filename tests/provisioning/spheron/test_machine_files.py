"""Files that are put on a machine which runs: by whom, in what order, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider

from agentgpu_iac.plan.machine_paths import PROOF_FILE, PROVE_FILE, SECRETS_FILE, WORD_FILE
from agentgpu_iac.provisioning.spheron import machine_files
from agentgpu_iac.provisioning.spheron.machine_files import FilesError, Host, Login, put_files, read_key
from agentgpu_iac.provisioning.spheron.proof import PROVE, word_of
from tests.provisioning.spheron.scenes import Time
from tests.provisioning.spheron.ssh_server import Machines, make_key, private, public

KEY = make_key()
WORD = word_of(private(KEY), "qa-0-0123456789-00000001")
SETUP = (
    "read() { cat /etc/agentgpu/one; }\ncase $1 in machines) read >/etc/agentgpu/read;; *) echo no $1; exit 3;; esac\n"
)


MADE_WITH = {"/opt/agentgpu/setup.sh": SETUP, WORD_FILE: WORD, PROVE_FILE: PROVE}


@pytest.fixture
def made_with() -> dict[str, str]:
    """The files of a machine that starts."""
    return dict(MADE_WITH)


@pytest.fixture
def machines(tmp_path: Path, made_with: dict[str, str]) -> Iterator[Machines]:
    made = Machines(folder=tmp_path / "machines", client=KEY, files=lambda _: made_with)
    made.start()
    yield made
    made.close()


def put(machines: Machines, *, known: str | None = None, word: str = "machines", **changes: Any) -> str:
    given: dict[str, Any] = dict(
        login=Login(user="dep-1", host="127.0.0.1", port=machines.port), key=KEY, files={"/etc/agentgpu/one": "1\n"}
    )
    given |= changes
    time = given.pop("time", Time())
    host = Host(name="qa-0-0123456789-00000001", word=WORD, known=known)
    return put_files(given["login"], given["key"], given["files"], word, host=host, clock=time.clock)


def test_files_are_written_before_the_setup_reads_them(machines: Machines) -> None:
    shown = put(machines)
    assert machines.written("dep-1", "/etc/agentgpu/read") == "1\n"
    assert shown == " ".join(machines.host_key.export_public_key("openssh").decode().split()[:2])
    machines.commands.clear()
    assert put(machines, known=shown, files={"/etc/agentgpu/one": "2\n"}) == shown
    assert f"cat {PROOF_FILE}" not in {command for _, command in machines.commands}, (
        "a key that is known is not asked for"
    )
    assert machines.written("dep-1", "/etc/agentgpu/read") == "2\n"
    assert not machines.has("dep-1", "/etc/agentgpu/one.new")
    assert [call.split()[0] for call in machines.calls("dep-1")] == ["sudo"] * 4


def test_a_machine_signs_its_host_keys_and_forgets_the_word(machines: Machines) -> None:
    put(machines)
    assert not machines.has("dep-1", WORD_FILE)
    line = " ".join(public(machines.host_key).split()[:2])
    first, second = machines.written("dep-1", PROOF_FILE).split()
    assert hmac.new(WORD.encode(), line.encode(), hashlib.sha256).hexdigest() in (first, second)
    assert machines.commands[0] == ("dep-1", f"cat {PROOF_FILE}"), "nothing else is sent before"
    assert not [command for _, command in machines.commands if WORD in command]


def test_a_host_that_cannot_prove_its_key_is_sent_nothing(machines: Machines, made_with: dict[str, str]) -> None:
    made_with[WORD_FILE] = word_of(private(KEY), "another-machine")
    with pytest.raises(
        FilesError, match=r"cannot prove that its host key SHA256:\S+ is that of qa-0-0123456789-00000001"
    ):
        put(machines)
    assert machines.commands == [("dep-1", f"cat {PROOF_FILE}")]


def test_a_proof_of_another_key_is_none(machines: Machines) -> None:
    put(machines)
    machines.show_another_key()
    sent = len(machines.commands)
    with pytest.raises(FilesError, match="so nothing was sent to it"):
        put(machines)
    assert machines.commands[sent:] == [("dep-1", f"cat {PROOF_FILE}")]


def test_a_proof_without_an_end_is_none(machines: Machines, made_with: dict[str, str]) -> None:
    made_with |= {PROOF_FILE: "0" * 100_000}
    del made_with[PROVE_FILE]
    with pytest.raises(FilesError, match="cannot prove"):
        put(machines)


def test_a_machine_that_has_not_proven_itself_is_waited_for_and_sent_nothing(
    machines: Machines, made_with: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_files, "PATIENCE_S", 60.0)
    del made_with[PROVE_FILE]
    time = Time()
    with pytest.raises(FilesError, match=r"nothing could be brought to qa-0-.*it has not proven its host key yet"):
        put(machines, time=time)
    assert sum(time.slept) >= machine_files.PATIENCE_S
    assert {command for _, command in machines.commands} == {f"cat {PROOF_FILE}"}


def test_secrets_are_root_s_alone_and_in_no_command(machines: Machines) -> None:
    files = {"/etc/agentgpu/one": "1\n", SECRETS_FILE: "KEY='callers-key'\n", "/etc/agentgpu/tls/tls.key": "its key\n"}
    put(machines, files=files)
    root = machines.folder / "dep-1"
    modes = {path: (root / path.lstrip("/")).stat().st_mode & 0o777 for path in files}
    assert list(modes.values()) == [0o644, 0o600, 0o400]
    assert machines.written("dep-1", SECRETS_FILE) == "KEY='callers-key'\n"
    puts = [command for _, command in machines.commands if "umask" in command]
    assert SECRETS_FILE in puts[-1], "where it is, all the others are"
    said = " ".join([*machines.calls("dep-1"), *(command for _, command in machines.commands)])
    assert "callers-key" not in said
    assert "its key" not in said


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
    olds = {
        "machine": "dep-1",
        "machineName": "qa-0",
        "ssh": "ssh a@b",
        "files": {"/x": "1"},
        "left": {},
        "word": "front",
        "hostKey": "k",
    }
    news = {name: value for name, value in olds.items() if name != "hostKey"}
    assert diff("i", olds, news).changes is False
    changed = diff("i", olds, {**news, "files": {"/x": "2"}})
    assert (changed.changes, changed.replaces) == (True, [])
    assert diff("i", olds, {**news, "machine": "dep-2"}).replaces == ["machine"]
