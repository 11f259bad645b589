"""A host that is a zombie, and the chaos checker over what it leaves: nothing under the fence, a mess without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from benchmarks.chaos_check import Verdict, check, read_journal
from benchmarks.chaos_log import SHOWN, Answer, Operation, Outcome, digest_of
from dspex_actors.programs.call import ProgramCall, ProgramResult
from dspex_actors.resources.session import SessionRecord
from dspex_actors.store.fence import Fence
from tests.protocol.sessions import wiring
from tests.protocol.sessions.wiring import Node, Wires, wires
from tests.support.unfenced import advance, drop_keys, held
from tests.unit.sessions.hosting import Scripted, until


class Ledger(Scripted):
    """What the chaos benchmark's program does: it appends its key, and answers with what it saw."""

    def _end(self, call: ProgramCall) -> ProgramResult:
        past: dict[str, Any] = call.history[-1].outputs if call.history else {"number": 0, "digest": ""}
        outputs = {
            "number": past["number"] + 1,
            "digest": digest_of(past["digest"], call.turn_id),
            "after": [each.inputs["q"] for each in call.history][-SHOWN:],
            "process": id(self),
        }
        return ProgramResult(outputs, {"calls": 0}, "none")


class Client:
    """Sends turns and writes down what it is told."""

    def __init__(self, wired: Wires, record: SessionRecord) -> None:
        self._wired, self._record = wired, record
        self.log: list[Operation] = []

    async def ask(self, key: str, **turn: str) -> None:
        """One turn."""
        now = asyncio.get_running_loop().time
        sent = now()
        told = await self._wired.predict(self._record, key, timeout_s=30, **turn)
        said = told["outputs"]
        answer = Answer(told["turn"], said["number"], said["digest"], tuple(said["after"]), said["process"])
        self.log.append(Operation(1, self._record.id, key, sent, sent, now(), Outcome.DONE, answer))

    def verdict(self) -> Verdict:
        """What the checker says of its log and of the store's file."""
        return check(self.log, read_journal(f"sqlite:///{self._wired.folder / 'store.sqlite3'}"))


async def heir_then_zombie(wired: Wires, client: Client) -> None:
    """`a` is frozen in mid-turn, `b` takes over and goes on; then `a` wakes up and commits what it had."""
    zombie, heir = wired.nodes["a"], wired.nodes["b"]
    await client.ask("t1")
    stuck = asyncio.ensure_future(client.ask("t2", gate="g"))
    await until(lambda: zombie.program.gate("g").reached == 1)
    await wired.fail_over("a", "b")
    heir.program.gate("g").open()
    await stuck
    await client.ask("t3")
    await wake_up(zombie)


async def zombie_then_heir(wired: Wires, client: Client) -> None:
    """`a` wakes up while the same turn runs at `b`, which has read the session's journal before."""
    zombie, heir = wired.nodes["a"], wired.nodes["b"]
    await client.ask("t1")
    stuck = asyncio.ensure_future(client.ask("t2", gate="g"))
    await until(lambda: zombie.program.gate("g").reached == 1)
    await wired.fail_over("a", "b")
    await until(lambda: heir.program.gate("g").reached == 1)
    await wake_up(zombie)
    heir.program.gate("g").open()
    await stuck
    await client.ask("t3")


async def wake_up(zombie: Node) -> None:
    """It ends its turn and hears what became of the commit."""
    zombie.program.gate("g").open()
    await until(
        lambda: all(not active.session or active.session.current is None for active in zombie.host._active.values())
    )


@pytest.mark.parametrize("story", [heir_then_zombie, zombie_then_heir])
@pytest.mark.parametrize("fenced", [True, False])
def test_the_checker_finds_what_a_zombie_commits_without_the_fence(
    story: Callable[[Wires, Client], Awaitable[None]], fenced: bool, monkeypatch: pytest.MonkeyPatch
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
            client = Client(wired, wired.session("alice", "a"))
            wired.settle()
            await story(wired, client)
            return client.verdict()

    verdict = asyncio.run(scenario())
    assert verdict.good == fenced, verdict.said
    assert (verdict.wrong["duplicated"] > 0, verdict.wrong["two_on_one_number"] > 0) == (not fenced, not fenced)
