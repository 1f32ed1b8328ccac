"""The rendered cloud-init of a machine, in the shape that Spheron's API takes: packages, files and commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan.machine_paths import (
    CERTIFICATE_FILE,
    CERTIFICATE_KEY_FILE,
    CLOUD_CONFIG_HEADER,
    FRONT_FILE,
    SECRETS_FILE,
)
from agentgpu_iac.plan.packed_files import PACKED, is_packed, packed, unpacked
from agentgpu_iac.provisioning.spheron.client import CloudInit, WriteFile

_KEYS: Final = frozenset({"packages", "write_files", "runcmd", "package_update"})
"""Installing packages reads the package lists anew, so ``package_update`` adds nothing to them."""
MODES: Final = {CERTIFICATE_FILE: "0444", CERTIFICATE_KEY_FILE: "0400", SECRETS_FILE: "0600"}
"""Who may read what a machine must not be made without. The setup gives certificate and key to NGINX's user."""
_FILE_KEYS: Final = frozenset({"path", "content", "owner", "permissions", "encoding"})


def read_cloud_init(content: bytes, source: str) -> CloudInit:
    """Read a rendered ``#cloud-config``, its files unpacked: a machine is what their texts say, however they travel.

    Raises BadInput for keys that the API does not support: without them the machine would not be as planned.
    """
    text = content.decode("utf-8")
    if text.splitlines()[:1] != [CLOUD_CONFIG_HEADER]:
        raise BadInput.one(source, f"is no cloud-config: its first line must be {CLOUD_CONFIG_HEADER}")
    document: Any = yaml.load(text, Loader=yaml.CSafeLoader)
    faults = tuple(_faults(document, source))
    if faults:
        raise BadInput(faults)
    return CloudInit(
        packages=tuple(document.get("packages", ())),
        write_files=tuple(_file(file) for file in document.get("write_files", ())),
        runcmd=tuple(_command(command) for command in _commands(document)),
    )


def _file(content: Mapping[str, Any]) -> WriteFile:
    return WriteFile(
        path=content["path"],
        content=_text(content),
        owner=content.get("owner"),
        permissions=content.get("permissions"),
    )


def _text(file: Mapping[str, Any]) -> str:
    return unpacked(file["content"]) if "encoding" in file else str(file["content"])


def for_the_way(cloud_init: CloudInit) -> CloudInit:
    """The same with its large files packed, as it is sent.

    What only root may read stays as it is: a refusal that repeats a line of it is not shown.
    """
    files = tuple(
        file.model_copy(update={"content": packed(file.content), "encoding": PACKED})
        if is_packed(file.content) and not _is_roots(file)
        else file
        for file in cloud_init.write_files
    )
    return cloud_init.model_copy(update={"write_files": files})


def _is_roots(file: WriteFile) -> bool:
    return (file.permissions or "").endswith("00")


def secret_file(values: Mapping[str, str]) -> str:
    """The file of secrets. In single quotes Docker Compose replaces nothing; values must be what ``is_plain`` lets through."""
    return "".join(f"{name}='{value}'\n" for name, value in sorted(values.items()))


def with_files(cloud_init: CloudInit, files: Mapping[str, str]) -> CloudInit:
    """The same, with these of the files of ``MODES`` before its own."""
    first = (
        WriteFile(path=path, content=content, owner="root:root", permissions=MODES[path])
        for path, content in files.items()
    )
    return cloud_init.model_copy(update={"write_files": (*first, *cloud_init.write_files)})


def with_front(cloud_init: CloudInit, address: str | None) -> CloudInit:
    """The same, with the address of who is in front of it, whom the setup lets in; nothing where nobody is known yet."""
    if address is None:
        return cloud_init
    front = WriteFile(path=FRONT_FILE, content=f"{address}\n", owner="root:root", permissions="0644")
    return cloud_init.model_copy(update={"write_files": (front, *cloud_init.write_files)})


def is_plain(value: str) -> bool:
    """Whether a secret can stand in single quotes as it is."""
    return bool(value) and value.isascii() and value.isprintable() and not set(value) & set("'\\")


def _commands(document: Mapping[str, Any]) -> Iterator[object]:
    yield from document.get("runcmd", ())


def _command(command: object) -> str:
    """A command as one line: the API takes text where cloud-init also takes words."""
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def _faults(document: object, source: str) -> Iterator[Fault]:
    if not isinstance(document, dict):
        yield Fault(source=source, message="is no mapping")
        return
    for key in sorted(set(document) - _KEYS):
        yield Fault(source=source, path=key, message="Spheron's API has no place for this part of a cloud-config")
    for index, file in enumerate(document.get("write_files", ())):
        for key in sorted(set(file) - _FILE_KEYS):
            path = f"write_files.{index}.{key}"
            yield Fault(source=source, path=path, message="Spheron's API has no place for this part of a file")
        yield from _unreadable(file, f"write_files.{index}", source)


def _unreadable(file: Mapping[str, Any], path: str, source: str) -> Iterator[Fault]:
    if "encoding" not in file:
        return
    if file["encoding"] != PACKED:
        yield Fault(source=source, path=f"{path}.encoding", message=f"must be {PACKED}, or not be there")
        return
    try:
        unpacked(file["content"])
    except ValueError as error:
        yield Fault(source=source, path=f"{path}.content", message=str(error))
