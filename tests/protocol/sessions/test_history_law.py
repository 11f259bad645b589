"""The law of a session's history: it is linearizable, while hosts are lost, units move and links are cut at random."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.chaos_check import Verdict
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.turn_ids import TurnIds
from dspex_actors.store.fence import Fence
from tests.protocol.sessions import wiring
from tests.protocol.sessions.ledger import Clients, Ledger
from tests.protocol.sessions.wiring import Node, Wires, wires
from tests.support.unfenced import advance, drop_keys, held
from tests.unit.sessions.hosting import until


@dataclass(frozen=True)
class Scene:
    """Turns that come together, and what happens while the first of them runs.

    Attributes:
        by: The API replica that each turn comes by; the first one's is sent by both if `twice`.
        faults: `cut` (its link), `steal` (its unit, and everybody hears of it), `move` (as placement moves it).
        last: `lose` (its host, which lives on unseen), `mute` (the same, when it has committed and not answered),
            `freeze` (its unit is another host's, and neither it nor the second replica hears of that), `return` (so,
            and then it is its own again).
        late: Whether whoever lost the unit ends the turn after the new owner, not before.
    """

    by: tuple[int, ...] = (0,)
    twice: bool = False
    faults: tuple[str, ...] = ()
    last: str = ""
    late: bool = False


SCENES = st.builds(
    Scene,
    st.lists(st.integers(0, 1), min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.lists(st.sampled_from(["cut", "steal", "move"]), max_size=2).map(tuple),
    st.sampled_from(["", "lose", "mute", "freeze", "return"]),
    st.booleans(),
)


class Play:
    """One session, two API replicas, and hosts that take each other's place."""

    def __init__(self, wired: Wires, alice: SessionRecord) -> None:
        self.wired, self.alice = wired, alice
        self.routers = (wired.router, wired.replica())
        self.clients = Clients(alice)
        self.gate = ""
        self.turns: list[asyncio.Task[None]] = []

    async def act(self, number: int, scene: Scene) -> None:
        """One scene. At its end all turns are answered; then a key is sent again."""
        self.gate = f"gate-{number}"
        self._send(scene.by[0], f"{number}-0")
        await self._runs(self._owner())
        for place, by in enumerate(scene.by[1:], 1):
            self._send(by, f"{number}-{place}")
        if scene.twice:
            self._send(1 - scene.by[0], f"{number}-0")
        for fault in scene.faults:
            await getattr(self, f"_{fault}")()
        losers = await getattr(self, f"_{scene.last}")() if scene.last else []
        for by in range(2):
            self._send(by, f"{number}-last-{by}")
        await self._end(losers, scene.late)
        self._send(1 - scene.by[0], f"{number}-0")
        await asyncio.gather(*self.turns)

    def _send(self, by: int, key: str) -> None:
        asked = self.clients.ask(self.routers[by], key, timeout_s=30, gate=self.gate)
        self.turns.append(asyncio.create_task(asked))

    def _owner(self) -> Node:
        host = self.wired.router.place(self.alice).host
        assert host is not None
        return self.wired.nodes[host]

    def _other(self) -> Node:
        owner = self._owner()
        return next(self.wired.nodes[name] for name in self.wired.alive if self.wired.nodes[name] is not owner)

    async def _runs(self, node: Node, times: int = 1) -> None:
        await until(lambda: node.program.gate(self.gate).reached >= times)

    async def _cut(self) -> None:
        name = self._owner().host.name
        links = [(router, router._links[name]) for router in self.routers]
        for _, link in links:
            link.close()
        await until(lambda: all(router._links.get(name, link) is not link for router, link in links))

    async def _steal(self) -> None:
        """The turn runs again, at the other host."""
        heir, times = self._take()
        self._tell()
        await self._runs(heir, times)

    async def _move(self) -> None:
        """The turn goes on where it is, under a lease of its own."""
        owner = self._owner().host.name
        if self.wired.is_home(self.alice):
            await self.wired.hand_over(owner, self._other().host.name)

    async def _lose(self) -> list[Node]:
        lost, heir = self._owner(), await self._understudy()
        await self.wired.fail_over(lost.host.name, heir.host.name)
        await self._runs(heir)
        return [lost]

    async def _mute(self) -> list[Node]:
        lost, heir = self._owner(), await self._understudy()
        before = len(self.wired.journal(self.alice))
        for link in lost.server._links:
            link.send = lambda *_, **__: None  # type: ignore[method-assign]
        lost.program.gate(self.gate).open()
        await until(lambda: len(self.wired.journal(self.alice)) > before)
        await self.wired.fail_over(lost.host.name, heir.host.name)
        return []

    async def _freeze(self) -> list[Node]:
        frozen = self._owner()
        heir, times = self._take()
        heir.host.own(self.wired.leases(heir.host.name))
        self.wired.show(self.wired.router)
        if not self.wired.router._lines:  # else what it has sent comes back before anything newer goes out
            self._send(0, f"{self.gate}-new")
            await self._runs(heir, times)
        return [frozen]

    async def _return(self) -> list[Node]:
        (frozen,) = await self._freeze()
        heir, times = self._take()
        assert heir is frozen
        self._tell()
        await self._runs(frozen, times)
        return []

    def _take(self) -> tuple[Node, int]:
        """The other host owns what the owner had; which, and how many turns it will have run at least."""
        owner, heir = self._owner(), self._other()
        self.wired.store.take_over(self.wired.leases(owner.host.name), heir.host.name)
        return heir, heir.program.gate(self.gate).reached + 1

    def _tell(self) -> None:
        """Everybody hears what the store says."""
        self.wired.settle()
        for name in self.wired.alive:
            mine, tenure = {lease.unit for lease in self.wired.leases(name)}, self.wired.nodes[name].host._tenure
            self.wired.nodes[name].host.disown(set(tenure._held) - mine)

    async def _understudy(self) -> Node:
        """A host that is new."""
        heir = await self.wired.start(f"host-{len(self.wired.nodes)}")
        self.wired.publish()
        await self.wired.ready(heir.host.name)
        return heir

    async def _end(self, losers: Sequence[Node], late: bool) -> None:
        """The turns end: those of hosts that lost the unit last if `late`, else first; then all hear what the store
        says, and the session is its shard's again."""
        winners = [node for node in self.wired.nodes.values() if node not in losers]
        for nodes in (winners, losers) if late else (losers, winners):
            for node in nodes:
                node.program.gate(self.gate).open()
            await until(lambda nodes=nodes: not any(map(_is_busy, nodes)))  # type: ignore[misc]
        self._tell()
        self._owner().host.handover.send_home(self.alice.uid)
        await until(lambda: self.wired.is_home(self.alice))
        self._tell()
        await asyncio.gather(*self.turns)


def _is_busy(node: Node) -> bool:
    return any(one.session is not None and one.session.current is not None for one in node.host._active.values())


def perform(scenes: Sequence[Scene], sabotage: Callable[[Path], None] = lambda _: None) -> Verdict:
    """What the checker says of a session in which all this happened."""

    async def play() -> Verdict:
        async with wires("a", "b") as wired:
            sabotage(wired.folder / "store.sqlite3")
            it = Play(wired, wired.session("alice", "a"))
            wired.settle()
            for name in wired.alive:
                await wired.ready(name)
            for number, scene in enumerate(scenes):
                await it.act(number, scene)
            return it.clients.verdict(wired.folder / "store.sqlite3")

    return asyncio.run(play())


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "Scripted", Ledger)


RETURNS_MID_MOVE = Scene(faults=("move",), last="return")


@settings(max_examples=12, deadline=None)
@given(st.lists(SCENES, min_size=1, max_size=3))
@example([RETURNS_MID_MOVE])
@example([Scene(by=(1, 0, 1), twice=True, faults=("cut", "steal"), last="mute"), Scene(by=(1,), last="freeze")])
def test_one_sessions_history_is_linearizable_whatever_fails(scenes: list[Scene]) -> None:
    """And every turn is acknowledged, whatever came in between."""
    verdict = perform(scenes)
    assert (verdict.said, verdict.refused, verdict.unknown) == ([], 0, 0)


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("last", ["lose", "freeze"])
def test_without_the_fence_the_law_is_seen_to_be_broken(last: str, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost the unit commits all the same: a number twice; and no turn times out."""
    monkeypatch.setattr(Fence, "_held", held)
    monkeypatch.setattr(Fence, "_advance", advance)
    verdict = perform([Scene(by=(1,), last=last, late=late)], drop_keys)
    assert (verdict.wrong["two_on_one_number"] > 0, verdict.unknown, verdict.refused) == (True, 0, 0)


@pytest.mark.parametrize("last", ["", "mute"])
def test_without_idempotency_the_law_is_seen_to_be_broken(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No recorded key is known again: a retry is a second turn."""
    monkeypatch.setattr(TurnIds, "__contains__", lambda *_: False)
    verdict = perform([Scene(last=last)], drop_keys)
    assert (verdict.wrong["duplicated"], verdict.wrong["not_linearizable"], verdict.unknown) == (1, 1, 0)
