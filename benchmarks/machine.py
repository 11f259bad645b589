"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("dspex-actors", "ray", "dspy", "fastapi", "uvicorn", "uvloop", "sqlalchemy")


def describe() -> dict[str, Any]:
    """The machine, its load before the run, and the versions that took part."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def as_line(machine: dict[str, Any]) -> str:
    """One line for a person."""
    packages = machine["packages"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores (load {machine['load_before'][0]} before), "
        f"Python {machine['python']}, Ray {packages['ray']}, DSPy {packages['dspy']}"
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
