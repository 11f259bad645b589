"""DSPy's own microseconds without a thread's: what `acall` sends to a thread although it costs less than the trip.

DSPy's async path prepares and prices every call through `asyncio.to_thread`. Both take tens of microseconds for a text
prompt; a hop to a thread and back takes longer. All other work goes to real threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar, cast

from dspy.clients import execution  # type: ignore[import-untyped]

P = ParamSpec("P")
T = TypeVar("T")

SHORT = frozenset({execution.prepare, execution._price_result})


class ShortcutExecutor(ThreadPoolExecutor):
    """A loop's default executor that does DSPy's short jobs on the spot."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `concurrent.futures.Executor`."""
        # `asyncio.to_thread(f, …)` submits `partial(context.run, f, …)`.
        if isinstance(fn, partial) and fn.args and fn.args[0] in SHORT:
            return cast("Future[T]", _done(fn, *args, **kwargs))
        return super().submit(fn, *args, **kwargs)


def _done(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """A future of the loop's own kind: awaiting it when it is done does not go round the loop."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        future.set_result(fn(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future
