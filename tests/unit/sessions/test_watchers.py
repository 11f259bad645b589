"""Those who watch a turn: they hear how it ends, and change nothing."""

from __future__ import annotations

import asyncio

import pytest

from dspex_actors.errors import Internal, Moved, NotFound, OutcomeUnknown, ProgramFailed
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions import watching
from dspex_actors.sessions.events import Stalled
from dspex_actors.sessions.intake import A_TICK
from dspex_actors.sessions.session import Turn
from dspex_actors.sessions.watching import Ending, Sight, Watch, WatchWait, join, send_away
from tests.unit.sessions.core import Bench, Listener
from tests.unit.sessions.hosting import WAIT_S, Heard, Scripted, Streamer, hosting, until


def test_a_watcher_waits_on_while_the_store_is_away() -> None:
    """The caller is told that the outcome is unknown; who looks on has time, and gets the outcome."""
    bench, watcher = Bench(), Listener("watcher")
    bench.arrive("caller", "key")
    assert bench.session.current is not None
    bench.session.current.watchers[watcher] = None
    bench.ran()
    bench.tell(Stalled(2))
    assert (bench.error("caller"), bench.replies.get("watcher")) == ("outcome_unknown", None)
    bench.committed()
    assert bench.answer("watcher")["turn"] == 1


def test_a_session_that_is_being_read_is_to_be_asked_again() -> None:
    """Its turns are not known yet."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            asked = bench.ask(alice, "t1")
            (activation,) = bench.host._active.values()
            watch = Watch(alice.uid, alice.unit, bench.epochs[alice.unit], "t1", (1, 0))
            assert join(activation, watch, Heard()) is Sight.ASK_AGAIN
            await asked.answer()
            assert bench.host.watch(watch, Heard()) is Sight.NOT_HERE
            stale = Watch(alice.uid, alice.unit, watch.epoch - 1, "t1", (1, 0))
            assert bench.host.watch(stale, Heard()) is Sight.ASK_AGAIN

    asyncio.run(scenario())


def test_a_turn_that_is_on_its_way_in_is_to_be_asked_for_again() -> None:
    """It waits behind others that came in the same tick."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice = bench.session()
            await bench.ask(alice, "t0").answer()
            asked = [bench.ask(alice, f"t{number}") for number in range(1, A_TICK + 3)]
            last = f"t{A_TICK + 2}"
            watch = Watch(alice.uid, alice.unit, bench.epochs[alice.unit], last, (1, 0))
            assert bench.host.watch(watch, Heard()) is Sight.ASK_AGAIN
            assert (await asked[-1].answer())["turn_id"] == last

    asyncio.run(scenario())


@pytest.mark.parametrize(("last", "patient"), [((1, 0), False), ((1, 2), True)])
def test_a_turn_that_has_begun_may_come_back(
    monkeypatch: pytest.MonkeyPatch, last: tuple[int, int], patient: bool
) -> None:
    """Its caller's retry may be on its way; of one that nobody has seen there is nothing to wait for."""
    monkeypatch.setattr(watching, "SETTLE_S", 0.0)
    endings = [None, None, Ending(1, b"{}")]

    async def look() -> Sight:
        return Sight.NOT_HERE

    async def ending() -> Ending | None:
        return endings.pop(0)

    async def scenario() -> list[str]:
        watch = watching.Watching(WatchWait("t", last), look, ending)
        return [event.name async for event in watch.events(WAIT_S)]

    if patient:
        assert asyncio.run(scenario()) == ["turn.completed"]
    else:
        with pytest.raises(NotFound):
            asyncio.run(scenario())


def test_a_watch_that_breaks_ends(caplog: pytest.LogCaptureFixture) -> None:
    """In our own fault, which the log explains."""

    async def look() -> Sight:
        raise ArithmeticError("a secret")

    async def scenario() -> list[TurnEvent]:
        watch = watching.Watching(WatchWait("t"), look, lambda: asyncio.sleep(0, None))
        return [event async for event in watch.events(WAIT_S)]

    with pytest.raises(Internal, match="The log has the cause"):
        asyncio.run(scenario())
    assert "a secret" in caplog.text


def test_a_host_that_closes_tells_its_watchers() -> None:
    """As it tells everybody who waits."""

    async def scenario() -> None:
        async with hosting(Scripted(is_async=False)) as bench:
            alice, watcher = bench.session(), Streamer()
            caller = bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            watch = Watch(alice.uid, alice.unit, bench.epochs[alice.unit], "t1", (1, 0))
            assert isinstance(bench.host.watch(watch, watcher), Turn)
            await bench.close()
            assert await watcher.error() == await caller.error() == "outcome_unknown"

    asyncio.run(scenario())


def test_who_watches_a_turn_that_may_be_recorded_is_sent_to_the_journal() -> None:
    """Its session broke while its entry was with the writer."""

    async def scenario() -> None:
        async with hosting() as bench:
            alice, watchers = bench.session(), [Heard(), Heard()]
            bench.ask(alice, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            (activation,) = bench.host._active.values()
            assert activation.session is not None
            turn = activation.session.current
            assert turn is not None
            for entry, watcher in zip((None, object()), watchers, strict=True):
                turn.watchers, turn.entry = {watcher: None}, entry  # type: ignore[assignment]
                send_away([activation], Internal("It broke."))
            turn.entry = None
            kinds = [type(answer) for watcher in watchers for answer in watcher.answers]
            assert kinds == [Internal, Moved]

    asyncio.run(scenario())


def test_the_end_of_a_watch_is_no_end_of_a_turn() -> None:
    """What refuses to watch is raised where nothing was shown; how a turn failed is an event."""

    async def scenario() -> None:
        failed, refused = WatchWait("t"), WatchWait("t")
        failed.end(Ending(2, ProgramFailed("It raised.")))
        assert [(event.id, event.name) async for event in failed.events()] == [("2.1", "turn.failed")]
        refused.refuse(OutcomeUnknown("Not yet."))
        try:
            events = [event async for event in refused.events()]
        except OutcomeUnknown:
            return
        raise AssertionError(events)

    asyncio.run(scenario())
