"""The inbox: from any thread to one loop."""

from __future__ import annotations

import asyncio
import threading

from dspex_actors.sessions.inbox import Inbox
from tests.unit.sessions.hosting import until


def test_items_of_many_threads_are_all_handled_once_in_the_order_of_each() -> None:
    """Whatever the races."""
    handled: list[tuple[int, int]] = []

    async def scenario() -> None:
        inbox: Inbox[tuple[int, int]] = Inbox(asyncio.get_running_loop(), handled.append)

        def put(thread: int) -> None:
            for number in range(500):
                inbox.put((thread, number))

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        await until(lambda: len(handled) >= 4000)
        for thread in threads:
            thread.join()

    asyncio.run(scenario())
    assert sorted(handled) == [(thread, number) for thread in range(8) for number in range(500)]
    for each in range(8):
        assert [number for thread, number in handled if thread == each] == list(range(500))


def test_an_item_that_cannot_be_handled_does_not_keep_the_others_from_theirs() -> None:
    """It is logged."""
    handled: list[int] = []

    def handle(item: int) -> None:
        handled.append(10 // item)

    async def scenario() -> None:
        inbox = Inbox(asyncio.get_running_loop(), handle)
        for item in (1, 0, 2):
            inbox.put(item)
        await until(lambda: len(handled) == 2)

    asyncio.run(scenario())
    assert handled == [10, 5]


def test_what_is_put_after_the_end_is_dropped() -> None:
    """Nobody is left to care."""

    async def make() -> Inbox[int]:
        return Inbox(asyncio.get_running_loop(), lambda _: None)

    asyncio.run(make()).put(1)
