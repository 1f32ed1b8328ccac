"""The model cache of a node: fill it with verified models, wait for one of them, and hold it while it is read.

Three commands share this file because they must agree on what "complete" means::

    model_cache.py fill --root=/models --models=models.json --ready=/tmp/filled [--bucket=s3://acme-models/agents]
    model_cache.py wait --root=/models --model qwen--qwen3-8b--main main --engine-cache=.engine-cache/chat
    model_cache.py hold --root=/models --model qwen--qwen3-8b--main main -- vllm serve /models/qwen--qwen3-8b--main

A model in ``<root>/<path>`` is complete when its marker, ``<root>/<path>.complete``, names the revision asked for.
The marker goes before the first file of a model changes and comes back, by a rename, after every file has been
compared with the repository's listing. So a download that was interrupted, cut short or corrupted never looks
complete. Whoever fills a model by hand writes the marker by hand: ``{"revision": "main"}``.

What is downloaded are the files that engines read (``model_files.py``). Before the first of them their bytes are held
against what the plan counted and against the room on the disk. A model that the list does not name any more is removed
once no engine holds it: ``hold`` keeps a shared lock on the model's folder for as long as the engine's process lives,
since the kernel gives it back whatever ends the process. Only what a filler of the same stack put there is removed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_files import NoWeightsError, engine_files
from model_hub import HUB_FOLDER, Hub, HuggingFaceHub, Listing, Model, RefusedError, RemoteFile, S3Hub, difference

LOG = logging.getLogger("model-cache")

REMOVED_FOLDER = ".removed"
"""Below the root: what is being removed, so that a removal that is interrupted leaves no half of a model in its place."""

SHARED = "*"
"""The owner of a model that several stacks use: none of them removes it."""

HASHING_THREADS = 4
POLL_S = 2.0
POLLS_PER_LINE = 15
"""The wait says that it still waits every half minute."""

COUNTED_RATIO = 1.25
COUNTED_SPARE_BYTES = 2 * 2**30
"""A listing may exceed the plan's bytes by a quarter and 2 GiB: counted weights miss tokenizers and padding, and adapters
are counted at 16 bits."""
RESERVE_BYTES = 2**30
"""Left free on the disk, for logs and notes of downloads."""

UNHELD_S = 1800.0
"""A model that the list does not name is removed after nobody held it for so long: an engine that is restarted in its pod
is away for up to five minutes, the longest pause of the kubelet."""
LOOK_EVERY_S = 60.0

TERMINATED = 128 + signal.SIGTERM
OUT_OF_TIME = 75


@dataclass(frozen=True)
class Work:
    """What one filler is to do."""

    owner: str
    """The stack: a filler removes only what fillers of the same stack have put there."""
    models: tuple[Model, ...]
    kept: frozenset[str]
    """Paths of models that others put there for this stack."""


class UnverifiedError(Exception):
    """What was downloaded is not what the repository lists."""


class NoRoomError(Exception):
    """The listed files are more than the plan counted, or more than the disk has room for."""


def fill(hub: Hub, root: Path, work: Work) -> list[Model]:
    """Fill all models, one after the other. Answers those that failed; a failure does not stop the others."""
    failed = []
    for model in work.models:
        try:
            fill_model(hub, root, model, work)
        except (UnverifiedError, NoRoomError, RefusedError, NoWeightsError) as error:
            LOG.error("%s: failed: %s", model.name, error)
            failed.append(model)
        except Exception:
            LOG.exception("%s: failed", model.name)
            failed.append(model)
    return failed


def fill_model(hub: Hub, root: Path, model: Model, work: Work) -> bool:
    """Bring one model to its revision and mark it. Answers False where it was complete already.

    Raises UnverifiedError, and removes the files concerned, where the outcome differs from the repository's listing;
    NoRoomError before the first byte where it is more than was counted or than there is room for.
    """
    folder, marker = places(root, model.path)
    if is_complete(marker, model.revision):
        share(marker, work)
        LOG.info("%s: complete at %s", model.name, model.revision)
        return False
    if marker.exists():
        lay_claim(marker, model.revision, work)
        marker.unlink()
    listing = hub.listing(model)
    LOG.info(
        "%s: %d files that engines read, %s at %s",
        model.name,
        len(listing.files),
        _gib(listing.size_bytes),
        listing.commit,
    )
    check_counted(model, listing)
    root.mkdir(parents=True, exist_ok=True)
    lay_claim(marker, model.revision, work)
    folder.mkdir(exist_ok=True)
    remove_strangers(folder, listing)
    make_room(root, folder, listing, work)
    hub.download(model, listing, folder)
    verify(folder, listing)
    mark(
        marker,
        {
            "revision": model.revision,
            "commit": listing.commit,
            "model": model.name,
            "bytes": listing.size_bytes,
            "owner": work.owner,
        },
    )
    claim(marker).unlink(missing_ok=True)
    LOG.info("%s: verified and complete at %s", model.name, model.revision)
    return True


def share(marker: Path, work: Work) -> None:
    """See that a model which another stack filled stays when that stack needs it no more."""
    content = _read(marker)
    owner = str(content.get("owner", ""))
    if owner and owner not in (work.owner, SHARED):
        mark(marker, {**content, "owner": SHARED})


def check_counted(model: Model, listing: Listing) -> None:
    """Refuse what is clearly more than the plan counted: disk, memory and start were planned for that."""
    most = model.counted_bytes * COUNTED_RATIO + COUNTED_SPARE_BYTES
    if model.counted_bytes and listing.size_bytes > most:
        raise NoRoomError(
            f"the files that engines read are {_gib(listing.size_bytes)}, the plan counted {_gib(model.counted_bytes)} "
            f"(and allows {_gib(most)}): disks, memory and starts are planned for the latter. Nothing was downloaded. If "
            f"the repository is right, give the model's row in your catalog overlay its true size, checkpointBytes: "
            f"{listing.size_bytes}, and plan again; if not, pin the revision that was meant (modelRevision)"
        )


def make_room(root: Path, folder: Path, listing: Listing, work: Work) -> None:
    """See that the files which are still missing fit; remove models that nobody needs or holds where they do not."""
    shutil.rmtree(root / REMOVED_FOLDER, ignore_errors=True)
    needed = RESERVE_BYTES + sum(
        file.size_bytes for file in listing.files if not _has_size(folder / file.name, file.size_bytes)
    )
    for old in sorted(unneeded(root, work), key=lambda path: path.stat().st_mtime):
        if shutil.disk_usage(root).free >= needed:
            break
        remove(root, old, work)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise NoRoomError(
            f"it needs {_gib(needed)} on the disk of {root}, a reserve of {_gib(RESERVE_BYTES)} included, and "
            f"{_gib(free)} are free. Nothing was downloaded. Give the disk the cache capacity that the plan states, or "
            "remove what else lies there"
        )


def unneeded(root: Path, work: Work) -> Iterator[Path]:
    """Folders that a filler of this stack has filled, or begun to, and that the list does not name any more."""
    named = {model.path for model in work.models} | work.kept
    for suffix in (".complete", ".filling"):
        for note in root.glob(f"*{suffix}"):
            path = note.name.removesuffix(suffix)
            if path not in named and _read(note).get("owner") == work.owner:
                yield root / path


def remove(root: Path, folder: Path, work: Work) -> bool:
    """Remove a model that no engine holds. Answers whether it is gone; one that is held stays."""
    _, marker = places(root, folder.name)
    if folder.is_dir():
        with locked(folder, fcntl.LOCK_EX) as granted:
            if not granted:
                LOG.info("%s: not in the list any more, but an engine holds it", folder.name)
                return False
            lay_claim(marker, "", work)
            marker.unlink(missing_ok=True)
            grave = root / REMOVED_FOLDER / folder.name
            shutil.rmtree(grave, ignore_errors=True)
            grave.parent.mkdir(exist_ok=True)
            folder.rename(grave)
    marker.unlink(missing_ok=True)
    shutil.rmtree(root / REMOVED_FOLDER, ignore_errors=True)
    claim(marker).unlink(missing_ok=True)
    LOG.info("%s: removed, the list does not name it any more and no engine holds it", folder.name)
    return True


class Cleaner:
    """Removes models that the list does not name, after nobody held them for a while."""

    def __init__(self, root: Path, work: Work, now: Callable[[], float] = time.monotonic) -> None:
        self._root, self._work, self._now = root, work, now
        self._unheld_since: dict[Path, float] = {}

    def look(self) -> None:
        """See who is held, and remove those that nobody has held for long enough; not while another filler fills."""
        with locked(self._root, fcntl.LOCK_EX) as alone:
            if alone:
                self._look()

    def _look(self) -> None:
        shutil.rmtree(self._root / REMOVED_FOLDER, ignore_errors=True)
        for folder in set(unneeded(self._root, self._work)):
            if is_held(folder):
                self._unheld_since.pop(folder, None)
            elif self._now() - self._unheld_since.setdefault(folder, self._now()) >= UNHELD_S:
                remove(self._root, folder, self._work)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[bool]:
    """Whether the lock on a folder could be had at once; it is given back at the end of the block."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether an engine holds a model."""
    if not folder.is_dir():
        return False
    with locked(folder, fcntl.LOCK_EX) as granted:
        return not granted


def hold(root: Path, path: str, revision: str) -> int:
    """Hold a complete model: the lock lasts as long as this process and whatever takes its place. Answers its handle."""
    folder, marker = places(root, path)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    if not is_complete(marker, revision) or os.fstat(handle).st_ino != folder.stat().st_ino:
        raise UnverifiedError(f"{marker} does not name revision {revision}")
    os.set_inheritable(handle, True)
    return handle


def places(root: Path, path: str) -> tuple[Path, Path]:
    """A model's folder and its marker. Raises ValueError for a path that leads out of the root."""
    folder = root / path
    if folder.resolve() == root.resolve() or root.resolve() not in folder.resolve().parents:
        raise ValueError(f"{path} is not below {root}")
    return folder, folder.with_name(f"{folder.name}.complete")


def is_complete(marker: Path, revision: str) -> bool:
    """Whether a marker is there and names the revision."""
    return _read(marker).get("revision") == revision


def mark(marker: Path, content: Mapping[str, object]) -> None:
    """Write a marker so that it is there as a whole or not at all, after everything that it vouches for."""
    os.sync()
    write(marker, content)


def claim(marker: Path) -> Path:
    """The note that says whose a folder is while it has no marker."""
    return marker.with_name(f"{marker.name.removesuffix('.complete')}.filling")


def lay_claim(marker: Path, revision: str, work: Work) -> None:
    """Say whose a folder is, before its marker goes or its first file comes."""
    write(claim(marker), {"owner": work.owner, "revision": revision})


def write(path: Path, content: Mapping[str, object]) -> None:
    """Write a note so that it is there as a whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def _read(note: Path) -> dict[str, object]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove_strangers(folder: Path, listing: Listing) -> None:
    """Remove every other file: an engine would load each weight file that it finds, and they take the room."""
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


def read_work(path: Path) -> Work:
    """Read what to fill."""
    content = json.loads(path.read_text(encoding="utf-8"))
    models = tuple(
        Model(
            each["name"],
            each["path"],
            each["revision"],
            each["tokenVariable"],
            each["kind"],
            each["runsCode"],
            each["countedBytes"],
        )
        for each in content["models"]
    )
    return Work(content["owner"], models, frozenset(content["kept"]))


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"


def _fill_command(options: argparse.Namespace) -> int:
    """Fill, say so by a file, then look after what the list names no more: a DaemonSet's pods are not meant to end."""
    options.root.mkdir(parents=True, exist_ok=True)
    if not options.once:
        options.ready.unlink(missing_ok=True)
    work = read_work(options.models)
    alone = os.open(options.root, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(alone, fcntl.LOCK_EX)  # the filler before this one may still be there, or one of another stack
    missing = [model for model in work.models if not is_complete(places(options.root, model.path)[1], model.revision)]
    if missing and options.start_delay_s:
        delay_s = random.uniform(0, options.start_delay_s)  # noqa: S311 - no secret
        LOG.info(
            "starting in %.0f s of at most %d, so that nodes do not start together", delay_s, options.start_delay_s
        )
        time.sleep(delay_s)
    if options.timeout_s:
        signal.signal(signal.SIGALRM, lambda *_: _out_of_time(options.timeout_s))
        signal.alarm(options.timeout_s)
    connections = options.connections
    hub = S3Hub(options.bucket, connections) if options.bucket else HuggingFaceHub(connections)
    failed = fill(hub, options.root, work)
    signal.alarm(0)
    os.close(alone)
    if failed:
        return 1
    if options.once:
        return 0
    options.ready.touch()
    cleaner = Cleaner(options.root, work)
    while True:
        cleaner.look()
        time.sleep(LOOK_EVERY_S)


def _tidy_command(options: argparse.Namespace) -> int:
    for model in read_work(options.models).models:
        folder, _ = places(options.root, model.path)
        remove_strangers(folder, lying(folder, model))
    return 0


def lying(folder: Path, model: Model) -> Listing:
    """The files of a folder that an engine reads."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    chosen = engine_files(sizes, lambda name: (folder / name).read_bytes(), model.kind, runs_code=model.runs_code)
    return Listing("", tuple(RemoteFile(name, sizes[name], None) for name in chosen))


def _out_of_time(timeout_s: int) -> None:
    LOG.error("not filled within the planned %d s: starting over; whole files stay", timeout_s)
    logging.shutdown()
    os._exit(OUT_OF_TIME)


def _wait_command(options: argparse.Namespace) -> int:
    for path, revision in options.model:
        wait(options.root, path, revision)
    (options.root / options.engine_cache).mkdir(parents=True, exist_ok=True)
    return 0


def _hold_command(options: argparse.Namespace) -> int:
    for path, revision in options.model:
        hold(options.root, path, revision)
    os.execvp(options.command[0], options.command)  # noqa: S606 - in this very process, which holds the locks


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    filler = commands.add_parser("fill", help="download, verify and mark models, then clean up after old ones")
    filler.add_argument("--bucket", default="", help="s3://bucket/prefix to download from, instead of the hub")
    finish = filler.add_mutually_exclusive_group(required=True)
    finish.add_argument("--ready", type=Path, help="file to make once all models are complete; then clean up, for ever")
    finish.add_argument("--once", action="store_true", help="end once all models are complete")
    filler.add_argument(
        "--start-delay-s", type=int, default=0, help="most to wait, by chance, before the first request"
    )
    filler.add_argument(
        "--timeout-s", type=int, default=0, help="most that all downloads may take; 0: as long as it takes"
    )
    filler.add_argument("--connections", type=int, default=8, help="downloads at once")
    filler.set_defaults(run=_fill_command)
    waiter = commands.add_parser("wait", help="return once all its models are complete")
    waiter.add_argument("--engine-cache", required=True, help="folder to make for the engine, below the root")
    waiter.set_defaults(run=_wait_command)
    holder = commands.add_parser("hold", help="hold models for as long as a command runs")
    holder.set_defaults(run=_hold_command)
    for command in (waiter, holder):
        command.add_argument(
            "--model",
            nargs=2,
            action="append",
            default=[],
            metavar=("PATH", "REVISION"),
            help="folder of a model below the root, and the revision that it must hold",
        )
    tidier = commands.add_parser("tidy", help="keep what engines read of models that something else has copied")
    tidier.set_defaults(run=_tidy_command)
    for command in (filler, tidier):
        command.add_argument("--models", type=Path, required=True, help="JSON of what to fill")
    for command in (filler, tidier, waiter, holder):
        command.add_argument("--root", type=Path, required=True, help="where the cache is mounted")
    holder.add_argument("command", nargs="+", help="what to run, after --")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run one command. SIGTERM ends it at once, whatever it is doing: nothing is left that looks complete."""
    LOG.setLevel(logging.INFO)  # libraries log every request, some with what grants it
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))
    options = _arguments().parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
