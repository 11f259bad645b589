"""A process's own copy: the same as the keeper's, and never with somebody who is known to be over."""

from __future__ import annotations

import asyncio

from supervisors.entries import Change, Died, Event, Operation, Registered, Remove, Unregistered
from supervisors.registry_copy import Copy
from supervisors.registry_core import Directory
from supervisors.registry_server import Batch
from tests.unit.supervisors.registry.clerk import add, directory, life


def whole(truth: Directory, version: tuple[int, int] = (1, 1)) -> Batch:
    """All there is."""
    return Batch(version, tuple(truth.snapshot()), whole=True)


def news(truth: Directory, number: int, *operations: Operation) -> Batch:
    """What these change."""
    changes: list[Change] = [change for operation in operations for change in truth.perform(operation).changes]
    return Batch((1, number), tuple(changes))


def test_a_copy_tells_of_a_batch_when_all_of_it_is_in() -> None:
    """Who hears of the first entry that went finds none of the others."""
    truth = directory("unique", add("k", life()), add("l", life()))
    copy, counts = Copy(), list[int]()
    copy.take(whole(truth))
    copy.listen(lambda _: counts.append(len(copy.directory.books["names"])))
    copy.take(news(truth, 2, Died(life())))
    assert counts == [0, 0]


def test_a_whole_copy_tells_only_what_is_different() -> None:
    """As when a keeper has come back."""
    truth = directory("unique", add("k", life("a"), id_="1"), add("l", life("b"), id_="2"))
    copy, heard = Copy(), list[Event]()
    copy.take(whole(truth))
    end = copy.listen(heard.append)
    news(truth, 2, Remove("names", ("1",)), add("m", life("b"), id_="3"))
    copy.take(whole(truth, (2, 0)))
    assert [(type(event), event.entry.key) for event in heard] == [(Unregistered, "k"), (Registered, "m")]
    end()
    copy.take(whole(directory("unique"), (3, 0)))
    assert len(heard) == 2


def test_who_is_known_to_be_over_is_not_found_whatever_the_keeper_says() -> None:
    """Until the keeper knows it too; its next life is found."""
    truth = directory("unique", add("k", life("a", 1)))
    copy, heard = Copy(), list[Event]()
    copy.take(whole(truth))
    copy.listen(heard.append)
    copy.release(lambda who: who == life("a", 1))
    assert copy.directory.books["names"].lookup("k") == ()
    copy.take(whole(truth))
    copy.take(news(truth, 2, add("l", life("a", 1))))
    assert len(copy.directory.books["names"]) == 0
    copy.take(news(truth, 3, Died(life("a", 1)), add("k", life("a", 2))))
    assert [(type(event), event.entry.who.epoch) for event in heard] == [(Unregistered, 1), (Registered, 2)]


def test_waiting_for_a_version_ends_when_it_or_a_later_one_is_here() -> None:
    """Terms count before commits."""

    async def story() -> None:
        copy = Copy()
        waiting = [asyncio.create_task(copy.reached(version)) for version in ((1, 2), (2, 0), (2, 9))]
        await asyncio.sleep(0)
        copy.take(Batch((1, 2), ()))
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False, False]
        copy.take(Batch((3, 0), (), whole=True))
        await asyncio.gather(*waiting)
        await copy.reached((2, 9))

    asyncio.run(story())
