"""A streamed turn as a generator of effects, from its first event to its one terminal one, over as many connections as
it takes.

Beside `Sleep` it yields `Open` (the result is an `Opened`, or what a `Request` gives), `Read` (the next bytes, b"" at
the end, or `Lost`) and `Event`s, which go to the caller.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from dspex_actors.client.attempts import Attempts, Request
from dspex_actors.client.exchange import Sleep
from dspex_actors.client.failures import Answer, Lost, Unreachable, failure_of, unexpected
from dspex_actors.client.reply import TERMINAL, Event, failed
from dspex_actors.client.sse import EventParser
from dspex_actors.errors import DspexError, HostLost, NotFound, OutcomeUnknown

IDLE_S = 45.0
"""Three comment lines of the server missed: the connection is dead."""
NOWHERE = frozenset({NotFound.code, HostLost.code})
"""What the server says to somebody who watches a turn that nobody runs and that is not recorded."""


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request and keep the connection; read with at most `IDLE_S` between two pieces."""

    request: Request


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream is open; `answer` has no body yet."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Read:
    """Wait for the next bytes."""


Effect = Open | Read | Sleep | Event
Result = Opened | Answer | Lost | bytes | None
TurnStream = Generator[Effect, Result, None]
Connection = Generator[Effect, Result, Event | None]


def turn_stream(sending: Attempts | None, watching: Attempts, key: str) -> TurnStream:
    """The events of a turn, the last one `turn.completed` or `turn.failed`.

    A stream that breaks before its first event is opened again as it was. One that breaks later goes on after its last
    event by watching, which starts nothing; only where nobody has the turn any more it is sent again.

    Args:
        sending: Sends the turn; None to watch one that was sent before.
        watching: Watches it.
        key: The turn's id.

    Raises:
        DspexError: What was wrong before the first event.
        OutcomeUnknown: The stream broke, and the turn's end was not known by its deadline.
    """
    asking, last = sending or watching, None
    while True:
        end = yield from _connection(asking, key, last)
        if end is not None and end.name in TERMINAL:
            if sending is None or asking is sending or not _is_nowhere(end):
                yield end
                return
            asking = sending
        elif (last := end or last) is None:
            yield Sleep(asking.wait_after(Lost(sent=True, reason="the stream broke")))
        else:
            asking = watching
            yield Sleep(asking.pause(_unknown(key)))
        if last is not None:
            asking.call = replace(asking.call, last_event_id=last.id)


def _connection(asking: Attempts, key: str, before: Event | None) -> Connection:
    """Pass on the events of one connection; gives the last one, which it passes on unless it is terminal."""
    try:
        answer = yield from _opened(asking)
    except DspexError as error:
        if before is None:
            raise
        watches = asking.call.key is None
        if not (error.code in NOWHERE if watches else not isinstance(error, (OutcomeUnknown, Unreachable))):
            raise _unknown(key) from error
        return failed(error, before)
    return (yield from _relayed(EventParser(replayed=answer.replayed), asking, answer))


def _opened(asking: Attempts) -> Generator[Effect, Result, Answer]:
    while True:
        outcome = yield Open(asking.request())
        if isinstance(outcome, Opened):
            return outcome.answer
        assert isinstance(outcome, Answer | Lost)
        if isinstance(outcome, Answer) and outcome.good:
            raise unexpected(asking.origin.url, outcome)
        error = failure_of(outcome, asking.origin.url, asking.call.key).error
        if asking.call.key is None and error.code in NOWHERE:
            raise error
        yield Sleep(asking.wait_after(outcome))


def _relayed(parser: EventParser, asking: Attempts, answer: Answer) -> Connection:
    last: Event | None = None
    while not asking.overdue and isinstance(piece := (yield Read()), bytes) and piece:
        try:
            events = list(parser.feed(piece))
        except ValueError as error:
            raise unexpected(asking.origin.url, answer) from error
        for last in events:
            if last.name in TERMINAL:
                return last
            yield last
    return last


def _is_nowhere(end: Event) -> bool:
    return end.error is not None and end.error.code in NOWHERE


def _unknown(key: str) -> OutcomeUnknown:
    msg = f"The stream broke before the turn ended. Ask again with the key {key}: it tells how it ended."
    return OutcomeUnknown(msg)
