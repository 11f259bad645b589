"""Crossing from any thread to one event loop, many items for one wake-up."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Inbox(Generic[T]):
    """What is put from any thread is handled on the loop, in order; items of one tick share its wake-up.

    An item whose handling raises is logged, and does not keep the others from theirs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: Callable[[T], None]) -> None:
        self._loop = loop
        self._handle = handle
        self._items: deque[T] = deque()
        self._awake = False

    def put(self, item: T) -> None:
        """Hand over an item. After the loop has closed it is dropped: nobody is left to care."""
        self._items.append(item)
        if self._awake:
            return
        self._awake = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _drain(self) -> None:
        # Lowered first: an item put from here on wakes the loop again, at worst once too often.
        self._awake = False
        while self._items:
            item = self._items.popleft()
            try:
                self._handle(item)
            except Exception:
                log.exception("an item of the inbox could not be handled")
