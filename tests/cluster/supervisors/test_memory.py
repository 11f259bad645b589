"""Terms and memory: whatever an earlier life still does, the latest one is not disturbed."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from supervisors.ray_memory import Fenced, Kept, Ledger, Note, RayShelf, child_path, end_below, notes_below
from supervisors.state import Memory

PATH = "top/sup"
numbers = count(1)


def ledger(path: str = PATH) -> Ledger:
    """One more life."""
    return Ledger(RayShelf(), "memory", path, f"life {next(numbers)}")


def kept(name: str, *ages: float, at: float = 0.0) -> Kept:
    """What it writes: one child."""
    return Kept(Memory(ages=ages), (Note("child", "a", 1, name),), at=at)


def test_each_life_has_a_higher_term_and_the_earlier_ones_are_fenced() -> None:
    """Compare-and-set: of two that begin at once one is the later."""

    async def story() -> None:
        first, second = ledger(), ledger()
        await first.take_term()
        await first.check()
        await asyncio.gather(second.take_term(), (third := ledger()).take_term())
        earlier, latest = sorted((second, third), key=lambda life: life.term)
        assert first.term < earlier.term < latest.term
        await latest.check()
        for life in (first, earlier):
            with pytest.raises(Fenced):
                await life.check()
        await latest.forget()

    asyncio.run(story())


def test_what_an_earlier_life_writes_late_is_not_read() -> None:
    """Each writes under its own term."""

    async def story() -> None:
        first, second, third = ledger(), ledger(), ledger()
        await first.take_term()
        await first.keep(lambda: kept("one"))
        await second.take_term()
        assert await second.recall() == kept("one")
        await second.keep(lambda: kept("two"))
        await first.keep(lambda: kept("late"))
        await third.take_term()
        assert await third.recall() == kept("two")
        await third.forget()
        assert await RayShelf().keys("memory|") == []

    asyncio.run(story())


def test_an_ended_tree_has_no_terms_and_its_supervisors_do_nothing_more() -> None:
    """Those below a path, and not those of a path that only begins alike."""

    async def story() -> None:
        inside, outside = ledger("top/sup"), ledger("top2")
        for life, name in ((inside, "in"), (outside, "out")):
            await life.take_term()
            await life.keep(lambda name=name: kept(name))  # type: ignore[misc]
        assert list(await notes_below(RayShelf(), "memory", "top", itself=True)) == ["in"]
        await end_below(RayShelf(), "memory", "top", "term", itself=True)
        with pytest.raises(Fenced):
            await inside.check()
        await outside.check()
        await inside.forget()
        await outside.forget()

    asyncio.run(story())


def test_restarts_age_while_nobody_lives() -> None:
    """By wall time; a clock that was set back makes none younger."""
    assert kept("a", 1.0, at=100.0).aged(now=107.0).ages == (8.0,)
    assert kept("a", 1.0, at=100.0).aged(now=50.0).ages == (1.0,)


def test_the_paths_of_siblings_differ_whatever_their_ids_are() -> None:
    """A slash in an id makes no level, and equal ids are told apart by their keys."""
    paths = {child_path("top", key, id_) for key, id_ in (("a/b", "a/b"), ("1", "a"), ("2", "a"), ("a", "a"))}
    assert len(paths) == 4
    assert all(path.count("/") == 1 for path in paths)
