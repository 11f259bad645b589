"""Warming up: turns of a host in memory on the mock, so that a standby's first real turns pay for nothing first.

What a process does for the first time costs several times as much: imports, statements, Python's own specialisation.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dspex_actors.errors import DspexError
from dspex_actors.ids import body_hash, new_ulid
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.placement import first_owners
from dspex_actors.sessions.waiting import TurnWait

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs
    from dspex_actors.store.port import Store

log = logging.getLogger(__name__)

PROGRAMS = 100
SESSIONS = 32
TURNS = 3
TIMEOUT_S = 60.0
_SPEC = ProgramSpec(name="warm-up", signature="question: str, history: dspy.History -> answer: str", lm="mock")


def warm_up(programs: Programs) -> None:
    """Run a few dozen turns to their ends. Blocks for as long as DSPy takes to load what it needs."""
    asyncio.run(_warm_up(programs))


def prepare(programs: Programs, store: Store) -> None:
    """Build the newest programs, and make the store ready for commits. Blocks."""
    for program in store.recent_programs(PROGRAMS):
        try:
            programs.load(program)
        except DspexError as error:  # its sessions will hear the same
            log.warning("program %s cannot be built: %s", program.spec.name, error.detail)
    store.warm()


async def _warm_up(programs: Programs) -> None:
    from dspex_actors.store.opening import open_store

    store = open_store("sqlite://")
    host = Host("warm-up", store, programs)
    try:
        store.seed_leases(first_owners([host.name], 1))
        host.own(store.leases())
        store.create_program("default", _SPEC)
        made = [store.create_session("default", SessionSpec(program=_SPEC.name)).value for _ in range(SESSIONS)]
        await asyncio.gather(*(_converse(host, record) for record in made))
    finally:
        await host.close()
        store.close()


async def _converse(host: Host, record: SessionRecord) -> None:
    for number in range(TURNS):
        inputs = b'{"question": "now"}'
        turn_id = new_ulid()
        hashed = body_hash("turn", {"question": "now"})
        turn = TurnRequest(turn_id, False, hashed, inputs, TIMEOUT_S, stream=number == 0)
        wait = TurnWait(turn_id, turn.stream)
        host.ask(Ask(record.uid, record.unit, 1, 1, turn), wait)
        await wait.answer()
