"""A streamed turn as a generator of effects, from the first attempt to its one terminal event.

Beside those of `exchange` it yields `Open` (the result is an `Opened`, or what a `Request` gives), `Read` (the next
bytes, b"" at the end, or `Lost`) and `Event`s, which go to the caller.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from dspex_actors.client.attempts import Attempts, Request
from dspex_actors.client.calls import fetch, turn_path
from dspex_actors.client.exchange import Sleep, reading
from dspex_actors.client.failures import Answer, Lost, unexpected
from dspex_actors.client.reply import TERMINAL, Event, ended
from dspex_actors.client.sse import EventParser
from dspex_actors.errors import NotFound, OutcomeUnknown

IDLE_S = 45.0
"""Three comment lines of the server missed: the connection is dead."""


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


Effect = Open | Read | Request | Sleep | Event
Result = Opened | Answer | Lost | bytes | None
TurnStream = Generator[Effect, Result, None]


def turn_stream(attempts: Attempts, session: str) -> TurnStream:
    """The events of a turn, the last one `turn.completed` or `turn.failed`.

    A stream that breaks before its first event is opened again with the same key. One that breaks later is not: its
    tokens are given once, and the journal tells how the turn ended.

    Raises:
        DspexError: What was wrong before the first event.
        OutcomeUnknown: The stream broke, and the turn's end was not known by its deadline.
    """
    while True:
        opened = yield from _opened(attempts)
        last = yield from _relayed(EventParser(replayed=opened.replayed), attempts, opened)
        if last is None:
            yield Sleep(attempts.wait_after(Lost(sent=True, reason="the stream broke")))
        elif last.name in TERMINAL:
            return
        else:
            yield (yield from _recovered(attempts, session, last))
            return


def _opened(attempts: Attempts) -> Generator[Effect, Result, Answer]:
    while True:
        outcome = yield Open(attempts.request())
        if isinstance(outcome, Opened):
            return outcome.answer
        assert isinstance(outcome, Answer | Lost)
        if isinstance(outcome, Answer) and outcome.good:
            raise unexpected(attempts.origin.url, outcome)
        yield Sleep(attempts.wait_after(outcome))


def _relayed(parser: EventParser, attempts: Attempts, answer: Answer) -> Generator[Effect, Result, Event | None]:
    """Pass on events; the last one, None when there was none."""
    last: Event | None = None
    while not attempts.overdue and isinstance(piece := (yield Read()), bytes) and piece:
        try:
            events = list(parser.feed(piece))
        except ValueError as error:
            raise unexpected(attempts.origin.url, answer) from error
        for last in events:
            yield last
            if last.name in TERMINAL:
                return last
    return last


def _recovered(attempts: Attempts, session: str, last: Event) -> Generator[Effect, Result, Event]:
    """Ask for the turn's end until it is known."""
    by_id = fetch(turn_path(session, attempts.call.key or ""))
    asking = attempts.following(by_id)
    while True:
        outcome = yield asking.request()
        if isinstance(outcome, Answer) and outcome.good:
            turn = reading(by_id, outcome, asking.origin.url)
            if turn["status"] == "completed" or turn["attempts"] >= _attempt(last):
                return ended(session, turn, last)
        elif isinstance(outcome, Answer) and not _may_change(outcome):
            raise _unknown(attempts)
        yield Sleep(asking.pause(_unknown(attempts)))


def _attempt(event: Event) -> int:
    """A failure recorded under a lower attempt is an earlier one's."""
    return int(event.id.partition(".")[0] or 1)


def _may_change(answer: Answer) -> bool:
    return answer.status in (NotFound.status, 502, 503, 504)


def _unknown(attempts: Attempts) -> OutcomeUnknown:
    msg = f"The stream broke before the turn ended. Ask again with the key {attempts.call.key}: it tells how it ended."
    return OutcomeUnknown(msg)
