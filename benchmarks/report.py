"""Where results go: a JSON file, and what a person should know about the run."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.server import ROOT, Server

RESULTS = ROOT / "benchmarks" / "results"


def write_json(name: str, report: dict[str, Any], path: Path | None) -> Path:
    """Write the report to `path`, or to a new file of that name under `benchmarks/results/`."""
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path or RESULTS / f"{name}-{at}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return target


def say(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def say_left_behind(server: Server) -> None:
    """Name what a stopped server left behind (it was killed)."""
    for process in server.left_behind:
        say(f"{server.name} left a process behind: {process}")
