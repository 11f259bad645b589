"""A host that is a zombie, and the chaos checker over what it leaves: nothing under the fence, a mess without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from benchmarks.chaos_check import Verdict
from dspex_actors.store.fence import Fence
from tests.protocol.sessions import wiring
from tests.protocol.sessions.ledger import Clients, Ledger
from tests.protocol.sessions.wiring import Node, Wires, wires
from tests.support.unfenced import advance, drop_keys, held
from tests.unit.sessions.hosting import until

Ask = Callable[..., Awaitable[None]]


async def heir_then_zombie(wired: Wires, ask: Ask) -> None:
    """`a` is frozen in mid-turn, `b` takes over and goes on; then `a` wakes up and commits what it had."""
    zombie, heir = wired.nodes["a"], wired.nodes["b"]
    await ask("t1")
    stuck = asyncio.ensure_future(ask("t2", gate="g"))
    await until(lambda: zombie.program.gate("g").reached == 1)
    await wired.fail_over("a", "b")
    heir.program.gate("g").open()
    await stuck
    await ask("t3")
    await wake_up(zombie)


async def zombie_then_heir(wired: Wires, ask: Ask) -> None:
    """`a` wakes up while the same turn runs at `b`, which has read the session's journal before."""
    zombie, heir = wired.nodes["a"], wired.nodes["b"]
    await ask("t1")
    stuck = asyncio.ensure_future(ask("t2", gate="g"))
    await until(lambda: zombie.program.gate("g").reached == 1)
    await wired.fail_over("a", "b")
    await until(lambda: heir.program.gate("g").reached == 1)
    await wake_up(zombie)
    heir.program.gate("g").open()
    await stuck
    await ask("t3")


async def wake_up(zombie: Node) -> None:
    """It ends its turn and hears what became of the commit."""
    zombie.program.gate("g").open()
    await until(
        lambda: all(not active.session or active.session.current is None for active in zombie.host._active.values())
    )


@pytest.mark.parametrize("story", [heir_then_zombie, zombie_then_heir])
@pytest.mark.parametrize("fenced", [True, False])
def test_the_checker_finds_what_a_zombie_commits_without_the_fence(
    story: Callable[[Wires, Ask], Awaitable[None]], fenced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without: a number twice, a key twice. With it: every promise kept, and the zombie's commit is nowhere."""
    monkeypatch.setattr(wiring, "Scripted", Ledger)
    if not fenced:
        monkeypatch.setattr(Fence, "_held", held)
        monkeypatch.setattr(Fence, "_advance", advance)

    async def scenario() -> Verdict:
        async with wires("a", "b") as wired:
            if not fenced:
                drop_keys(wired.folder / "store.sqlite3")
            clients = Clients(wired.session("alice", "a"))
            wired.settle()
            await story(wired, partial(clients.ask, wired.router, timeout_s=30))
            return clients.verdict(wired.folder / "store.sqlite3")

    verdict = asyncio.run(scenario())
    assert verdict.good == fenced, verdict.said
    assert not fenced or verdict.acknowledged == 3
    assert (verdict.wrong["duplicated"] > 0, verdict.wrong["two_on_one_number"] > 0) == (not fenced, not fenced)
