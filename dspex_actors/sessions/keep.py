"""What a process has built when it starts to serve stays to its end: the garbage collector need not search it again."""

from __future__ import annotations

import gc


def keep_what_is_here() -> None:
    """Leave every object that is alive now out of later collections.

    With DSPy loaded a full collection takes 80 ms, in the middle of somebody's turn; afterwards it takes microseconds.
    """
    gc.collect()
    gc.freeze()
