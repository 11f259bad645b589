"""Blank spares: processes that have a class and wait for its constructor's arguments."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorClass

from supervisors.ray_process import class_of


def blank(start: Any) -> Any:  # Ray's ActorClass is no type
    """The same actor class, whose constructor runs when `supervised_construct` is called, with its arguments.

    It then runs as any other call does: with `max_concurrency` above 1 not in the process's main thread.
    """
    cls = class_of(start)

    class Blank(cls):  # type: ignore[misc, valid-type]
        _supervised_is_constructed = False

        def __init__(self) -> None:
            pass

        def supervised_construct(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._supervised_is_constructed = True

        def supervised_is_constructed(self) -> bool:
            return self._supervised_is_constructed

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(Blank, name, getattr(cls, name))
    remote: Any = ray.remote  # whose types do not know all options
    options = start._default_options if isinstance(start, ActorClass) else {}  # type: ignore[attr-defined]
    return remote(**options)(Blank) if options else remote(Blank)
