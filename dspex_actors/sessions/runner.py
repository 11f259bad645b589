"""Where programs run: async ones on a loop in a thread of its own, sync ones in a pool of threads.

Neither can stall the host's I/O loop by waiting. One that keeps the others waiting is stopped by force; where even that
does not help, the others begin anew on another loop. What nobody wants any more is simply reported late.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
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
PATIENCE_UNSEEN = 5.0
"""The same where nobody can see whose code it is."""
SUSPECTS = 1000


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
        self._seen_stalled: Counter[str] = Counter()
        self._interrupted = False
        self._closing = threading.Event()
        wear.watch_hanging(lambda: sum(run.aborted for run in list(self._in_threads.values())))
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    def start(self, run: Run) -> None:
        """Begin the attempt."""
        if run.program.is_async:
            self._loop.start(run)
        else:
            self._pool.submit(lambda: self._in_thread(run))

    def abort(self, run: Run) -> None:
        """Stop it as far as it can be stopped: an async attempt is cancelled, in a sync one an exception raised."""
        run.aborted = True
        if run.program.is_async:
            self._loop.cancel(run)
        elif run.stoppable.stop():
            self._wear.stopped()

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
            if now_s - last_s < TICK_S * 5:  # else this thread was kept waiting itself, and knows nothing
                self._look_at_loop(now_s)
            last_s = now_s
            self._look_at_threads()

    def _look_at_loop(self, now_s: float) -> None:
        stall = self._loop.look(now_s)
        if stall is None or stall.lag_s < self._limits.loop_s:
            self._interrupted = self._interrupted if stall is not None else False
            return
        spins = stall.cpu_s >= BUSY * stall.lag_s
        if spins and not self._interrupted:
            self._interrupted = True
            self._wear.broken("a program kept the event loop")
            log.warning("a program keeps the event loop for %.1f s: it is stopped", stall.lag_s)
            self._loop.interrupt()
        elif stall.lag_s >= self._patience_s(stall) and (spins or not self._loop.is_starved()):
            self._replace_loop(stall)

    def _patience_s(self, stall: Stall) -> float:
        return self._limits.loop_s * (PATIENCE if stall.run is not None else PATIENCE_UNSEEN)

    def _replace_loop(self, stall: Stall) -> None:
        """It waits where it must not, or does not stop: leave it to that, and begin the others anew elsewhere."""
        stalled, self._loop = self._loop, ProgramLoop()
        self._interrupted = False
        self._wear.broken("a program blocked the event loop")
        lost = stalled.leave()
        log.warning("a program blocks the event loop for %.1f s: %s turns begin anew", stall.lag_s, len(lost))
        guilty = [run for run in lost if (run is stall.run if stall.run is not None else self._is_suspect(run))]
        for run in guilty:
            run.end(greedy())
        self._again([run for run in lost if run not in guilty])

    def _is_suspect(self, run: Run) -> bool:
        """Whether it was there the last time too, when nobody could see who it was."""
        self._seen_stalled[run.call.turn_id] += 1
        if len(self._seen_stalled) > SUSPECTS:
            self._seen_stalled.clear()
        return self._seen_stalled[run.call.turn_id] > 1

    def _look_at_threads(self) -> None:
        for run in list(self._in_threads.values()):
            if not run.over_budget and run.stoppable.cpu_s() > self._limits.cpu_s:
                run.over_budget = True
                self._wear.stopped()
                run.stoppable.stop()
