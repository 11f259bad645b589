"""A dedicated host that leaves: another one comes in its place only while one is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from dspex_actors.config import Settings
from dspex_actors.ids import unit_of_session
from dspex_actors.resources.session import Guest
from dspex_actors.sessions import ray_slots
from dspex_actors.sessions.placement import HostInfo
from dspex_actors.sessions.ray_book import Book
from dspex_actors.sessions.ray_dedicated import Dedications
from dspex_actors.sessions.ray_moves import Moves
from dspex_actors.store import open_store
from dspex_actors.store.port import Lease
from supervisors import Child, ChildInfo, Supervisor, SupervisorDown


class Hosts:
    """A supervisor of hosts in slots of their own."""

    def __init__(self, count: int) -> None:
        names = {f"host-{number}": f"host#{number}" for number in range(1, count + 1)}
        self.rows = {id_: ChildInfo(id_, Child(id_, name, "", 1, "", ""), "worker", ()) for id_, name in names.items()}

    async def which_children(self, *, timeout_s: float) -> list[ChildInfo]:
        return list(self.rows.values())

    async def terminate_child(self, id_: str, *, timeout_s: float) -> None: ...

    async def delete_child(self, id_: str, *, timeout_s: float) -> None:
        del self.rows[id_]


def leave(hosts: Hosts | None, patch: pytest.MonkeyPatch, owners: Sequence[str]) -> tuple[bool, list[str], set[str]]:
    """`host#2` leaves, whose session is at the last of the owners: whether it ended for good, its slots, who leaves.

    One host for shards and one standby are wanted beside the session's own.
    """

    async def find() -> Supervisor:
        if hosts is None:
            raise SupervisorDown("hosts", "it is being started")
        return cast(Supervisor, hosts)

    async def no(*_: object) -> bool:
        return False

    async def nothing() -> None: ...

    async def main() -> bool:
        book = Book(store, 1)
        book.units.learn([Lease("shard:0", 1, owners[0])])
        book.alive = {f"host#{number}": HostInfo(f"host#{number}", "", 1, 0, "n") for number in range(1, 5)}
        book.dedicated, book.leaving = {"host#2": "u", "host#3": "u"}, leaving
        moves, guests = Moves(book, nothing), [(Guest("u", "ann"), Lease(unit_of_session("u"), 5, owners[-1]))]
        Dedications(book, moves, Settings(hosts=1, standby=1), no, nothing, guests)
        assert moves.end_for_good is not None
        return await moves.end_for_good("host#2")

    patch.setattr(ray_slots, "_hosts", find)
    store, leaving = open_store("sqlite://"), {"host#2"}
    try:
        return asyncio.run(main()), sorted(hosts.rows) if hosts else [], leaving
    finally:
        store.close()


def test_one_for_which_another_has_come_already_ends_with_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a new one would be started there, and an idle one be ended for it."""
    ended = leave(Hosts(4), monkeypatch, ["host#1", "host#3"])
    assert ended == (True, ["host-1", "host-3", "host-4"], {"host#2"})


def test_one_that_is_not_too_many_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes the standby that the session has taken; the host goes on leaving."""
    assert leave(Hosts(3), monkeypatch, ["host#1", "host#3"]) == (False, ["host-1", "host-2", "host-3"], {"host#2"})


def test_one_that_still_has_something_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session, or a shard; it goes on leaving."""
    for owners in (["host#1", "host#2"], ["host#2", "host#3"]):
        assert leave(Hosts(5), monkeypatch, owners)[0::2] == (False, {"host#2"})


def test_where_the_supervisor_cannot_be_asked_it_retires_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too many is found later."""
    assert leave(None, monkeypatch, ["host#1", "host#3"]) == (False, [], {"host#2"})


def test_one_that_has_ended_meanwhile_is_not_taken_for_one_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its slot there is another one, which is left alone."""
    hosts = Hosts(4)
    hosts.rows["host-2"] = ChildInfo("host-2", Child("host-2", "host#9", "", 1, "", ""), "worker", ())
    slots = ["host-1", "host-2", "host-3", "host-4"]
    assert leave(hosts, monkeypatch, ["host#1", "host#3"]) == (False, slots, {"host#2"})
