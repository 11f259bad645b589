"""Stopping code that does not stop by itself: an exception raised in the thread that runs it.

It arrives between two steps of Python's own code, so a loop ends in milliseconds, and code that waits in C when that
returns. It is no `Exception`: a program that catches those does not swallow it.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)
_withdraw_from = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class Stopped(BaseException):
    """Raised in a program that must stop."""


class Stoppable:
    """A stretch of code that another thread may stop, as long as it runs.

    A stop that comes too late does nothing: it never reaches what the thread does next.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._began_s = 0.0
        self.was_stopped = False

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used so far; 0 where it does not run."""
        with self._lock:
            return _thread_cpu_s(self._thread) - self._began_s if self._thread is not None else 0.0

    @contextmanager
    def here(self) -> Iterator[None]:
        """Run the block in this thread, so that it can be stopped. Raises Stopped where it was."""
        with self._lock:
            self._began_s, self._thread = time.thread_time(), threading.get_ident()
        try:
            yield
        finally:
            try:
                self._end()
            except Stopped:  # it arrived before that had begun
                self._end()
                raise

    def _end(self) -> None:
        with self._lock:
            if self.was_stopped and self._thread is not None:
                _withdraw_from(self._thread, None)  # it may still be on its way
            self._thread = None

    def stop(self) -> bool:
        """Raise Stopped in the block; whether it runs at all."""
        with self._lock:
            if self._thread is None:
                return False
            self.was_stopped = True
            return bool(_raise_in(self._thread, Stopped))


def _thread_cpu_s(ident: int) -> float:
    return time.clock_gettime(time.pthread_getcpuclockid(ident))


def stop_thread(ident: int) -> None:
    """Raise Stopped in a thread, wherever it is."""
    _raise_in(ident, Stopped)
