"""Check the files of virtual machines for structure: each file is what it is called, and what it names is there.

``docker compose config`` on the machine reads them against the whole schema; that needs its client, this needs nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator

import yaml

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.plan.machine_paths import CLOUD_CONFIG_HEADER, CLOUD_INIT, HOSTS_FOLDER
from agentgpu_iac.rendering.hosts import COMPOSE
from agentgpu_iac.rendering.yaml_text import Mapping, Value, load


def is_of_a_machine(file: RenderedFile) -> bool:
    """Whether a file is one of a virtual machine's."""
    return file.path.startswith(f"{HOSTS_FOLDER}/")


def machine_faults(files: Iterable[RenderedFile]) -> tuple[Fault, ...]:
    """What is wrong with the files of virtual machines, in their order."""
    every = tuple(files)
    paths = {file.path for file in every}
    return tuple(fault for file in every for fault in _faults(file, paths))


def _faults(file: RenderedFile, paths: Collection[str]) -> Iterator[Fault]:
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
    if name == COMPOSE:
        yield from _compose_faults(file.path, document, paths)


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
