"""Files that commands write: the whole of one or nothing of it, whoever stops us and whoever else writes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agentgpu_iac.errors import BadInput, OutsideFailure

_OUTSIDE: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOMEM}
)
"""A disk that is full or broken, a tree that is read-only: not what was asked for is wrong, but what it is asked of."""
_HELD: Final = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV})
"""Why a file cannot be replaced that may be written all the same: its folder is not ours, or it is mounted by itself."""


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


def _replace(target: Path, content: bytes) -> None:
    draft = target.with_name(f".{target.name[:100]}.{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o777)
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
