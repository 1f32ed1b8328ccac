"""The model cache of a node: fill it with verified models, and wait for one of them.

Two commands share this file because they must agree on what "complete" means::

    model_cache.py fill --root=/models --models=models.json --ready=/tmp/filled [--bucket=s3://acme-models/agents]
    model_cache.py wait --root=/models --model qwen--qwen3-8b--main main --engine-cache=.engine-cache/chat

A model in ``<root>/<path>`` is complete when its marker, ``<root>/<path>.complete``, names the revision asked for.
The marker goes before the first file of a model changes and comes back, by a rename, after every file has been
compared with the repository's listing. So a download that was interrupted, cut short or corrupted never looks
complete. Whoever fills a model by hand writes the marker by hand: ``{"revision": "main"}``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from s3_bucket import RemoteObject

LOG = logging.getLogger("model-cache")

HUB_FOLDER = ".cache"
"""Notes on downloads are kept here, inside the model's folder, by the hub's library and for S3."""

HASHING_THREADS = 4
BLOCK_BYTES = 2**20
POLL_S = 2.0
POLLS_PER_LINE = 15
"""The wait says that it still waits every half minute."""

TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Model:
    """A model to fill: repository, folder below the root, revision, and where its token is, if it needs one."""

    name: str
    path: str
    revision: str
    token_variable: str


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
    """What a revision consists of, and the commit that it names right now."""

    commit: str
    files: tuple[RemoteFile, ...]


class Hub(Protocol):
    """Where models come from."""

    def listing(self, model: Model) -> Listing:
        """List the files of the model's revision."""

    def download(self, model: Model, commit: str, folder: Path) -> None:
        """Download every file of a commit into a folder, keeping what is already there."""


class HuggingFaceHub:
    """The hub, through the library that engine images contain."""

    def listing(self, model: Model) -> Listing:
        """List the files of the model's revision."""
        from huggingface_hub import HfApi  # noqa: PLC0415 - only in engine images, and only to fill

        info = HfApi(token=_token(model)).model_info(model.name, revision=model.revision, files_metadata=True)
        files = tuple(
            RemoteFile(each.rfilename, int(each.size), Digest("sha256", each.lfs.sha256) if each.lfs else None)
            for each in info.siblings or ()
        )
        return Listing(str(info.sha), files)

    def download(self, model: Model, commit: str, folder: Path) -> None:
        """Download every file of a commit into a folder; an interrupted download goes on where it stopped."""
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - as above

        snapshot_download(model.name, revision=commit, local_dir=folder, token=_token(model))


class S3Hub:
    """A bucket with one folder for each model, named as the cache names it."""

    def __init__(self, url: str) -> None:
        from s3_bucket import Bucket  # noqa: PLC0415 - beside this file where models come from S3

        self._bucket = Bucket(url, os.environ)
        self._objects: dict[str, Sequence[RemoteObject]] = {}

    def listing(self, model: Model) -> Listing:
        """List the model's folder. What stands for a commit is a hash over names, sizes and ETags."""
        objects = self._bucket.objects(model.path)
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

    def download(self, model: Model, commit: str, folder: Path) -> None:
        """Download what was listed as this commit; an interrupted download goes on where it stopped."""
        del model
        self._bucket.download(self._objects[commit], folder)


class UnverifiedError(Exception):
    """What was downloaded is not what the repository lists."""


def fill(hub: Hub, root: Path, models: Sequence[Model]) -> list[Model]:
    """Fill all models, one after the other. Answers those that failed; a failure does not stop the others."""
    failed = []
    for model in models:
        try:
            fill_model(hub, root, model)
        except Exception:
            LOG.exception("%s: failed", model.name)
            failed.append(model)
    return failed


def fill_model(hub: Hub, root: Path, model: Model) -> bool:
    """Bring one model to its revision and mark it. Answers False where it was complete already.

    Raises UnverifiedError, and removes the files concerned, where the outcome differs from the repository's listing.
    """
    folder, marker = places(root, model.path)
    if is_complete(marker, model.revision):
        LOG.info("%s: complete at %s", model.name, model.revision)
        return False
    marker.unlink(missing_ok=True)
    listing = hub.listing(model)
    size_bytes = sum(file.size_bytes for file in listing.files)
    LOG.info("%s: %d files, %.1f GiB at %s", model.name, len(listing.files), size_bytes / 2**30, listing.commit)
    folder.mkdir(parents=True, exist_ok=True)
    hub.download(model, listing.commit, folder)
    remove_strangers(folder, listing)
    verify(folder, listing)
    mark(marker, {"revision": model.revision, "commit": listing.commit, "model": model.name, "bytes": size_bytes})
    LOG.info("%s: verified and complete at %s", model.name, model.revision)
    return True


def places(root: Path, path: str) -> tuple[Path, Path]:
    """A model's folder and its marker. Raises ValueError for a path that leads out of the root."""
    folder = root / path
    if folder.resolve() == root.resolve() or root.resolve() not in folder.resolve().parents:
        raise ValueError(f"{path} is not below {root}")
    return folder, folder.with_name(f"{folder.name}.complete")


def is_complete(marker: Path, revision: str) -> bool:
    """Whether a marker is there and names the revision."""
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("revision") == revision


def mark(marker: Path, content: dict[str, str | int]) -> None:
    """Write a marker so that it is there as a whole or not at all, after everything that it vouches for."""
    os.sync()
    draft = marker.with_name(f"{marker.name}.draft")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(marker)


def remove_strangers(folder: Path, listing: Listing) -> None:
    """Remove files of other revisions: an engine would load every weight file that it finds."""
    expected = {folder / file.name for file in listing.files}
    for path in folder.rglob("*"):
        if path.is_file() and path not in expected and HUB_FOLDER not in path.relative_to(folder).parts:
            LOG.info("%s: removed, it is not in the listing", path)
            path.unlink()


def verify(folder: Path, listing: Listing) -> None:
    """Compare a folder with a listing. Removes files that differ, so that they are downloaded again, and raises."""
    if not listing.files:
        raise UnverifiedError("the repository lists no files")
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        outcomes = threads.map(lambda file: difference(folder / file.name, file), listing.files)
        differences = {file.name: outcome for file, outcome in zip(listing.files, outcomes, strict=True) if outcome}
    for name in differences:
        (folder / name).unlink(missing_ok=True)
    if differences:
        raise UnverifiedError("; ".join(f"{name}: {outcome}" for name, outcome in differences.items()))


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


def wait(root: Path, path: str, revision: str, pause: Callable[[float], None] = time.sleep) -> None:
    """Return once a model is complete at a revision."""
    _, marker = places(root, path)
    polls = 0
    while not is_complete(marker, revision):
        if polls % POLLS_PER_LINE == 0:
            LOG.info("waiting until %s names revision %s", marker, revision)
        polls += 1
        pause(POLL_S)
    LOG.info("%s: complete at %s", path, revision)


def read_models(path: Path) -> tuple[Model, ...]:
    """Read the list of models to fill."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Model(each["name"], each["path"], each["revision"], each["tokenVariable"]) for each in entries)


def _token(model: Model) -> str | None:
    return os.environ.get(model.token_variable) if model.token_variable else None


def _fill_command(options: argparse.Namespace) -> int:
    """Fill, say so by a file, then idle: a DaemonSet's pods are not meant to end."""
    options.ready.unlink(missing_ok=True)
    hub = S3Hub(options.bucket) if options.bucket else HuggingFaceHub()
    failed = fill(hub, options.root, read_models(options.models))
    if failed:
        return 1
    options.ready.touch()
    while True:
        signal.pause()


def _wait_command(options: argparse.Namespace) -> int:
    for path, revision in options.model:
        wait(options.root, path, revision)
    (options.root / options.engine_cache).mkdir(parents=True, exist_ok=True)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    filler = commands.add_parser("fill", help="download, verify and mark models, then idle")
    filler.add_argument("--models", type=Path, required=True, help="JSON list of models")
    filler.add_argument("--bucket", default="", help="s3://bucket/prefix to download from, instead of the hub")
    filler.add_argument("--ready", type=Path, required=True, help="file to make once all models are complete")
    filler.set_defaults(run=_fill_command)
    waiter = commands.add_parser("wait", help="return once all its models are complete")
    waiter.add_argument(
        "--model",
        nargs=2,
        action="append",
        required=True,
        metavar=("PATH", "REVISION"),
        help="folder of a model below the root, and the revision that it must hold",
    )
    waiter.add_argument("--engine-cache", required=True, help="folder to make for the engine, below the root")
    waiter.set_defaults(run=_wait_command)
    for command in (filler, waiter):
        command.add_argument("--root", type=Path, required=True, help="where the cache is mounted")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run one command. SIGTERM ends it at once, whatever it is doing: nothing is left that looks complete."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))
    options = _arguments().parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
