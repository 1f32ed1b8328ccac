"""Pull and merge requests by the sites' own clients, against doubles that refuse what the sites refuse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentgpu_iac.errors import AgentGpuError, BadInput, OutsideFailure
from agentgpu_iac.operations.publishing.forge import MARK, ReviewSite, refusal, site_of, token_of
from agentgpu_iac.operations.publishing.settings import Forge
from tests.operations.publishing.doubles import TOKEN, State, served

pytestmark = pytest.mark.optional
pytest.importorskip("github", reason="the extra publish is not installed")
pytest.importorskip("gitlab", reason="the extra publish is not installed")

BODY = "## a\n\n`@b`\n"


@pytest.fixture(params=["github", "gitlab"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state(kind: str) -> Iterator[State]:
    with served(kind) as found:
        yield found


@pytest.fixture
def forge(kind: str, state: State, monkeypatch: pytest.MonkeyPatch) -> Forge:
    monkeypatch.setenv("REVIEW_TOKEN", TOKEN)
    return Forge(kind=kind, project="acme/x", api=state.address, token_variable="REVIEW_TOKEN")  # type: ignore[arg-type]


@pytest.fixture
def site(forge: Forge) -> ReviewSite:
    return site_of(forge)


def ask(site: ReviewSite, title: str = "one", body: str = BODY) -> tuple[int, str]:
    made = site.request("b", "main", title, body)
    assert made.address.endswith("/7")
    return made.number, made.outcome


def test_a_request_is_opened_once_and_then_brought_up_to_date(site: ReviewSite, state: State) -> None:
    assert ask(site) == (7, "opened")
    assert ask(site) == (7, "as it was")
    assert ask(site, "two", "other\n") == (7, "updated")
    assert len(state.requests) == 1
    assert state.requests[0]["title"] == "two"
    assert "other\n" in state.requests[0].values()


def test_one_that_another_opened_meanwhile_is_found(site: ReviewSite, state: State) -> None:
    state.races = True
    assert ask(site) == (7, "updated")
    assert [each["title"] for each in state.requests] == ["one"]


def test_a_comment_is_written_once_and_then_brought_up_to_date(site: ReviewSite, state: State) -> None:
    state.comments.append({"id": 0, "body": "of somebody else"})
    state.comments.clear()
    assert site.comment(7, BODY) == "opened"
    assert site.comment(7, BODY) == "as it was"
    assert site.comment(7, "other\n") == "updated"
    assert [each["body"] for each in state.comments] == [f"{MARK}\nother\n"]


REFUSALS = {
    "no right": (403, {"message": "Resource not accessible by integration"}, {}, "it needs"),
    "no project": (404, {"message": "Not Found"}, {}, "acme/x, or the token of $REVIEW_TOKEN may not see it"),
    "too many": (429, {"message": "Too Many Requests"}, {"Retry-After": "60"}, "takes no more requests for now"),
    "broken": (502, {"message": "Bad Gateway"}, {}, "502"),
    "invalid": (422, {"message": "Validation Failed", "errors": [{"message": "head is invalid"}]}, {}, "422"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_site_refuses_is_one_sentence(site: ReviewSite, state: State, case: str) -> None:
    status, body, headers, words = REFUSALS[case]
    state.refusal = (status, body, headers)
    with pytest.raises(OutsideFailure) as said:
        ask(site)
    assert words in str(said.value), str(said.value)
    assert "\n" not in str(said.value) and TOKEN not in str(said.value)
    assert said.value.exit_code == 3
    assert len(state.asked) == 1, "a limit is told, not waited for"


def test_a_token_that_may_read_and_not_write(site: ReviewSite, state: State) -> None:
    state.refusal = (403, {"message": "Resource not accessible by personal access token"}, {})
    state.refuses_writes_only = True
    with pytest.raises(OutsideFailure, match=r"may not open a (pull|merge) request at acme/x"):
        ask(site)
    assert state.requests == []


@pytest.mark.parametrize("headers", [{"Retry-After": "17"}, {"x-ratelimit-remaining": "0"}])
def test_the_limits_of_github(headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_TOKEN", TOKEN)
    with served("github") as state:
        state.refusal = (403, {"message": "You have exceeded a secondary rate limit."}, headers)
        site = site_of(Forge(kind="github", project="acme/x", api=state.address, token_variable="REVIEW_TOKEN"))
        with pytest.raises(OutsideFailure, match="GitHub takes no more requests for now: run again") as said:
            ask(site)
    assert ("in 17 s" in str(said.value)) is ("Retry-After" in headers)


def test_a_token_that_is_not_known(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_TOKEN", "another")
    with pytest.raises(OutsideFailure, match=r"does not know the token of \$REVIEW_TOKEN: it is wrong, or has ended"):
        ask(site_of(forge))


def test_another_project(forge: Forge) -> None:
    other = forge.model_copy(update={"project": "acme/y"})
    with pytest.raises(OutsideFailure, match=r"has no acme/y, or the token of \$REVIEW_TOKEN may not see it"):
        ask(site_of(other))


def test_a_site_that_is_not_there(forge: Forge) -> None:
    gone = forge.model_copy(update={"api": "http://127.0.0.1:1"})
    with pytest.raises(OutsideFailure, match="does not answer"):
        ask(site_of(gone))


def test_a_variable_that_is_not_set(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVIEW_TOKEN")
    with pytest.raises(BadInput, match=r"\$REVIEW_TOKEN: is not set, and should hold a token"):
        token_of(forge)


def test_a_refusal_repeats_no_token(forge: Forge) -> None:
    token = "ghp_" + "a1" * 18
    error: AgentGpuError = refusal(forge, 500, f"echo {token}", retry_after=None, doing="x")
    assert token not in str(error)
