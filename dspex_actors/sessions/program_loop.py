"""The event loop that asynchronous programs run on, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
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
    """

    run: Run | None
    lag_s: float
    cpu_s: float


class ProgramLoop:
    """One such loop. A program that does not give it back keeps all others waiting, which `look` tells."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._launches: Inbox[Run] = Inbox(self._loop, self._launch)
        self._closing = self._open = False
        self._runs: dict[int, Run] = {}
        self._asked_s: float | None = None
        self._held_by: tuple[Run | None, float] | None = None
        self._cpu_s = 0.0
        self._thread = threading.Thread(target=self._serve, name="programs", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        """Begin an attempt."""
        self._runs[id(run.call)] = run  # here: while the loop is blocked it does not see what waits for it
        self._launches.put(run)

    def cancel(self, run: Run) -> None:
        """Cancel an attempt; nothing where it has not begun: it sees that it was aborted."""
        self._loop.call_soon_threadsafe(_cancel, run)

    def look(self, now_s: float) -> Stall | None:
        """What keeps the loop from answering since the last looks; None while it answers, or is only slow.

        To be called again and again, by one thread. A loop with much to do is late too, but each look finds it in
        another attempt; what stalls it is in every look.
        """
        if not self._open or not self._runs:
            self._held_by = None
            return None
        if self._asked_s is None:
            self._asked_s, self._cpu_s, self._held_by = now_s, self._cpu(), None
            self._loop.call_soon_threadsafe(self._answer)
            return None
        found = self._culprit()
        if self._held_by is None or found is not self._held_by[0]:
            self._held_by, self._cpu_s = (found, now_s), self._cpu()
        since_s = self._held_by[1]
        return Stall(found, now_s - since_s, self._cpu() - self._cpu_s)

    def is_starved(self) -> bool:
        """Whether its thread would run, if only it got a processor."""
        try:
            stat = Path(f"/proc/self/task/{self._thread.native_id}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "R"

    def interrupt(self) -> None:
        """Stop what the loop's thread does at the moment."""
        assert self._thread.ident is not None
        stop_thread(self._thread.ident)

    def _culprit(self) -> Run | None:
        """The attempt that the loop's thread is in at the moment, as far as that can be seen."""
        frame: FrameType | None = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            run = self._runs.get(id(frame.f_locals.get("call"))) if frame.f_code.co_name == "_turn" else None
            if run is not None:
                return run
            frame = frame.f_back
        return None

    def leave(self) -> list[Run]:
        """Give the loop up as it is: nothing more begins there. Gives the attempts that are in it."""
        self._closing = True
        return list(self._runs.copy().values())

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
            return self._cpu_s

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
