"""What a provider may do wrong ends in the right error, without a word of the provider's."""

from __future__ import annotations

import socket

import pytest

from dspex_actors.errors import DspexError, LMFailed, LMRateLimited, LMTimeout, OutputInvalid
from dspex_actors.lm.errors import to_dspex
from tests.protocol.lm.callers import CALLERS, KEY, Caller, ask, models, streaming
from tests.protocol.lm.wire import Answer, cuts, cuts_stream, fails, hangs, replies, says, serving

every_caller = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.__name__)
EMPTY = '{"id": "c", "object": "chat.completion", "model": "gpt-4o-mini", "choices": []}'
IN_STREAM = 'data: {"error": {"message": "overloaded sk-very-secret", "type": "server_error", "code": null}}\n\n'


def failure(base: str, caller: Caller, timeout_s: float = 10) -> DspexError:
    """The error that a caller is told; without retries, so that no test waits for one."""
    model = models(base, timeout_s).get(None).copy(num_retries=0)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one DSPy raises is what to_dspex is for
        ask(model, caller)
    error = to_dspex(raised.value)
    assert error is not None, repr(raised.value)
    assert KEY not in str(error.problem())
    assert base not in str(error.problem())
    return error


@every_caller
@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (fails(401), LMFailed, "credentials"),
        (fails(400), LMFailed, "refused the request"),
        (fails(404), LMFailed, "refused the request"),
        (fails(500), LMFailed, "provider's side"),
        (fails(503), LMFailed, "provider's side"),
        (fails(504), LMTimeout, "in time"),
        (cuts, LMFailed, "connection broke"),
        (says("no fields here"), OutputInvalid, "`answer`"),
        (says(None), OutputInvalid, "`answer`"),
    ],
    ids=["401", "400", "404", "500", "503", "504", "cut", "unparsed", "null"],
)
def test_a_failure_becomes_its_error(caller: Caller, answer: Answer, expected: type[DspexError], words: str) -> None:
    """Sync, async and streaming alike."""
    with serving(answer) as wire:
        error = failure(wire.base, caller)
    assert (type(error), words in error.detail) == (expected, True), error.detail


@every_caller
def test_a_rate_limit_says_how_long_to_wait(caller: Caller) -> None:
    """From the Retry-After header."""
    with serving(fails(429, **{"Retry-After": "7"})) as wire:
        error = failure(wire.base, caller)
    assert isinstance(error, LMRateLimited)
    assert error.retry_after_s == 7.0


@every_caller
def test_a_provider_that_does_not_answer_is_a_timeout(caller: Caller) -> None:
    """Within the time that the models were given."""
    with serving(hangs) as wire:
        assert isinstance(failure(wire.base, caller, timeout_s=0.1), LMTimeout)


@every_caller
def test_nobody_at_the_address_is_a_failure_to_reach_it(caller: Caller) -> None:
    """The port is free again when the socket closes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    error = failure(base, caller)
    assert isinstance(error, LMFailed)
    assert "could not be reached" in error.detail


@pytest.mark.parametrize("caller", CALLERS[:2], ids=["sync", "asynchronous"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [("{oops", LMFailed), ("[]", LMFailed), ('{"choices": 3}', LMFailed), (EMPTY, OutputInvalid)],
)
def test_an_answer_that_is_none_becomes_its_error(caller: Caller, body: str, expected: type[DspexError]) -> None:
    """Malformed JSON, JSON of another shape, and no choices."""
    with serving(replies(body)) as wire:
        assert type(failure(wire.base, caller)) is expected


@pytest.mark.parametrize(
    "answer", [cuts_stream, replies(IN_STREAM), replies("data: {oops\n\n")], ids=["cut", "error", "malformed"]
)
def test_a_stream_that_breaks_is_a_failure_and_not_a_short_answer(answer: Answer) -> None:
    """Half an answer is none."""
    with serving(answer) as wire:
        assert isinstance(failure(wire.base, streaming), LMFailed)


def test_a_stream_that_broke_after_its_first_token_is_not_tried_again() -> None:
    """Its tokens were seen."""
    with serving(cuts_stream, says("again")) as wire:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - which one DSPy raises is what to_dspex is for
            ask(models(wire.base).get(None), streaming)
        assert isinstance(to_dspex(raised.value), LMFailed)
    assert len(wire.calls) == 1
