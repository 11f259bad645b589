"""What a law is given: a backend, a desk, and words to say what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

from supervisors import Child, ChildSpec, Exit, Supervisor, SupervisorDown, SupervisorSpec
from tests.support.supervision.actors import Person
from tests.support.supervision.desk import Desk
from tests.support.supervision.harness import Harness

CRASH = Exit("crash", "boom")
NORMAL, SHUTDOWN, SHUTDOWN_WHY = Exit("normal"), Exit("shutdown"), Exit("shutdown", "because")
OFTEN = 1_000_000
Law = Callable[["World"], Awaitable[None]]


class World:
    """One law's own; what it has started is stopped when the law has been looked at."""

    def __init__(self, harness: Harness, folder: Path) -> None:
        self.harness = harness
        self.desk = Desk(folder)
        self._started: list[Supervisor] = []
        self._tasks: list[asyncio.Task[Any]] = []

    def spec(self, id: str, start: Any = Person, *rest: Any, **options: Any) -> ChildSpec:  # noqa: A002
        """A worker that writes under its id."""
        return ChildSpec(id, start=start, args=(self.desk, id, *rest), options=self.harness.options, **options)

    def nested(self, id: str, *children: ChildSpec, restart: Any = "permanent", **options: Any) -> ChildSpec:  # noqa: A002
        """A supervisor as a child."""
        options = {"max_seconds": self.harness.max_seconds} | options
        return ChildSpec(id, start=SupervisorSpec(children=children, **options), restart=restart)

    async def start(self, *children: ChildSpec, **options: Any) -> Supervisor:
        """A supervisor of this backend."""
        options = {"max_seconds": self.harness.max_seconds} | options
        sup = await Supervisor.start(children=children, backend=self.harness.backend, **options)
        self._started.append(sup)
        return sup

    async def template(self, *, name: str = "a", **options: Any) -> Supervisor:
        """A `simple_one_for_one` supervisor of persons."""
        return await self.start(self.spec(name), strategy="simple_one_for_one", **options)

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something that goes on while the law looks."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What the condition answers, once that is something; an awaitable answer is awaited."""
        async with asyncio.timeout(self.harness.wait_s):
            while True:
                answer = condition()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(0.002)

    async def child(self, sup: Supervisor, id: str) -> Child:  # noqa: A002
        """The child that runs under that id, once one does."""

        async def there() -> Child | None:
            now = (await sup.which_child(id)).child
            return now if isinstance(now, Child) else None

        found: Child = await self.until(there)
        return found

    async def running(self, sup: Supervisor, count: int) -> list[Child]:
        """The children that run, newest first, once they are so many."""

        async def there() -> list[Child]:
            found = [row.child for row in await sup.which_children() if isinstance(row.child, Child)]
            return found if len(found) == count else []

        return cast("list[Child]", await self.until(there))

    async def is_empty(self, sup: Supervisor) -> None:
        """Wait until it has no specification."""

        async def there() -> bool:
            return not await sup.which_children()

        await self.until(there)

    async def heir(self, sup: Supervisor, old: Child) -> Child:
        """The child that runs in the place of this one, once it does."""

        async def there() -> Child | None:
            now = (await sup.which_child(old.id)).child
            return now if isinstance(now, Child) and now.name != old.name else None

        found: Child = await self.until(there)
        return found

    async def state(self, sup: Supervisor, id: str) -> str:  # noqa: A002
        """`running`, `restarting`, `none`: what `which_child` says of it."""
        now = (await sup.which_child(id)).child
        return "none" if now is None else "running" if isinstance(now, Child) else now

    async def is_in_state(self, sup: Supervisor, id: str, state: str) -> None:  # noqa: A002
        """Wait until it is."""

        async def there() -> bool:
            return await self.state(sup, id) == state

        await self.until(there)

    async def is_written(self, *lines: str) -> None:
        """Wait until the diary says exactly this."""
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: self.desk.diary() == list(lines))
        assert self.desk.diary() == list(lines)

    async def is_down(self, sup: Supervisor) -> None:
        """Wait until a supervisor answers no more."""

        async def gone() -> bool:
            try:
                await sup.which_children()
            except SupervisorDown:
                return True
            except Exception:
                return False  # stopping
            return False

        await self.until(gone)

    async def is_gone(self, child: Child) -> None:
        """Wait until an incarnation's process is."""

        async def gone() -> bool:
            return not await self.harness.is_alive(child)

        await self.until(gone)

    async def end(self) -> None:
        """Stop everything, with no note in the way."""
        for note in self.desk.folder.iterdir():
            if note.name != "diary":
                note.unlink()
        for sup in self._started:
            await sup.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def obeys(law: Law, harness: Harness, folder: Path) -> None:
    """Look whether a backend does what a law says."""
    world = World(harness, folder)
    try:
        await law(world)
    finally:
        await world.end()
