"""The event stream is bounded, says what it lost, and ends."""

from __future__ import annotations

import asyncio

from supervisors import ChildSpec
from supervisors.happenings import KEPT, Feed
from supervisors.observe import Happening
from tests.unit.supervisors.local.children import Counter, started


def happening(number: int) -> Happening:
    """One of many."""
    return Happening("started", str(number), str(number), None, None, "2026-01-01T00:00:00Z")


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    """The supervisor never waits for it."""

    async def story() -> None:
        feed = Feed()
        stream = feed.subscribe()
        for number in range(KEPT + 3):
            feed.tell(happening(number))
        assert (await anext(stream)).id == "3"
        assert stream.dropped == 3
        feed.close()
        assert len([seen async for seen in stream]) == KEPT - 1

    asyncio.run(story())


def test_every_reader_sees_everything_and_one_that_leaves_no_more() -> None:
    """When nobody listens the supervisor does not even describe what happens."""

    async def story() -> None:
        feed = Feed()
        first, second = feed.subscribe(), feed.subscribe()
        feed.tell(happening(1))
        first.close()
        feed.tell(happening(2))
        assert [seen.id async for seen in first] == ["1"]
        second.close()
        assert [seen.id async for seen in second] == ["1", "2"]
        assert not feed.has_listeners

    asyncio.run(story())


def test_a_reader_that_waits_is_woken_by_news_and_by_the_end() -> None:
    """One who comes after the end reads nothing."""

    async def story() -> None:
        sup = await started()
        seen = asyncio.create_task(_all_kinds(sup.events()))
        await asyncio.sleep(0)
        await sup.start_child(ChildSpec("a", start=Counter))
        await sup.stop()
        assert await seen == ["started", "exited"]
        assert await _all_kinds(sup.events()) == []

    asyncio.run(story())


async def _all_kinds(stream: object) -> list[str]:
    return [seen.kind async for seen in stream]  # type: ignore[attr-defined]
