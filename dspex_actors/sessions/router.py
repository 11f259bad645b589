"""The router: in each API process, takes a turn to the host that serves its session, through moves and losses.

It keeps every turn until its outcome is here, and sends a turn again, by its id, when its host is lost: the journal
sees to it that it happens once. Per session the order of sending is the order of arrival, also after a failover. It has
one stream to every host, standbys included.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from dspex_actors.errors import DeadlineExceeded, NoCapacity, from_problem
from dspex_actors.ids import unit_of_session, unit_of_shard
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import Cancellation, TurnAnswer, TurnEvent, TurnRequest
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.answers import unknown
from dspex_actors.sessions.cancelling import insist
from dspex_actors.sessions.frames import Kind
from dspex_actors.sessions.link import Link
from dspex_actors.sessions.placement import Place, Table
from dspex_actors.sessions.server import turn_head
from dspex_actors.sessions.waiting import TurnWait
from dspex_actors.sessions.watches import Watches
from dspex_actors.sessions.watching import Sight, Watch, WatchWait
from dspex_actors.sessions.ways import binding_to, connect

log = logging.getLogger(__name__)

GRACE_S = 0.5
"""The host tells of an expired turn itself; only when it stays silent the router does."""
RETRY_S = 0.05
RECONNECT_S = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
ANSWER_S = 2.0


@dataclass(slots=True, eq=False)
class Outstanding:
    """A turn whose outcome is not here yet. `link` is where it was last sent to, None while it waits to be sent.

    `doubt` is the host that may have been running it when the link to that was lost.
    """

    record: SessionRecord
    ask: Ask
    wait: TurnWait
    until: float
    link: Link | None = None
    sent: bool = False
    doubt: str = ""
    timer: asyncio.TimerHandle | None = None


class Router:
    """Turns in, outcomes out. Made and used on one event loop, on that `node`, by the table's name for it."""

    def __init__(self, cluster: str, key: bytes, node: str = "") -> None:
        self._cluster = cluster
        self._key = key
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._table = Table(0, {}, {})
        self._links: dict[str, Link] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lost: dict[str, asyncio.Event] = {}
        self._numbers = 0
        self._turns: dict[int, Outstanding] = {}
        self._lines: dict[str, dict[int, Outstanding]] = {}
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._watches = Watches()

    # The table -------------------------------------------------------------------------------------------------
    @property
    def table(self) -> Table:
        """What the router goes by at the moment."""
        return self._table

    def place(self, record: SessionRecord) -> Place:
        """Where the session is served: by its own lease where it has one, else with its shard."""
        own, units = unit_of_session(record.uid), self._table.units
        unit = own if own in units or record.is_dedicated else unit_of_shard(record.shard)
        host, epoch = units.get(unit, (None, 0))
        return Place(unit, host, self._table.nodes.get(host or ""), epoch)

    def unready(self) -> list[str]:
        """What is missing before turns can run: `hosts` while units have none or are not connected, `draining`."""
        owners = {host for host, _ in self._table.units.values()}
        missing = [] if owners and all(self._is_up(host) for host in owners) else ["hosts"]
        return [*missing, "draining"] if self._table.draining else missing

    def _is_up(self, host: str) -> bool:
        link = self._links.get(host)
        return link is not None and link.ready

    def update(self, table: Table) -> None:
        """A new table: connect to new hosts, forget lost ones, send what waited for it."""
        if table.version <= self._table.version:
            return
        self._table = table
        for name in [name for name in self._tasks if name not in table.hosts]:
            self._tasks.pop(name).cancel()
            del self._lost[name]
            if (link := self._links.pop(name, None)) is not None:
                link.close()
        for name in table.hosts:
            if name not in self._tasks:
                self._lost[name] = asyncio.Event()
                self._tasks[name] = self._loop.create_task(self._connect(name))
        self._send_waiting()

    async def close(self) -> None:
        """Drop every connection; outcomes that are not here stay unknown."""
        for task in self._tasks.values():
            task.cancel()
        for link in list(self._links.values()):
            link.close()
        self._watches.close()
        for turn in list(self._turns.values()):
            turn.wait.fail(unknown(turn.ask.turn.turn_id))
        for number in list(self._turns):
            self._forget(number)

    # Turns -----------------------------------------------------------------------------------------------------
    async def predict(self, record: SessionRecord, turn: TurnRequest) -> TurnAnswer:
        """Run a turn to its end; when the caller is cancelled its client has gone. Raises the turn's error."""
        number, outstanding = self._enter(record, turn)
        try:
            return await outstanding.wait.answer()
        except asyncio.CancelledError:
            self._leave(number)
            raise

    async def stream(self, record: SessionRecord, turn: TurnRequest) -> AsyncGenerator[TurnEvent]:
        """The turn as events; closing the iterator is the client going away. Raises what refused the turn."""
        number, outstanding = self._enter(record, turn)
        try:
            async with contextlib.aclosing(outstanding.wait.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._leave(number)

    async def watch(self, record: SessionRecord, wait: WatchWait) -> Sight:
        """See `runtime.Turns`."""
        place = self.place(record)
        link = self._links.get(place.host or "")
        ours = [turn for turn in self._lines.get(record.uid, {}).values() if turn.ask.turn.turn_id == wait.turn_id]
        if link is None or not link.ready or any(turn.link is not link for turn in ours):
            return Sight.ASK_AGAIN
        self._numbers += 1
        watch = Watch(record.uid, place.unit, place.epoch, wait.turn_id, wait.seen)
        return await self._watches.look(link, self._numbers, watch, wait)

    async def peek(self, record: SessionRecord) -> tuple[str, int]:
        """Status and restarts of a session, from its host; `passive` when no host can say."""
        found = await self._question(record, Kind.PEEK, [record.uid])
        status, restarts = found[0] if found else ("passive", 0)
        return status, restarts

    async def restart(self, record: SessionRecord) -> None:
        """Restart a session on its host. Raises NoCapacity when no host serves it at the moment."""
        if not await self._question(record, Kind.RESTART, [record.uid, self.place(record).unit]):
            raise NoCapacity("No host serves this session at the moment. Try again.", retry_after_s=1)

    async def cancel(self, record: SessionRecord, turn_id: str | None, key: str) -> Cancellation:
        """Cancel a turn. Raises NoCapacity when no host serves the session at the moment."""
        return await insist(lambda: self._cancel(record, turn_id, key))

    async def _cancel(self, record: SessionRecord, turn_id: str | None, key: str) -> Cancellation | None:
        if any(outstanding.link is None for outstanding in self._lines.get(record.uid, {}).values()):
            return None  # what waits here for a host is soon there
        found = await self._question(
            record, Kind.CANCEL_TURN, [record.uid, self.place(record).unit, turn_id, key], record.uid
        )
        return None if found is None else Cancellation(tuple(found[0]), tuple(found[1]), found[2])

    async def _question(self, record: SessionRecord, kind: Kind, head: Any, lane: str | None = None) -> Any:
        """What the session's host answers; None when no host can say."""
        link = self._links.get(self.place(record).host or "")
        if link is None or not link.ready:
            return None
        self._numbers += 1
        number = self._numbers
        self._questions[number] = answer = self._loop.create_future()
        try:
            link.send(kind, number, head, lane=lane)
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            return None
        finally:
            self._questions.pop(number, None)

    def _enter(self, record: SessionRecord, turn: TurnRequest) -> tuple[int, Outstanding]:
        self._numbers += 1
        number = self._numbers
        wait = TurnWait(turn.turn_id, turn.stream, lambda: self._taken(number), turn.last_event)
        ask = Ask(record.uid, "", 0, wait.next_attempt, turn)
        outstanding = Outstanding(record, ask, wait, self._loop.time() + turn.timeout_s)
        outstanding.timer = self._loop.call_at(outstanding.until + GRACE_S, self._give_up, number)
        self._turns[number] = outstanding
        self._lines.setdefault(record.uid, {})[number] = outstanding
        self._send_line(record.uid)
        return number, outstanding

    def _send_line(self, uid: str) -> None:
        """Send what waits in a session, the oldest first: nothing newer overtakes it, also not by another host."""
        for number, outstanding in self._lines.get(uid, {}).items():
            if outstanding.link is None:
                self._send(number, outstanding)
            elif self._is_elsewhere(outstanding):
                return

    def _is_elsewhere(self, outstanding: Outstanding) -> bool:
        """Whether it was last sent under a lease that the table has left behind."""
        place = self.place(outstanding.record)
        return (outstanding.ask.unit, outstanding.ask.epoch) != (place.unit, place.epoch)

    def _send(self, number: int, outstanding: Outstanding) -> None:
        place = self.place(outstanding.record)
        link = self._links.get(place.host or "")
        left = outstanding.until - self._loop.time()
        if link is None or not link.ready or outstanding.link is not None or left <= 0:
            return
        # The link alone may have been cut; that another host serves the session now says that its host was lost.
        losses = outstanding.ask.losses + (outstanding.doubt not in ("", place.host))
        outstanding.doubt, seen = "", outstanding.wait.seen
        outstanding.ask = replace(outstanding.ask, unit=place.unit, epoch=place.epoch, seen=seen, losses=losses)
        outstanding.link, outstanding.sent = link, True
        ask = outstanding.ask
        link.send(Kind.TURN, number, turn_head(ask, left), ask.turn.inputs, lane=ask.uid)

    def _send_waiting(self) -> None:
        for uid in self._lines:
            self._send_line(uid)

    def _leave(self, number: int) -> None:
        """The client has gone. The turn lives on, through the loss of its host too, unless it asked otherwise; of its
        events nothing is kept."""
        outstanding = self._turns.get(number)
        if outstanding is None:
            return
        outstanding.wait.abandon()
        if outstanding.link is not None:
            outstanding.link.send(Kind.CANCEL, number, lane=outstanding.ask.uid)
        if outstanding.ask.turn.cancel_on_disconnect:
            self._forget(number)

    def _give_up(self, number: int) -> None:
        outstanding = self._forget(number)
        if outstanding is None:
            return
        if outstanding.link is not None:
            outstanding.link.send(Kind.CANCEL, number, lane=outstanding.ask.uid)
        turn_id = outstanding.ask.turn.turn_id
        never = DeadlineExceeded("No host could take the turn in time; nothing of it is in the session. Send it again.")
        outstanding.wait.fail(unknown(turn_id) if outstanding.sent else never)

    def _forget(self, number: int) -> Outstanding | None:
        outstanding = self._turns.pop(number, None)
        if outstanding is None:
            return None
        if outstanding.timer is not None:
            outstanding.timer.cancel()
        line = self._lines[outstanding.ask.uid]
        del line[number]
        if not line:
            del self._lines[outstanding.ask.uid]
        elif self._is_elsewhere(outstanding):
            self._send_line(outstanding.ask.uid)
        return outstanding

    def _taken(self, number: int) -> None:
        outstanding = self._turns.get(number)
        if outstanding is not None and outstanding.link is not None:
            outstanding.link.send(Kind.CREDIT, number, 1)

    # Links -----------------------------------------------------------------------------------------------------
    async def _connect(self, name: str) -> None:
        """Keep one connection to a host for as long as the table has it."""
        failures, lost, way = 0, self._lost[name], self._table.way(name, self._node)
        if way is None:
            log.warning("host %s is on another node and does not listen there: it is not used from here", name)
            return
        while True:
            lost.clear()
            link = Link("router", name, self._cluster, self._key, self._frame, self._ready, self._gone, binding_to(way))
            try:
                with contextlib.suppress(OSError):
                    await connect(link, way)
                    await lost.wait()
            finally:
                link.close()
            failures = 0 if link.was_ready else failures + 1
            await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])

    def _ready(self, link: Link) -> None:
        self._links[link.host] = link
        self._send_waiting()

    def _gone(self, link: Link) -> None:
        if self._links.get(link.host) is link:
            del self._links[link.host]
        if (lost := self._lost.get(link.host)) is not None:
            lost.set()
        self._watches.gone(link)
        uids = set[str]()
        for outstanding in self._turns.values():
            if outstanding.link is link:
                outstanding.link = None
                outstanding.doubt = link.host if outstanding.ask.uid not in uids else ""  # the oldest one runs
                uids.add(outstanding.ask.uid)
                attempt = max(outstanding.ask.attempt + 1, outstanding.wait.next_attempt)
                outstanding.ask = replace(outstanding.ask, attempt=attempt, resent=True)
        self._send_waiting()

    def _frame(self, link: Link, kind: Kind, number: int, head: Any, body: bytes) -> None:
        if kind in (Kind.PEEK, Kind.RESTART, Kind.CANCEL_TURN):
            question = self._questions.get(number)
            if question is not None and not question.done():
                question.set_result(head)
            return
        outstanding = self._turns.get(number)
        if self._watches.frame(link, kind, number, head, body) or outstanding is None or outstanding.link is not link:
            return  # for a watcher, or a turn that nobody waits for any more
        match kind:
            case Kind.REPLY:
                self._forget(number)
                outstanding.wait.reply(body, head)
            case Kind.FAIL:
                self._forget(number)
                outstanding.wait.fail(from_problem(orjson.loads(body)))
            case Kind.STATUS:
                outstanding.wait.started(head)
            case Kind.TOKEN:
                outstanding.wait.piece(body.decode(), *head)
            case Kind.MOVED:
                self._moved(outstanding)
            case _:
                log.warning("a host sent a frame of kind %s", kind)

    def _moved(self, outstanding: Outstanding) -> None:
        """Not there: go by a newer table if there is one, else ask again in a moment."""
        ask, outstanding.link = outstanding.ask, None
        outstanding.ask = replace(ask, attempt=max(ask.attempt, outstanding.wait.next_attempt), resent=True)
        if self._is_elsewhere(outstanding):
            self._send_line(ask.uid)
        else:
            self._loop.call_later(RETRY_S, self._send_line, ask.uid)
