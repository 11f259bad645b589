"""How others in this process reach a child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervisors.child import Child
from supervisors.errors import ChildGone, UnknownMethod
from supervisors.exits import Exit
from supervisors.local_child import LocalChild, LocalNode

NOPROC = Exit("noproc")


class LocalRef:
    """A reference to one incarnation; what is started in its place has another one.

    Calls run in the caller's turn of the event loop, one that waits lets others in. A call that the child does not
    survive ends with `ChildCrashed`; when the child ends for another reason, so does the call, with `ChildGone`.
    """

    __slots__ = ("_child", "name")

    def __init__(self, name: str, child: LocalChild | None) -> None:
        self.name = name
        self._child = child

    @property
    def is_alive(self) -> bool:
        """Whether it can be called."""
        return self._child is not None and self._child.reason is None and self._child.object is not None

    @property
    def object(self) -> Any:  # of the class that its specification names
        """The object itself, for those who know what they do: no exception that it lets out crashes it.

        Raises:
            ChildGone: It is over.
        """
        return self._living().object

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method, `async` or not. An exception that it lets out is the child's end, as on the BEAM.

        Args:
            method: Its name.
            args: Its arguments.
            kwargs: Its keyword arguments.

        Returns:
            What the method returns.

        Raises:
            ChildGone: The child is over, or ended while it served the call.
            ChildCrashed: The method raised; the exception is the cause.
            UnknownMethod: There is no such method; the child lives on.
        """
        child = self._living()
        function = getattr(child.object, method, None)
        if not callable(function):
            raise UnknownMethod(self.name, method)
        try:
            answer = function(*args, **kwargs)
        except Exception as error:
            raise child.crashed(error) from error
        return await child.follow(answer) if hasattr(answer, "__await__") else answer

    def exit(self, reason: Exit) -> None:
        """End it with that reason, without asking; nothing if it is over."""
        if self._child is not None and self._child.reason is None:
            self._child.life.exit(reason)

    def watch(self, ended: Callable[[Exit], None], *, release: bool = False) -> Callable[[], None]:
        """Be told once when it is gone: of one that is gone already at once, with `noproc`.

        Args:
            ended: Called with the reason, before the supervisor acts on it. It must not raise.
            release: Come before those that watch without it: what holds names gives them up first.

        Returns:
            What ends the watch.
        """
        child = self._child
        if child is None or self.name not in child.host.node.children:
            ended(NOPROC)
            return lambda: None
        if child.watchers is None:
            child.watchers = []
        watchers = child.watchers
        watchers.insert(0 if release else len(watchers), ended)

        def unwatch() -> None:
            if ended in watchers:
                watchers.remove(ended)

        return unwatch

    def _living(self) -> LocalChild:
        child = self._child
        if child is None or child.object is None or child.reason is not None:
            raise ChildGone(self.name, NOPROC)
        return child


def local_ref(child: Child | str) -> LocalRef:
    """A reference to a child whose supervisor was started with `backend="local"` on this event loop.

    Args:
        child: As its supervisor answered it, or its incarnation's name. One that is gone is referred to as well: its
            calls raise `ChildGone`.
    """
    name = child if isinstance(child, str) else child.name
    return LocalRef(name, LocalNode.here().children.get(name))
