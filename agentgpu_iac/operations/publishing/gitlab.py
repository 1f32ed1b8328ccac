"""Merge requests at GitLab, by python-gitlab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import gitlab
from gitlab.exceptions import GitlabError
from requests.exceptions import RequestException

from agentgpu_iac.operations.publishing.forge import (
    MARK,
    TIMEOUT_S,
    Request,
    ReviewSite,
    ThereAlready,
    refusal,
    unreachable,
)
from agentgpu_iac.operations.publishing.settings import Forge

_SITE: Final = "https://gitlab.com"
_CONFLICT: Final = 409
_AT_ONCE: Final = {"obey_rate_limit": False}
"""A limit is told, not waited for: it may be an hour."""


class GitLab(ReviewSite):
    """A project at GitLab."""

    def __init__(self, forge: Forge, token: str) -> None:
        super().__init__(forge)
        client = gitlab.Gitlab(
            (forge.api or _SITE).rstrip("/").removesuffix("/api/v4"),
            private_token=token,
            timeout=TIMEOUT_S,
            retry_transient_errors=False,
        )
        self._project: Any = client.projects.get(forge.project, lazy=True)

    def _opened(self, branch: str, base: str, title: str, body: str) -> Request:
        asked = {"source_branch": branch, "target_branch": base, "title": title, "description": body}
        with self._asked("open a merge request"):
            made = self._project.mergerequests.create(asked, **_AT_ONCE)
        return Request(number=made.iid, address=made.web_url, outcome="opened")

    def _brought_up_to_date(self, branch: str, base: str, title: str, body: str) -> Request | None:
        with self._asked("read its merge requests"):
            opened = self._project.mergerequests.list(
                state="opened", source_branch=branch, target_branch=base, get_all=False, per_page=20, **_AT_ONCE
            )
        for each in opened:
            if (each.title, each.description) == (title, body):
                return Request(number=each.iid, address=each.web_url, outcome="as it was")
            each.title, each.description = title, body
            with self._asked("change a merge request"):
                each.save(**_AT_ONCE)
            return Request(number=each.iid, address=each.web_url, outcome="updated")
        return None

    def comment(self, number: int, body: str) -> str:
        """Let the one note of ours on a merge request say this; what was done."""
        text = f"{MARK}\n{body}"
        with self._asked("read notes"):
            notes = self._project.mergerequests.get(number, lazy=True).notes
            ours = [each for each in notes.list(iterator=True, **_AT_ONCE) if (each.body or "").startswith(MARK)]
        if ours and ours[0].body == text:
            return "as it was"
        with self._asked("comment"):
            if ours:
                ours[0].body = text
                ours[0].save(**_AT_ONCE)
                return "updated"
            notes.create({"body": text}, **_AT_ONCE)
        return "opened"

    @contextmanager
    def _asked(self, doing: str) -> Iterator[None]:
        """A refusal of the site as a sentence."""
        try:
            yield
        except GitlabError as error:
            status = error.response_code or 0
            said = str(error.error_message)
            if status == _CONFLICT:
                raise ThereAlready(_CONFLICT) from None
            raise refusal(self._forge, status, said, retry_after=None, doing=doing) from None
        except RequestException as error:
            raise unreachable(self._forge, error) from None
