"""A dedicated session is created with a host of its own, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dspex_actors.errors import NoCapacity, NotFound
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.sessions.housing import housed
from dspex_actors.sessions.placement import Drained, Migrated, Place
from dspex_actors.store import Store, open_store
from dspex_actors.store.port import Made


class Operations:
    """Has a host for a session, or not; remembers who was told to go."""

    def __init__(self, refusal: NoCapacity | None = None) -> None:
        self._refusal, self.vacated = refusal, list[str]()

    async def house(self, record: SessionRecord, patience_s: float) -> None:
        if self._refusal is not None:
            raise self._refusal

    async def vacate(self, record: SessionRecord) -> None:
        self.vacated.append(record.id)

    def check_isolation(self, isolation: str) -> None: ...

    async def tree(self) -> dict[str, object]:
        return {}

    async def migrate(self, record: SessionRecord, host: str | None, patience_s: float) -> Migrated:
        return Migrated("", "", 0)

    async def drain_host(self, host: str, timeout_s: float) -> Drained:
        return Drained("", 0, 0, True)


@pytest.fixture
def store() -> Iterator[Store]:
    """One with a program."""
    made = open_store("sqlite://")
    made.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
    yield made
    made.close()


def ann(store: Store) -> Made[SessionRecord]:
    """A dedicated session."""
    return store.create_session("default", SessionSpec(program="qa", id="ann", isolation="dedicated"))


def test_one_that_gets_no_host_is_not_there(store: Store) -> None:
    """Nothing is left of it, and placement hears so."""
    operations = Operations(NoCapacity("none"))
    with pytest.raises(NoCapacity):
        asyncio.run(housed(ann(store), store, operations, lambda _: Place("", None, None, 0)))
    with pytest.raises(NotFound):
        store.get_session("default", "ann")
    assert (operations.vacated, store.dedicated(), store.leases()) == (["ann"], [], [])


def test_one_that_an_earlier_call_has_made_stays(store: Store) -> None:
    """A replay does not take back what it did not make."""
    made = ann(store).value
    with pytest.raises(NoCapacity):
        asyncio.run(housed(Made(made, True), store, Operations(NoCapacity("")), lambda _: Place("", None, None, 0)))
    assert store.get_session("default", "ann") == made


def test_the_answer_comes_when_turns_find_the_host(store: Store) -> None:
    """Word of it may take a moment."""
    places = iter([None, None, "host-a"])
    asyncio.run(housed(ann(store), store, Operations(), lambda _: Place("", next(places), None, 0)))
    assert next(places, "all asked for") == "all asked for"
