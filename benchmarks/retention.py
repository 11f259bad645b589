"""What a sweep of the past costs the commits beside it: python -m benchmarks.retention [--sessions N] [--turns N]

One process commits turns at a steady pace, as a host does; another one, as an API process, removes the past of other
sessions from the same SQLite file. Both keep `synchronous=FULL`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from dspex_actors.resources.journal import Entry
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.store import Store, open_store

DELTA = b'{"inputs":{"question":"%s"},"outputs":{"answer":"%s"}}' % (b"q" * 500, b"a" * 500)
PACE = 100
KEPT = 10
SWEEP = """
import sys, time
from dspex_actors.clock import SystemClock
from dspex_actors.sessions.sweeper import Sweeper
from dspex_actors.store import open_store
began = time.perf_counter()
Sweeper(open_store(sys.argv[1]), lambda uid: 20, SystemClock(), grace_s=0.5).sweep()
print(f"{time.perf_counter() - began:.1f}")
"""


def _entry(session: SessionRecord, seq: int) -> Entry:
    return Entry(
        session.uid, seq, "turn", seq, f"turn-{seq}", b"h" * 32, DELTA, time.time_ns() // 1_000, unit=session.unit,
        epoch=1,
    )  # fmt: skip


def _fill(store: Store, sessions: int, turns: int) -> SessionRecord:
    store.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
    made = [store.create_session("default", SessionSpec(program="qa")).value for _ in range(sessions + 1)]
    store.seed_leases({session.unit: "host-1" for session in made})
    for seq in range(1, turns + 1):
        for start in range(1, len(made), 128):
            store.commit([_entry(session, seq) for session in made[start : start + 128]])
    return made[0]


class Pace:
    """Commits of one session, `PACE` a second; milliseconds that each took."""

    def __init__(self, store: Store, session: SessionRecord) -> None:
        self.store, self.session, self.seq = store, session, 0

    def run(self, until: subprocess.Popen[str] | None, seconds: float) -> list[float]:
        """For so long, or until a process has ended."""
        took: list[float] = []
        due = time.perf_counter()
        end = due + seconds
        while (until.poll() is None) if until is not None else due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            self.seq += 1
            began = time.perf_counter()
            self.store.commit([_entry(self.session, self.seq)])
            took.append((time.perf_counter() - began) * 1_000)
            due = max(due + 1 / PACE, began)
        return took


def _shown(name: str, took: list[float]) -> str:
    late = sorted(took)
    at = [late[int(len(late) * part)] for part in (0.99, 0.999)]
    return f"| {name} | {len(took)} | {statistics.median(took):.2f} | {at[0]:.2f} | {at[1]:.2f} | {late[-1]:.1f} |"


def main() -> None:
    """Alone, then beside a sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--turns", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'store.sqlite3'}"
        with closing(open_store(url)) as store:
            pace = Pace(store, _fill(store, options.sessions, options.turns))
            store.put_retention("default", Retention(journal_turns=KEPT), Retention())
            store.warm()
            pace.run(None, 2)
            alone = pace.run(None, 15)
            sweep = subprocess.Popen([sys.executable, "-c", SWEEP, url], stdout=subprocess.PIPE, text=True)
            beside = pace.run(sweep, 0)
            took = sweep.communicate()[0].strip()
        wiped = options.sessions * (options.turns - KEPT - 20)
        print(f"{wiped} turns wiped out in {took} s, {PACE} commits/s beside it\n")
        print("| Commits | number | p50 ms | p99 ms | p99.9 ms | max ms |\n|---|---|---|---|---|---|")
        print(_shown("alone", alone), _shown("beside a sweep", beside), sep="\n")


if __name__ == "__main__":
    main()
