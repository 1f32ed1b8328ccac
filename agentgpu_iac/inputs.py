"""Files that users hand in: the one place that opens them.

A path may lead to anything: a device that never ends, a pipe that nobody writes to, a download that is an error page, a
pointer that stands for a file in Git LFS. So nothing is opened that is no plain file, nothing is read beyond the most that
the caller has use for, and what cannot be read is said in one sentence about that file. Pipes are read where a shell or a
parent process has handed them over (``<(...)``, ``/dev/stdin``): those have somebody who writes.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from agentgpu_iac.errors import BadInput, Fault, shortened
from agentgpu_iac.units import counted

MIB: Final = 2**20
MOST_TEXT_BYTES: Final = 64 * MIB
"""Logs and other texts of which a few lines are looked for."""
MOST_CONFIG_BYTES: Final = 16 * MIB
"""The ``config.json`` of a model: lists of quantised modules make the longest ones, a few megabytes."""
MOST_LINE_BYTES: Final = MIB
"""One question in a file of them."""
MOST_VALUES: Final = 4_000_000
"""Values of one JSON file: each takes some fifty bytes of memory, however little it takes in the file."""
MOST_DEPTH: Final = 64
"""Levels of a JSON file; a ``config.json`` has five."""

_HANDED_OVER: Final = re.compile(r"/dev/stdin|/dev/fd/[0-9]+|/proc/[a-z0-9]+/fd/[0-9]+")
LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_LFS: Final = b"version https://git-lfs.github.com/spec/"
_HTML: Final = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_XML: Final = re.compile(rb"\s*<\?xml\b")
_KINDS: Final = (
    (stat.S_ISDIR, "Is a directory"),
    (stat.S_ISFIFO, "it is a pipe, and nobody may ever write to it"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)


STANDARD_INPUT: Final = Path("-")
"""What is named so is read from standard input, to its end."""


def source_of(path: Path) -> str:
    """How a file is named in messages."""
    if path == STANDARD_INPUT:
        return "standard input"
    return str(path).encode("utf-8", "backslashreplace").decode()


def read_file(path: Path, most_bytes: int, *, of: str = "") -> bytes:
    """The whole of a file of the user's; ``of`` says what it should be, in the message on one that is too large.

    Raises:
        BadInput: it cannot be read, is no file, or is larger than the most that is read of such a file.
    """
    if path == STANDARD_INPUT:
        content = sys.stdin.buffer.read(most_bytes + 1)
    else:
        with opened(path) as file:
            if os.fstat(file.fileno()).st_size > most_bytes:
                _too_large(path, most_bytes, of)
            content = _read(path, file, most_bytes + 1)
    if len(content) > most_bytes:
        _too_large(path, most_bytes, of)
    return content


def read_start(path: Path, count: int) -> bytes:
    """The first bytes of a file, ``count`` of them at most. Raises BadInput where it cannot be read."""
    with opened(path) as file:
        return _read(path, file, count)


def opened(path: Path) -> BufferedReader:
    """A plain file, open for reading. Raises BadInput for anything else."""
    source = source_of(path)
    try:
        if fault := _not_plain(path, path.stat().st_mode):
            raise BadInput.one(source, f"cannot be read: {fault}")
        file = path.open("rb")
    except OSError as error:
        raise BadInput.one(source, f"cannot be read: {error.strerror or 'the system refuses'}") from None
    except ValueError:
        raise BadInput.one(ascii(source), "is no name of a file") from None
    return file


def _not_plain(path: Path, mode: int) -> str:
    """Why something is not read; empty for a plain file, and for what a parent process has opened."""
    if stat.S_ISREG(mode) or (not stat.S_ISDIR(mode) and _HANDED_OVER.fullmatch(str(path))):
        return ""
    return next((what for is_one, what in _KINDS if is_one(mode)), "it is no plain file")


def _read(path: Path, file: BinaryIO, count: int) -> bytes:
    try:
        return file.read(count)
    except OSError as error:
        raise BadInput.one(source_of(path), f"cannot be read: {error.strerror or 'the system refuses'}") from None


def _too_large(path: Path, most_bytes: int, of: str) -> NoReturn:
    message = f"is larger than {counted(most_bytes, 'byte')}, the most that is read{f' of {of}' if of else ''}"
    raise BadInput.one(source_of(path), message)


def lines_in(file: BinaryIO, source: str) -> Iterator[str]:
    """The lines of an open file, one after the other, however many there are.

    A line longer than ``MOST_LINE_BYTES`` comes cut off one character beyond that length.

    Raises:
        BadInput: the file is no text; at the line where that shows.
    """
    number = 0
    while raw := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        part = raw
        while len(part) > MOST_LINE_BYTES and not part.endswith(b"\n"):
            part = file.readline(MOST_LINE_BYTES + 1)
        try:
            text = raw.decode("utf-8" if len(raw) <= MOST_LINE_BYTES else "latin-1")
        except UnicodeDecodeError as error:
            raise BadInput.one(source, f"is not UTF-8 text: line {number}: {error.reason}") from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def text_of(raw: bytes, source: str) -> str:
    """The text of a file, without the mark that some editors put before it.

    Raises:
        BadInput: it is no UTF-8 text, with the place; or is something else that often lies where a file should.
    """
    refuse_stranger(raw, source)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = line_and_column(before := raw[: error.start].decode("utf-8"), len(before))
        hint = "save it as UTF-8" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else ""
        message = f"is not UTF-8 text: the byte 0x{raw[error.start]:02x} does not belong here"
        raise BadInput([Fault(source=source, line=line, column=column, message=message, hint=hint)]) from None
    return text.removeprefix("\ufeff")


def refuse_stranger(raw: bytes, source: str) -> None:
    """Raises BadInput where the beginning of a file shows that it is something else, which often lies where one should."""
    if stranger := _stranger(raw):
        message, hint = stranger
        raise BadInput.one(source, message, hint=hint)


def _stranger(raw: bytes) -> tuple[str, str] | None:
    """What a file is that is not what was asked for, and what to do; None where nothing is known against it."""
    head = raw[:1024]
    if head.startswith(_LFS):
        return "is a pointer to a file in Git LFS, not the file", "fetch it: git lfs pull"
    if _HTML.match(head):
        return (
            "is a web page (HTML), not the file",
            "download the file itself: on Hugging Face its address has /resolve/",
        )
    if _XML.match(head):
        return "is XML, such as a store answers in place of a file", "download the file again"
    return None


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Line and column of a character, by the line breaks that YAML knows."""
    breaks = list(LINE_BREAK.finditer(text, 0, index))
    return len(breaks) + 1, index - (breaks[-1].end() if breaks else 0) + 1


def json_of(raw: bytes | str, source: str, *, most_values: int = MOST_VALUES, constants: bool = True) -> Any:
    """What a JSON file holds.

    ``constants``: whether NaN and Infinity may stand in it, as Python writes them into configs of models.

    Raises:
        BadInput: it is no JSON (with the place), holds a key twice or more values than anybody needs, or is nested too
            deeply.
    """
    text = text_of(raw, source) if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
    if text.count(",") + text.count("[") + text.count("{") > most_values:
        raise BadInput.one(source, f"holds more than {counted(most_values, 'value')}")
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=None if constants else _no_constant)
    except RecursionError:
        raise BadInput.one(source, f"is nested more than {MOST_DEPTH} levels deep") from None
    except _RefusedError as refused:
        raise BadInput.one(source, str(refused)) from None
    except json.JSONDecodeError as error:
        hint = "it seems to be cut off: fetch it again" if _is_cut_off(error, text) else ""
        message = f"is not JSON: {error.msg}"
        fault = Fault(source=source, line=error.lineno, column=error.colno, message=message, hint=hint)
        raise NotJsonError([fault]) from None
    except ValueError:
        raise BadInput.one(source, "is not JSON: holds a number of thousands of digits") from None
    if _is_deep(found):
        raise BadInput.one(source, f"is nested more than {MOST_DEPTH} levels deep")
    return found


def _is_cut_off(error: json.JSONDecodeError, text: str) -> bool:
    return bool(text.strip()) and (error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"))


class NotJsonError(BadInput):
    """A text that is no JSON by its form."""


class _RefusedError(Exception):
    """Python's reader takes more than JSON."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twin = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _RefusedError(f"holds the key {shortened(twin)!r} twice in one object")
    return found


def _no_constant(word: str) -> NoReturn:
    raise _RefusedError(f"holds {word}, which is no JSON")


def _is_deep(value: object) -> bool:
    """Whether something lies below the deepest level; level by level, so that no depth is too much to find out."""
    level: list[object] = [value]
    for _ in range(MOST_DEPTH):
        below = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in below for inner in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)
