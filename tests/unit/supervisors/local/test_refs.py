"""How children of this process are reached."""

from __future__ import annotations

import asyncio

import pytest

from supervisors import Child, ChildSpec, Exit, Supervisor
from supervisors.errors import ChildCrashed, ChildGone, UnknownMethod
from supervisors.local_ref import LocalRef, local_ref
from tests.unit.supervisors.local.children import Counter, child_of, started, until


async def counter(**options: object) -> tuple[Supervisor, LocalRef]:
    """A supervisor with one counter."""
    sup = await started(ChildSpec("a", start=Counter, args=(5,), **options))  # type: ignore[arg-type]
    return sup, local_ref(await child_of(sup, "a"))


def test_a_call_answers_what_the_method_returns() -> None:
    """Sync or async; the object is there too, for those who want it."""

    async def story() -> None:
        sup, ref = await counter()
        assert await ref.call("add", number=2) == 7
        assert (ref.is_alive, ref.object.value) == (True, 7)
        ref.object.gate.set()
        assert await ref.call("wait") == "through"
        await sup.stop()

    asyncio.run(story())


def test_an_exception_in_a_call_crashes_the_child_and_is_the_cause_of_the_callers_error() -> None:
    """The supervisor starts another one, with a new state."""

    async def story() -> None:
        sup, ref = await counter()
        await ref.call("add", 1)
        with pytest.raises(ChildCrashed, match="crash: ValueError: boom") as crashed:
            await ref.call("boom")
        assert isinstance(crashed.value.__cause__, ValueError)
        assert (await sup.tree())["children"][0]["last_exit"] == "crash: ValueError: boom"
        assert await local_ref(await child_of(sup, "a")).call("add", 0) == 5
        await sup.stop()

    asyncio.run(story())


def test_an_exception_after_an_await_crashes_the_child_though_the_caller_has_given_up() -> None:
    """As a caller on the BEAM that times out."""

    async def story() -> None:
        sup, ref = await counter()
        gate = ref.object.gate
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ref.call("late_boom"), 0.01)
        assert ref.is_alive
        gate.set()
        await until(lambda: not ref.is_alive)
        assert (await sup.tree())["children"][0]["last_exit"] == "crash: ValueError: late boom"
        await sup.stop()

    asyncio.run(story())


def test_a_call_to_a_child_that_is_gone_says_noproc() -> None:
    """The restarted one has another reference."""

    async def story() -> None:
        sup, ref = await counter()
        await sup.terminate_child("a")
        for gone in (ref, local_ref(ref.name)):
            with pytest.raises(ChildGone, match="noproc") as error:
                await gone.call("add", 1)
            assert (error.value.code, error.value.reason) == ("noproc", Exit("noproc"))
            with pytest.raises(ChildGone):
                _ = gone.object
            gone.exit(Exit("killed"))
        await sup.stop()

    asyncio.run(story())


@pytest.mark.parametrize("begun", [True, False])
def test_a_call_that_is_served_when_the_child_ends_says_how_it_ended(begun: bool) -> None:
    """Also one that had not had its first turn."""

    async def story() -> None:
        sup, ref = await counter()
        call = asyncio.ensure_future(ref.call("wait"))
        await asyncio.sleep(0)
        if begun:
            await until(lambda: ref.object.gate._waiters)
        with pytest.raises(ChildCrashed):
            await ref.call("boom")
        with pytest.raises(ChildGone, match="crash: ValueError: boom"):
            await call
        await sup.stop()

    asyncio.run(story())


def test_an_unknown_method_hurts_the_caller_alone() -> None:
    """The child lives on."""

    async def story() -> None:
        sup, ref = await counter()
        for method in ("subtract", "value"):
            with pytest.raises(UnknownMethod, match=f"has no method '{method}'"):
                await ref.call(method)
        assert ref.is_alive
        await sup.stop()

    asyncio.run(story())


def test_a_cancelled_caller_is_cancelled_and_its_call_goes_on() -> None:
    """The child does not notice."""

    async def story() -> None:
        sup, ref = await counter()
        call = asyncio.create_task(ref.call("wait"))
        await until(lambda: ref.object.gate._waiters)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(ref.object.gate._waiters) == 1
        await sup.stop()

    asyncio.run(story())


def test_exit_ends_a_child_with_that_reason_and_the_first_one_counts() -> None:
    """`terminate` is not called."""

    async def story() -> None:
        sup, ref = await counter(restart="temporary")
        told: list[Exit] = []
        ref.watch(told.append)
        ref.exit(Exit("shutdown", "enough"))
        ref.exit(Exit("killed"))
        assert told == [Exit("shutdown", "enough")]
        assert await sup.which_children() == []
        await sup.stop()

    asyncio.run(story())


def test_those_who_watch_are_told_once_when_the_name_is_free_before_the_supervisor_acts() -> None:
    """Those that hold names come first; who has left is not told; after the end it is `noproc`."""

    async def story() -> None:
        sup, ref = await counter()
        told: list[str] = []
        ref.watch(lambda reason: told.append(f"down {local_ref(ref.name).is_alive} {ref.is_alive}"))
        ref.watch(lambda reason: told.append("released"), release=True)
        ref.watch(lambda reason: told.append("left"))()
        ref.exit(Exit("killed"))
        assert told == ["released", "down False False"]
        local_ref(ref.name).watch(lambda reason: told.append(str(reason)))()
        assert told[2:] == ["noproc"]
        await sup.stop()

    asyncio.run(story())


def test_a_supervisor_can_be_ended_like_any_child() -> None:
    """What is below it goes with it, unasked."""

    async def story() -> None:
        from supervisors import SupervisorSpec

        nested = ChildSpec("sup", start=SupervisorSpec(children=(ChildSpec("a", start=Counter),)))
        top = await started(nested)
        old = await child_of(top, "sup")
        ref = local_ref(await child_of(await Supervisor.of(old), "a"))
        local_ref(old).exit(Exit("crash", "boom"))
        new: Child = await child_of(top, "sup")
        assert (ref.is_alive, new.name == old.name) == (False, False)
        assert (await top.tree())["children"][0]["last_exit"] == "crash: boom"
        await top.stop()

    asyncio.run(story())


def test_a_call_that_is_cancelled_from_within_is_a_crash() -> None:
    """Nobody asked for that."""

    class Falling(Counter):
        async def fall(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.Event().wait()

    async def story() -> None:
        sup = await started(ChildSpec("a", start=Falling, restart="temporary"))
        ref = local_ref(await child_of(sup, "a"))
        with pytest.raises(ChildGone, match="crash: CancelledError"):
            await ref.call("fall")
        assert await sup.which_children() == []
        await sup.stop()

    asyncio.run(story())


def test_a_caller_that_is_cancelled_as_the_child_ends_is_cancelled() -> None:
    """Its own end comes first."""

    async def story() -> None:
        sup, ref = await counter()
        call = asyncio.create_task(ref.call("wait"))
        await until(lambda: ref.object.gate._waiters)
        ref.exit(Exit("killed"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await sup.stop()

    asyncio.run(story())
