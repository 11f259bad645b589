"""The caller's end of waiting for a turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

import orjson

from dspex_actors.errors import DspexError
from dspex_actors.resources.turn import TurnAnswer, TurnEvent

EVENTS_KEPT = 64
"""Token events that may wait for a slow reader before their texts are merged."""
NO_EVENT = (1, 0)
"""The last event of a reader that has none."""


class TurnWait:
    """The caller's end: a future for the answer, and a bounded line of events if it streams.

    A slow reader costs memory for one turn's text at most: beyond 64 waiting events, deltas of one field are merged.
    The numbers of its events rise, whatever the host calls its attempts: one that the reader has seen a later one of is
    shown under the next higher number.

    Args:
        turn_id: The turn.
        streams: Whether events are wanted.
        on_read: Called for every event that the reader takes.
        last_event: Attempt and number of the last event that the reader has from an earlier connection.
    """

    def __init__(
        self,
        turn_id: str,
        streams: bool,
        on_read: Callable[[], None] | None = None,
        last_event: tuple[int, int] = NO_EVENT,
    ) -> None:
        self.turn_id = turn_id
        self.streams = streams
        self.attempt, self._n = last_event
        self._ahead = 0
        self._part = ""
        self._on_read = on_read
        self._answer: asyncio.Future[TurnAnswer] = asyncio.get_running_loop().create_future()
        self._events: deque[tuple[int, int, str, list[str]]] = deque()
        self._news = asyncio.Event() if streams else None

    def started(self, attempt: int) -> None:
        """See `events.Waiter`."""
        self._part = ""
        if self._n and attempt + self._ahead == self.attempt:
            return  # the same one goes on over another connection
        if self._n and attempt + self._ahead < self.attempt:
            self._ahead = self.attempt + 1 - attempt
        self.attempt, self._n = attempt + self._ahead, 1
        self._events.clear()  # void from here on
        self._line((self.attempt, 1, "", []))

    def token(self, n: int, field: str, delta: str) -> None:
        """See `events.Waiter`."""
        self._n = n
        last = self._events[-1] if len(self._events) >= EVENTS_KEPT else None
        if last is not None and last[2] == field:
            last[3].append(delta)
            self._events[-1] = (self.attempt, n, field, last[3])
        else:
            self._line((self.attempt, n, field, [delta]))

    def piece(self, text: str, n: int, field: str, more: bool) -> None:
        """A token event, or a part of one: an event is given whole, since its number says that all of it is there."""
        self._part += text
        if not more:
            whole, self._part = self._part, ""
            self.token(n, field, whole)

    def reply(self, body: bytes, replayed: bool) -> None:
        """See `events.Waiter`."""
        if not self._answer.done():
            self._answer.set_result(TurnAnswer(body, replayed))
        self._wake()

    def fail(self, error: DspexError) -> None:
        """See `events.Waiter`."""
        if not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # seen: nobody may be left to read it, and that is no fault
        self._wake()

    @property
    def seen(self) -> tuple[int, int]:
        """Attempt, as the host counts, and number of the last event that came."""
        return self.attempt - self._ahead, self._n

    @property
    def next_attempt(self) -> int:
        """The least number that the host may give to an attempt which voids what has been shown."""
        return self.attempt - self._ahead + (1 if self._n else 0)

    def abandon(self) -> None:
        """The reader has gone: keep nothing for it."""
        self.streams = False
        self._events.clear()

    @property
    def done(self) -> bool:
        """Whether the outcome is here."""
        return self._answer.done()

    async def answer(self) -> TurnAnswer:
        """The outcome, for one reader. Raises the turn's error."""
        return await self._answer

    async def events(self) -> AsyncGenerator[TurnEvent]:
        """The turn as events, up to its terminal one.

        Raises:
            DspexError: Before the first event, when the turn was refused without being started.
        """
        assert self._news is not None
        shown = False
        while True:
            while self._events:
                attempt, n, field, parts = self._events.popleft()
                if self._on_read is not None:
                    self._on_read()
                shown = True
                yield self._event(attempt, n, field, "".join(parts))
            if self._answer.done():
                yield self._terminal(shown)
                return
            self._news.clear()
            await self._news.wait()

    def _terminal(self, shown: bool) -> TurnEvent:
        event_id = f"{self.attempt}.{self._n + 1}"
        error = self._answer.exception()
        if error is None:
            answer = self._answer.result()
            return TurnEvent(event_id, "turn.completed", answer.body, answer.replayed)
        if not shown or not isinstance(error, DspexError):
            raise error
        return TurnEvent(event_id, "turn.failed", orjson.dumps(error.problem()))

    def _line(self, item: tuple[int, int, str, list[str]]) -> None:
        if self.streams:
            self._events.append(item)
            self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()

    def _event(self, attempt: int, n: int, field: str, delta: str) -> TurnEvent:
        if n == 1:
            started = {"turn_id": self.turn_id, "attempt": attempt}
            return TurnEvent(f"{attempt}.1", "turn.started", orjson.dumps(started))
        return TurnEvent(f"{attempt}.{n}", "token", orjson.dumps({"field": field, "delta": delta}))
