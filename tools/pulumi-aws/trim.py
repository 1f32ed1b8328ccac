#!/usr/bin/env python3
"""Copies Terraform's AWS provider with only those of its services that our programs use: ``trim.py MODULE FOLDER``.

The whole provider takes gigabytes of memory and most of an hour to compile; these services take minutes. Nothing of what is
kept is changed: two generated lists are cut, that of the services and that of their clients.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

SERVICES = (
    "budgets",
    "ec2",
    "eks",
    "events",
    "iam",
    "kms",
    "logs",
    "meta",
    "s3",
    "s3control",
    "servicequotas",
    "sqs",
    "ssm",
    "sts",
)
"""What is offered. Other services that their code imports are compiled and not offered."""

_SERVICE_LIST = Path("internal/provider/sdkv2/service_packages_gen.go")
_CLIENT_LIST = Path("internal/conns/awsclient_gen.go")
_SERVICE_FOLDER = Path("internal/service")
_COPIED = ("go.mod", "go.sum", "internal", "names", "version", "xpprovider")
_EMBEDDED = "smarterr.hcl"
"""Texts of errors, which the provider embeds from all services that have some."""
_TESTING = frozenset({"testdata", "acctest", "generate"})

_IMPORT_OF_SERVICE = re.compile(r'internal/service/(\w+)"')
_IMPORT = re.compile(r'^\s*(?:(?P<alias>\w+) )?"(?P<path>[^"]+)"$')
_CLIENT = re.compile(r"^func \(c \*AWSClient\) (\w+)Client\(.*?^}\n", re.DOTALL | re.MULTILINE)
_USE_OF_CLIENT = re.compile(r"\.(\w+)Client\(")


def sources(folder: Path) -> Iterator[Path]:
    """Go files that are compiled into a program."""
    return (path for path in folder.rglob("*.go") if not path.name.endswith("_test.go"))


def compiled(module: Path, offered: Iterable[str]) -> frozenset[str]:
    """Services, and those that they import, and so on."""
    found: set[str] = set()
    waiting = list(offered)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for path in sources(module / _SERVICE_FOLDER / name):
            waiting += _IMPORT_OF_SERVICE.findall(path.read_text(encoding="utf-8"))
    return frozenset(found)


def copy(module: Path, folder: Path, services: frozenset[str]) -> None:
    """Copy what is compiled, writable: the module cache is not."""
    all_services = module / _SERVICE_FOLDER

    def left_out(where: str, names: list[str]) -> set[str]:
        folder = Path(where)
        if folder.parent == all_services and folder.name not in services:
            return set(names) - {_EMBEDDED}
        return {name for name in names if name in _TESTING or name.endswith("_test.go")}

    for name in _COPIED:
        source = module / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=left_out, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, folder / name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def cut_services(text: str, offered: Iterable[str]) -> str:
    """The list of services with those alone that are offered."""
    kept = frozenset(offered)

    def is_kept(line: str) -> bool:
        named = _IMPORT_OF_SERVICE.search(line) or re.match(r"\s+(\w+)\.ServicePackage\(ctx\),", line)
        return named is None or named[1] in kept

    return "".join(line for line in text.splitlines(keepends=True) if is_kept(line))


def cut_clients(text: str, is_used: Callable[[str], bool]) -> str:
    """The list of clients with those alone that are used, and with their imports alone."""
    body = "\n".join(match[0] for match in _CLIENT.finditer(text) if is_used(match[1]))
    head, imports, _ = re.split(r"^import \(\n(.*?)^\)\n", text, maxsplit=1, flags=re.DOTALL | re.MULTILINE)
    kept = []
    for line in imports.splitlines():
        if (match := _IMPORT.match(line)) is None:
            continue
        name = match["alias"] or match["path"].rpartition("/")[2]
        if re.search(rf"\b{re.escape(name)}\.", body):
            kept.append(line)
    return "\n".join((f"{head}import (", *kept, ")", "", body))


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Change a file."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def main(module: Path, folder: Path) -> None:
    """Copy the module into a new folder, cut to the services."""
    folder.mkdir()
    copy(module, folder, compiled(module, SERVICES))
    rewrite(folder / _SERVICE_LIST, lambda text: cut_services(text, SERVICES))
    used: set[str] = set()
    for path in sources(folder):
        if path != folder / _CLIENT_LIST:
            used.update(_USE_OF_CLIENT.findall(path.read_text(encoding="utf-8")))
    rewrite(folder / _CLIENT_LIST, lambda text: cut_clients(text, used.__contains__))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
