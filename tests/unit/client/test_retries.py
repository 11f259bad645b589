"""What is repeated, how long, and under which key."""

from __future__ import annotations

import httpx
import pytest

import dspex_actors as dx
from tests.unit.client.scripted import ANSWER, Script, answered, problem, text

RETRIED = [
    *("outcome_unknown", "draining", "store_unavailable", "host_lost", "no_capacity", "mailbox_full"),
    *("lm_failed", "lm_timeout", "lm_rate_limited", "output_invalid", "deadline_exceeded", "moved"),
]
FINAL = [
    *("not_found", "invalid_request", "idempotency_mismatch", "program_failed", "cancelled", "forbidden", "internal"),
    "session_busy",
]
BROKEN = [httpx.ConnectError("x"), httpx.ReadError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")]


@pytest.mark.parametrize("code", RETRIED)
def test_what_the_server_calls_retryable_is_sent_again(code: str) -> None:
    """And the answer is an answer."""
    script = Script(problem(code), answered())
    assert script.client().session("s").predict(question="why").outputs.answer == "42"
    assert len(script.requests) == 2


@pytest.mark.parametrize("code", FINAL)
def test_what_would_fail_again_is_raised_at_once(code: str) -> None:
    """As the class of its code, with the server's sentence."""
    script = Script(problem(code))
    with pytest.raises(dx.DspexError, match=f"It was {code}") as caught:
        script.client().session("s").predict(question="why")
    assert (caught.value.code, len(script.requests)) == (code, 1)
    assert caught.value.__notes__ == ["request_id: req-1"]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_lost_connection_is_tried_again(error: Exception) -> None:
    """Before as well as after the request was sent."""
    script = Script(error, answered())
    assert script.client().session("s").predict(question="why").turn == 1


def test_a_repeated_turn_has_the_same_key_and_less_time() -> None:
    """One deadline for all attempts."""
    script = Script(problem("host_lost", retry_after="7"), httpx.ReadError("x"), answered())
    script.client().session("s").predict(question="why", timeout_s=30)
    keys, times = script.sent("idempotency-key"), script.sent("x-request-timeout")
    assert len(set(keys)) == 1
    assert keys[0]
    assert times[0] == "30.000"
    assert 23.0 >= float(times[1] or 0) > float(times[2] or 0) > 22.0


def test_every_turn_and_every_creation_has_a_key_of_its_own() -> None:
    """Two calls are two things, whatever they say."""
    script = Script(answered())
    client = script.client()
    client.session("s").predict(question="why")
    client.session("s").predict(question="why")
    client.programs.create("qa", "question -> answer")
    client.sessions.create("qa")
    assert len({key for key in script.sent("idempotency-key") if key}) == 4


def test_the_given_key_is_the_one_that_is_sent() -> None:
    """So that another process can ask for the outcome."""
    script = Script(answered())
    script.client().session("s").predict(question="why", idempotency_key="mine")
    assert script.sent("idempotency-key") == ["mine"]


def test_waits_double_up_to_the_longest_half_of_them_at_random() -> None:
    """Many clients do not come back in step."""
    script = Script(*[problem("draining")] * 8, answered())
    script.client(dx.Retry(first_wait_s=1, longest_wait_s=4)).session("s").predict(question="why")
    bounds = [1, 2, 4, 4, 4, 4, 4, 4]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(script.waits, bounds, strict=True))


def test_a_longer_retry_after_counts() -> None:
    """The server knows better."""
    script = Script(problem("no_capacity", retry_after="3"), problem("no_capacity", retry_after_s=2.5), answered())
    script.client().session("s").predict(question="why")
    assert script.waits == [3.0, 2.5]


def test_no_wait_goes_beyond_the_deadline() -> None:
    """What could not be answered in time is raised at once."""
    script = Script(problem("draining", retry_after="10"))
    with pytest.raises(dx.Draining):
        script.client().session("s").predict(question="why", timeout_s=5)
    assert script.waits == []


def test_at_the_deadline_a_lost_answer_is_an_unknown_outcome() -> None:
    """A later refusal says nothing about the first attempt; the sentence names the key."""
    script = Script(httpx.ReadError("x"), problem("draining"))
    with pytest.raises(dx.OutcomeUnknown, match="mine"):
        script.client().session("s").predict(question="why", idempotency_key="mine", timeout_s=5)
    assert len(script.requests) > 2


def test_a_definite_answer_after_a_lost_one_is_believed() -> None:
    """The same key ran again and failed: nothing is in the session."""
    script = Script(httpx.ReadError("x"), problem("deadline_exceeded"))
    with pytest.raises(dx.DeadlineExceeded):
        script.client().session("s").predict(question="why", timeout_s=5)


def test_the_model_is_paid_for_three_attempts_at_most() -> None:
    """However much time is left."""
    script = Script(problem("lm_failed"))
    with pytest.raises(dx.LMFailed):
        script.client().session("s").predict(question="why")
    assert len(script.requests) == 3


def test_a_server_that_never_answers_is_given_up_at_the_deadline() -> None:
    """Nothing was sent, so nothing is unknown."""
    script = Script(httpx.ConnectError("x"))
    with pytest.raises(dx.Unreachable, match=r"No server answers at http://127\.0\.0\.1:8000"):
        script.client(timeout_s=10).sessions.create("qa")
    assert 5 < script.time_s <= 10


def test_a_client_in_a_hurry_gives_up_at_once_where_no_server_answers() -> None:
    """But not one that has lost an answer there."""
    hurry = dx.Retry(unreachable_s=0)
    refusing = Script(httpx.ConnectError("x"))
    with pytest.raises(dx.Unreachable):
        refusing.client(hurry).session("s").predict(question="why")
    restarting = Script(httpx.ReadError("x"), httpx.ConnectError("x"), answered())
    assert restarting.client(hurry).session("s").predict(question="why").turn == 1
    assert len(refusing.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (502, "<html>proxy</html>", dx.OutcomeUnknown),
        (503, "<html>proxy</html>", dx.NoCapacity),
        (504, "<html>proxy</html>", dx.OutcomeUnknown),
        (500, "Internal Server Error", dx.OutcomeUnknown),
    ],
)
def test_a_proxys_own_words_are_understood(status: int, body: str, error: type[dx.DspexError]) -> None:
    """503: nobody was asked. 502 and 504: somebody may have been. 500: Ray Serve's front does not say which."""
    script = Script(text(status, body))
    with pytest.raises(error):
        script.client().session("s").predict(question="why", timeout_s=2)
    assert len(script.requests) > 1
    assert Script(text(status, body), answered()).client().session("s").predict(question="why").turn == 1


@pytest.mark.parametrize(
    "answer",
    [text(404), text(500), text(200), answered({"hello": "world"}), answered(ANSWER | {"turn": 1}, 301)],
)
def test_what_is_not_this_product_is_not_believed(answer: httpx.Response) -> None:
    """Some other server listens at that address."""
    with pytest.raises(dx.Internal, match="not DSPex Actors"):
        Script(answer).client().session("s").predict(question="why")


def test_a_deletion_whose_answer_was_lost_has_happened_when_the_thing_is_gone() -> None:
    """But a thing that never was is an error."""
    Script(httpx.ReadError("x"), problem("not_found")).client().sessions.delete("s")
    with pytest.raises(dx.NotFound):
        Script(problem("not_found")).client().sessions.delete("s")


def test_an_attempt_that_hangs_is_given_up_when_it_has_a_time_of_its_own() -> None:
    """The server joins the next one to the running turn, and is told the whole time that is left."""
    script = Script(answered())
    script.client(dx.Retry(attempt_s=2)).session("s").predict(question="why")
    assert script.requests[0].extensions["timeout"]["read"] == 2
    assert script.sent("x-request-timeout") == ["60.000"]


def test_a_busy_session_says_nothing_about_an_earlier_attempt() -> None:
    """Its answer was lost, and it may still be on its way."""
    script = Script(httpx.ReadError("x"), problem("session_busy"))
    with pytest.raises(dx.OutcomeUnknown):
        script.client().session("s").predict(question="why")
    assert len(script.requests) == 2
