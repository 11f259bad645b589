"""A sweep that is killed leaves a store in which nothing is wrong, and the next one goes on."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from dspex_actors.resources.retention import Retention
from dspex_actors.store import open_store
from tests.protocol.store.making import TENANT
from tests.protocol.store.test_retention import ALL, sweeper
from tests.protocol.store.test_time_travel import entry_of, live, woken
from tests.support.time_travel import TURN

TURNS = 250
DIES = """
import os, signal, sys
from dspex_actors.clock import ManualClock
from dspex_actors.sessions.sweeper import Sweeper
from dspex_actors.store import open_store

class Dying(Sweeper):
    left = int(sys.argv[2])

    def _write(self, step):
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        step()

Dying(open_store(sys.argv[1]), lambda uid: 3, ManualClock(), grace_s=0).sweep()
"""


@pytest.mark.parametrize("writes", [0, 1, 3, 5])
def test_a_killed_sweep_changes_no_state_and_the_next_one_ends_it(url: str, writes: int) -> None:
    """After each of its steps: said, wiped in part, wiped, with a snapshot and not yet done."""
    with closing(open_store(url)) as store:
        session, _ = live(store, [*[TURN] * TURNS, 248])
        store.put_retention(TENANT, Retention(journal_turns=2), ALL)
        before = woken(store, session.uid, 3)
        died = subprocess.run([sys.executable, "-c", DIES, url, str(writes)], check=False)
        assert died.returncode == -9
        assert woken(store, session.uid, 3) == before
        sweeper(store).sweep()
        assert woken(store, session.uid, 3) == before
        left = [entry.seq for entry in store.entries(session.uid) if not entry.is_removed]
        assert left == [246, 247, 248, 249, 250, 251]
        assert store.load_session(session.uid).swept_seq == 248


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_a_second_sweep_that_is_killed_is_ended_by_the_third(url: str, writes: int) -> None:
    """Of what the first one left nothing is forgotten, nor of what the second one had wiped out by then."""
    with closing(open_store(url)) as store:
        session, law = live(store, [*[TURN] * 60])
        store.put_retention(TENANT, Retention(journal_turns=2), ALL)
        sweeper(store).sweep()
        for seq in range(61, 181):
            store.commit([entry_of(session, seq, law, TURN)])
        before = woken(store, session.uid, 3)
        died = subprocess.run([sys.executable, "-c", DIES, url, str(writes)], check=False)
        assert (died.returncode, store.load_session(session.uid).swept_seq) == (-9, 58)
        assert woken(store, session.uid, 3) == before
        sweeper(store).sweep()
        assert woken(store, session.uid, 3) == before
        assert [entry.seq for entry in store.entries(session.uid) if not entry.is_removed] == [177, 178, 179, 180]
