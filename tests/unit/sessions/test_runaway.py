"""Programs that do not stop, or keep others from running: what becomes of them, and of their neighbours."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

import dspex_actors.programs.shortcut  # noqa: F401 - seconds of imports, which no turn here waits for
from dspex_actors.programs.call import ProgramCall, ProgramResult
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions import runner
from dspex_actors.sessions.limits import HostLimits
from dspex_actors.sessions.program_loop import ProgramLoop
from dspex_actors.sessions.run import Run
from dspex_actors.sessions.runner import Limits, Runner
from dspex_actors.sessions.stopping import Stoppable, Stopped
from tests.unit.sessions.hosting import Bench, Heard, Scripted, hosting, until

if TYPE_CHECKING:
    from dspex_actors.programs.loaded import LoadedProgram

KEEPING = ("spin", "block", "dawdle", "defy", "hide", "swallow")
QUICK = HostLimits(programs=Limits(loop_s=0.2, cpu_s=0.2))


@dataclass
class Greedy(Scripted):
    """`{"do": "spin"}` loops for ever; `{"do": "block"}` waits where it must not, until the test lets it, and
    `{"do": "dawdle"}` does so little by little.

    `{"do": "defy"}` spins until then, whoever wants to stop it; `{"do": "swallow"}` spins on after the first stop.
    `{"do": "hide"}` waits in a task of its own, where nobody sees whose it is.
    """

    release: threading.Event = field(default_factory=threading.Event)

    async def arun(self, call: ProgramCall) -> ProgramResult:
        """On the loop."""
        return await self._turn(call) if call.inputs.get("do") in KEEPING else await super().arun(call)

    async def _turn(self, call: ProgramCall) -> ProgramResult:
        return await asyncio.create_task(self._hide(call)) if call.inputs["do"] == "hide" else self._keep(call)

    async def _hide(self, call: ProgramCall) -> ProgramResult:
        return self._keep(call)

    def run(self, call: ProgramCall) -> ProgramResult:
        """In a thread."""
        return self._keep(call) if call.inputs.get("do") in KEEPING else super().run(call)

    def _keep(self, call: ProgramCall) -> ProgramResult:
        self.calls.append(call)
        self.gate("kept").reached += 1
        if call.inputs["do"] in ("block", "hide"):
            self.release.wait(10)
        if call.inputs["do"] == "swallow":
            _swallow_one()
        while call.inputs["do"] == "spin":
            try:
                time.monotonic()
            except Exception:
                continue
        while call.inputs["do"] == "dawdle" and not self.release.wait(0.07):
            time.sleep(0.07)
        while call.inputs["do"] == "defy":
            try:
                while not self.release.is_set():
                    pass
                break
            except BaseException:
                continue
        return ProgramResult({"answer": "late"}, {}, "mock")


def _swallow_one() -> None:
    try:
        while True:
            pass
    except BaseException:
        while True:
            pass


async def runs_out_of_time(bench: Bench, record: SessionRecord, turn: Heard) -> None:
    """The turn's deadline passes while its program runs, however late that began."""
    await until(lambda: bench.program.gate("kept").reached == 1)
    bench.host._expire(bench.host._active[record.uid], turn)
    assert await turn.error() == "deadline_exceeded"


def test_an_async_program_that_spins_is_stopped_and_its_neighbours_go_on() -> None:
    """Its caller hears why; the neighbour's turn is answered, in the attempt that it was in."""

    async def scenario() -> None:
        async with hosting(Greedy(), limits=QUICK) as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            neighbour = bench.ask(bob, "t1", gate="g")
            await until(lambda: bench.program.gate("g").reached == 1)
            assert await bench.ask(alice, "t1", do="spin").error() == "program_failed"
            bench.program.gate("g").open()
            assert (await neighbour.answer())["attempts"] == 1
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1
            assert bench.host.wear.reason() == "a program kept the event loop"

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["block", "dawdle", "defy"])
def test_an_async_program_that_blocks_the_loop_fails_and_its_neighbours_begin_anew(how: str) -> None:
    """It cannot be stopped, so it is left behind; the late end of it changes nothing."""

    async def scenario() -> None:
        program = Greedy()
        async with hosting(program, limits=QUICK) as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            neighbour = bench.ask(bob, "t1", gate="g")
            await until(lambda: program.gate("g").reached == 1)
            blocking = bench.ask(alice, "t1", do=how)
            assert await blocking.error() == "program_failed"
            assert await neighbour.error() == "moved"
            program.gate("g").open()
            assert (await bench.ask(bob, "t1", gate="g").answer())["turn"] == 1
            program.release.set()
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1
            assert bench.journal(alice) == [(1, "t2")]

    asyncio.run(scenario())


def test_where_nobody_sees_who_blocks_the_loop_nobody_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """All begin anew; the loop that was left ends when it is given back, and its late ends change nothing."""
    monkeypatch.setattr(runner, "PATIENCE_UNPLAIN", 1.5)

    async def scenario() -> None:
        program = Greedy()
        async with hosting(program, limits=QUICK) as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            left = bench.host._attempts._runner._loop
            neighbour = bench.ask(bob, "t1", gate="g")
            await until(lambda: program.gate("g").reached == 1)
            hidden = bench.ask(alice, "t1", do="hide")
            assert (await hidden.error(), await neighbour.error()) == ("moved", "moved")
            assert bench.host.wear.reason() == "a program blocked the event loop"
            again = bench.ask(bob, "t1", gate="g")
            await until(lambda: program.gate("g").reached == 2)
            program.release.set()
            await until(lambda: not left._thread.is_alive())
            program.gate("g").open()
            assert (await again.answer())["turn"] == 1

    asyncio.run(scenario())


def test_a_loop_that_was_left_takes_no_more_attempts() -> None:
    """Who comes too late hears it, and goes to the next loop."""
    loop, call = ProgramLoop(), ProgramCall({}, (), None, "t1", "alice", 1, None, None)
    run = Run(cast("LoadedProgram", Scripted()), call, lambda _: None)
    assert loop.leave() == []
    assert not loop.start(run)
    assert run.home is None
    loop.wind_up()
    loop._thread.join(5)
    loop.cancel(run)


def test_a_turn_that_comes_while_the_loop_is_blocked_begins_anew_too() -> None:
    """It waits for a loop that will never run it."""

    async def scenario() -> None:
        program = Greedy()
        async with hosting(program, limits=QUICK) as bench:
            alice, bob = bench.session("alice"), bench.session("bob")
            await bench.ask(bob, "t0").answer()
            blocking = bench.ask(alice, "t1", do="block")
            await until(lambda: program.gate("kept").reached == 1)
            late = bench.ask(bob, "t1")
            assert (await blocking.error(), await late.error()) == ("program_failed", "moved")
            assert (await bench.ask(bob, "t1").answer())["turn"] == 2
            program.release.set()

    asyncio.run(scenario())


def test_a_sync_program_that_spins_is_stopped_when_nobody_waits_any_more() -> None:
    """Its thread is free again."""

    async def scenario() -> None:
        async with hosting(Greedy(is_async=False)) as bench:
            alice = bench.session()
            await runs_out_of_time(bench, alice, bench.ask(alice, "t1", do="spin"))
            await until(lambda: not bench.host._attempts._runner._in_threads)
            assert (await bench.ask(alice, "t2").answer())["turn"] == 1

    asyncio.run(scenario())


def test_a_sync_program_that_uses_too_much_cpu_is_stopped() -> None:
    """Long before its deadline."""

    async def scenario() -> None:
        async with hosting(Greedy(is_async=False), limits=QUICK) as bench:
            assert await bench.ask(bench.session(), "t1", do="spin").error() == "program_failed"

    asyncio.run(scenario())


def test_a_sync_program_that_swallows_the_first_stop_is_stopped_in_the_end() -> None:
    """It counts once."""

    async def scenario() -> None:
        async with hosting(Greedy(is_async=False), limits=QUICK) as bench:
            assert await bench.ask(bench.session(), "t1", do="swallow").error() == "program_failed"
            assert bench.host.wear._stopped == 1

    asyncio.run(scenario())


def test_a_sync_program_that_cannot_be_stopped_wears_its_host_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host says so while it still burns."""
    monkeypatch.setattr(runner, "STOPS", 3)

    async def scenario() -> None:
        program = Greedy(is_async=False)
        async with hosting(program, limits=QUICK) as bench:
            kept = bench.ask(bench.session(), "t1", do="defy")
            await until(lambda: bench.host.wear.reason() == "a program cannot be stopped")
            program.release.set()
            await kept.outcome()

    asyncio.run(scenario())


def test_a_thread_that_waits_is_not_stopped_when_nobody_wants_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be about to get a lock; it ends as it would have."""
    looks, look = list[int](), Runner._look_at_threads

    def looked(self: Runner) -> None:
        look(self)
        looks.append(1)

    monkeypatch.setattr(Runner, "_look_at_threads", looked)

    async def scenario() -> None:
        program = Greedy(is_async=False)
        async with hosting(program) as bench:
            alice = bench.session()
            await runs_out_of_time(bench, alice, bench.ask(alice, "t1", do="block"))
            seen = len(looks)
            await until(lambda: len(looks) >= seen + 3)
            assert bench.host.wear._stopped == 0
            program.release.set()
            await until(lambda: not bench.host._attempts._runner._in_threads)

    asyncio.run(scenario())


def test_the_watch_goes_on_when_a_round_of_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is replaced; until then programs are still stopped."""

    async def scenario() -> None:
        async with hosting(Greedy(is_async=False), limits=QUICK) as bench:
            with monkeypatch.context() as patch:
                patch.setattr(ProgramLoop, "look", lambda *_: 1 / 0)
                await until(lambda: bench.host.wear.reason() == "the watch over programs failed")
            assert await bench.ask(bench.session(), "t1", do="spin").error() == "program_failed"

    asyncio.run(scenario())


def test_threads_that_hang_are_counted_while_they_do() -> None:
    """Too many of them wear a host out."""

    async def scenario() -> None:
        program = Greedy(is_async=False)
        async with hosting(program) as bench:
            alice = bench.session()
            await runs_out_of_time(bench, alice, bench.ask(alice, "t1", do="block"))
            assert bench.host.wear._hanging() == 1
            program.release.set()
            await until(lambda: bench.host.wear._hanging() == 0)

    asyncio.run(scenario())


def test_eight_spinners_are_stopped_at_once() -> None:
    """Each in its own thread."""
    blocks = [Stoppable() for _ in range(8)]
    ended = []

    def spin(block: Stoppable) -> None:
        try:
            with block.here():
                while True:
                    pass
        except Stopped:
            ended.append(block)

    threads = [threading.Thread(target=spin, args=(block,)) for block in blocks]
    for thread in threads:
        thread.start()
    while not all(block.cpu_s() > 0 for block in blocks):
        pass
    assert all(block.stop() for block in blocks)
    for thread in threads:
        thread.join(10)
    assert len(ended) == 8


def test_a_stop_that_comes_too_late_reaches_nothing() -> None:
    """Neither before nor after the block."""
    block = Stoppable()
    assert not block.stop()
    with block.here():
        pass
    assert not block.stop()
    sum(range(100_000))


def test_a_stop_that_is_under_way_when_the_block_ends_does_not_arrive_later() -> None:
    """It is withdrawn."""
    block, stopped = Stoppable(), threading.Event()

    def spin() -> None:
        with block.here():
            while not stopped.is_set():
                pass

    def work() -> None:
        with contextlib.suppress(Stopped):
            spin()
        sum(range(100_000))

    thread = threading.Thread(target=work)
    thread.start()
    while not block.stop():
        pass
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()
