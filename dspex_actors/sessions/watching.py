"""Watching a turn by its id, without sending it: what a client does whose connection, or API process, was lost.

A watcher is an onlooker. It never starts a turn, its presence keeps none alive, and its leaving cancels none. It gets
the events that it has not seen, and one end. The turn's host tells it as long as the turn runs or waits there; when
the host does not have the turn, the journal and the failed attempts say how it ended. A turn that was lost with its
host is run again by whoever sent it; when nobody does, the watcher is told so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum

import orjson

from dspex_actors.errors import DspexError, HostLost, Internal, Moved, NotFound, OutcomeUnknown, from_problem
from dspex_actors.resources.journal import check_left, entry_answer
from dspex_actors.resources.losses import end_of
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions.activation import Activation
from dspex_actors.sessions.answers import moved
from dspex_actors.sessions.events import Waiter
from dspex_actors.sessions.session import Turn
from dspex_actors.sessions.waiting import NO_EVENT, TurnWait
from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

WAITS_S = (0.02, 0.05, 0.1, 0.25, 0.5)
"""The waits between two questions while no host can say."""
SETTLE_S = 0.25
"""How long a turn of which nothing is known may yet appear: a failed attempt is recorded just after its answer."""
RESENT_S = 5.0
"""How long a turn that has begun, and is nowhere now, may yet be sent again by whoever sent it."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a host is asked: a turn of a session, under which lease, and the last event that the watcher has of it."""

    uid: str
    unit: str
    epoch: int
    turn_id: str
    seen: tuple[int, int]


class Sight(Enum):
    """What came of looking for a turn at the host of its unit."""

    ENDED = "ended"
    """The watcher has been told how."""
    NOT_HERE = "not here"
    """It neither runs nor waits there."""
    ASK_AGAIN = "ask again"
    """No host can say at the moment."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended, as the store has it; `attempt` is the one that did."""

    attempt: int
    answer: bytes | DspexError


# At the host -----------------------------------------------------------------------------------------------------
def join(activation: Activation | None, watch: Watch, waiter: Waiter) -> Turn | Sight:
    """Let the waiter watch the turn; gives the turn, or what to tell a watcher who cannot."""
    if activation is None:
        return Sight.NOT_HERE
    if activation.session is None:
        return Sight.ASK_AGAIN  # it is being read, and the turn may be among those that wait for that
    turn = activation.session.find(watch.turn_id)
    if turn is None:
        return Sight.NOT_HERE
    turn.watchers[waiter] = None
    if turn is activation.session.current and activation.log is not None:
        activation.log.replay_to(waiter, watch.seen)
    return turn


def listeners(turn: Turn) -> list[Waiter]:
    """Everybody who is there and wants the turn's events."""
    return [waiter for waiter, there in turn.waiters.items() if there and waiter.streams] + list(turn.watchers)


def send_away(over: Iterable[Activation], error: DspexError, turn: Turn | None = None) -> None:
    """Tell everybody who watches a turn of activations that are over, and whoever watches that turn.

    One that has an entry may become a part of the journal yet: who watches it looks there.
    """
    sessions = [activation.session for activation in over if activation.session is not None]
    left = [each for session in sessions for each in (session.current, *session.mailbox)]
    for each in dict.fromkeys([turn, *left]):
        for watcher in [] if each is None else each.watchers:
            watcher.fail(error if each is None or each.entry is None else moved())


# At the watcher --------------------------------------------------------------------------------------------------
class WatchWait(TurnWait):
    """What a watcher waits for, over as many hosts as it takes."""

    def __init__(self, turn_id: str, last_event: tuple[int, int] = NO_EVENT) -> None:
        super().__init__(turn_id, streams=True, last_event=last_event)
        self._sight: asyncio.Future[Sight] | None = None
        self._refused = False

    @property
    def began(self) -> bool:
        """Whether the reader has seen anything of the turn, here or before."""
        return self._n > 0

    def look(self, on_read: Callable[[], None] | None = None) -> asyncio.Future[Sight]:
        """Begin to look at a host: what will come of it. `on_read` is called for every event that the reader takes."""
        self._on_read = on_read
        self._sight = asyncio.get_running_loop().create_future()
        return self._sight

    def tell(self, sight: Sight) -> None:
        """What came of looking."""
        if self._sight is not None and not self._sight.done():
            self._sight.set_result(sight)

    def reply(self, body: bytes, replayed: bool) -> None:
        """See `events.Waiter`."""
        super().reply(body, replayed)
        self.tell(Sight.ENDED)

    def fail(self, error: DspexError) -> None:
        """See `events.Waiter`. A turn that moved goes on elsewhere."""
        if isinstance(error, Moved):
            self.tell(Sight.ASK_AGAIN)
            return
        super().fail(error)
        self.tell(Sight.ENDED)

    def refuse(self, error: DspexError) -> None:
        """End the watching, not the turn: raised where nothing has been shown yet."""
        self._refused = not self.done
        self.fail(error)

    def end(self, ending: Ending) -> None:
        """The turn's end, from the store."""
        if ending.attempt > self.seen[0]:
            self.attempt, self._n = ending.attempt + self._ahead, 0
            self._events.clear()
        if isinstance(ending.answer, bytes):
            self.reply(ending.answer, True)
        else:
            self.fail(ending.answer)

    def is_end(self, ending: Ending) -> bool:
        """Whether it is the turn's: a failure of an attempt before the one that the reader has seen is not."""
        return isinstance(ending.answer, bytes) or not self.began or ending.attempt >= self.seen[0]

    def _terminal(self, shown: bool) -> TurnEvent:
        return super()._terminal(shown or not self._refused)


class Watching:
    """One watcher: looks for the turn until it has its end.

    Args:
        wait: Takes what is found.
        look: Asks the host that serves the session at the moment.
        ending: Asks the store how the turn ended; None when it has not. Raises NotFound when the session is gone.
    """

    def __init__(
        self, wait: WatchWait, look: Callable[[], Awaitable[Sight]], ending: Callable[[], Awaitable[Ending | None]]
    ) -> None:
        self._wait = wait
        self._look = look
        self._ending = ending

    async def events(self, timeout_s: float) -> AsyncGenerator[TurnEvent]:
        """The events, up to the terminal one.

        Raises:
            NotFound: Before the first event: nobody knows the turn.
            HostLost: Likewise: the turn has begun, its host was lost, and nobody has sent it again.
            OutcomeUnknown: Likewise: it has not ended in this time.
        """
        search = asyncio.create_task(self._search(timeout_s))
        try:
            async with aclosing(self._wait.events()) as events:
                async for event in events:
                    yield event
        finally:
            search.cancel()
            await asyncio.wait([search])

    async def _search(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._find()
        except TimeoutError:
            self._wait.refuse(_not_yet(self._wait.turn_id))
        except DspexError as error:
            self._wait.refuse(error)
        except Exception:
            log.exception("turn %s could not be watched", self._wait.turn_id)
            self._wait.refuse(Internal("The turn could not be watched. The log has the cause."))

    async def _find(self) -> None:
        loop, wait = asyncio.get_running_loop(), self._wait
        asked, gone_since = 0, None
        while True:
            before = wait.seen
            sight = await self._look()
            if sight is Sight.ENDED:
                return
            if wait.seen != before:
                asked, gone_since = 0, None
            if sight is Sight.NOT_HERE:
                ending = await self._ending()
                if ending is not None and wait.is_end(ending):
                    wait.end(ending)
                    return
                gone_since = loop.time() if gone_since is None else gone_since
                if loop.time() - gone_since >= (RESENT_S if wait.began else SETTLE_S):
                    raise _nowhere(wait)
            await asyncio.sleep(WAITS_S[min(asked, len(WAITS_S) - 1)])
            asked += 1


def ending_of(store: Store, record: SessionRecord, turn_id: str) -> Ending | None:
    """How the store says that a turn ended. Blocks. Raises NotFound when the session was deleted meanwhile, Gone when
    the turn has been removed."""
    entry = store.turn_by_id(record.uid, turn_id)
    if entry is not None:
        check_left(entry)
        attempts = orjson.loads(entry.delta).get("attempts", 1)
        return Ending(attempts, entry_answer(record.id, entry))
    failed = end_of(store.failures(record.uid, turn_id))
    if failed is not None:
        return Ending(failed.attempt, from_problem(orjson.loads(failed.problem)))
    store.load_session(record.uid)
    return None


def _nowhere(wait: WatchWait) -> DspexError:
    turn = f"turn {wait.turn_id}"
    if wait.began:
        return HostLost(
            f"The host that ran {turn} was lost, and nobody has sent it again: nothing of it is in the session. "
            "Send it again with the same Idempotency-Key.", retry_after_s=1,
        )  # fmt: skip
    return NotFound(
        f"No {turn} runs, waits or is recorded in this session. Check its id, or send it with that as Idempotency-Key."
    )


def _not_yet(turn_id: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"Turn {turn_id} has not ended in the time that was given to watch it. Watch it again.")
