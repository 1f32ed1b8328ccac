"""Where models come from, the model hub or a bucket: what they list, how files are fetched and compared with that, and
how requests are repeated that may yet be granted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from model_files import engine_files

if TYPE_CHECKING:
    from s3_bucket import RemoteObject

T = TypeVar("T")

LOG = logging.getLogger("model-cache")

HUB_FOLDER = ".cache"
"""Notes on downloads are kept here, inside the model's folder, by the hub's library and for S3."""

GIT = "git-sha1"
"""How git names a file: the SHA-1 of its length and its content. Only small files have no other hash."""
BLOCK_BYTES = 2**20
ATTEMPTS = 8
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 120.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may be granted."""
LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
HTTP_LIBRARIES = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "http"})


@dataclass(frozen=True)
class Model:
    """A model to fill: repository, folder below the root, revision, and where its token is, if it needs one."""

    name: str
    path: str
    revision: str
    token_variable: str
    kind: str = "model"
    """``model`` or ``adapter``."""
    runs_code: bool = False
    """Whether the engine runs code of the repository."""
    counted_bytes: int = 0
    """What the plan counted; 0: nothing is known."""


@dataclass(frozen=True)
class Digest:
    """A hash of a file; where ``part_bytes`` is set, of the hashes of its parts of that size."""

    algorithm: str
    value: str
    part_bytes: int = 0


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository; the hash is known where the repository states one."""

    name: str
    size_bytes: int
    digest: Digest | None


@dataclass(frozen=True)
class Listing:
    """The files of a revision that an engine reads, and the commit that it names right now."""

    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        """What they weigh together."""
        return sum(file.size_bytes for file in self.files)


class Hub(Protocol):
    """Where models come from."""

    def listing(self, model: Model) -> Listing:
        """List the files of the model's revision that an engine reads."""

    def download(self, model: Model, listing: Listing, folder: Path) -> None:
        """Download the listed files into a folder, keeping what is already there."""


class HuggingFaceHub:
    """The hub, through the library that engine images contain.

    Files are asked for one by one: the library's own download of a whole snapshot answers with what lies in the folder
    where the hub refuses.
    """

    def __init__(self, connections: int) -> None:
        self._connections = connections
        # huggingface_hub hands files to hf_xet, whose own cache would hold every byte a second time (hf_xet 1.8.0).
        os.environ.setdefault("HF_XET_CHUNK_CACHE_SIZE_BYTES", "0")
        for variable in ("HF_XET_FIXED_DOWNLOAD_CONCURRENCY", "HF_XET_NUM_CONCURRENT_RANGE_GETS"):
            os.environ.setdefault(variable, str(connections))

    def listing(self, model: Model) -> Listing:
        """List the files of the model's revision that an engine reads."""
        from huggingface_hub import HfApi, hf_hub_url  # noqa: PLC0415 - only in engine images, and only to fill

        api = HfApi(token=_token(model) or False)
        info = _asked(
            lambda: api.model_info(model.name, revision=model.revision, files_metadata=True), f"{model.name}: listing"
        )
        siblings = {each.rfilename: each for each in info.siblings or ()}

        def read(name: str) -> bytes:
            url = hf_hub_url(model.name, name, revision=info.sha)
            return _asked(lambda: _content(url, model), f"{model.name}: {name}")

        chosen = engine_files(siblings, read, model.kind, runs_code=model.runs_code)
        unsized = [name for name in chosen if siblings[name].size is None]
        if unsized:
            raise RefusedError(f"the hub states no size of {unsized[0]}")
        files = tuple(RemoteFile(name, int(siblings[name].size), _stated(siblings[name])) for name in chosen)
        unhashed = [each.name for each in files if each.digest is None]
        if unhashed:
            LOG.info("%s: the hub states no hash of %s: their sizes are compared", model.name, ", ".join(unhashed))
        return Listing(str(info.sha), files)

    def download(self, model: Model, listing: Listing, folder: Path) -> None:
        """Download the listed files into a folder; whole files that are there already are kept."""
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - as above

        # The library gives every try a name of its own, so that what a killed process leaves is never gone on with.
        for left in (folder / HUB_FOLDER).rglob("*.incomplete"):
            left.unlink()

        def fetch(file: RemoteFile) -> None:
            _asked(
                lambda: hf_hub_download(
                    model.name, file.name, revision=listing.commit, local_dir=folder, token=_token(model) or False
                ),
                f"{model.name}: {file.name}",
            )

        all_at_once(fetch, listing.files, self._connections)


class S3Hub:
    """A bucket with one folder for each model, named as the cache names it."""

    def __init__(self, url: str, connections: int) -> None:
        from s3_bucket import Bucket  # noqa: PLC0415 - beside this file where models come from S3

        self._bucket = Bucket(url, os.environ, connections)
        self._objects: dict[str, Sequence[RemoteObject]] = {}

    def listing(self, model: Model) -> Listing:
        """List what an engine reads of the model's folder. What stands for a commit is a hash over names, sizes, ETags."""
        stored = {each.name: each for each in self._bucket.names(model.path)}
        chosen = engine_files(
            stored, lambda name: self._bucket.read(stored[name]), model.kind, runs_code=model.runs_code
        )
        objects = self._bucket.described([stored[name] for name in chosen])
        content = json.dumps(sorted((each.name, each.size_bytes, each.etag) for each in objects))
        commit = hashlib.sha256(content.encode()).hexdigest()
        self._objects[commit] = objects
        files = tuple(
            RemoteFile(
                each.name,
                each.size_bytes,
                Digest(each.algorithm, each.digest, each.part_bytes) if each.algorithm else None,
            )
            for each in objects
        )
        unhashed = [each.name for each in files if each.digest is None]
        if unhashed:
            LOG.info("%s: S3 states no SHA-256 or MD5 of %s: their sizes are compared", model.name, ", ".join(unhashed))
        return Listing(commit, files)

    def download(self, model: Model, listing: Listing, folder: Path) -> None:
        """Download what was listed; an interrupted download goes on where it stopped."""
        del model
        self._bucket.download(self._objects[listing.commit], folder)


class RefusedError(Exception):
    """The hub does not grant a request, and asking again would not help."""


def _stated(sibling: Any) -> Digest | None:
    """The hash that the hub states of a file: SHA-256 of a large one, git's own of a small one."""
    if sibling.lfs:
        return Digest("sha256", sibling.lfs.sha256)
    blob_id = getattr(sibling, "blob_id", None)
    return Digest(GIT, blob_id) if blob_id else None


def difference(path: Path, file: RemoteFile) -> str:
    """How a file differs from the listing; nothing where it does not."""
    if not path.is_file():
        return "missing"
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return f"{size_bytes} bytes instead of {file.size_bytes}"
    if file.digest is None:
        return ""
    found = hashed(path, file.digest)
    return "" if found == file.digest.value else f"{file.digest.algorithm} {found} instead of {file.digest.value}"


def hashed(path: Path, like: Digest) -> str:
    """The hash of a file, made as another one was."""
    with path.open("rb") as content:
        if like.algorithm == GIT:
            made = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            made.update(content.read())
            return made.hexdigest()
        if not like.part_bytes:
            return hashlib.file_digest(content, lambda: _hash(like)).hexdigest()
        parts = _hash(like)
        while digest := _part_digest(content, like):
            parts.update(digest)
        return parts.hexdigest()


def _part_digest(content: BinaryIO, like: Digest) -> bytes:
    """The hash of the next part of a file; nothing at its end."""
    made, left = _hash(like), like.part_bytes
    while left and (block := content.read(min(left, BLOCK_BYTES))):
        made.update(block)
        left -= len(block)
    return made.digest() if left < like.part_bytes else b""


def _hash(like: Digest) -> hashlib._Hash:
    return hashlib.new(like.algorithm, usedforsecurity=False)


def all_at_once(work: Callable[[T], None], items: Iterable[T], most: int) -> None:
    """Do the same with every item, so many at once. The first failure is raised, and what has not begun stays undone."""
    with ThreadPoolExecutor(most) as threads:
        outcomes = [threads.submit(work, item) for item in items]
        try:
            for outcome in as_completed(outcomes):
                outcome.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _token(model: Model) -> str | None:
    return os.environ.get(model.token_variable) if model.token_variable else None


def _content(url: str, model: Model) -> bytes:
    """A small file, read through the hub's library and kept nowhere."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # noqa: PLC0415 - as above

    answer = get_session().get(url, headers=build_hf_headers(token=_token(model) or False), timeout=60)
    hf_raise_for_status(answer)
    return bytes(answer.content)


def _asked(request: Callable[[], T], what: str, pause: Callable[[float], None] = time.sleep) -> T:
    """The answer to a request; asked again, as late as the hub wants it, while what stops it may pass.

    Pauses differ from node to node by chance, since nodes that start together would also come back together.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            return request()
        except Exception as error:
            status, headers, name = _refusal(error)
            if status is not None and status not in PASSING:
                raise RefusedError(_sentence(what, status, name)) from None
            if number == ATTEMPTS or (status is None and not _may_pass(error)):
                raise
            seconds = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (number - 1)) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            seconds = max(seconds, _retry_after_s(headers))
            reason = f"HTTP {status}" if status is not None else repr(error)
            LOG.info("%s: %s; attempt %d of %d in %.0f s", what, reason, number + 1, ATTEMPTS, seconds)
            pause(seconds)
    raise AssertionError


def _may_pass(error: Exception) -> bool:
    """Whether what stopped a request without an answer may be gone later: a line that broke, but not a disk that is full.

    The library's own errors are OSErrors; those of what it speaks HTTP with are not; hf_xet raises RuntimeErrors.
    """
    if isinstance(error, OSError):
        return error.errno not in LASTING
    return isinstance(error, RuntimeError) or type(error).__module__.partition(".")[0] in HTTP_LIBRARIES


def _refusal(error: BaseException | None) -> tuple[int | None, dict[str, str], str]:
    """The status, headers and kind of the answer that is behind an error, whatever it is wrapped into."""
    while error is not None:
        answer = getattr(error, "response", None)
        if answer is not None:
            headers = {str(key).lower(): str(value) for key, value in answer.headers.items()}
            return int(answer.status_code), headers, headers.get("x-error-code", type(error).__name__)
        error = error.__cause__ or error.__context__
    return None, {}, ""


def _retry_after_s(headers: dict[str, str]) -> float:
    """How long the hub asks us to stay away; 0 where it says nothing that can be read."""
    text = headers.get("retry-after", "")
    if not text:
        _, _, rest = headers.get("ratelimit", "").partition("t=")
        text = rest.partition(";")[0]
    return float(text) if text.strip().isdigit() else 0.0


def _sentence(what: str, status: int, name: str) -> str:
    if status in (401, 403) and "gated" in name.lower():
        return (
            f"{what}: the repository is gated (HTTP {status}). Accept its terms on its page with the account whose token is "
            "in the Secret of modelCache.tokenSecret, key token; a fine-grained token must allow reading gated repositories"
        )
    if status in (401, 403):
        return (
            f"{what}: not allowed, or not there (HTTP {status}). Check the model's name, and the token in the Secret of "
            "modelCache.tokenSecret, key token"
        )
    if status == 404:
        return f"{what}: not there (HTTP 404). Check the model's name and modelRevision"
    return f"{what}: refused (HTTP {status})"
