"""Streams: their events, and what becomes of one that breaks."""

from __future__ import annotations

import httpx
import pytest

import dspex_actors as dx
from dspex_actors.client.reply import Event
from dspex_actors.client.sse import EventParser
from tests.unit.client.scripted import ANSWER, RECORD, Script, answered, event, problem, streamed, text

STARTED = event(1, "turn.started", turn_id="k", attempt=1)
TOKEN = event(2, "token", field="answer", delta="4")
DONE = event(3, "turn.completed", **ANSWER)
FAILED = {"turn_id": "k", "status": "failed", "attempts": 1, "inputs": {}, "error": dx.LMFailed("No.").problem()}
BREAK = httpx.ReadError("x")


def run(*steps: httpx.Response | Exception, timeout_s: float = 60) -> tuple[list[Event], Script]:
    """All events of a scripted stream."""
    script = Script(*steps)
    return list(script.client().session("s").stream(question="why", idempotency_key="k", timeout_s=timeout_s)), script


def test_events_arrive_whole_however_the_bytes_are_cut() -> None:
    """Byte by byte, with comments and the other line ends."""
    whole = (b": hello\n\n" + STARTED + TOKEN + DONE).replace(b"\n", b"\r\n")
    parser = EventParser(replayed=False)
    events = [each for byte in whole for each in parser.feed(bytes([byte]))]
    assert [(each.id, each.name) for each in events] == [
        ("1.1", "turn.started"),
        ("1.2", "token"),
        ("1.3", "turn.completed"),
    ]
    assert events[1].data == {"field": "answer", "delta": "4"}


def test_data_of_several_lines_is_one_document() -> None:
    """As the standard has it."""
    (only,) = EventParser(replayed=True).feed(b'id: 1.1\nevent: status\ndata: {"a":\ndata: 1}\n\n')
    assert only == Event("1.1", "status", {"a": 1}, replayed=True)


def test_a_stream_ends_with_its_terminal_event() -> None:
    """Whatever follows is not read."""
    events, script = run(streamed(STARTED + TOKEN, DONE, BREAK))
    assert [each.name for each in events] == ["turn.started", "token", "turn.completed"]
    assert events[-1].reply is not None
    assert (events[-1].reply.turn, events[-1].reply.latency_ms, len(script.requests)) == (1, 1.5, 1)


@pytest.mark.parametrize("broken", [streamed(BREAK), streamed(), problem("draining"), text(503), BREAK])
def test_a_stream_without_an_event_is_opened_again_with_the_same_key(broken: httpx.Response | Exception) -> None:
    """Nothing of it was seen, so nothing is seen twice."""
    events, script = run(broken, streamed(STARTED, DONE))
    assert [each.name for each in events] == ["turn.started", "turn.completed"]
    assert script.sent("idempotency-key") == ["k", "k"]


@pytest.mark.parametrize("end", [streamed(STARTED, TOKEN, BREAK), streamed(STARTED, TOKEN)])
def test_a_stream_that_breaks_ends_in_what_the_journal_says(end: httpx.Response) -> None:
    """Asked again until the turn has ended."""
    events, script = run(end, problem("not_found"), problem("draining"), answered(RECORD))
    assert [each.name for each in events] == ["turn.started", "token", "turn.completed"]
    assert [request.method for request in script.requests] == ["POST", "GET", "GET", "GET"]
    assert script.requests[-1].url.path == "/v1/sessions/s/turns/by-id/k"
    reply = events[-1].reply
    assert reply is not None
    assert (reply.session, reply.outputs.answer, reply.latency_ms, reply.replayed) == ("s", "42", 250.0, True)


def test_a_broken_stream_of_a_failed_turn_ends_in_its_failure() -> None:
    """Of this attempt, or a later one."""
    events, _ = run(streamed(STARTED, BREAK), answered(FAILED))
    assert (events[-1].id, type(events[-1].error)) == ("1.2", dx.LMFailed)


def test_a_failure_of_an_earlier_attempt_is_not_this_ones() -> None:
    """The running attempt may succeed yet."""
    second = event(1, "turn.started", attempt=2, turn_id="k")
    events, script = run(streamed(second, BREAK), answered(FAILED), answered(RECORD))
    assert (events[-1].name, len(script.requests)) == ("turn.completed", 3)


def test_an_end_that_nobody_knows_by_the_deadline_is_an_unknown_outcome() -> None:
    """The sentence names the key."""
    with pytest.raises(dx.OutcomeUnknown, match="key k"):
        run(streamed(STARTED, BREAK), problem("not_found"), timeout_s=5)


def test_an_end_that_may_not_be_asked_for_is_an_unknown_outcome_at_once() -> None:
    """Asking again would not help."""
    with pytest.raises(dx.OutcomeUnknown):
        run(streamed(STARTED, BREAK), problem("forbidden"))


def test_a_stream_that_is_left_is_closed() -> None:
    """The connection goes back."""
    script = Script(response := streamed(STARTED, TOKEN, DONE))
    events = script.client().session("s").stream(question="why")
    next(events)
    events.close()
    assert response.is_closed


def test_an_endless_stream_ends_at_the_deadline() -> None:
    """A server that forgets the turn's time does not keep the caller."""
    script = Script(streamed(STARTED, TOKEN, DONE), problem("not_found"))
    events = script.client().session("s").stream(question="why", timeout_s=5)
    assert next(events).name == "turn.started"
    script.time_s = 6.5
    with pytest.raises(dx.OutcomeUnknown):
        list(events)


def test_a_stream_that_is_not_one_is_not_believed() -> None:
    """Neither plain JSON nor events that are none."""
    for answer in (answered(), streamed(b"data: hello\n\n"), streamed(b"data: 1\n\n")):
        with pytest.raises(dx.Internal, match="not DSPex Actors"):
            run(answer)
