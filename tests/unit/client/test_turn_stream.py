"""Streams: their events, and what becomes of one that breaks."""

from __future__ import annotations

import httpx
import pytest

import dspex_actors as dx
from dspex_actors.client.reply import Event
from dspex_actors.client.sse import EventParser
from tests.unit.client.scripted import ANSWER, Script, Step, answered, event, problem, streamed, text

STARTED = event(1, "turn.started", turn_id="k", attempt=1)
TOKEN = event(2, "token", field="answer", delta="4")
MORE = event(3, "token", field="answer", delta="2")
DONE = event(4, "turn.completed", **ANSWER)
FAILED = event(4, "turn.failed", **dx.LMFailed("No.").problem())
LOST = event(4, "turn.failed", **dx.HostLost("Send it again.").problem())
BREAK = httpx.ReadError("x")


def run(*steps: Step, timeout_s: float = 60) -> tuple[list[Event], Script]:
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
        ("1.4", "turn.completed"),
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
def test_a_stream_that_breaks_goes_on_after_its_last_event(end: httpx.Response) -> None:
    """By watching, which starts nothing; asked until somebody answers."""
    events, script = run(end, problem("draining"), BREAK, streamed(MORE, BREAK), streamed(DONE))
    assert [each.id for each in events] == ["1.1", "1.2", "1.3", "1.4"]
    assert [request.method for request in script.requests] == ["POST", "GET", "GET", "GET", "GET"]
    assert script.requests[-1].url.path == "/v1/sessions/s/turns/by-id/k/events"
    assert script.sent("last-event-id") == [None, "1.2", "1.2", "1.2", "1.3"]


@pytest.mark.parametrize("nowhere", [problem("not_found"), problem("host_lost"), streamed(LOST)])
def test_a_turn_that_nobody_has_any_more_is_sent_again(nowhere: httpx.Response) -> None:
    """With its key and the last event, so that the new attempt gets a higher number."""
    again = event(1, "turn.started", attempt=2, turn_id="k")
    events, script = run(streamed(STARTED, TOKEN, BREAK), nowhere, streamed(again, DONE))
    assert [each.name for each in events] == ["turn.started", "token", "turn.started", "turn.completed"]
    assert [request.method for request in script.requests] == ["POST", "GET", "POST"]
    assert script.sent("idempotency-key")[::2] == ["k", "k"]
    assert script.sent("last-event-id")[1:] == ["1.2", "1.2"]


def test_what_refuses_a_turn_that_is_sent_again_is_its_end() -> None:
    """After its first event a stream ends in an event."""
    events, _ = run(streamed(STARTED, BREAK), problem("host_lost"), problem("quarantined"))
    assert ([each.id for each in events], type(events[-1].error)) == (["1.1", "1.2"], dx.Quarantined)


def test_a_broken_stream_of_a_failed_turn_ends_in_its_failure() -> None:
    """It is not run again."""
    events, script = run(streamed(STARTED, BREAK), streamed(FAILED))
    assert (events[-1].id, type(events[-1].error), len(script.requests)) == ("1.4", dx.LMFailed, 2)


@pytest.mark.parametrize("silence", [problem("draining"), BREAK, lambda _: streamed(BREAK)])
def test_an_end_that_nobody_knows_by_the_deadline_is_an_unknown_outcome(silence: Step) -> None:
    """The sentence names the key."""
    with pytest.raises(dx.OutcomeUnknown, match="key k"):
        run(streamed(STARTED, BREAK), silence, timeout_s=5)


def test_a_stream_is_resumed_without_the_turn_being_sent() -> None:
    """Where it was left, and again where it breaks; what the server says of a turn that is nowhere is raised."""
    script = Script(streamed(MORE, BREAK), BREAK, streamed(DONE))
    events = list(script.client().session("s").resume("k", "1.2"))
    assert [each.name for each in events] == ["token", "turn.completed"]
    assert {request.method for request in script.requests} == {"GET"}
    assert script.sent("last-event-id") == ["1.2", "1.3", "1.3"]
    for code, kind in (("not_found", dx.NotFound), ("host_lost", dx.HostLost)):
        with pytest.raises(kind):
            list(Script(problem(code)).client().session("s").resume("k"))


def test_a_resumed_stream_whose_turn_is_lost_ends_in_that() -> None:
    """Nobody else knows how to send it."""
    for nowhere in (problem("host_lost"), streamed(LOST)):
        events = list(Script(streamed(MORE, BREAK), nowhere).client().session("s").resume("k", "1.2"))
        assert ([each.id for each in events], type(events[-1].error)) == (["1.3", "1.4"], dx.HostLost)


def test_an_open_stream_that_breaks_before_any_event_is_resumed_where_it_was_to_be() -> None:
    """The last event of an earlier life is not forgotten."""
    script = Script(streamed(BREAK), streamed(DONE))
    assert len(list(script.client().session("s").resume("k", "1.2"))) == 1
    assert script.sent("last-event-id") == ["1.2", "1.2"]


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
