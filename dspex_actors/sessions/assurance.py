"""How sure a host is of its leases: it reads them in the store, again and again.

Safety does not hang on it, for every commit is fenced. It keeps a host that was frozen, or cut off from the store, from
running turns that nobody could commit and from answering by what it knew: what it has lost it gives back, and while it
does not know, nothing begins.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping

from dspex_actors.clock import Clock
from dspex_actors.errors import StoreUnavailable
from dspex_actors.sessions.tenure import Tenure

log = logging.getLogger(__name__)

EVERY_S = 0.5
UNSURE_S = 1.5
"""After so long without the store's word nothing begins."""
UNREACHABLE_S = 5.0
"""After so long who waits is told."""

Call = Callable[[], None]


class Assurance:
    """Used on the host's loop. Until `begin` is called it is sure: where one process has the store for itself.

    Args:
        read: The epochs of the leases that the store says the host holds, by unit. Blocks.
        tenure: What the host goes by; what turns out to be lost is taken from it.
        clock: Its monotonic time counts.
    """

    def __init__(self, read: Callable[[], Mapping[str, int]], tenure: Tenure, clock: Clock) -> None:
        self._read, self._tenure, self._clock = read, tenure, clock
        self._sure_s: float | None = None
        self._held: deque[tuple[Call, Call | None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Read from now on."""
        self._sure_s = self._clock.monotonic_s()
        self._task = self._loop.create_task(self._go_on())

    def close(self) -> None:
        """Read no more; who waits is forgotten."""
        self._held.clear()
        for each in (self._task, self._telling):
            if each is not None:
                each.cancel()

    @property
    def is_sure(self) -> bool:
        """Whether the store's word is young enough."""
        return self._age_s() < UNSURE_S

    def when_sure(self, go: Call, give_up: Call | None = None) -> None:
        """Call `go` now, or when the store has answered; in order. `give_up` instead, when it has not for long."""
        age_s = self._age_s()
        if age_s < UNSURE_S and not self._held:
            go()
        elif age_s >= UNREACHABLE_S and give_up is not None:
            give_up()
        else:
            self._held.append((go, give_up))
            if self._telling is None and give_up is not None:
                self._telling = self._loop.call_later(max(0.0, UNREACHABLE_S - age_s), self._tell)

    def _age_s(self) -> float:
        return 0.0 if self._sure_s is None else self._clock.monotonic_s() - self._sure_s

    def _tell(self) -> None:
        self._telling = None
        waiting, self._held = self._held, deque()
        for go, give_up in waiting:
            self.when_sure(go, give_up)

    async def _go_on(self) -> None:
        while True:
            try:
                await self._ask()
            except Exception:
                log.exception("what the store says of the leases could not be acted on")
            await asyncio.sleep(EVERY_S)

    async def _ask(self) -> None:
        asked_s, known = self._clock.monotonic_s(), self._tenure.open_leases()
        try:
            found = await asyncio.to_thread(self._read)
        except StoreUnavailable as error:
            log.debug("the store does not say which leases are held: %s", error.detail)
            return
        except Exception:
            log.exception("the leases could not be read")
            return
        lost = [unit for unit, epoch in known.items() if found.get(unit) != epoch and self._tenure.holds(unit, epoch)]
        if lost:
            log.warning("%s leases were lost: they are given up", len(lost))
            self._tenure.disown(lost)
        self._sure_s = asked_s
        while self._held and self.is_sure:
            self._held.popleft()[0]()
