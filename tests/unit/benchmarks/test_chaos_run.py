"""Which faults a chaos run injects, and what it makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.chaos import Options
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
    """On SQLite and one node: no other node, no PostgreSQL."""
    absent = {"kill-raylet", "kill-gcs", "freeze-node", "restart-postgres", "cut-commit"}
    assert set(FAULTS) - set(chosen_faults([], postgres=False)) == absent
    assert chosen_faults([], postgres=True, nodes=3) == list(FAULTS)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("kill-raylet", "--nodes 3"),
        ("freeze-node", "--nodes 3"),
        ("cut-commit", "--store-url"),
        ("kill-all", "There is no fault kill-all"),
    ],
)
def test_a_fault_that_cannot_happen_is_refused(name: str, sentence: str) -> None:
    """And the sentence says what it takes."""
    with pytest.raises(ValueError, match=sentence):
        chosen_faults([name], postgres=False)


def test_a_fault_is_charged_with_what_it_added() -> None:
    """The turn that was due in the outage, and the try that failed."""
    figures = figures_of(paced(), [Fault("kill-host", 2.9, 2.9, "pid 7", pids=(7,))])
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


def test_a_fault_of_a_node_is_measured_over_the_sessions_of_its_processes() -> None:
    """Those of other processes do not end its outage, those of its second one count."""
    mine = [replace(each, answer=replace(each.answer, process=8)) for each in paced() if each.answer]
    others = [replace(each, session="t", key=f"t{each.key}", done=each.sent + 0.01, errors=()) for each in paced()]
    figures = figures_of([*mine, *others], [Fault("freeze-node", 2.9, 2.95, "raylet 6", pids=(6, 9, 8))])
    assert figures.kinds()["freeze-node"]["outage_max_ms"] == pytest.approx(600, abs=1)


def test_each_of_several_nodes_has_a_host_and_another_one_a_standby() -> None:
    """One node has two hosts; who names a number gets it."""
    sizes = [Options(1, nodes=nodes, hosts=hosts).sizes for nodes, hosts in ((1, None), (3, None), (3, 5))]
    assert sizes == [(2, 1), (3, 2), (5, 2)]


def test_turns_that_nobody_waited_for_are_no_errors() -> None:
    """Those that a client left count for nothing; one that was never answered is named."""
    left = Operation(1, "s", "left", 1, 1, None, Outcome.UNKNOWN, wanted=False, errors=("went_away",))
    never = replace(left, key="never", wanted=True, errors=("host_lost",))
    figures = figures_of([*paced(), left, never], [])
    assert (figures.turns, figures.unanswered) == (7, ["never: host_lost"])
    assert figures.available == pytest.approx(6 / 7)
    assert figures.at_first == pytest.approx(5 / 7)
