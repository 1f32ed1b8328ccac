"""Pull requests at GitHub, by PyGithub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from github import Auth, Github, GithubException
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

_API: Final = "https://api.github.com"
_INVALID: Final = 422


class GitHub(ReviewSite):
    """A repository at GitHub."""

    def __init__(self, forge: Forge, token: str) -> None:
        super().__init__(forge)
        client = Github(
            auth=Auth.Token(token),
            base_url=(forge.api or _API).rstrip("/"),
            timeout=TIMEOUT_S,
            retry=None,
            lazy=True,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        self._repository = client.get_repo(forge.project)

    def _opened(self, branch: str, base: str, title: str, body: str) -> Request:
        with self._asked("open a pull request"):
            made = self._repository.create_pull(base=base, head=branch, title=title, body=body)
        return Request(number=made.number, address=made.html_url, outcome="opened")

    def _brought_up_to_date(self, branch: str, base: str, title: str, body: str) -> Request | None:
        owner = self._forge.project.partition("/")[0]
        with self._asked("read its pull requests"):
            pulls = list(self._repository.get_pulls(state="open", head=f"{owner}:{branch}", base=base))
        for pull in pulls:
            if (pull.title, pull.body) == (title, body):
                return Request(number=pull.number, address=pull.html_url, outcome="as it was")
            with self._asked("change a pull request"):
                pull.edit(title=title, body=body)
            return Request(number=pull.number, address=pull.html_url, outcome="updated")
        return None

    def comment(self, number: int, body: str) -> str:
        """Let the one comment of ours on a pull request say this; what was done."""
        text = f"{MARK}\n{body}"
        with self._asked("read comments"):
            issue = self._repository.get_issue(number)
            ours = [each for each in issue.get_comments() if (each.body or "").startswith(MARK)]
        if ours and ours[0].body == text:
            return "as it was"
        with self._asked("comment"):
            if ours:
                ours[0].edit(text)
                return "updated"
            issue.create_comment(text)
        return "opened"

    @contextmanager
    def _asked(self, doing: str) -> Iterator[None]:
        """A refusal of the site as a sentence."""
        try:
            yield
        except GithubException as error:
            said = _words(error)
            if error.status == _INVALID and "already exists" in said.lower():
                raise ThereAlready(_INVALID) from None
            headers = {key.lower(): value for key, value in (error.headers or {}).items()}
            retry_after = headers.get("retry-after")
            if retry_after is None and headers.get("x-ratelimit-remaining") == "0":
                retry_after = ""
            raise refusal(self._forge, error.status, said, retry_after=retry_after, doing=doing) from None
        except RequestException as error:
            raise unreachable(self._forge, error) from None


def _words(error: GithubException) -> str:
    data = error.data if isinstance(error.data, dict) else {"message": str(error.data)}
    parts = [str(data.get("message", ""))]
    for each in data.get("errors") or ():
        parts.append(str(each.get("message", each)) if isinstance(each, dict) else str(each))
    return "; ".join(filter(None, parts))
