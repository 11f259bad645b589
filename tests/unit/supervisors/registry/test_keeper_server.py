"""The keeper's rules beyond those of the books: durable before seen, the dead refused, copies brought up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from supervisors.entries import Fence, Open, Put
from supervisors.errors import AlreadyRegistered, StaleEpoch
from supervisors.registry_journal import Journal, Superseded
from supervisors.registry_server import RegistryServer
from tests.unit.supervisors.registry.clerk import DictShelf, Morgue, add, life


@asynccontextmanager
async def serving(shelf: DictShelf, morgue: Morgue, *, history: int = 100) -> AsyncIterator[RegistryServer]:
    """A keeper with the book `names`, until its process is killed."""
    server = RegistryServer(Journal(shelf, "ns", "home", str(id(morgue))), morgue, history=history)
    task = asyncio.create_task(server.run())
    try:
        await server.apply([Open("names", "unique")])
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task})


def told(story: Callable[[DictShelf, Morgue], Awaitable[None]]) -> None:
    """Run it."""

    async def run() -> None:
        async with asyncio.timeout(10):
            await story(DictShelf(), Morgue())

    asyncio.run(run())


def test_a_copy_gets_everything_first_and_then_what_is_new() -> None:
    """Commit by commit, in order."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            whole = await server.follow((0, 0))
            assert whole.whole
            version, _ = await server.apply([add("k", life())])
            news = await server.follow(whole.version)
            assert (news.whole, news.version) == (False, version)
            assert [type(change) for change in news.changes] == [Fence, Put]

    told(story)


def test_a_copy_waits_until_there_is_something_new() -> None:
    """And no longer than it said."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            nothing = await server.follow(server.version, timeout_s=0.01)
            assert (nothing.changes, nothing.version) == ((), server.version)
            waiting = asyncio.create_task(server.follow(server.version))
            await asyncio.sleep(0)
            version, _ = await server.apply([add("k", life())])
            assert (await waiting).version == version

    told(story)


def test_a_copy_that_is_far_behind_gets_everything() -> None:
    """So the history need not be long."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue, history=2) as server:
            long_ago = server.version
            for number in range(3):
                await server.apply([add(number, life())])
            assert (await server.follow(long_ago)).whole
            assert not (await server.follow((long_ago[0], long_ago[1] + 1))).whole

    told(story)


def test_nothing_is_answered_or_seen_before_it_is_written() -> None:
    """A crash in between loses only what nobody has heard of."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            before = server.version
            shelf.open.clear()
            asked = asyncio.create_task(server.apply([add("k", life())]))
            await shelf.knocked.wait()
            copying = asyncio.create_task(server.follow((0, 0)))
            await asyncio.sleep(0)
            assert (asked.done(), copying.done(), server.version) == (False, False, before)
            shelf.open.set()
            assert (await asked)[0] == (await copying).version > before

    told(story)


def test_those_who_ask_together_are_served_in_order_and_written_once() -> None:
    """The first gets the key."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            before = server.version[1]
            answers = await asyncio.gather(*(server.apply([add("k", life(process))]) for process in "abc"))
            assert [answer[0] for _, answer in answers][1:] == [AlreadyRegistered("k", life("a"))] * 2
            assert server.version[1] == before + 1

    told(story)


def test_a_process_that_is_dead_already_is_refused() -> None:
    """However its call came to be late."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            morgue.dead.add(life())
            _, (answer,) = await server.apply([add("k", life())])
            assert answer == StaleEpoch("a", 1, 2)

    told(story)


def test_a_death_takes_the_entries_away_everywhere_in_one_batch() -> None:
    """No copy ever has some of them and not others."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            version, _ = await server.apply([add("k", life()), add("l", life())])
            morgue.bury(life())
            gone = await server.follow(version)
            assert len(gone.changes) == 3
            assert not any(isinstance(change, Put) for change in (await server.follow((0, 0))).changes)
            _, (answer,) = await server.apply([add("k", life())])
            assert answer == StaleEpoch("a", 1, 2)

    told(story)


def test_one_who_is_over_keeps_nobody_from_a_key_although_the_news_has_not_come() -> None:
    """The living do; the dead one's other keys are free with the first."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            await server.apply([add("k", life("a")), add("l", life("a")), add("m", life("b"))])
            morgue.dead.add(life("a"))
            _, (k, m) = await server.apply([add("k", life("c")), add("m", life("c"))])
            assert (k.who, m) == (life("c"), AlreadyRegistered("m", life("b")))
            puts = [change for change in (await server.follow((0, 0))).changes if isinstance(change, Put)]
            assert [(put.entry.key, put.entry.who.process) for put in puts] == [("m", "b"), ("k", "c")]

    told(story)


def test_a_lost_node_takes_its_processes_entries_away() -> None:
    """Whoever says so."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            version, _ = await server.apply([add("k", life("a", 1, "n1")), add("l", life("b", 1, "n2"))])
            server.node_lost("n1")
            assert len((await server.follow(version)).changes) == 2

    told(story)


def test_the_next_life_keeps_the_living_and_drops_the_dead() -> None:
    """It asks nobody to register again."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as server:
            await server.apply([add("k", life("a")), add("l", life("b"))])
        morgue.dead.add(life("a"))
        async with serving(shelf, morgue) as server:
            _, (k, l_) = await server.apply([add("k", life("c")), add("l", life("c"))])
            assert (k.who, l_) == (life("c"), AlreadyRegistered("l", life("b")))
            assert server.version[0] == 2

    told(story)


def test_a_keeper_that_was_superseded_answers_nothing_more() -> None:
    """Those who wait are sent away to look for the next life."""

    async def story(shelf: DictShelf, morgue: Morgue) -> None:
        async with serving(shelf, morgue) as stale, serving(shelf, Morgue()):
            with pytest.raises(Superseded):
                await stale.apply([add("k", life())])
            with pytest.raises(Superseded):
                await stale.apply([add("k", life())])

    told(story)
