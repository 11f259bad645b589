"""No task outlives its turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from dspex_actors.errors import DeadlineExceeded, ProgramFailed
from dspex_actors.programs import leftovers
from dspex_actors.programs.leftovers import supervised
from tests.unit.programs.engines import answering
from tests.unit.programs.running import call, loaded, own
from tests.unit.programs.sample_modules import LEFT, STARTED


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    LEFT.clear()
    STARTED.clear()
    yield
    LEFT.clear()


def test_a_task_left_behind_is_cancelled_when_the_turn_ends() -> None:
    """Before the answer is given."""

    async def turn() -> bool:
        await loaded(answering(), module=own("Leaves")).arun(call({"fail": False}))
        return LEFT[0].cancelled()

    assert asyncio.run(turn())


def test_a_task_left_behind_is_cancelled_when_the_turn_fails() -> None:
    """Before the error is raised."""

    async def turn() -> bool:
        with pytest.raises(ProgramFailed):
            await loaded(answering(), module=own("Leaves")).arun(call({"fail": True}))
        return LEFT[0].cancelled()

    assert asyncio.run(turn())


def test_a_cancelled_turn_takes_its_tasks_with_it() -> None:
    """The cancellation passes through."""

    async def turn() -> bool:
        task = asyncio.create_task(loaded(answering(), module=own("Waits")).arun(call({})))
        await STARTED.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return LEFT[0].cancelled()

    assert asyncio.run(turn())


def test_an_expired_turn_takes_its_tasks_with_it() -> None:
    """And is a deadline_exceeded."""

    async def turn() -> bool:
        with pytest.raises(DeadlineExceeded):
            await loaded(answering(), module=own("Waits")).arun(call({}, deadline_s=0.02))
        return LEFT[0].cancelled()

    assert asyncio.run(turn())


def test_tasks_of_others_live_on() -> None:
    """Also those that were started on the loop before and during the turn."""

    async def turns() -> list[bool]:
        gate = asyncio.Event()
        before = asyncio.create_task(gate.wait())
        running = asyncio.create_task(supervised(gate.wait()))
        during = asyncio.create_task(gate.wait())
        await loaded(answering(), module=own("Leaves")).arun(call({"fail": False}))
        gate.set()
        return [await before, await during, await running]

    assert asyncio.run(turns()) == [True, True, True]


def test_a_task_started_while_the_turn_closes_is_cancelled_at_birth() -> None:
    """A task's own clean-up cannot leave another one behind."""
    born: list[asyncio.Task[Any]] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            born.append(asyncio.create_task(asyncio.Event().wait()))

    async def work() -> None:
        LEFT.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    async def turn() -> None:
        await supervised(work())
        await asyncio.wait(born)

    asyncio.run(turn())
    assert born[0].cancelled()


def test_a_task_that_does_not_stop_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so."""
    monkeypatch.setattr(leftovers, "GRACE_S", 0.01)

    async def deaf(gate: asyncio.Event) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    async def turn() -> None:
        gate = asyncio.Event()

        async def work() -> None:
            LEFT.append(asyncio.create_task(deaf(gate)))
            await asyncio.sleep(0)

        with caplog.at_level(logging.WARNING):
            await supervised(work())
        gate.set()
        await LEFT[0]

    asyncio.run(turn())
    assert "1 tasks of a program did not stop" in caplog.text


def test_a_task_factory_that_was_there_before_is_kept() -> None:
    """It makes the tasks; ours only watches."""
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **options)

    async def turn() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        await loaded(answering(), module=own("Leaves")).arun(call({"fail": False}))

    asyncio.run(turn())
    assert "Event.wait" in made
    assert LEFT[0].cancelled()
