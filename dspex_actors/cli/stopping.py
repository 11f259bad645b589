"""Ctrl-C and SIGTERM: the first asks for a stop, the second for one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """A stop was asked for before the instance was ready."""


class Stopping:
    """How often a stop was asked for. While `starting`, the first one raises `Interrupted` in the main thread."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.now = threading.Event()
        self.starting = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the two signals, from the main thread; give them back at the end."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals (again: Ray takes SIGTERM when it starts)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            self.now.set()
        self.asked.set()
        if self.starting:
            self.starting = False
            raise Interrupted
