"""How long a host takes to read a session that is not in its memory: `python -m benchmarks.activation`.

No HTTP, no Ray, no program: the store, the journal's fold and the session's core, each session in turn, from a file
that other sessions fill as well.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from benchmarks.latency import percentile
from dspex_actors.ids import new_ulid
from dspex_actors.resources.journal import Entry
from dspex_actors.resources.program import Program, ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.sessions.activation import read_session
from dspex_actors.store import SqlStore, open_store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

TURNS = 1_000
WORDS = "the quick brown fox jumps over the lazy dog " * 4
SHAPES = ("turns", "rewinds")


class Window:
    """A program of which only the window matters."""

    history_window = 20
    variables: Mapping[str, Any] = {}

    def known(self, _uid: str) -> Window:
        """The catalogue has it."""
        return self

    def load(self, _program: Program) -> Window:
        """And would build it."""
        return self


def entries(record: SessionRecord, turns: int, shape: str) -> Iterator[Entry]:
    """A journal: turns, or turns each followed by a rewind to half of its number."""
    seq = 0
    base = Entry(record.uid, 0, "turn", None, None, b"h" * 32, b"", 1, record.unit, 1)
    for turn in range(1, turns + 1):
        delta = {
            "inputs": {"question": f"{turn} {WORDS}"}, "outputs": {"answer": f"{turn} {WORDS}"},
            "usage": {"calls": 1, "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            "model": "mock", "program": "qa", "version": 1, "attempts": 1, "started_at_us": 1, "latency_ms": 1.0,
        }  # fmt: skip
        seq += 1
        yield replace(base, seq=seq, turn=turn, turn_id=new_ulid(), delta=orjson.dumps(delta))
        if shape == "rewinds":
            seq += 1
            back = orjson.dumps({"to_turn": turn // 2 if turn % 3 else turn, "last_turn": turn})
            yield replace(base, seq=seq, kind="rewind", turn_id=new_ulid(), delta=back)


def fill(store: SqlStore, shape: str, sessions: int, turns: int) -> list[SessionRecord]:
    """Sessions with that journal, written together, entry by entry; snapshots as a host would write them."""
    made = [store.create_session("default", SessionSpec(program="qa")).value for _ in range(sessions)]
    store.seed_leases({record.unit: "bench" for record in made})
    journals = [entries(record, turns, shape) for record in made]
    for number, batch in enumerate(zip(*journals, strict=True), start=1):
        store.commit(batch)
        if number % 100 == 0:
            keep(store, made)
    return made


def keep(store: SqlStore, made: list[SessionRecord]) -> None:
    """Write a snapshot of each, and forget what was written so far when counting."""
    try:
        from dspex_actors.sessions.reading import recollect
        from dspex_actors.sessions.snapshot import encode
    except ImportError:
        return
    for record in made:
        found = recollect(store, store.load_session(record.uid), 20).found
        snapshot = encode(found, record.uid, 20, store.state_version(), 1)
        store.put_snapshots([snapshot] if snapshot is not None else [])


def measure(store: SqlStore, made: list[SessionRecord], rounds: int) -> dict[str, float]:
    """Each session read `rounds` times, in ms."""
    programs = cast("Programs", Window())
    times: list[float] = []
    for _ in range(rounds):
        for record in made:
            began = time.perf_counter()
            read_session(store, programs, record.uid, 1)
            times.append((time.perf_counter() - began) * 1e3)
    warm = times[len(made) :]
    return {"p50_ms": round(percentile(warm, 0.5), 3), "p99_ms": round(percentile(warm, 0.99), 3), "n": len(warm)}


def run(sessions: int, turns: int, rounds: int) -> dict[str, Any]:
    """All shapes in one store."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
        store.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
        made = {shape: fill(store, shape, sessions, turns) for shape in SHAPES}
        made["turns, 50 after the snapshot"] = after_snapshot(store, sessions, turns)
        gc.collect()
        found = {shape: measure(store, records, rounds) for shape, records in made.items()}
        store.close()
    return {"sessions": sessions, "turns": turns, "activation": found}


def after_snapshot(store: SqlStore, sessions: int, turns: int) -> list[SessionRecord]:
    """Turns alone, as many more as make half a snapshot's distance."""
    return fill(store, "turns", sessions, turns + 50)


def main() -> None:
    """Print the figures, and write them where `--json` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = run(given.sessions, given.turns, given.rounds)
    for shape, figures in found["activation"].items():
        print(f"{shape:32} p50 {figures['p50_ms']:8.3f} ms   p99 {figures['p99_ms']:8.3f} ms   ({figures['n']} reads)")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
