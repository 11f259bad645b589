"""Tables in Markdown of what chaos runs have written as JSON: a row a run, and a row a kind of fault over all of them.

python -m benchmarks.chaos_table benchmarks/results/chaos-*.json
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from benchmarks.chaos_figures import Struck, kinds_of

Json = dict[str, Any]
_STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_RUNS = (
    "Store", "Nodes", "Seed", "Faults", "Acknowledged", "Violations", "Unknown, of them happened", "Ended well",
    "At the first try", "Failed tries", "Fault-free p50", "Load before",
)  # fmt: skip
_KINDS = ("Fault", "Faults", "Outage median", "Outage max", "Turns", "p50", "p99", "Worst", "Failed tries")
_COLUMNS = (
    "faults", "outage_median_ms", "outage_max_ms", "affected", "added_p50_ms", "added_p99_ms", "added_max_ms",
    "failed_tries",
)  # fmt: skip


def tables(runs: Sequence[Json]) -> str:
    """All runs in one table; the kinds of faults in one for each store and number of nodes. Times in ms."""
    ordered = sorted(runs, key=lambda run: (*_where(run), run["seed"]))
    parts = [_markdown(_RUNS, map(_run, ordered))]
    for (store, nodes), group in groupby(ordered, key=_where):
        struck = [Struck.from_json(fault) for run in group for fault in run["figures"]["faults"]]
        rows = [(f"`{kind}`", *map(_number, map(row.get, _COLUMNS))) for kind, row in kinds_of(struck).items()]
        parts.append(f"{_STORES[store]}, {_nodes(nodes)}:\n\n{_markdown(_KINDS, rows)}")
    return "\n\n".join(parts)


def _where(run: Json) -> tuple[str, int]:
    return run["store"], run["settings"]["nodes"]


def _run(run: Json) -> tuple[str, ...]:
    verdict, figures = run["verdict"], run["figures"]
    tried = ", ".join(f"{count} `{code}`" for code, count in figures["errors"].items()) or "none"
    return (
        _STORES[run["store"]], str(run["settings"]["nodes"]), str(run["seed"]), str(len(figures["faults"])),
        str(verdict["acknowledged"]), str(sum(verdict["wrong"].values())),
        f"{verdict['unknown']}, {verdict['unknown_happened']}", f"{figures['available']:.2%}",
        f"{figures['at_first']:.2%}", tried, str(figures["fault_free_ms"]), str(run["machine"]["load_before"][0]),
    )  # fmt: skip


def _nodes(number: int) -> str:
    return "one node" if number == 1 else f"{number} nodes"


def _number(value: Any) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.0f}"


def _markdown(headings: Sequence[str], rows: Any) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read(files: Sequence[Path]) -> Iterator[Json]:
    """What the runs wrote.

    Raises:
        ValueError: A file is not one of those, or of a version that left single latencies out.
    """
    for file in files:
        run = orjson.loads(file.read_bytes())
        if run.get("benchmark") != "chaos" or any("added_ms" not in each for each in run["figures"]["faults"]):
            raise ValueError(
                f"{file} is not what this version of benchmarks.chaos writes: leave it out, or run it again."
            )
        yield run


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what runs wrote as JSON")
    print(tables(list(read(parser.parse_args().files))))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
