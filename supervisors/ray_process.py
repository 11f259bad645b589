"""A `Process` as a Ray actor: what its supervisor asks of it, beside the methods that are its own.

What survives a crash of its supervisor: how it ended. A process that is over stays until a supervisor, the next one
too, has heard why, and kills it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import ray
from ray.actor import ActorClass

from supervisors import ray_links
from supervisors.exits import Exit
from supervisors.process import IGNORE, Life, Process
from supervisors.ray_memory import Fenced

T = TypeVar("T")

_GROUP = "supervised"
_WATCHERS = "watchers"
_WATCHING_CALLS = 1000
_CALLS = 8  # the one that is parked in `supervised_exit`, those of a dead supervisor, and room


@dataclass(frozen=True, slots=True)
class Begun:
    """How a start ended: `ignored`, `failed` for that reason, or well, with what `init` returned."""

    info: Any = None  # whatever `init` returns
    ignored: bool = False
    failed: Exit | None = None


class RayProcess:
    """The part of a process that its supervisor talks to; mixed into the user's class.

    Its calls have a concurrency group of their own, so that those of users, however many are parked, keep none out; the
    work is done in the loop of the user's methods.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # those of the user's class
        self._supervised_loop = asyncio.get_running_loop()
        self._supervised_exit: asyncio.Future[Exit] = self._supervised_loop.create_future()
        self._supervised_start: asyncio.Task[Begun] | None = None
        self._supervised_term = 0
        super().__init__(*args, **kwargs)

    @ray.method(concurrency_group=_GROUP)
    async def supervised_heed(self, term: int) -> None:
        """From now on no supervisor of an earlier term is obeyed. Raises Fenced if it is one itself."""
        self._heed(term)

    @ray.method(concurrency_group=_GROUP)
    async def supervised_begin(self, term: int) -> Begun:
        """Run `init`, once; then `run` is on its way. Raises Fenced."""
        self._heed(term)
        return await self._supervised(self._begin_once())

    @ray.method(concurrency_group=_GROUP)
    async def supervised_has_begun(self) -> Begun | None:
        """How its start ended; None if it has not."""
        return await self._supervised(self._has_begun())

    @ray.method(concurrency_group=_GROUP)
    async def supervised_stop(self, reason: str, term: int) -> None:
        """Run `terminate`. Raises what it raised, and Fenced."""
        self._heed(term)
        await self._supervised(self._stop_life(reason))

    @ray.method(concurrency_group=_GROUP)
    async def supervised_exit(self) -> Exit:
        """Wait until it is over: why."""
        return await self._supervised(self._wait_exit())

    @ray.method(concurrency_group=_GROUP)
    async def supervised_signals(self, letter: ray_links.Letter) -> None:
        """Links and monitors: what another process says. See `ray_links`."""
        assert isinstance(self, Process)
        await self._supervised(ray_links.receive(self, letter))

    @ray.method(concurrency_group=_WATCHERS)
    async def supervised_last_word(self) -> Exit:
        """Wait until it is over, as those outside do who monitor it: why. They hear it before its supervisor does."""
        return await self._supervised(ray_links.last_word())

    def _heed(self, term: int) -> None:
        if term < self._supervised_term:
            raise Fenced
        self._supervised_term = term

    async def _supervised(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._supervised_loop))

    async def _begin_once(self) -> Begun:
        if self._supervised_start is None:
            self._supervised_start = self._supervised_loop.create_task(self._begin_life())
        return await asyncio.shield(self._supervised_start)

    async def _begin_life(self) -> Begun:
        assert isinstance(self, Process)
        life = Life(self, self._note_exit, ray_links.connect)
        life.tell_first(partial(ray_links.last_words, life))
        try:
            info = await life.begin()
        except Exception as error:
            return Begun(failed=Exit("init_failed", f"{type(error).__name__}: {error}"))
        if self._supervised_exit.done():
            return Begun(failed=self._supervised_exit.result())
        return Begun(ignored=True) if info is IGNORE else Begun(info)

    async def _has_begun(self) -> Begun | None:
        start = self._supervised_start
        return start.result() if start is not None and start.done() else None

    async def _stop_life(self, reason: str) -> None:
        assert isinstance(self, Process)
        if self._life is not None and not self._supervised_exit.done():
            try:
                await self._life.stop(reason)
            finally:
                await self._wait_exit()  # those linked with it have been told by then

    async def _wait_exit(self) -> Exit:
        return await asyncio.shield(self._supervised_exit)

    def _note_exit(self, reason: Exit) -> None:
        if not self._supervised_exit.done():
            self._supervised_exit.set_result(reason)


def class_of(start: Any) -> type:  # Ray's ActorClass is no type
    """The class behind what a specification starts."""
    if not isinstance(start, ActorClass):
        return cast(type, start)
    cls: type = start.__ray_metadata__.modified_class  # type: ignore[attr-defined]
    return cls


def is_process(start: Any) -> bool:
    """Whether that class inherits `Process`."""
    cls = class_of(start)
    return isinstance(cls, type) and issubclass(cls, Process)


def actor_class(start: Any, mixin: type[RayProcess] = RayProcess) -> Any:
    """The actor class of a child: as it is, or for a `Process` with what its supervisor asks of it."""
    if not is_process(start):
        return start if isinstance(start, ActorClass) else ray.remote(start)
    cls = class_of(start)
    supervised = type(cls.__name__, (mixin, cls), {"__module__": cls.__module__, "__doc__": cls.__doc__})
    options = dict(start._default_options) if isinstance(start, ActorClass) else {}  # type: ignore[attr-defined]
    groups = {**(options.pop("concurrency_groups", None) or {}), _GROUP: _CALLS, _WATCHERS: _WATCHING_CALLS}
    remote: Any = ray.remote  # whose types do not know concurrency groups
    return remote(concurrency_groups=groups, **options)(supervised)
