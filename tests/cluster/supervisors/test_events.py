"""The event stream of a supervisor actor."""

from __future__ import annotations

import asyncio

from supervisors import Supervisor
from supervisors.observe import Happening
from supervisors.ray_events import Journal
from tests.cluster.supervisors.actors import living, sigkill, worker


def test_what_happens_is_told_in_order_and_the_stream_ends_with_the_supervisor() -> None:
    """From the moment when the stream was asked for."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a")])
        events = sup.events()
        sigkill((await living(sup, "a")).pid)
        told = [await anext(events), await anext(events)]
        assert [(one.kind, one.id) for one in told] == [("exited", "a"), ("restarted", "a")]
        assert told[0].reason is not None
        assert told[0].reason.kind == "killed"
        await sup.stop()
        assert [one.kind async for one in events] == ["exited"]

    asyncio.run(story())


def test_a_stream_goes_on_with_the_next_life_of_the_top() -> None:
    """Which tells what it has taken over."""

    async def story() -> None:
        root = await Supervisor.start(name="told", detached=True, children=[worker("a")])
        events = root.events()
        old = await living(root, "a")
        sigkill((await root.tree())["pid"])
        async with asyncio.timeout(30):
            first = await anext(events)
        assert (first.kind, first.name) == ("adopted", old.name)
        await root.stop()

    asyncio.run(story())


def test_a_reader_that_is_too_slow_is_told_how_much_it_has_lost() -> None:
    """1,024 are kept."""

    async def story() -> None:
        journal = Journal()
        start = journal.now()
        for number in range(1030):
            journal.put(Happening("started", str(number), str(number), None, None, ""))
        batch = await journal.after(start.life, start.upto)
        assert (len(batch.happenings), batch.dropped, batch.happenings[0].id) == (1024, 6, "6")

    asyncio.run(story())
