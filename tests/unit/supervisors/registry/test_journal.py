"""What outlives a keeper: nothing that it has answered is lost, and nothing that a stale one writes counts."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.entries import Add, Open, Remove
from supervisors.registry_core import Directory
from supervisors.registry_journal import Journal, Superseded, latest
from tests.unit.supervisors.registry.clerk import DictShelf, add, life


def journal(shelf: DictShelf, where: str = "one", *, segments: int = 3) -> Journal:
    """One that folds often."""
    return Journal(shelf, "ns", "home", where, segments=segments)


async def write(book: Journal, directory: Directory, operation: Open | Add | Remove) -> None:
    """Carry out, and write it down."""
    await book.append(directory.perform(operation).changes, directory)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20), st.integers(1, 5))
def test_the_next_life_reads_all_that_was_written(script: list[tuple[bool, int]], segments: int) -> None:
    """Wherever it was folded, and also what was taken out: it does not come back."""

    async def story() -> None:
        shelf = DictShelf()
        first = journal(shelf, segments=segments)
        directory = await first.open()
        await write(first, directory, Open("names", "duplicate"))
        for adds, number in script:
            await write(
                first, directory, add("k", life(), id_=str(number)) if adds else Remove("names", (str(number),))
            )
        assert (await journal(shelf, "two").open()).snapshot() == directory.snapshot()

    asyncio.run(story())


def test_a_stale_keeper_is_told_so_and_what_it_writes_is_not_read() -> None:
    """Its answer never goes out."""

    async def story() -> None:
        shelf = DictShelf()
        stale, directory = journal(shelf), Directory()
        await stale.open()
        await write(stale, directory, Open("names", "unique"))
        second = journal(shelf, "two")
        found = await second.open()
        with pytest.raises(Superseded):
            await write(stale, directory, add("k", life()))
        await write(second, found, add("k", life("b")))
        third = await journal(shelf, "three").open()
        assert [entry.who for entry in third.books["names"].entries()] == [life("b")]

    asyncio.run(story())


def test_two_that_start_at_the_same_time_get_different_terms() -> None:
    """And the higher one is found."""

    async def story() -> None:
        shelf = DictShelf()
        books = [journal(shelf, f"at {number}") for number in range(5)]
        await asyncio.gather(*(book.open() for book in books))
        assert sorted(book.term for book in books) == [1, 2, 3, 4, 5]
        last = max(books, key=lambda book: book.term)
        assert await latest(shelf, "ns", "home") == (5, f"at {books.index(last)}")
        assert await latest(shelf, "ns", "elsewhere") is None

    asyncio.run(story())


def test_folding_keeps_the_store_small() -> None:
    """However much is written."""

    async def story() -> None:
        shelf, book = DictShelf(), Journal(DictShelf(), "ns", "home", "one")
        book = journal(shelf)
        directory = await book.open()
        await write(book, directory, Open("names", "unique"))
        for _ in range(100):
            await write(book, directory, add("k", life(), id_="e"))
            await write(book, directory, Remove("names", ("e",)))
        assert len(shelf.values) <= 5

    asyncio.run(story())
