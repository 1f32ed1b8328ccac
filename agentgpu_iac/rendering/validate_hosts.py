"""Check the files of virtual machines for structure: each file is what it is called, and what it names is there.

``docker compose config`` on the machine reads them against the whole schema; that needs its client, this needs nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Mapping as Map

import yaml

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.plan.machine_paths import CLOUD_CONFIG_HEADER, CLOUD_INIT, HOSTS_FOLDER, MACHINE_FOLDER
from agentgpu_iac.plan.packed_files import PACKED, too_long, unpacked
from agentgpu_iac.rendering.hosts import COMPOSE
from agentgpu_iac.rendering.yaml_text import Mapping, Value, load


def is_of_a_machine(file: RenderedFile) -> bool:
    """Whether a file is one of a virtual machine's."""
    return file.path.startswith(f"{HOSTS_FOLDER}/")


def too_long_cloud_inits(files: Iterable[RenderedFile]) -> tuple[str, ...]:
    """A sentence for each cloud-init that clouds would refuse as user data."""
    found = (too_long(file.path, len(file.content)) for file in files if posixpath.basename(file.path) == CLOUD_INIT)
    return tuple(sentence for sentence in found if sentence is not None)


def machine_faults(files: Iterable[RenderedFile]) -> tuple[Fault, ...]:
    """What is wrong with the files of virtual machines, in their order."""
    every = tuple(files)
    contents = {file.path: file.content for file in every}
    return tuple(fault for file in every for fault in _faults(file, contents))


def _faults(file: RenderedFile, contents: Map[str, bytes]) -> Iterator[Fault]:
    if not file.path.endswith((".yaml", ".yml")):
        return
    try:
        document = load(file.content.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        yield Fault(source=file.path, message=f"is not YAML: {error}")
        return
    if not isinstance(document, dict):
        yield Fault(source=file.path, message="is not a mapping")
        return
    name = posixpath.basename(file.path)
    if name == CLOUD_INIT and not file.content.startswith(f"{CLOUD_CONFIG_HEADER}\n".encode()):
        message = f"does not begin with {CLOUD_CONFIG_HEADER}, so cloud-init would pass over it"
        yield Fault(source=file.path, message=message)
    if name == CLOUD_INIT:
        yield from _other_files(file.path, document, contents)
    if name == COMPOSE:
        yield from _compose_faults(file.path, document, contents)


def _other_files(path: str, document: Mapping, contents: Map[str, bytes]) -> Iterator[Fault]:
    """A packed file cannot be read where it stands, so it must be the one that was read beside it."""
    for index, file in enumerate(map(_mapping, _list(document.get("write_files")))):
        at, target, content = f"write_files.{index}", str(file.get("path")), str(file.get("content"))
        beside = posixpath.join(posixpath.dirname(path), posixpath.relpath(target, MACHINE_FOLDER))
        if beside not in contents:
            yield Fault(source=path, path=f"{at}.path", message=f"there is no file {beside!r} that is {target}")
            continue
        try:
            text = unpacked(content) if file.get("encoding") == PACKED else content
        except ValueError as error:
            yield Fault(source=path, path=f"{at}.content", message=str(error))
            continue
        if text.encode() != contents[beside]:
            yield Fault(source=path, path=f"{at}.content", message=f"is not what {beside!r} holds")


def _compose_faults(path: str, document: Mapping, paths: Collection[str]) -> Iterator[Fault]:
    services, volumes = _mapping(document.get("services")), _mapping(document.get("volumes"))
    if not services:
        yield Fault(source=path, path="services", message="is missing")
    for name, body in services.items():
        service, at = _mapping(body), f"services.{name}"
        if not isinstance(service.get("image"), str):
            yield Fault(source=path, path=f"{at}.image", message="is missing")
        for other in _mapping(service.get("depends_on")):
            if other not in services:
                yield Fault(source=path, path=f"{at}.depends_on", message=f"there is no service {other!r}")
        for port in _list(service.get("ports")):
            if not str(port).startswith("127.0.0.1:"):
                yield Fault(
                    source=path,
                    path=f"{at}.ports",
                    message=f"{port!r} is published beyond the machine, past its firewall",
                )
        for mount in map(_mapping, _list(service.get("volumes"))):
            source = str(mount.get("source"))
            if mount.get("type") == "volume" and source not in volumes:
                yield Fault(source=path, path=f"{at}.volumes", message=f"there is no volume {source!r}")
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), source))
            if source.startswith("./") and beside not in paths:
                yield Fault(source=path, path=f"{at}.volumes", message=f"there is no file {source!r} beside it")


def _mapping(value: Value) -> Mapping:
    return value if isinstance(value, dict) else {}


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []
