"""Anybody's words as CommonMark that means nothing but those words.

The author of a pull request chooses names, roles, addresses and images, and a review must not let him write its text. So a
word that any reader of Markdown could take for more than a word stands in a code span: there no renderer looks for
emphasis, links, images, HTML, mentions, references to issues, commits or emoji. Backslashes would not do: sites look for
mentions and references after Markdown is read, when the backslash is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agentgpu_iac.characters import visible

_PLAIN_WORD: Final = re.compile(
    r"""["'(]*                                   # opening
        (?:[-+±]?\$?[^\W_]+(?:[-'\u2019.,/:%+][^\W_]+)*%?)  # letters and digits, single signs between them
        ["'.,;:!?)]*                             # closing
    """,
    re.VERBOSE,
)
_OPENING: Final = "\"'("
_CLOSING: Final = "\"'.,;:!?)"
"""Punctuation of a sentence around a word."""
_PLAIN_SIGNS: Final = frozenset({"-", "+", "\u2013", "\u2014", "x", "/", "=", "->", "…", "·", "±", "≤", "≥"})
_MEANS_MORE: Final = re.compile(
    r"""www\.                           # GitHub and GitLab make a link of it
      | \b[A-Za-z]{1,15}-[0-9]+\b       # GH-12 and the like: an issue
      | \b(?=[0-9a-f]*[0-9])[0-9a-f]{7,64}\b  # a commit
      | \b(?:mailto|xmpp|https?|ftp):
      | :[^\s:]+:                       # an emoji
      | [^\W\d]\w*\.\w+\.\w            # a host name, as some sites read it
      | \$\w.*\$                        # a formula
    """,
    re.VERBOSE | re.IGNORECASE,
)


def inline(text: str, *, cell: bool = False) -> str:
    """A text as one line of CommonMark that reads as ``visible(text)``; ``cell``: in a table of GitHub's Markdown."""
    pieces = [*_pieces(visible(text))]
    return "".join(
        _code(piece, cell=cell) if is_code else _escaped(piece, first=number == 0)
        for number, (piece, is_code) in enumerate(pieces)
    )


def code(text: str, *, cell: bool = False) -> str:
    """A whole text as code: a value, which is read as it is written."""
    return _code(visible(text), cell=cell) if text else ""


def fenced(lines: tuple[str, ...], language: str) -> str:
    """Lines as a block of code, fenced by more backticks than any of them holds."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, 1 + max((len(run) for line in shown for run in re.findall("`+", line)), default=0))
    return "\n".join((f"{fence}{language}", *shown, fence))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text cut into what is plain and what must be code; neighbours of one kind are one piece."""
    kind, held = False, ""
    parts = [part for word in re.split("( +)", text) if word for part in _parts(word)]
    for number, (part, needs_code) in enumerate(parts):
        is_code = needs_code
        if part == " " and 0 < number < len(parts) - 1:  # a single one between two words belongs to either
            is_code = kind and parts[number + 1][1]
        if held and is_code != kind:
            yield held, kind
            held = ""
        kind, held = is_code, held + part
    if held:
        yield held, kind


def _parts(word: str) -> Iterator[tuple[str, bool]]:
    """A word, or spaces, in parts that are plain or must be code: punctuation around a word is that of the sentence."""
    if _is_plain(word):
        yield word, False
        return
    before, core, after = _unwrapped(word)
    yield from ((part, is_code) for part, is_code in ((before, False), (core, True), (after, False)) if part)


def _unwrapped(word: str) -> tuple[str, str, str]:
    """A word between the punctuation before and after it. A bracket or quote that closes one within the word stays there."""
    core = word.lstrip(_OPENING)
    before = word[: len(word) - len(core)]
    after = ""
    while core and core[-1] in _CLOSING and not _closes(core):
        core, after = core[:-1], core[-1] + after
    return (before, core, after) if core else ("", word, "")


def _closes(word: str) -> bool:
    """Whether a word ends with the other half of a pair that it opens itself."""
    last = word[-1]
    return word.count("(") >= word.count(")") if last == ")" else last in "'\"" and word.count(last) % 2 == 0


def _is_plain(word: str) -> bool:
    if word in _PLAIN_SIGNS:
        return True
    return _PLAIN_WORD.fullmatch(word) is not None and _MEANS_MORE.search(word) is None


def _escaped(text: str, *, first: bool) -> str:
    """Plain words; what would begin a list or a rule where a line begins is escaped, and ``$`` anywhere."""
    made = text.replace("$", "\\$")
    if first and (found := re.match(r"(\d{1,9})?([-+=.)])(?= |$)", made)):
        made = f"{made[: found.start(2)]}\\{made[found.start(2) :]}"
    return made


def _code(text: str, *, cell: bool) -> str:
    if cell and "|" in text:
        parts = re.split(r"(\|+)", text)
        return "".join(
            "&#124;" * len(part) if number % 2 else _code(part, cell=False) if part else ""
            for number, part in enumerate(parts)
        )
    runs = {len(run) for run in re.findall("`+", text)}
    fence = "`" * next(length for length in range(1, len(text) + 2) if length not in runs)
    needs_room = text.startswith("`") or text.endswith("`") or (text[0] == text[-1] == " " and text.strip(" "))
    return f"{fence} {text} {fence}" if needs_room else f"{fence}{text}{fence}"
