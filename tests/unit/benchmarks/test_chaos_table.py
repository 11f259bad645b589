"""The tables over several chaos runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.chaos_faults import Fault
from benchmarks.chaos_figures import Struck
from benchmarks.chaos_table import read, tables
from benchmarks.outage import Outage


def struck(kind: str, outage_ms: float, *added_ms: float) -> Struck:
    """A fault, and what it added to turns."""
    return Struck(Fault(kind, 1.0, 2.0, "pid 7", (7,)), Outage(outage_ms, added_ms, 5.0, 0, 0.0), 1)


def a_run(seed: int, *faults: Struck, store: str = "sqlite", nodes: int = 1) -> dict[str, Any]:
    """What `benchmarks.chaos` writes, as far as it counts here; it has been a file."""
    figures = {"available": 1.0, "at_first": 0.995, "errors": {"host_lost": 2}, "fault_free_ms": 9.5}
    written = {
        "benchmark": "chaos", "seed": seed, "store": store, "settings": {"nodes": nodes},
        "machine": {"load_before": [0.5]}, "figures": figures | {"faults": [fault.as_json() for fault in faults]},
        "verdict": {"acknowledged": 50, "unknown": 4, "unknown_happened": 3, "wrong": {"lost": 0, "gaps": 1}},
    }  # fmt: skip
    return dict(orjson.loads(orjson.dumps(written)))


def test_each_run_has_a_row() -> None:
    """By store, nodes and seed; violations are added up."""
    rows = tables([a_run(2), a_run(7, store="postgresql", nodes=3), a_run(1)]).splitlines()[2:5]
    assert rows[2] == "| SQLite | 1 | 2 | 0 | 50 | 1 | 4, 3 | 100.00% | 99.50% | 2 `host_lost` | 9.5 | 0.5 |"
    assert [row.split("|")[3].strip() for row in rows] == ["7", "1", "2"]


def test_the_faults_of_a_kind_are_pooled_over_the_runs_of_a_store_and_size() -> None:
    """Percentiles are those of all single turns, not of the runs' percentiles."""
    first, second = a_run(1, struck("drain", 100.0, 1.0, 2.0, 3.0)), a_run(2, struck("drain", 300.0, 90.0))
    other = a_run(1, struck("drain", 50.0, 7.0), nodes=3)
    said = tables([first, second, other])
    assert "SQLite, one node:" in said
    assert "| `drain` | 2 | 200 | 300 | 4 | 2 | 90 | 90 | 2 |" in said
    assert said.endswith("| `drain` | 1 | 50 | 50 | 1 | 7 | 7 | 7 | 1 |")


def test_an_outage_without_an_end_and_without_turns_has_no_figures() -> None:
    """A dash, not a zero."""
    assert "| `drain` | 1 | - | - | 0 | - | - | - | 1 |" in tables([a_run(1, struck("drain", float("inf")))])


def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    """An older one, without single latencies, too."""
    old = a_run(1, struck("drain", 1.0))
    del old["figures"]["faults"][0]["added_ms"]
    for number, content in enumerate((old, {"benchmark": "moves"})):
        file = tmp_path / f"{number}.json"
        file.write_bytes(orjson.dumps(content))
        with pytest.raises(ValueError, match=rf"{number}\.json is not what"):
            list(read([file]))
