"""A short run of the chaos benchmark: random faults, and no acknowledged turn is lost, doubled or out of order."""

from __future__ import annotations

import os

import pytest

from benchmarks.chaos import Options, chaos
from benchmarks.load import run

SEED = int(os.environ.get("CHAOS_SEED", "7"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
PASSING = {"deadline_exceeded", "draining", "host_lost", "no_capacity", "outcome_unknown", "session_busy"}
"""What a client may be told when it gives up: definite or unknown, never a fault of ours."""


@pytest.mark.timeout(400)
def test_whatever_dies_or_hangs_every_promise_is_kept() -> None:
    """Every acknowledged turn is there once, in order, on the state before it; a keyed one ends, or says why not."""
    result = run(chaos(Options(SEED, seconds=SECONDS, sessions=80, clients=8, rate=25, rest_s=1.0)))
    assert result.verdict.good, result.verdict.said
    assert result.verdict.unknown > 0
    assert len({fault.kind for fault in result.faults}) >= 3
    assert [why for why in result.figures.unanswered if why.split(": ")[1].split(", ")[-1] not in PASSING] == []
