"""Giving units, or single sessions, to other hosts while they are in use.

The order is the argument. Nothing new comes in; what waits goes back to its router; what is being committed ends; then
one transaction moves the leases. A session whose turn runs stays behind, under a lease of its own that the same
transaction makes: until that is known, the turn may end, but what it has to say is held back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from dspex_actors.errors import Moved, SessionBusy, StoreUnavailable
from dspex_actors.ids import unit_of_session
from dspex_actors.sessions.activation import Activation
from dspex_actors.sessions.answers import moved
from dspex_actors.sessions.events import Event, GiveBack, Release
from dspex_actors.store.port import Lease, Store

if TYPE_CHECKING:
    from dspex_actors.sessions.tenure import Tenure

P = ParamSpec("P")
T = TypeVar("T")

RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Gone:
    """What became of a session that was to leave.

    Attributes:
        lease: The lease of its own that it has now; None where it is its shard's.
        pause_s: How long it took no turns, its own turn not counted.
    """

    lease: Lease | None
    pause_s: float


class Handover:
    """Hands over what one host serves. Used on the host's loop.

    Args:
        name: The host's.
        store: Where the leases are.
        tenure: What the host holds.
        active: The sessions in its memory, by uid.
        handle: Lets something happen to one of them.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        tenure: Tenure,
        active: Mapping[str, Activation],
        handle: Callable[[Activation, Event], None],
    ) -> None:
        self._name = name
        self._store, self._tenure, self._active, self._handle = store, tenure, active, handle
        self._tasks: set[asyncio.Task[None]] = set()
        self._returned = 0
        self._closed = False
        self._news = asyncio.Event()

    def close(self) -> None:
        """Hand over nothing more; who waits for news hears that there will be none."""
        self._closed = True
        self._news.set()
        for task in self._tasks:
            task.cancel()

    async def news(self, seen: int) -> int:
        """How often something has moved that nobody waited to hear of, as soon as that is not `seen`.

        Raises:
            Moved: The host ends.
        """
        while self._returned == seen:
            if self._closed:
                raise Moved("This host ends, and has given away what it had.")
            await self._news.wait()
        return self._returned

    async def units(self, seen: Sequence[Lease], heir: str) -> list[Lease]:
        """Hand units over; gives what became of them, and the leases of the sessions that stay until their turn ends.

        Those that this host does not hold at the epoch seen are not touched.
        """
        ours = [lease for lease in seen if self._tenure.holds(lease.unit, lease.epoch)]
        units = {lease.unit for lease in ours}
        self._tenure.close(units)
        there = self._of(units)
        try:
            for one in there:
                one.held = []
                self._handle(one, GiveBack())
            await self._none(there, lambda one: one.is_committing)
            staying = [one for one in self._of(units) if one.is_busy]
            now = await self._surely(self._store.hand_over, ours, heir, [(one.uid, one.unit) for one in staying])
            self._adopt({lease.unit: lease for lease in now}, ours, staying)
            return now
        finally:
            self._tenure.open(units)
            for one in there:
                self._resume(one)

    def _adopt(self, now: Mapping[str, Lease], ours: Iterable[Lease], staying: Iterable[Activation]) -> None:
        for one in staying:
            if (own := now.get(unit_of_session(one.uid))) is not None:  # else it was deleted
                self._keep(one, own)
        self._disown(lease for lease in ours if now.get(lease.unit) != lease)

    def _disown(self, gone: Iterable[Lease]) -> None:
        """Leases that are lost; not those that have come back meanwhile, at a higher epoch."""
        self._tenure.disown([lease.unit for lease in gone if self._tenure.epoch(lease.unit) == lease.epoch])

    def _keep(self, one: Activation, own: Lease) -> None:
        """Go on with the session's turn under its own lease; when that has ended, let it go to its shard's owner."""
        self._tenure.take(own)
        self._tenure.close([one.uid])
        if self._is_here(one):
            one.retag(own)
        self._after_turn(one.uid, own)

    def send_home(self, uid: str) -> bool:
        """Let a session go to its shard's owner as soon as its turn has ended; whether it is here by its own lease."""
        own = unit_of_session(uid)
        if (epoch := self._tenure.epoch(own)) is None:
            return False
        self._after_turn(uid, Lease(own, epoch, self._name))
        return True

    def _after_turn(self, uid: str, own: Lease) -> None:
        task = asyncio.ensure_future(self._let_go(uid, own))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _let_go(self, uid: str, own: Lease) -> None:
        try:
            await self.session(uid, own, None, None)
        except Moved:  # somebody else has given it away, perhaps before this began: it may come back one day
            self._tenure.open([uid])
        self.tell()

    def tell(self) -> None:
        """Something has moved that nobody waits to hear of."""
        self._returned += 1
        self._news.set()
        self._news = asyncio.Event()

    async def session(self, uid: str, seen: Lease, host: str | None, patience_s: float | None) -> Gone:
        """Give one session to another host, or (None) back to its shard's.

        Raises:
            Moved: It is not this host's under that lease.
            SessionBusy: Its turn has not ended in time; it stays.
        """
        if not self._tenure.holds(seen.unit, seen.epoch):
            raise moved()
        self._tenure.close([uid])
        try:
            there = [one for one in self._of({seen.unit}) if one.uid == uid]
            await self._none(there, lambda one: one.session is None)  # what waits for it to wake has come in
            for one in there:
                self._handle(one, GiveBack())
            await self._at_rest(there, patience_s)
            since = time.monotonic()
            now = await self._surely(self._store.move_session, uid, seen, host)
            for one in there:
                self._handle(one, Release())
            if seen.unit == unit_of_session(uid):
                self._disown([seen])
            return Gone(now, time.monotonic() - since)
        finally:
            self._tenure.open([uid])

    async def _at_rest(self, there: Sequence[Activation], patience_s: float | None) -> None:
        try:
            async with asyncio.timeout(patience_s):
                await self._none(there, lambda one: one.is_busy)
        except TimeoutError:
            raise SessionBusy("The session's turn has not ended in time. Try again when it has.") from None

    def _of(self, units: Collection[str]) -> list[Activation]:
        return [one for one in self._active.values() if one.unit in units]

    def _resume(self, one: Activation) -> None:
        held, one.held = one.held or [], None
        for event in held:
            self._handle(one, event)

    async def _none(self, there: Sequence[Activation], is_so: Callable[[Activation], bool]) -> None:
        """Until it is so with none of them."""
        for one in there:
            while self._is_here(one) and is_so(one):
                one.changed = one.changed or asyncio.Event()
                one.changed.clear()
                await one.changed.wait()

    def _is_here(self, one: Activation) -> bool:
        return self._active.get(one.uid) is one

    async def _surely(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the store says, however often it has to be asked: a move whose answer was lost may have happened."""
        while True:
            try:
                return await asyncio.to_thread(call, *args, **kwargs)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
