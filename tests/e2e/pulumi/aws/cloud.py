"""AWS as the double reaches it: moto through boto3, and a journal on disk for what moto lacks."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

REGION = "us-east-1"
ACCOUNT = "123456789012"


class Refused(Exception):
    """What AWS would answer and moto does not."""


class Cloud:
    """Clients of one endpoint, and the journal."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self.journal = Journal(folder / "journal.json")

    def __call__(self, service: str) -> Any:
        """The client of a service."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = boto3.client(
                    service,
                    endpoint_url=self._endpoint,
                    region_name=REGION,
                    aws_access_key_id="testing",
                    aws_secret_access_key="testing",
                )
            return self._clients[service]


class Journal:
    """What moto has no API for, by type and id, in one file for all plugin processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _open(self) -> Iterator[dict[str, dict[str, Any]]]:
        with self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            content = json.loads(file.read() or "{}")
            yield content
            file.seek(0)
            file.truncate()
            json.dump(content, file, indent=1)

    def all(self) -> dict[str, dict[str, Any]]:
        """Everything, by type and id."""
        with self._open() as content:
            return content

    def entries(self, token: str) -> dict[str, Any]:
        """All of one type, by id."""
        with self._open() as content:
            return content.get(token, {})

    def add(self, token: str, ident: str, properties: dict[str, Any]) -> None:
        """Keep a new thing; a second of the same id is refused."""
        with self._open() as content:
            if ident in content.setdefault(token, {}):
                raise Refused(f"ResourceInUseException: {token} {ident} exists already")
            content[token][ident] = properties

    def change(self, token: str, ident: str, properties: dict[str, Any]) -> None:
        """Keep what a thing has become."""
        with self._open() as content:
            if ident not in content.get(token, {}):
                raise Refused(f"ResourceNotFoundException: {token} {ident}")
            content[token][ident] = properties

    def remove(self, token: str, ident: str) -> None:
        """Forget a thing."""
        with self._open() as content:
            if content.get(token, {}).pop(ident, None) is None:
                raise Refused(f"ResourceNotFoundException: {token} {ident}")
