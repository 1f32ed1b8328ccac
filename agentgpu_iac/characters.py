"""Characters that a reader cannot see, or that move or colour what he sees: which they are, and texts without them.

A terminal obeys some of them, a review shows a line that is not there, and a name looks like another one. So what we read
must not hold them, and what we print spells them out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_HIDDEN: Final = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0001-\U000e007f]"
)
"""Control characters but tabs and line breaks, marks of direction, what has no width and joins nothing, halves of surrogates.
What joins letters of some scripts and parts of pictures (U+200C, U+200D) is none of them."""


def hidden_character(text: str) -> str:
    """The first character in a text that a reader cannot see or that reorders what he sees; empty if there is none."""
    found = _HIDDEN.search(text)
    return found.group() if found else ""


def character_name(character: str) -> str:
    """A character by number and Unicode name, such as ``U+043E CYRILLIC SMALL LETTER O``."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def visible(text: str) -> str:
    """The text as one line, with everything in it that a reader cannot see, or that moves what he sees, spelled out.

    Control characters become their pictures (a line break ``␊``), others their number: ``⟨U+202E⟩``.
    """
    return "".join(map(_visible, text)) if not text.isascii() or not text.isprintable() else text


def printable(text: str) -> str:
    """The same for a text of several lines, whose tabs and line breaks are meant. Spaces of all kinds stay."""
    return _HIDDEN.sub(lambda found: _visible(found.group()), text)


def escaped_json(text: str) -> str:
    """JSON that says the same, whose hidden characters are written as escapes."""
    return _HIDDEN.sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _units(found.group())), text)


def _units(character: str) -> tuple[int, ...]:
    code = ord(character)
    if code < 0x10000:
        return (code,)
    return 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    kind = unicodedata.category(character)
    if character == " " or not (kind in ("Zs", "Zl", "Zp") or kind.startswith("C")):
        return character
    return f"⟨U+{code:04X}⟩"
