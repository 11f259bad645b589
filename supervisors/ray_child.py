"""One incarnation of a child as a Ray actor: how it starts, is asked to end, says why it ended, and is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from supervisors.child import Child
from supervisors.errors import SupervisorError
from supervisors.exits import KILLED, SHUTDOWN, Exit
from supervisors.ray_memory import Fenced, Note, NoteKind, Pattern
from supervisors.ray_process import Begun, is_process
from supervisors.ray_watch import Process
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, Shutdown, SupervisorSpec

if TYPE_CHECKING:
    from supervisors.ray_vitals import Vitals

_TREE_TIMEOUT_S = 1.0
_ASK_TIMEOUT_S = 5.0


async def within(awaitable: Any, timeout_s: float | None) -> Any:  # Ray's references are awaitable, not coroutines
    """Await it for so long.

    Raises:
        TimeoutError: It took longer.
    """
    async with asyncio.timeout(timeout_s):
        return await awaitable


class ChildActor:
    """One incarnation.

    Attributes:
        handle: Ray's; None until the actor is made.
        dead: Is set when Ray, or whoever knows of its node's loss, says that it is dead.
        asked: Whether its supervisor is ending it.
        node: Where it runs, or is meant to; empty while nobody knows.
        child: What its supervisor shows, once it has started.
        ready: A spare that is up.
        pattern: What a spare was made after; one that was taken has it still.
    """

    def __init__(
        self,
        key: str,
        instance: int,
        spec: ChildSpec,
        name: str,
        kind: NoteKind = "child",
        pattern: Pattern | None = None,
    ) -> None:
        self.key, self.instance, self.spec, self.name, self.kind = key, instance, spec, name, kind
        self.pattern = pattern
        self.handle: Any = None
        self.dead: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._reasons: list[Exit] = []
        self.started = self.asked = self.ready = False
        self.node = ""
        self.child: Child | None = None
        self.process = Process(0)

    @property
    def note(self) -> Note:
        """What the supervisor's memory keeps of it."""
        actor_id = self.handle._actor_id.hex() if self.handle is not None else ""
        return Note(self.kind, self.key, self.instance, self.name, actor_id, self.child, self.pattern)

    @property
    def reason(self) -> Exit | None:
        """Why we ended it, if we did: we know better than Ray."""
        return self._reasons[0] if self._reasons else None

    @property
    def is_blank(self) -> bool:
        """Whether its class is, or was, constructed only after its process was up."""
        return self.pattern is not None and self.pattern.blank

    @property
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Those of its constructor."""
        return self.spec.args, {**self.spec.kwargs, **({"name": self.name} if self.spec.pass_name else {})}

    @property
    def is_nested(self) -> bool:
        """Whether it is a supervisor of this package."""
        return isinstance(self.spec.start, SupervisorSpec)

    @property
    def says_why(self) -> bool:
        """Whether it tells its supervisor why it ends, and waits to be killed then."""
        return self.is_nested or is_process(self.spec.start)

    def note_death(self, cause: Exit) -> None:
        """It is dead."""
        if not self.dead.done():
            self.dead.set_result(self.reason or cause)

    def has_started(self) -> None:
        """A temporary child is never started again: what its arguments hold is let go."""
        self.started = True
        if self.spec.restart == "temporary":
            self.spec = replace(self.spec, args=(), kwargs={})

    def condemn(self, why: str) -> None:
        """It is about to be killed by somebody who knows why."""
        self._reasons.append(Exit("killed", why))

    def lose(self, reason: Exit) -> None:
        """It counts as dead, whatever it does where it is."""
        self._reasons.append(reason)
        self.note_death(reason)

    def kill(self, reason: Exit) -> None:
        """End it; the first reason counts."""
        self._reasons.append(reason)
        if self.handle is not None:
            ray.kill(self.handle)

    def take(self, spare: ChildActor) -> None:
        """Be that spare from now on."""
        self.handle, self.name, self.dead, self._reasons = spare.handle, spare.name, spare.dead, spare._reasons
        self.pattern = spare.pattern
        self.node, self.process, self.ready = spare.node, spare.process, True

    async def start(self, vitals: Vitals, term: int) -> Begun:
        """Wait until it has started, or has not. Raises Fenced if it has heard of a higher term."""
        timeout_s = self.spec.start_timeout_or_none
        try:
            begun: Begun = await within(self._unless_lost(self._begin(vitals, term)), timeout_s)
            return begun
        except Fenced:
            raise
        except TimeoutError:
            return Begun(failed=Exit("init_failed", f"not started within {timeout_s:g} s"))
        except RayActorError as error:
            return Begun(failed=_init_error(error) or await self.dead)
        except RayTaskError as error:
            return Begun(failed=Exit("init_failed", f"{type(error.cause).__name__}: {error.cause}"))
        except Exception as error:  # what Ray raises for options it cannot fulfil
            return Begun(failed=Exit("init_failed", f"{type(error).__name__}: {error}"))

    async def _unless_lost(self, start: Coroutine[Any, Any, Begun]) -> Begun:
        """A call to a node that is gone fails only when Ray notices."""
        begin = asyncio.ensure_future(start)
        try:
            either: set[asyncio.Future[Any]] = {begin, self.dead}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not begin.done() and self.dead.result().kind == "node_lost":
                return Begun(failed=self.dead.result())
            return await begin
        finally:
            begin.cancel()

    async def _begin(self, vitals: Vitals, term: int) -> Begun:
        if not self.ready:
            await vitals.begin(self)
        if self.is_blank:
            args, kwargs = self.arguments
            await self.handle.supervised_construct.remote(*args, **kwargs)
        await self._take_name()
        if self.is_nested:
            error: SupervisorError | None = await self.handle.ready.remote(term)
            return Begun(failed=Exit("init_failed", str(error)) if error else None)
        if is_process(self.spec.start):
            begun: Begun = await self.handle.supervised_begin.remote(term)
            return begun
        return Begun()

    async def _take_name(self) -> None:
        """Raises what a registry does."""
        if self.spec.via is not None:
            self.spec.via.check("ray")
            await self.spec.via.hold(self.handle)

    def heed(self, term: int) -> None:
        """Tell one that was adopted whose orders count from now on; a plain class gets none that could be refused."""
        if self.says_why:
            (self.handle.heed if self.is_nested else self.handle.supervised_heed).remote(term)

    async def has_begun(self) -> bool:
        """Whether its start went well, for one whose supervisor did not live to see it."""
        try:
            if self.is_blank and not await within(self.handle.supervised_is_constructed.remote(), _ASK_TIMEOUT_S):
                return False
            await within(self._take_name(), _ASK_TIMEOUT_S)
            if not is_process(self.spec.start):
                return True
            begun: Begun | None = await within(self.handle.supervised_has_begun.remote(), _ASK_TIMEOUT_S)
        except (TimeoutError, RayActorError, SupervisorError):
            return False
        return begun is not None and not begun.ignored and begun.failed is None

    async def info(self) -> Any:  # whatever `init` returned
        """What the start of a process returned."""
        if not is_process(self.spec.start):
            return None
        begun: Begun | None = await within(self.handle.supervised_has_begun.remote(), _ASK_TIMEOUT_S)
        return begun.info if begun is not None else None

    async def own_exit(self) -> Exit | None:
        """Wait until it says why it ends; None if it died without a word."""
        ask = self.handle.wait_exit if self.is_nested else self.handle.supervised_exit
        try:
            reason: Exit = await ask.remote()
        except RayActorError:
            return None
        return reason

    async def ask_to_end(self, shutdown: Shutdown, term: int) -> Exit:
        """Ask it as its specification says and wait for its own `terminate`; why it may be killed now.

        Raises:
            Fenced: It has heard of a higher term.
        """
        if shutdown == BRUTAL_KILL or not (self.started or self.is_nested):
            return KILLED
        timeout_s = None if shutdown == INFINITY else float(shutdown)
        ask = "supervised_stop" if is_process(self.spec.start) else "terminate"
        if not hasattr(self.handle, ask):
            return SHUTDOWN
        terms = (term,) if self.says_why else ()
        try:
            await within(getattr(self.handle, ask).remote("shutdown", *terms), timeout_s)
        except Fenced:
            raise
        except TimeoutError:
            return Exit("killed", f"terminate took longer than {timeout_s:g} s")
        except RayTaskError as error:
            return Exit("crash", f"terminate raised {type(error.cause).__name__}")
        except RayActorError:
            return SHUTDOWN
        return SHUTDOWN

    async def tree(self) -> dict[str, Any] | None:
        """What a nested supervisor says of itself."""
        try:
            return await within(self.handle.tree.remote(), _TREE_TIMEOUT_S) if self.is_nested else None
        except (TimeoutError, RayActorError, AttributeError):
            return None


def _init_error(error: RayActorError) -> Exit | None:
    """The exception of `__init__`, if that is what Ray reports."""
    cause = getattr(error.args[0], "cause", None) if error.args else None
    return Exit("init_failed", f"{type(cause).__name__}: {cause}") if cause is not None else None
