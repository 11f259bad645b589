"""The event loop that asynchronous programs run on, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvloop

from dspex_actors.sessions.inbox import Inbox
from dspex_actors.sessions.run import Run, aborted
from dspex_actors.sessions.stopping import stop_thread

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stall:
    """One attempt keeps the loop.

    Attributes:
        run: Which; None where that cannot be seen.
        lag_s: For how long it has been found there, look after look.
        cpu_s: How much CPU the loop's thread has used meanwhile.
        still: Whether every look has found it at the same instruction: it makes no progress.
    """

    run: Run | None
    lag_s: float
    cpu_s: float
    still: bool


Place = tuple[int, int]
"""A frame and an instruction of it."""


@dataclass(slots=True)
class _Held:
    """Who has kept the loop since when, with the CPU that its thread had used by then."""

    run: Run | None
    since_s: float
    cpu_s: float
    place: Place | None
    still: bool = True


class ProgramLoop:
    """One such loop. A program that does not give it back keeps all others waiting, which `look` tells."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._launches: Inbox[Run] = Inbox(self._loop, self._launch)
        self._closing = self._open = self._left = False
        self._leaving = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._asked_s: float | None = None
        self._held: _Held | None = None
        self._thread = threading.Thread(target=self._serve, name="programs", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> bool:
        """Begin an attempt; False where the loop has been left."""
        with self._leaving:
            if self._left:
                return False
            run.home = self
            self._runs[id(run.call)] = run  # here: while the loop is blocked it does not see what waits for it
        self._launches.put(run)
        return True

    def cancel(self, run: Run) -> None:
        """Cancel an attempt; nothing where it has not begun: it sees that it was aborted."""
        with suppress(RuntimeError):  # the loop was left, and has ended
            self._loop.call_soon_threadsafe(_cancel, run)

    def look(self, now_s: float) -> Stall | None:
        """What keeps the loop from answering since the last looks; None while it answers, or is only slow.

        To be called again and again, by one thread. A loop with much to do is late too, but each look finds it in
        another attempt; what stalls it is in every look.
        """
        if not self._open or not self._runs:
            self._held = None
            return None
        if self._asked_s is None:
            self._asked_s, self._held = now_s, None
            self._loop.call_soon_threadsafe(self._answer)
            return None
        found, place, cpu_s = self._culprit(), self._place(), self._cpu()
        if self._held is None or found is not self._held.run:
            self._held = _Held(found, now_s, cpu_s, place)
        held = self._held
        held.still = held.still and place == held.place
        return Stall(found, now_s - held.since_s, cpu_s - held.cpu_s, held.still)

    def is_starved(self) -> bool:
        """Whether its thread would run, if only it got a processor."""
        try:
            stat = Path(f"/proc/self/task/{self._thread.native_id}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "R"

    def interrupt(self, run: Run) -> bool:
        """Stop what the loop's thread does at the moment, if that is still this attempt; whether it is."""
        assert self._thread.ident is not None
        if self._culprit() is not run:
            return False
        stop_thread(self._thread.ident)
        self._asked_s = None  # it may have hit the answer, which never comes then
        return True

    def _culprit(self) -> Run | None:
        """The attempt that the loop's thread is in at the moment, as far as that can be seen."""
        frame: FrameType | None = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            run = self._runs.get(id(frame.f_locals.get("call"))) if frame.f_code.co_name == "_turn" else None
            if run is not None:
                return run
            frame = frame.f_back
        return None

    def _place(self) -> Place | None:
        """Where the loop's thread is."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return (id(frame), frame.f_lasti) if frame is not None else None

    def leave(self) -> list[Run]:
        """Give the loop up as it is: nothing more begins there. Gives the attempts that are in it."""
        with self._leaving:
            self._left = self._closing = True
        return list(self._runs.copy().values())

    def wind_up(self) -> None:
        """After `leave`: as soon as who blocks it gives it back, cancel all that is in it, and end."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._loop.stop)  # `_serve` cancels what is left

    def close(self) -> None:
        """Stop; attempts that still run are abandoned."""
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _cpu(self) -> float:
        assert self._thread.ident is not None
        try:
            return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))
        except OSError:  # the thread has ended
            return 0.0

    def _answer(self) -> None:
        self._asked_s = None

    def _serve(self) -> None:
        from dspex_actors.programs.shortcut import ShortcutExecutor

        asyncio.set_event_loop(self._loop)
        self._loop.set_default_executor(ShortcutExecutor(thread_name_prefix="blocking"))
        self._open = True
        while not self._closing:
            try:
                self._loop.run_forever()
            except BaseException:
                # `SystemExit` in a task that a program started comes out here; the other sessions' turns go on.
                log.exception("a program tried to end the process")
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        # A bounded wait: user code may refuse to be cancelled.
        self._loop.run_until_complete(asyncio.wait(left, timeout=1)) if left else None
        self._loop.close()

    def _launch(self, run: Run) -> None:
        if self._closing:
            return  # abandoned like those that run
        if run.aborted:
            del self._runs[id(run.call)]
            run.end(aborted())
            return
        run.task = self._loop.create_task(self._run(run), context=contextvars.copy_context())

    async def _run(self, run: Run) -> None:
        # A task cancelled before its first step never gets here, and could not tell of its end.
        run.begun = True
        try:
            await run.arun()
        finally:
            self._runs.pop(id(run.call), None)


def _cancel(run: Run) -> None:
    if run.begun and run.task is not None:
        run.task.cancel()
