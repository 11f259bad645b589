"""A `Process` as a Ray actor of its own, under no supervisor: it can be linked and monitored like any other."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayActorError

from supervisors.errors import StartError
from supervisors.exits import Exit
from supervisors.process import Process
from supervisors.ray_process import Begun, RayProcess, actor_class


class _Alone(RayProcess):
    """Nobody waits for its exit, so it ends its actor itself."""

    async def supervised_leave(self) -> None:
        """End the actor when the answers on their way have been sent; the kill spares the time that leaving takes."""
        ray.kill(ray.get_runtime_context().current_actor)

    def _note_exit(self, reason: Exit) -> None:
        super()._note_exit(reason)
        ray.get_runtime_context().current_actor.supervised_leave.remote()


async def spawn(
    start: type[Process],
    *args: Any,  # the constructor's
    name: str | None = None,
    options: dict[str, Any] | None = None,  # Ray's own
    **kwargs: Any,
) -> Any:  # Ray's handle
    """Start a process and wait until its `init` is over. It lives until it ends, or its handle is dropped.

    Args:
        start: Its class.
        args: Arguments of its constructor.
        name: Under which Ray registers it, in the caller's namespace; none by default.
        options: What `.options(...)` of Ray takes.
        kwargs: Keyword arguments of its constructor.

    Returns:
        The actor's handle; what the class has can be called on it.

    Raises:
        StartError: `init` failed, or said that there is nothing to run.
    """
    named = {"name": name} if name is not None else {}
    handle = actor_class(start, _Alone).options(**(options or {}), **named).remote(*args, **kwargs)
    begun = await _begun(handle)
    if begun.failed is not None or begun.ignored:
        ray.kill(handle)
        raise StartError(name or start.__name__, begun.failed or Exit("normal", "init said ignore"))
    return handle


async def _begun(handle: Any) -> Begun:
    try:
        begun: Begun = await handle.supervised_begin.remote(0)
    except RayActorError as error:
        return Begun(failed=Exit("init_failed", str(error)))
    return begun
