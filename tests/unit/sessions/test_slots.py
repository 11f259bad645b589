"""The slots of hosts: what a placement that was killed has left half done is put right by the next."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from dspex_actors.config import Settings
from dspex_actors.sessions import ray_slots
from dspex_actors.sessions.ray_slots import Slots
from supervisors import Child, ChildInfo, Running, Supervisor


class Hosts:
    """A supervisor of hosts: one that runs, one that is stopped, one that starts, one that is about to be restarted."""

    def __init__(self) -> None:
        living = Child("host-1", "host#1", "", 1, "", "")
        rows = {"host-1": living, "host-2": None, "host-3": None, "host-4": "restarting"}
        self.rows = {id_: ChildInfo(id_, child, "worker", ()) for id_, child in rows.items()}  # type: ignore[arg-type]
        self.ended = list[str]()

    async def which_children(self, *, timeout_s: float) -> list[ChildInfo]:
        return list(self.rows.values())

    async def terminate_child(self, id_: str, *, timeout_s: float) -> None:
        self.ended.append(id_)

    async def delete_child(self, id_: str, *, timeout_s: float) -> None:
        if id_ == "host-3":
            raise Running(id_)
        del self.rows[id_]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """The one that is found."""
    made = Hosts()

    async def find() -> Supervisor:
        return cast(Supervisor, made)

    monkeypatch.setattr(ray_slots, "_hosts", find)
    return made


def test_a_slot_that_was_stopped_and_not_deleted_is_deleted(hosts: Hosts) -> None:
    """It does not count as a host; one that starts does."""
    assert asyncio.run(Slots(Settings(hosts=1, standby=0)).fit(0)) == 2
    assert sorted(hosts.rows) == ["host-1", "host-3", "host-4"]


def test_a_host_that_is_not_there_is_not_said_to_be_removed(hosts: Hosts) -> None:
    """Whoever asked does not wait for its end."""
    slots = Slots(Settings())
    assert not asyncio.run(slots.remove("host#9"))
    assert asyncio.run(slots.remove("host#1"))
    assert (hosts.ended, "host-1" in hosts.rows) == (["host-1"], False)
