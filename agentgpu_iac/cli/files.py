"""Files that commands write: the whole of one or nothing of it, whoever stops us and whoever else writes it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agentgpu_iac.cli.saying import tell
from agentgpu_iac.errors import BadInput, OutsideFailure

_OUTSIDE: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOMEM}
)
"""A disk that is full or broken, a tree that is read-only: not what was asked for is wrong, but what it is asked of."""
_HELD: Final = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV})
"""Why a file cannot be replaced that may be written all the same: its folder is not ours, or it is mounted by itself."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""What file systems say that know no second name of a file."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A path that cannot be written is a bad option; a disk that is full, broken or read-only is a failure outside of us."""
    try:
        yield
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}"
        source = str(error.filename or path)
        if error.errno in _OUTSIDE:
            raise OutsideFailure(f"{source}: {message}") from None
        raise BadInput.one(source, message) from None


def refuse_inputs(output: Path | None, *read: Path | None) -> None:
    """Raise BadInput, before anything is done, where a command would write over what it reads: a spec has no second copy."""
    if output is None or not output.is_file():
        return
    for each in read:
        if each is not None and each.is_file() and each.samefile(output):
            raise BadInput.one(
                str(output), f"is what is read as {each}, and would be written over", hint="name another file"
            )


def write_whole(path: Path, text: str) -> None:
    """Put a text in the place of a file. Pipes and devices are written into; a link stays one.

    Raises:
        BadInput: the path is none that can be written.
        OutsideFailure: the disk takes no more, or nothing at all.
    """
    with writing(path):
        target = path.resolve() if path.is_symlink() else path
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
            return
        try:
            _replace(target, text.encode())
        except OSError as error:
            if error.errno in _HELD and target.exists():
                target.write_text(text, encoding="utf-8")
                return
            raise OSError(error.errno, error.strerror, str(path)) from None


def write_answer(path: Path, text: str) -> None:
    """The same for the answer of a command, which a terminal is told of: who asked for a file sees that it is there."""
    write_whole(path, text)
    if sys.stderr.isatty() and path.is_file():
        tell(f"Wrote {path}.")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet: it appears whole, and never over one that somebody else has made meanwhile.

    Raises:
        BadInput: the path is none that can be written, or something is there.
        OutsideFailure: the disk takes no more, or nothing at all.
    """
    with writing(path):
        try:
            with _draft_of(path, text.encode()) as draft:
                _name_as_well(draft, path, text)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None


def _name_as_well(draft: Path, path: Path, text: str) -> None:
    try:
        os.link(draft, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("x", encoding="utf-8") as file:
            file.write(text)


def _replace(target: Path, content: bytes) -> None:
    with _draft_of(target, content) as draft:
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o777)
        draft.replace(target)


@contextmanager
def _draft_of(target: Path, content: bytes) -> Iterator[Path]:
    """A file beside the target that holds the content, on the disk and not only on its way there; gone in the end."""
    draft = target.with_name(f".{target.name[:100]}.{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
