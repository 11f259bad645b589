"""Watches the pulses of processes of this machine from one thread: who hangs, and who ends.

A look at 1,000 children reads 1,000 counters in shared memory; files of `/proc` are read for silent ones only.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from supervisors.errors import NotBeating
from supervisors.heartbeats import Facts, Heartbeat, Verdict, Ward
from supervisors.pulse import Pulse, end_group, facts_of

_NEVER_S: Final = 3600.0
_ROUNDING: Final = 1.001  # the pulse tells its interval with few digits


class Heart:
    """One watched process. Made by `Hearts.watch`."""

    def __init__(
        self, hearts: Hearts, pulse: Pulse, hung: Callable[[str], None] | None, ended: Callable[[], None]
    ) -> None:
        self.pid = pulse.pid
        self.pulse = pulse
        self.hung = hung
        self._hearts, self._ended = hearts, ended
        self._once = threading.Lock()

    def kill(self) -> None:
        """SIGKILL this very process, never another one of its number."""
        self._hearts.kill(self)

    def cancel(self) -> None:
        """Watch it no longer: nothing more is told."""
        self._once.acquire(blocking=False)
        self._hearts.forget(self)

    def end(self) -> None:
        """Say that it has ended, once."""
        if self._once.acquire(blocking=False):
            self._ended()


class Hearts:
    """The watcher of this machine's children.

    What is told is told from its threads, and must not block. At most one child is called hung at a time, until its end
    is seen; the watcher forgives its own lateness. It kills nobody by itself: who is told decides, and calls
    `Heart.kill`.

    Args:
        options: When a silent child is judged; the interval is also that of the looks.
        clock: Seconds on a clock that never goes back.
        facts: What the system says of a process.
    """

    def __init__(
        self,
        options: Heartbeat | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        facts: Callable[[int], Facts] = facts_of,
    ) -> None:
        self._options = options or Heartbeat()
        self._clock, self._facts = clock, facts
        self._ward: Ward[int] = Ward(self._options.interval_s)
        self._hearts: dict[int, Heart] = {}  # by pidfd
        self._judged: dict[int, Heart] = {}  # those of them that may be called hung
        self._changes = threading.RLock()
        self._poll = select.epoll()
        self._wake = os.eventfd(0)
        self._poll.register(self._wake, select.EPOLLIN)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hearts", daemon=True)
        self._thread.start()

    def watch(
        self,
        pid: int,
        *,
        hung: Callable[[str], None] | None = None,
        ended: Callable[[], None] = lambda: None,
        early: bool = False,
        options: Heartbeat | None = None,
    ) -> Heart:
        """Watch a process that beats.

        Args:
            pid: The process.
            hung: Is told why, once, if it hangs; None if nobody wants to know. A process that means to beat less often
                than `options` say is never called hung.
            ended: Is told once when it has ended; what was left of the process group that it led has been killed.
            early: Tell `ended` in the first moments of the end, by the lifeline: one thread per child.
            options: When this one is judged, if it is silent; None: as all.

        Raises:
            NotBeating: There is no such process, it has no pulse, or the watcher is closed.
        """
        pulse = Pulse(pid)
        heart = Heart(self, pulse, hung, ended)
        with self._changes:
            if self._closed:
                pulse.close()
                raise NotBeating(pid, "the watcher is closed")
            self._hearts[pulse.descriptor] = heart
            options = options or self._options
            if hung is not None and pulse.interval_s <= options.interval_s * _ROUNDING:
                self._judged[pulse.descriptor] = heart
                self._ward.admit(pulse.descriptor, options, pulse.beats)
            self._poll.register(pulse.descriptor, select.EPOLLIN)
        if early:
            with contextlib.suppress(OSError):  # it has ended already, which the pidfd tells
                pulse.watch_end(heart.end)
        os.eventfd_write(self._wake, 1)
        return heart

    def kill(self, heart: Heart) -> None:
        """SIGKILL the process; nothing if it is watched no longer."""
        with self._changes:
            heart.pulse.kill()

    def forget(self, heart: Heart) -> None:
        """Watch it no longer."""
        with self._changes:
            descriptor = heart.pulse.descriptor
            if self._hearts.pop(descriptor, None) is None:
                return
            if self._judged.pop(descriptor, None) is not None:
                self._ward.dismiss(descriptor)
            self._poll.unregister(descriptor)
            heart.pulse.close()

    def verdict(self, heart: Heart) -> Verdict:
        """What is known of it now."""
        with self._changes:
            descriptor = heart.pulse.descriptor
            if descriptor in self._judged:
                return self._ward.verdict(descriptor)
            return "alive" if descriptor in self._hearts else "gone"

    def close(self) -> None:
        """Watch nobody any more."""
        with self._changes:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._wake, 1)
        self._thread.join()
        for heart in list(self._hearts.values()):
            self.forget(heart)
        self._poll.close()
        os.close(self._wake)

    def _run(self) -> None:
        look_at_s = self._clock()
        while not self._closed:
            # With nobody to judge there is nothing to look at, and nobody to wake up for.
            wait_s = max(look_at_s - self._clock(), 0.0) if self._judged else _NEVER_S
            for descriptor, _ in self._poll.poll(wait_s):
                self._ready(descriptor)
            now_s = self._clock()
            if now_s >= look_at_s:
                self._look(now_s)
                look_at_s = now_s + self._options.interval_s

    def _ready(self, descriptor: int) -> None:
        if descriptor == self._wake:
            os.eventfd_read(self._wake)
            return
        with self._changes:  # until it is forgotten, its descriptor must not be another's
            heart = self._hearts.get(descriptor)
            if heart is None or not _is_over(descriptor):
                return
            end_group(descriptor, heart.pid)
            self.forget(heart)
        heart.end()

    def _look(self, now_s: float) -> None:
        with self._changes:
            silent = self._ward.hear(now_s, {key: heart.pulse.beats for key, heart in self._judged.items()})
            facts = {key: self._facts(self._judged[key].pid) for key in silent}
            found = self._ward.judge(now_s, facts)
            heart = self._judged[found[0]] if found else None
        if heart is not None and heart.hung is not None and found is not None:
            heart.hung(found[1])


def _is_over(descriptor: int) -> bool:
    """Whether the process has ended; what the poll said may be of one that had the descriptor before."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll(0))
