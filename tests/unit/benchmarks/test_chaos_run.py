"""Which faults a chaos run injects, and what it makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.chaos_faults import FAULTS, Fault, chosen_faults
from benchmarks.chaos_figures import figures_of
from benchmarks.chaos_log import Operation, Outcome
from tests.unit.benchmarks.chaos_cases import answers, done

KEYS = [f"k{number}" for number in range(6)]


def paced() -> list[Operation]:
    """A turn a second of 10 ms; the fourth took half a second, at its second try."""
    asked = [done(key, answer, at, at + 0.01) for at, (key, answer) in enumerate(answers(KEYS).items())]
    asked[3] = replace(asked[3], done=3.5, errors=("ServerDisconnectedError",))
    return asked


def test_without_names_all_faults_that_can_happen_are_injected() -> None:
    """On SQLite and one node: no raylet, no PostgreSQL."""
    assert set(FAULTS) - set(chosen_faults([], postgres=False)) == {"kill-raylet", "restart-postgres", "cut-commit"}
    assert chosen_faults([], postgres=True, nodes=3) == list(FAULTS)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("kill-raylet", "several nodes"), ("cut-commit", "--store-url"), ("kill-all", "There is no fault kill-all")],
)
def test_a_fault_that_cannot_happen_is_refused(name: str, sentence: str) -> None:
    """And the sentence says what it takes."""
    with pytest.raises(ValueError, match=sentence):
        chosen_faults([name], postgres=False)


def test_a_fault_is_charged_with_what_it_added() -> None:
    """The turn that was due in the outage, and the try that failed."""
    figures = figures_of(paced(), [Fault("kill-host", 2.9, 2.9, "pid 7", pid=7)])
    row = figures.kinds()["kill-host"]
    assert (row["faults"], row["affected"], row["failed_tries"]) == (1, 1, 1)
    assert row["added_max_ms"] == pytest.approx(490, abs=1)
    assert row["outage_max_ms"] == pytest.approx(600, abs=1)


def test_a_fault_of_one_session_is_not_ended_by_another_one() -> None:
    """Its outage lasts until its own sessions are answered."""
    others = [replace(each, session="t", key=f"t{each.key}", errors=()) for each in paced()]
    others[3] = replace(others[3], done=3.01)
    figures = figures_of([*paced(), *others], [Fault("migrate", 2.9, 2.95, "s", session="s")])
    assert figures.kinds()["migrate"]["outage_max_ms"] == pytest.approx(600, abs=1)


def test_turns_that_nobody_waited_for_are_no_errors() -> None:
    """Those that a client left count for nothing; one that was never answered is named."""
    left = Operation(1, "s", "left", 1, 1, None, Outcome.UNKNOWN, wanted=False, errors=("went_away",))
    never = replace(left, key="never", wanted=True, errors=("host_lost",))
    figures = figures_of([*paced(), left, never], [])
    assert (figures.turns, figures.unanswered) == (7, ["never: host_lost"])
    assert figures.available == pytest.approx(6 / 7)
    assert figures.at_first == pytest.approx(5 / 7)
