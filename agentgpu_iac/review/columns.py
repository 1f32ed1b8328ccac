"""Text in the columns of a screen: how wide it is, where it breaks, and which columns of a table there is room for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = "  "
"""Between two columns."""
_LEAST_CUT: Final = 10
"""Cells of a column that may be cut keep so many characters, as long as no narrower column must give way."""


def width_of(text: str) -> int:
    """Columns that a text takes on a screen: East Asian characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def padded(text: str, width: int, *, right: bool) -> str:
    """A text with spaces up to a width."""
    room = " " * (width - width_of(text))
    return room + text if right else text + room


_SEAM: Final = re.compile(
    r"""(?<=[^\W\d][-_/:])(?=\w) | (?<=\w[-_/:])(?=[^\W\d]) | (?<=\w--)(?=\w) | (?<=[\w\]]\.)(?=[^\W\d])  # behind a sign
      | (?<=\w)(?=\[)                         # before what is in brackets
      | (?<=[a-z]{3})(?=[A-Z][a-z])           # between the words of a field's name
    """,
    re.VERBOSE,
)
"""Where a name may go on in another line: never within a number or a day."""
LONGEST_PIECE: Final = 20
"""Columns for which a table makes room at any cost; what is longer (digests, marketplaces' ids) breaks where the line ends."""


def pieces(word: str) -> list[str]:
    """The parts of a word that stay in one line each: ``rtx-``, ``pro-`` and ``6000`` of ``rtx-pro-6000``."""
    return _SEAM.split(word)


def wrapped(text: str, width: int | None) -> list[str]:
    """A text in lines of at most a width, broken between words; one that is longer behind a sign in it, and else anywhere.
    None: as it is.
    """
    if width is None:
        return text.split("\n")
    return [line for paragraph in text.split("\n") for line in _wrapped(paragraph, max(1, width))]


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        rest = word
        if line and width_of(line) + 1 + width_of(rest) <= width:
            line = f"{line} {rest}"
            continue
        if line:
            lines.append(line)
        while width_of(rest) > width:
            head = _head(rest, width)
            seams = [found.start() for found in _SEAM.finditer(rest) if found.start() <= len(head)]
            head = rest[: seams[-1]] if seams else head
            lines.append(head)
            rest = rest[len(head) :]
        line = rest
    return [*lines, line] if line or not lines else lines


def between_words(line: str, width: int, *, hanging: int) -> list[str]:
    """A line in lines of a width, under its own indent and ``hanging`` spaces more. A word is never broken: an address or a
    path that is longer than a line can still be copied.
    """
    if width_of(line) <= width:
        return [line]
    first = line[: len(line) - len(line.lstrip())]
    indent = first
    found: list[str] = []
    for word in line.split():
        if found and width_of(f"{found[-1]} {word}") <= width:
            found[-1] += f" {word}"
        else:
            found.append(f"{indent}{word}")
            indent = first + " " * hanging
    return found


def _head(text: str, width: int) -> str:
    """As many characters of a text as fit, one at least."""
    end = 1
    while end < len(text) and width_of(text[: end + 1]) <= width:
        end += 1
    return text[:end]


def cut(text: str, width: int) -> str:
    """A text of one line that ends in … where there is no room for all of it."""
    if width_of(text) <= width:
        return text
    head = _head(text, width - 1)
    return (head.rstrip() if width_of(head) < width else "") + "…"[:width]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The columns of a table that are shown, and how wide each is."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]


def fitted(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    room: int | None,
    *,
    whole: frozenset[int] = frozenset(),
    cuttable: frozenset[int] = frozenset(),
    drop: Sequence[int] = (),
) -> Fitted:
    """Give each column its width in a room. None: as wide as it likes.

    The widest columns give way first: cells go on in another line, or end in … where their column is ``cuttable``; those of
    ``whole`` columns do neither. Where that is not enough, the columns of ``drop`` go, in that order; then words break.
    """
    cells = list(zip(columns, *rows, strict=True))
    natural = [max(map(width_of, each)) for each in cells]
    least = [_least(at, each, natural[at], whole, cuttable) for at, each in enumerate(cells)]
    shown = list(range(len(columns)))
    waiting = list(drop)
    while True:
        gaps = len(GAP) * (len(shown) - 1)
        if room is None or sum(natural[at] for at in shown) + gaps <= room:
            return Fitted(shown=tuple(shown), widths=tuple(natural[at] for at in shown))
        if sum(least[at] for at in shown) + gaps <= room or not waiting:
            widths = _narrowed({at: natural[at] for at in shown}, least, room - gaps)
            return Fitted(shown=tuple(shown), widths=tuple(widths[at] for at in shown))
        shown.remove(waiting.pop(0))


def _least(at: int, cells: Sequence[str], natural: int, whole: frozenset[int], cuttable: frozenset[int]) -> int:
    if at in whole:
        return natural
    if at in cuttable:
        return min(natural, max(_LEAST_CUT, width_of(cells[0])))
    parts = (width_of(piece) for cell in cells for word in cell.split() for piece in pieces(word))
    return min(max(parts, default=0), max(LONGEST_PIECE, width_of(cells[0])))


def _narrowed(widths: dict[int, int], least: Sequence[int], room: int) -> dict[int, int]:
    """Take from the widest column that still may give, then from the widest of all, down to one character."""
    narrowed = dict(widths)
    while sum(narrowed.values()) > room:
        giving = [at for at in narrowed if narrowed[at] > least[at]] or [at for at in narrowed if narrowed[at] > 1]
        if not giving:
            break
        narrowed[max(giving, key=narrowed.__getitem__)] -= 1
    return narrowed
