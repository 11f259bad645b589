"""The priority of a thread: what may wait yields to what serves."""

from __future__ import annotations

import os
import sys
import threading


def lower_priority(nice: int) -> None:
    """Give the thread that calls this niceness, from 0 to 19, where that is a thread's own (Linux).

    One that yields more already stays as it is: it would need a right that few processes have.
    """
    if sys.platform == "linux":
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, max(nice, os.getpriority(os.PRIO_PROCESS, me)))
