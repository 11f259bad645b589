"""Where programs run: async ones on a loop in a thread of its own, sync ones in a pool of threads.

Neither can stall the host's I/O loop by waiting. One that keeps the others waiting is stopped by force; where even that
does not help, the others begin anew on another loop. What nobody wants any more is simply reported late.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dspex_actors.sessions.pool import Pool
from dspex_actors.sessions.program_loop import ProgramLoop, Stall
from dspex_actors.sessions.run import Run, greedy
from dspex_actors.sessions.wear import Wear

log = logging.getLogger(__name__)

TICK_S = 0.1
BUSY = 0.5
"""Of the time that a loop does not answer: who has used that much of it as CPU runs, the others wait."""
PATIENCE = 1.5
"""By how much longer than it may a loop does not answer before it is given up: what was stopped has ended by then."""
PATIENCE_UNPLAIN = 5.0
"""The same where nobody can see whose code it is, or where it gets on, which a slow machine can explain."""
STOPS = 50
"""Who goes on after so many, one at each look, cannot be stopped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long programs may keep others waiting.

    Attributes:
        loop_s: An async program that does not give its loop back for so long is stopped.
        cpu_s: A sync program that has used so much CPU is stopped.
    """

    loop_s: float = 1.0
    cpu_s: float = 60.0


class Runner:
    """Starts attempts and aborts them.

    Args:
        limits: What is watched.
        wear: Hears of what had to be stopped by force.
        again: Hears of attempts that cannot go on where they run, though they have done nothing wrong.
        pool_size: Synchronous programs that run at a time.
    """

    def __init__(
        self, limits: Limits, wear: Wear, again: Callable[[Sequence[Run]], None], pool_size: int = 256
    ) -> None:
        self._limits, self._wear, self._again = limits, wear, again
        self._loop = ProgramLoop()
        self._pool = Pool(pool_size)
        self._in_threads: dict[int, Run] = {}
        self._closing = threading.Event()
        wear.watch_hanging(lambda: sum(run.aborted for run in list(self._in_threads.values())))
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    def start(self, run: Run) -> None:
        """Begin the attempt."""
        if run.program.is_async:
            while not self._loop.start(run):
                pass  # it has just been left: there is a new one
        else:
            self._pool.submit(lambda: self._in_thread(run))

    def abort(self, run: Run) -> None:
        """Stop it as far as it can be stopped: an async attempt is cancelled.

        In a sync one the watch raises an exception, once it is seen to compute: one that waits may be about to get a
        lock, which nobody would give back.
        """
        run.aborted = True
        if run.home is not None:
            run.home.cancel(run)

    def close(self) -> None:
        """Stop; attempts that still run are abandoned."""
        self._closing.set()
        self._watcher.join()  # it must not look at a thread that has ended
        self._loop.close()
        self._pool.close()

    def _in_thread(self, run: Run) -> None:
        self._in_threads[id(run)] = run
        try:
            run.run()
        finally:
            del self._in_threads[id(run)]

    # The watch -------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        last_s = time.monotonic()
        while not self._closing.wait(TICK_S):
            now_s = time.monotonic()
            try:
                if now_s - last_s < TICK_S * 5:  # else this thread was kept waiting itself, and knows nothing
                    self._look_at_loop(now_s)
                self._look_at_threads()
            except Exception:
                log.exception("the watch over programs failed")
                self._wear.broken("the watch over programs failed")
            last_s = now_s

    def _look_at_loop(self, now_s: float) -> None:
        stall = self._loop.look(now_s)
        if stall is None or stall.lag_s < self._limits.loop_s:
            return
        # On a busy machine it may get a small part of the time: then what it has used in all tells.
        spins = stall.cpu_s >= min(BUSY * stall.lag_s, self._limits.loop_s)
        if spins and stall.run is not None and not stall.run.stops:
            self._interrupt(stall.run, stall.lag_s)
        elif stall.lag_s < self._patience_s(stall):
            return
        elif spins or _defies(stall) or not self._loop.is_starved():
            self._replace_loop(stall)

    def _interrupt(self, run: Run, lag_s: float) -> None:
        if self._loop.interrupt(run):
            run.stops += 1
            self._wear.broken("a program kept the event loop")
            log.warning("a program kept the event loop for %.1f s: it is stopped", lag_s)

    def _patience_s(self, stall: Stall) -> float:
        is_plain = stall.run is not None and (stall.still or stall.run.stops > 0)
        return self._limits.loop_s * (PATIENCE if is_plain else PATIENCE_UNPLAIN)

    def _replace_loop(self, stall: Stall) -> None:
        """It waits where it must not, or does not stop: leave it to that, and begin the others anew elsewhere.

        Where nobody can see whose code it is, nobody is to blame: all begin anew.
        """
        stalled, self._loop = self._loop, ProgramLoop()
        self._wear.broken("a program blocked the event loop")
        lost = stalled.leave()
        log.warning("a program blocks the event loop for %.1f s: %s turns begin anew", stall.lag_s, len(lost))
        if stall.run is not None:
            stall.run.end(greedy())
        self._again([run for run in lost if run is not stall.run])
        stalled.wind_up()  # last: the end of a turn that was cancelled there must not come before it begins anew

    def _look_at_threads(self) -> None:
        """Stop who computes what nobody wants or for too long, at each look: a program may swallow the first one."""
        burnt = [(run, self._burnt_s(run)) for run in list(self._in_threads.values())]
        # They share one interpreter: the more of them compute, the less each gets.
        busy_s = BUSY * TICK_S * 0.5 / max(1, sum(cpu_s > 0 for _, cpu_s in burnt))
        for run, cpu_s in burnt:
            run.over_budget = run.over_budget or run.cpu_s > self._limits.cpu_s
            if (run.aborted or run.over_budget) and cpu_s >= busy_s:
                self._stop(run)

    def _burnt_s(self, run: Run) -> float:
        """The CPU that it has used since the last look."""
        before_s, run.cpu_s = run.cpu_s, run.stoppable.cpu_s()
        return run.cpu_s - before_s

    def _stop(self, run: Run) -> None:
        if not run.stoppable.stop():
            return
        run.stops += 1
        if run.stops == 1:
            self._wear.stopped()
        if run.stops == STOPS:
            self._wear.broken("a program cannot be stopped")


def _defies(stall: Stall) -> bool:
    """Whether it was stopped, and has gone on for long enough to have noticed: others may leave it little CPU."""
    return stall.run is not None and stall.run.stops > 0 and stall.cpu_s >= TICK_S
