"""What the rendered proxy does, asked of the real LiteLLM: failover, keys, limits, budgets and the cap."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.proxy.conftest import PAID_KEY, Answer, Office


def test_an_agent_answers_by_itself_and_is_told_the_session(office: Office) -> None:
    answer = office.ask("desk")
    assert (answer.status, answer.content) == (200, "planner")
    (heard,) = office.heard("planner")
    assert heard["headers"]["x-session-id"] == "session-of-desk"
    assert heard["body"]["model"] == "planner"
    assert not office.heard("coder")


@pytest.mark.parametrize("stream", [False, True])
def test_the_fallback_answers_for_an_agent_that_is_gone(office: Office, stream: bool) -> None:
    office.kill_engine("planner")
    answer = office.ask("desk", stream=stream)
    assert answer.status == 200
    assert answer.content.startswith("coder")
    assert "planner" not in answer.content


def test_an_answer_that_breaks_off_says_so(office: Office) -> None:
    """What was streamed cannot be taken back: no fallback goes on with it, and the caller is told, not left with half of it."""
    office.tell("planner", diesAfter=3, paceS=0.5)
    answer = office.ask("desk", stream=True)
    assert answer.content.startswith("planner0")
    assert '"error"' in answer.text
    assert not answer.text.rstrip().endswith("[DONE]")
    assert not office.heard("coder")


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_the_fallback_answers_for_an_agent_that_refuses(office: Office, status: int) -> None:
    office.tell("planner", status=status)
    assert office.ask("desk").content == "coder"


def test_a_first_token_that_does_not_come_is_waited_for_as_long_as_planned(office: Office) -> None:
    assert office.plan.proxy is not None
    planned = next(route for route in office.plan.proxy.routes if route.model == "planner").first_token_timeout_s
    office.tell("planner", slowS=planned + 4)
    assert office.ask("desk", stream=True).content.startswith("coder")
    office.tell("planner", slowS=planned / 2)
    assert office.ask("desk", stream=True).content.startswith("planner")


def test_fallbacks_follow_one_another_to_the_last(office: Office) -> None:
    """The clerk falls back to the coder, which has no fallback: the paid one is the planner's alone."""
    office.tell("clerk", status=503)
    assert office.ask("anybody", "clerk").content == "coder"
    office.tell("coder", status=503)
    assert office.ask("anybody", "clerk").status == 503
    assert not office.heard("seller")


def test_an_agent_is_asked_again_as_soon_as_it_is_back(office: Office) -> None:
    """Nothing is put aside after failures."""
    office.tell("planner", status=503)
    assert {office.ask("desk").content for _ in range(5)} == {"coder"}
    office.tell("planner")
    assert office.ask("desk").content == "planner"


def test_what_no_seat_is_free_for_goes_to_the_fallback(office: Office) -> None:
    assert office.plan.proxy is not None
    seats = next(route for route in office.plan.proxy.routes if route.model == "planner").max_parallel_requests
    assert seats is not None
    office.tell("planner", slowS=3)
    with ThreadPoolExecutor(seats + 2) as callers:
        answers = list(callers.map(lambda _: office.ask("desk").content, range(seats + 2)))
    assert sorted(answers) == ["coder"] * 2 + ["planner"] * seats


def test_a_wrong_key_is_refused_and_asks_no_engine(office: Office) -> None:
    for key in ("sk-of-nobody", ""):
        assert office.ask(key).status == 401
    assert not office.heard("planner")


def test_a_team_calls_its_agents_alone(office: Office) -> None:
    refused = office.ask("desk", "coder")
    assert refused.status == 403
    assert office.ask("desk", "planner-paid").status == 403
    assert not office.heard("coder") and not office.heard("seller")


def test_callers_choose_no_fallback_of_their_own(office: Office) -> None:
    office.tell("planner", status=503)
    assert office.ask("desk", fallbacks=["clerk"]).status == 403
    assert office.ask("desk", fallbacks=["planner-paid"]).status == 403
    assert not office.heard("clerk") and not office.heard("seller")


def test_requests_beyond_the_minutes_limit_are_refused(office: Office) -> None:
    answers = [office.ask("lab", "clerk").status for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]


def test_tokens_beyond_the_minutes_limit_are_refused(office: Office) -> None:
    """What an answer took is known once it is there, so the limit of 30 lets two of 20 through."""
    answers = [office.ask("slow", "clerk").status for _ in range(4)]
    assert answers[0] == 200
    assert answers[-1] == 429


def test_the_paid_api_answers_last_and_its_cap_holds(office: Office) -> None:
    """Its budget is used up by concurrent callers, streaming too, and not a cent more than the cap is spent."""
    assert office.plan.proxy is not None
    (paid,) = office.plan.proxy.paid
    tokens = 900
    each = 2 * tokens * float(paid.usd_per_million_input) / 1_000_000
    office.tell("planner", status=503)
    office.tell("coder", status=503)
    office.tell("seller", tokens=tokens)
    first = office.ask("desk")
    assert first.content == "seller"
    (heard,) = office.heard("seller")
    assert heard["headers"]["authorization"] == f"Bearer {PAID_KEY}"
    assert heard["body"]["model"] == "gpt-5-mini"
    answers: list[Answer] = []
    lock = threading.Lock()

    def call(number: int) -> None:
        answer = office.ask("desk", stream=number % 2 == 1)
        with lock:
            answers.append(answer)

    with ThreadPoolExecutor(4) as callers:
        list(callers.map(call, range(16)))
    spent = len(office.heard("seller")) * each
    assert float(paid.budget_usd) <= spent <= float(paid.cap_usd)
    assert office.ask("desk").status in (429, 503)
    assert office.ask("desk", stream=True).status in (429, 503)
    assert not [answer for answer in answers if answer.status == 200 and not answer.content.startswith("seller")]


def test_what_could_cost_more_than_is_counted_with_is_paid_nowhere(office: Office) -> None:
    office.tell("planner", status=503)
    for more in ({"n": 2}, {"max_tokens": 100_000}):
        assert office.ask("desk", **more).status == 503
    assert not office.heard("coder") and not office.heard("seller")


def test_a_budget_of_a_team_ends_its_day(office: Office) -> None:
    """Its tokens count at what the plan says that they cost."""
    assert office.plan.proxy is not None
    price = next(route for route in office.plan.proxy.routes if route.model == "planner").usd_per_million_tokens
    assert price is not None
    each = float(price) * 20 / 1_000_000
    refused = None
    for number in range(int(0.003 / each) + 10):
        answer = office.ask("thrifty")
        if answer.status != 200:
            refused = number
            break
    assert refused is not None
    assert json.loads(answer.text)["error"]["type"] == "budget_exceeded"
    assert answer.status == 429
    assert refused * each >= 0.003


def test_what_was_spent_outlives_the_proxy(office: Office) -> None:
    """In its Redis: neither the cap nor a team's budget begins anew with a new process."""
    office.tell("planner", status=503)
    office.tell("coder", status=503)
    office.tell("seller", tokens=900)
    while office.ask("desk").status == 200:
        pass
    office.tell("planner")
    while office.ask("thrifty").status == 200:
        pass
    time.sleep(3)  # each second LiteLLM tells Redis what the sellers were paid
    office.stop_proxy()
    office.start_proxy()
    assert office.ask("thrifty").status == 429
    office.tell("planner", status=503)
    office.tell("seller", tokens=900)
    assert office.ask("desk").status in (429, 503)
    assert not office.heard("seller")


def test_nobody_administers_the_proxy(office: Office) -> None:
    for path in ("/model/info", "/key/list", "/config/yaml", "/spend/logs"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{office.port}{path}", headers={"Authorization": "Bearer desk-key-1"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        with refused.value:
            assert refused.value.code in (401, 403, 404)
