"""What people write for a repository of Hugging Face: its id, or the address of one of its pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PAGE: Final = re.compile(
    r"(?:(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?:models/)?|hf://(?:models/)?)"
    r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(?:/(?:tree|blob|resolve|raw|commit)/(?P<revision>[\w.%-]+))?(?:/[^?#]*)?(?:[?#].*)?",
    re.IGNORECASE,
)
_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*/+")
_OTHER_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository as it was meant."""

    id: str
    """``publisher/name``; what was written, where that is no address of a page."""
    revision: str | None
    """The branch, tag or commit that the page is of; None: none is named, or main."""


def repository_of(text: str) -> Repository:
    """The repository that a text means: an id stays as it is, the address of a page becomes the id on it."""
    page = _PAGE.fullmatch(text.strip())
    if page is not None:
        revision = page["revision"]
        return Repository(id=page["id"], revision=None if revision in (None, "main") else revision)
    if _ID.fullmatch(text):
        return Repository(id=text.rstrip("/"), revision=None)
    return Repository(id=text, revision=None)


def repository_id(text: object) -> object:
    """The same for a field that holds an id: what is no text stays what it is."""
    return repository_of(text).id if isinstance(text, str) else text


def with_revision_of_page(document: object, page: str, revision: str) -> object:
    """The same keys; where one holds the address of a page, the one for a revision has that of the page, if it is unset."""
    if not isinstance(document, dict) or document.get(revision) is not None or not isinstance(document.get(page), str):
        return document
    named = repository_of(document[page]).revision
    return document if named is None else {**document, revision: named}


def is_other_address(text: str) -> bool:
    """Whether it is an address, but of no page of Hugging Face."""
    return _OTHER_ADDRESS.match(text) is not None and _PAGE.fullmatch(text.strip()) is None
