"""A bucket of models, read with Python's standard library alone: engine images differ in what else they hold.

Credentials come from where EKS puts them for a pod: the Pod Identity agent, or the web identity token of IRSA; nothing
else is asked, least of all the node. Requests are signed with Signature Version 4.

An object is downloaded in pieces, several at once, into a file beside the models. What has arrived is noted piece by
piece, so that an interrupted download goes on where it stopped, and the file takes its place by a rename. Every piece
is asked for by the object's ETag: an object that changes meanwhile ends the download instead of mixing two versions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree  # no XML but that of AWS, over TLS

from model_hub import RefusedError, all_at_once

T = TypeVar("T")

LOG = logging.getLogger("model-cache")

NOTES_FOLDER = ".cache"
"""Inside the model's folder: what is known of downloads, and what has not arrived yet."""

PIECE_BYTES = 64 * 2**20

ATTEMPTS = 6
FIRST_PAUSE_S = 1.0
TIMEOUT_S = 60
RENEW_BEFORE = timedelta(minutes=5)

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which the same request may be granted."""


class S3Error(RefusedError):
    """S3, or what gives credentials for it, does not grant a request."""


@dataclass(frozen=True)
class Credentials:
    """Keys for a while."""

    key_id: str
    secret: str
    token: str
    expires: datetime


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing of the bucket names it."""

    name: str
    """Below the folder."""
    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True)
class RemoteObject:
    """An object below a prefix, and the strongest hash that S3 states and Python can compute."""

    name: str
    key: str
    size_bytes: int
    etag: str
    algorithm: str
    """sha256 or md5; empty where S3 states neither."""
    digest: str
    part_bytes: int
    """Of a multipart upload, whose digest is that of its parts' digests; else 0."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request, read to its end."""

    headers: Mapping[str, str]
    body: bytes


class Bucket:
    """Objects of one bucket below one prefix."""

    def __init__(self, url: str, environment: Mapping[str, str], connections: int) -> None:
        name, _, prefix = url.removeprefix("s3://").partition("/")
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self.region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._environment = environment
        self._connections = connections
        self._credentials: Credentials | None = None
        self._lock = threading.Lock()

    def names(self, folder: str) -> tuple[StoredObject, ...]:
        """Every object of a folder below the prefix."""
        prefix = f"{self.prefix}{folder}/"
        listed = [each for each in self._listed(prefix) if not each[0].endswith("/")]
        for key, _, _ in listed:
            parts = key.removeprefix(prefix).split("/")
            if parts[0] == NOTES_FOLDER or {"", ".", ".."} & set(parts):
                raise S3Error(f"{key!r} cannot name a file of a model")
        return tuple(StoredObject(key.removeprefix(prefix), key, size, etag) for key, size, etag in listed)

    def read(self, stored: StoredObject) -> bytes:
        """The content of a small object, in the version that was listed."""
        return b"".join(self._piece(stored, start) for start in range(0, stored.size_bytes, PIECE_BYTES))

    def described(self, stored: Sequence[StoredObject]) -> tuple[RemoteObject, ...]:
        """The objects with their hashes."""
        with ThreadPoolExecutor(self._connections) as threads:
            return tuple(threads.map(self._described, stored))

    def download(self, objects: Sequence[RemoteObject], folder: Path) -> None:
        """Download objects into a folder. Keeps those that are there, and the pieces of those that are not yet."""
        notes = folder / NOTES_FOLDER / "s3"
        notes.mkdir(parents=True, exist_ok=True)
        wanted = {_note(each) for each in objects}
        for path in notes.iterdir():
            if path.name.partition(".")[0] not in wanted:
                path.unlink()
        for each in objects:
            self._download(each, folder, notes)

    def _download(self, wanted: RemoteObject, folder: Path, notes: Path) -> None:
        place, note = folder / wanted.name, notes / _note(wanted)
        if note.exists() and place.is_file() and place.stat().st_size == wanted.size_bytes:
            return
        note.unlink(missing_ok=True)
        partial, done = note.with_name(f"{note.name}.part"), note.with_name(f"{note.name}.done")
        arrived = {int(line) for line in done.read_text().split()} if partial.exists() and done.exists() else set()
        missing = [start for start in range(0, wanted.size_bytes, PIECE_BYTES) if start not in arrived]
        with partial.open("r+b" if arrived else "w+b") as file, done.open("a" if arrived else "w") as finished:
            file.truncate(wanted.size_bytes)
            lock = threading.Lock()

            def fetch(start: int) -> None:
                piece = self._piece(wanted, start)
                os.pwrite(file.fileno(), piece, start)
                os.fsync(file.fileno())
                with lock:
                    finished.write(f"{start}\n")
                    finished.flush()

            all_at_once(fetch, missing, self._connections)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(place)
        done.unlink()
        note.touch()
        LOG.info("%s: downloaded", wanted.key)

    def _piece(self, wanted: RemoteObject | StoredObject, start: int) -> bytes:
        end = min(start + PIECE_BYTES, wanted.size_bytes) - 1
        headers = {"Range": f"bytes={start}-{end}", "If-Match": wanted.etag}
        answer = self._get(wanted.key, headers=headers)
        if len(answer.body) != end - start + 1:
            raise S3Error(f"{wanted.key}: {len(answer.body)} bytes instead of {end - start + 1} from {start}")
        return answer.body

    def _listed(self, prefix: str) -> list[tuple[str, int, str]]:
        """Key, size and ETag of every object with a prefix."""
        found: list[tuple[str, int, str]] = []
        query = {"list-type": "2", "prefix": prefix}
        while True:
            page = ElementTree.fromstring(self._get("", query=query).body)
            for each in page.iterfind("{*}Contents"):
                found.append((_text(each, "Key"), int(_text(each, "Size")), _text(each, "ETag")))
            if _text(page, "IsTruncated") != "true":
                return found
            query["continuation-token"] = _text(page, "NextContinuationToken")

    def _described(self, stored: StoredObject) -> RemoteObject:
        key, etag = stored.key, stored.etag
        headers = self._head(key, {})
        plain_etag = etag.strip('"')
        kind, digest = "", ""
        if sha256 := headers.get("x-amz-checksum-sha256", ""):
            kind, digest = "sha256", sha256
        elif headers.get("x-amz-server-side-encryption", "AES256") == "AES256":
            kind, digest = "md5", plain_etag
        value, _, parts = digest.partition("-")
        if kind == "sha256":
            value = base64.b64decode(value).hex()
        part_bytes = int(self._head(key, {"partNumber": "1"})["content-length"]) if parts else 0
        return RemoteObject(stored.name, key, stored.size_bytes, etag, kind, value, part_bytes)

    def _head(self, key: str, query: Mapping[str, str]) -> Mapping[str, str]:
        return self._get(key, method="HEAD", query=query, headers={"x-amz-checksum-mode": "ENABLED"}).headers

    def _get(
        self,
        key: str,
        *,
        method: str = "GET",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, repeated while what stops it may pass, and once more where the bucket is in another region."""

        def attempt() -> Answer:
            request = self._signed(method, key, query or {}, headers or {})
            try:
                return _read(request)
            except urllib.error.HTTPError as error:
                region = error.headers.get("x-amz-bucket-region", "")
                if region and region != self.region:
                    LOG.info("%s: the bucket is in %s", self.name, region)
                    self.region = region
                    return _read(self._signed(method, key, query or {}, headers or {}))
                raise

        return _repeated(attempt, f"{method} s3://{self.name}/{key}")

    def _signed(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> urllib.request.Request:
        base = _endpoint(self.name, self.region, self._environment)
        url = f"{base}/{quote(key, safe='/-_.~')}"
        if query:
            url += f"?{urlencode(sorted(query.items()), quote_via=quote, safe='-_.~')}"
        signed = signature(method, url, headers, self._keys(), self.region, datetime.now(UTC))
        return urllib.request.Request(url, method=method, headers=signed)

    def _keys(self) -> Credentials:
        with self._lock:
            if self._credentials is None or self._credentials.expires - datetime.now(UTC) < RENEW_BEFORE:
                self._credentials = _repeated(lambda: credentials(self._environment, self.region), "credentials")
            return self._credentials


def signature(
    method: str, url: str, headers: Mapping[str, str], keys: Credentials, region: str, now: datetime
) -> dict[str, str]:
    """Headers of a request without a body, signed with Signature Version 4 for S3."""
    parts = urlsplit(url)
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    sent = {
        **{name.lower(): value for name, value in headers.items()},
        "host": parts.netloc,
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": moment,
        **({"x-amz-security-token": keys.token} if keys.token else {}),
    }
    names = ";".join(sorted(sent))
    canonical = "\n".join(
        (method, parts.path or "/", parts.query, *(f"{name}:{sent[name].strip()}" for name in sorted(sent)), "", names)
    )
    hashed = hashlib.sha256(f"{canonical}\n{EMPTY_SHA256}".encode()).hexdigest()
    secret = f"AWS4{keys.secret}".encode()
    for word in scope.split("/"):
        secret = hmac.digest(secret, word.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}"
    signed = hmac.new(secret, text.encode(), "sha256").hexdigest()
    credential = f"Credential={keys.key_id}/{scope}"
    return {**sent, "authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signed}"}


def credentials(environment: Mapping[str, str], region: str) -> Credentials:
    """Keys from the Pod Identity agent, or for the web identity token of IRSA. Raises S3Error where the pod has neither."""
    if url := environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        token = Path(environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
        answer = json.loads(_read(urllib.request.Request(url, headers={"Authorization": token})).body)
        return Credentials(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"], _moment(answer["Expiration"])
        )
    if role := environment.get("AWS_ROLE_ARN"):
        token = Path(environment["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
        wanted = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": "model-cache",
            "WebIdentityToken": token,
        }
        endpoint = environment.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.{_domain(region)}"
        request = urllib.request.Request(f"{endpoint}/", data=urlencode(wanted).encode(), method="POST")
        given = ElementTree.fromstring(_read(request).body).find(".//{*}Credentials")
        if given is None:
            raise S3Error("STS answered without credentials")
        return Credentials(
            _text(given, "AccessKeyId"),
            _text(given, "SecretAccessKey"),
            _text(given, "SessionToken"),
            _moment(_text(given, "Expiration")),
        )
    raise S3Error(
        "the pod has no AWS identity: associate a role with the ServiceAccount model-cache (Pod Identity or IRSA)"
    )


def _endpoint(bucket: str, region: str, environment: Mapping[str, str]) -> str:
    """Where a bucket answers. A name with dots is no part of a host name that certificates cover."""
    if own := environment.get("AWS_ENDPOINT_URL_S3"):
        return f"{own.rstrip('/')}/{bucket}"
    host = f"s3.{region}.{_domain(region)}"
    return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _read(request: urllib.request.Request) -> Answer:
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=_trusted()) as answer:
        return Answer({name.lower(): value for name, value in answer.headers.items()}, answer.read())


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that the image trusts, and those that come with the hub's library: some images have no others."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi  # noqa: PLC0415 - only in some engine images

        context.load_verify_locations(certifi.where())
    return context


def _repeated(attempt: Callable[[], T], what: str) -> T:
    """The outcome of an attempt; tried again, with longer and longer pauses, while the reason may pass."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except urllib.error.HTTPError as error:
            with error:
                reason = f"{error.code} {error.read(500).decode(errors='replace')}".strip()
                asked_s = float(text) if (text := error.headers.get("retry-after", "")).isdigit() else 0.0
            if error.code not in PASSING or number == ATTEMPTS:
                raise S3Error(f"{what}: {reason}") from None
        except (OSError, HTTPException) as error:
            reason, asked_s = repr(error), 0.0
            if number == ATTEMPTS:
                raise S3Error(f"{what}: {reason}") from error
        LOG.info("%s: %s; attempt %d of %d", what, reason, number + 1, ATTEMPTS)
        pause_s = FIRST_PAUSE_S * 2 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        time.sleep(max(pause_s, asked_s))
    raise AssertionError


def _note(wanted: RemoteObject) -> str:
    """A name for what is known of one version of one object."""
    return hashlib.sha256(f"{wanted.name}\n{wanted.size_bytes}\n{wanted.etag}".encode()).hexdigest()


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}", "")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
