"""Files on a machine that runs, put there by SSH, and the word of its setup script that makes them count.

What machines must know of each other is known when they run, and changes while they do, as secrets do: a machine must not be
made anew for it. A machine is sent nothing before it has proven its host key; after that the key is known, and another one is
refused.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncssh
import pulumi
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from agentgpu_iac.plan.machine_paths import PROOF_FILE, SECRETS_FILE, SETUP_FILE
from agentgpu_iac.provisioning.spheron.clock import CLOCK, Clock
from agentgpu_iac.provisioning.spheron.cloud_init import MODES
from agentgpu_iac.provisioning.spheron.proof import SSH_KEY_CONFIG, is_proven, word_of

PATIENCE_S: Final = 900.0
"""A machine that has just been started lets nobody in yet, or has not yet got its files."""
REFUSALS_S: Final = 120.0
"""A machine that has just been started may not yet know the key."""
_PAUSE_S: Final = 10.0
_LOGIN_TIMEOUT_S: Final = 20.0
_COMMAND_TIMEOUT_S: Final = 300.0
_LATEST_WORDS: Final = 500
_LONGEST_PROOF: Final = 4096
_KEPT: Final = ("machine", "machineName", "ssh", "files", "left", "word")


class FilesError(Exception):
    """What Pulumi shows of a failure: one sentence."""


class NotYet(Exception):
    """The machine is not ready for this yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How to log in to a machine."""

    user: str
    host: str
    port: int = 22

    @classmethod
    def of(cls, command: str) -> Login:
        """Read ``ssh user@host -p port``. Raises FilesError for anything else."""
        words = shlex.split(command)
        found: str | None = None
        port = 22
        rest = iter(words[1:] if words[:1] == ["ssh"] else ())
        for word in rest:
            if word == "-p":
                port = int(next(rest, "22"))
            elif "@" in word:
                found = word
        if found is None:
            raise FilesError(f"Spheron says to log in by {command!r}, which is no 'ssh USER@HOST'")
        user, _, host = found.rpartition("@")
        return cls(user=user, host=host, port=port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Whose host key is taken."""

    name: str
    """The machine's, as Spheron has it."""
    word: str
    """By which it proves its host key, where that is not known."""
    known: str | None = None


class _Client(asyncssh.SSHClient):
    """Takes the host key that is known, or any where none is: that one must be proven before anything is sent."""

    def __init__(self, known: str | None) -> None:
        self.known = known
        self.shown = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self.shown = _line(key)
        return self.known is None or self.known == self.shown


def _line(key: asyncssh.SSHKey) -> str:
    """A public key without its comment."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


class _FilesProvider(ResourceProvider):
    """It is stored in Pulumi's state with every resource, so it holds no key."""

    def __init__(self) -> None:
        super().__init__()
        self._configured_key: str | None = None

    def configure(self, req: ConfigureRequest) -> None:
        self._configured_key = req.config.get(SSH_KEY_CONFIG)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(str(props["machine"]), self._put(props, {}))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._put(news, olds))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Put the files back as they were at first, if possible: a failure must not keep the machine from being deleted."""
        if not props["left"] or not self._configured_key:
            return
        with suppress(FilesError, NotYet, OSError, TimeoutError, asyncssh.Error):
            login, key, host = Login.of(str(props["ssh"])), read_key(self._configured_key), self._host(props, props)
            asyncio.run(_put(login, key, props["left"], str(props["word"]), host, _Client(host.known)))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another machine has another host key; the same machine must not."""
        changed = [name for name in ("ssh", "files", "left", "word") if olds.get(name) != news[name]]
        another = ["machine"] if olds.get("machine") != news["machine"] else []
        return DiffResult(changes=bool(changed or another), replaces=another, delete_before_replace=False)

    def _host(self, props: Mapping[str, Any], olds: Mapping[str, Any]) -> Host:
        name = str(props.get("machineName"))
        known = props.get("hostKey") or olds.get("hostKey")
        return Host(name=name, word=word_of(str(self._configured_key), name), known=known)

    def _put(self, props: Mapping[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
        if not self._configured_key:
            raise FilesError(f"there is no key to log in with: pulumi config set --secret {SSH_KEY_CONFIG}")
        if not props["ssh"]:
            raise FilesError(f"{props['machineName']} does not run yet: run pulumi up again")
        shown = put_files(
            Login.of(str(props["ssh"])),
            read_key(self._configured_key),
            props["files"],
            str(props["word"]),
            host=self._host(props, olds),
            clock=CLOCK,
        )
        return {name: props[name] for name in _KEPT} | {"hostKey": shown}


def read_key(text: str) -> asyncssh.SSHKey:
    """A private key without a passphrase. Raises FilesError, which says nothing of the text, for anything else."""
    try:
        return asyncssh.import_private_key(text if text.endswith("\n") else f"{text}\n")
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
        raise FilesError(f"{SSH_KEY_CONFIG} is no private SSH key without a passphrase") from None


def put_files(
    login: Login, key: asyncssh.SSHKey, files: Mapping[str, str], word: str, *, host: Host, clock: Clock
) -> str:
    """Put files on a machine, and have its setup script read them. Returns its host key.

    The file of secrets is the last: where it is, everything is that the setup of a machine waits for.
    A machine that is about to start is waited for. Raises FilesError.
    """
    begun_s = clock.now_s()
    while True:
        client = _Client(host.known)
        try:
            asyncio.run(_put(login, key, files, word, host, client))
            return client.shown
        except asyncssh.HostKeyNotVerifiable:
            if host.known is not None:
                raise FilesError(_other_key(login, host.known, client.shown)) from None
            reason, patience_s = "it shows no host key", 0.0
        except asyncssh.PermissionDenied:
            reason, patience_s = f"it refuses {login.user} with the key of {SSH_KEY_CONFIG}", REFUSALS_S
        except (OSError, TimeoutError, asyncssh.Error, NotYet) as error:
            reason, patience_s = str(error) or "nobody answers", PATIENCE_S
        if clock.now_s() >= begun_s + patience_s:
            raise FilesError(
                f"nothing could be brought to {host.name} by SSH ({login.host}, port {login.port}): {reason}. "
                "hosts.adminRanges must hold the address that Pulumi runs at, and agentgpu:sshPrivateKey the key of "
                "agentgpu:sshPublicKey. Run pulumi up again after that"
            )
        clock.sleep(_PAUSE_S)


async def _put(
    login: Login, key: asyncssh.SSHKey, files: Mapping[str, str], word: str, host: Host, client: _Client
) -> None:
    async with asyncssh.connect(
        login.host,
        login.port,
        username=login.user,
        client_keys=[key],
        agent_path=None,
        config=[],
        known_hosts=([], [], []),
        client_factory=lambda: client,
        connect_timeout=_LOGIN_TIMEOUT_S,
        login_timeout=_LOGIN_TIMEOUT_S,
    ) as connection:
        if host.known is None:
            await _prove(connection, login, host, client.shown)
        if (
            await connection.run(f"test -e {SETUP_FILE}", stdin=asyncssh.DEVNULL, timeout=_COMMAND_TIMEOUT_S)
        ).exit_status:
            raise NotYet(f"{SETUP_FILE} is not there yet")
        root = "" if login.user == "root" else "sudo -n "
        for path in sorted(files, key=lambda path: (path == SECRETS_FILE, path)):
            command = shlex.join(("sh", "-c", _WRITE, "sh", path, MODES.get(path, "0644")))
            await _run(connection, root + command, files[path])
        await _run(connection, f"{root}bash {SETUP_FILE} {word}", "")


_WRITE: Final = (
    'umask 022; mkdir -p "$(dirname "$1")" && rm -f "$1.new" && (umask 077; cat >"$1.new") && chmod "$2" "$1.new" '
    '&& mv "$1.new" "$1"'
)


async def _prove(connection: asyncssh.SSHClientConnection, login: Login, host: Host, shown: str) -> None:
    """Raises NotYet where the machine says nothing, FilesError where it says anything but its signature."""
    process = await connection.create_process(f"cat {PROOF_FILE}", stdin=asyncssh.DEVNULL)
    try:
        said = await asyncio.wait_for(process.stdout.readexactly(_LONGEST_PROOF), _COMMAND_TIMEOUT_S)
    except asyncio.IncompleteReadError as end:
        said = end.partial
    if not said:
        raise NotYet("it has not proven its host key yet")
    if not is_proven(str(said), host.word, shown):
        raise FilesError(
            f"what answers at {login.host} cannot prove that its host key {_fingerprint(shown)} is that of {host.name}, so "
            "nothing was sent to it. If the machine's host key was changed, have the machine made anew: pulumi destroy "
            "--target with its URN, then pulumi up"
        )


async def _run(connection: asyncssh.SSHClientConnection, command: str, given: str) -> None:
    """An input that is empty would never be ended."""
    stdin = asyncssh.PIPE if given else asyncssh.DEVNULL
    done = await connection.run(command, stdin=stdin, input=given or None, timeout=_COMMAND_TIMEOUT_S)
    if done.exit_status:
        said = f"{done.stdout!s}{done.stderr!s}".strip()[-_LATEST_WORDS:]
        raise FilesError(f"on the machine, '{command}' failed: {said or done.exit_status}")


def _other_key(login: Login, known: str, shown: str) -> str:
    return (
        f"{login.host} shows the host key {_fingerprint(shown)}, and showed {_fingerprint(known)} before: something else "
        "answers at the machine's address. Nothing was sent to it. If you know why, have the machine made anew: pulumi "
        "destroy --target with its URN, then pulumi up"
    )


def _fingerprint(line: str) -> str:
    return asyncssh.import_public_key(line).get_fingerprint()


class MachineFiles(Resource, module="agentgpu", name="MachineFiles"):
    """Files on a machine that runs."""

    hostKey: pulumi.Output[str]  # noqa: N815 - Pulumi's own spelling

    def __init__(
        self, name: str, props: Mapping[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["files"])
        super().__init__(_FilesProvider(), name, {"hostKey": None, **props}, pulumi.ResourceOptions.merge(opts, secret))
