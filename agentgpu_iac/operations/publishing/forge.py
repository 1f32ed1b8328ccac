"""The site where a change is reviewed, whichever it is: a pull request by its branch, and one comment that stays up to date."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.credentials import without_credentials
from agentgpu_iac.errors import BadInput, MissingExtra, OutsideFailure, shortened
from agentgpu_iac.operations.publishing.settings import Forge

MOST_BODY: Final = 65_000
"""Characters of a description: GitHub takes 65,536."""
TIMEOUT_S: Final = 30
MARK: Final = "<!-- agentgpu -->"
"""First line of the comment that is kept up to date: by it it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pull or merge request that is open."""

    number: int
    address: str
    outcome: str
    """``opened``, ``updated``, or ``as it was``."""


class ThereAlready(Exception):
    """Another one opened a request for the branch meanwhile."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class ReviewSite(ABC):
    """What is asked of a site."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge

    def request(self, branch: str, base: str, title: str, body: str) -> Request:
        """Open a request for a branch, or give the one that is open this title and body."""
        try:
            return self._brought_up_to_date(branch, base, title, body) or self._opened(branch, base, title, body)
        except ThereAlready as there:
            found = self._brought_up_to_date(branch, base, title, body)
            if found is None:
                said = "it says that one is open, and shows none"
                raise refusal(self._forge, there.status, said, retry_after=None, doing="open one") from None
            return found

    @abstractmethod
    def _brought_up_to_date(self, branch: str, base: str, title: str, body: str) -> Request | None:
        """The request that is open for the branch, with this title and body; None where none is."""

    @abstractmethod
    def _opened(self, branch: str, base: str, title: str, body: str) -> Request:
        """A new one.

        Raises:
            ThereAlready: one is open.
        """

    @abstractmethod
    def comment(self, number: int, body: str) -> str:
        """Let the one comment of ours on a request say this; what was done."""


def site_of(forge: Forge) -> ReviewSite:
    """The site of a file.

    Raises:
        BadInput: the variable with the token is not set, or the extra ``publish`` is not installed.
    """
    token = token_of(forge)
    try:
        if forge.kind == "github":
            from agentgpu_iac.operations.publishing.github import GitHub  # noqa: PLC0415 - its library is an extra

            return GitHub(forge, token)
        from agentgpu_iac.operations.publishing.gitlab import GitLab  # noqa: PLC0415

        return GitLab(forge, token)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"a pull request at {forge.kind}", "publish", error) from None


def token_of(forge: Forge) -> str:
    """The token, from its variable."""
    token = os.environ.get(forge.token_variable, "").strip()
    if not token:
        hint = "export it, or leave out forge and open the request by hand"
        raise BadInput.one(f"${forge.token_variable}", "is not set, and should hold a token", hint=hint)
    return token


def refusal(forge: Forge, status: int, said: str, *, retry_after: str | None, doing: str) -> OutsideFailure:
    """Why the site did not do it, in a sentence."""
    name = {"github": "GitHub", "gitlab": "GitLab"}[forge.kind]
    token = f"the token of ${forge.token_variable}"
    reason = without_credentials(shortened(" ".join(said.split()), 300))
    if status == 429 or (status == 403 and (retry_after is not None or "rate limit" in reason.lower())):
        wait = f"in {retry_after} s" if retry_after else "later"
        return OutsideFailure(f"{name} takes no more requests for now: run again {wait} ({reason})")
    if status == 401:
        return OutsideFailure(f"{name} does not know {token}: it is wrong, or has ended ({reason})")
    if status == 403:
        right = "pull requests: write" if forge.kind == "github" else "the scope api, and the role Developer"
        return OutsideFailure(f"{token} may not {doing} at {forge.project}: it needs {right} ({reason})")
    if status == 404:
        return OutsideFailure(f"{name} has no {forge.project}, or {token} may not see it ({reason})")
    return OutsideFailure(f"{name} does not {doing} at {forge.project}: {status} {reason}")


def unreachable(forge: Forge, error: Exception) -> OutsideFailure:
    """The site does not answer."""
    said = without_credentials(shortened(" ".join(str(error).split()), 300))
    return OutsideFailure(f"{forge.api or forge.kind} does not answer: {said}")
