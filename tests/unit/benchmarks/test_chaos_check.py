"""What the chaos checker counts as a broken promise, each made by hand."""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import chaos_check, chaos_history, chaos_log
from benchmarks.chaos_check import VIOLATIONS, Row, check, read_journal
from benchmarks.chaos_log import Operation, read_logs, write_log
from tests.unit.benchmarks.chaos_cases import answers, done, journal, log, refused, row, unknown

KEYS = ("a", "b", "c", "d")
OTHER = answers(("x", "b"))["b"]

Case = tuple[list[Operation], list[Row]]


def lost() -> Case:
    """The last acknowledged turn is nowhere."""
    return log(KEYS), journal(KEYS[:3])


def twice() -> Case:
    """A key runs again under the next number."""
    return log(KEYS), [*journal(KEYS), journal((*KEYS, "e"))[4]._replace(turn_id="d")]


def two_entries_on_a_number() -> Case:
    """Two owners wrote the same number."""
    return log(KEYS), [*journal(KEYS), row(answers((*KEYS[:3], "z"))["z"], "z")]


def two_answers_on_a_number() -> Case:
    """Two owners acknowledged the same number; one of them is recorded."""
    return [*log(KEYS), done("z", answers((*KEYS[:3], "z"))["z"], 3, 3.5)], journal(KEYS)


def another_number() -> Case:
    """The turn stands under another number than the client was told."""
    return log(KEYS), journal(("b", "a", "c", "d"))


def another_answer() -> Case:
    """The client was told what another process made of the turn."""
    asked = log(KEYS)
    return [replace(asked[0], answer=replace(answers(KEYS)["a"], process=8)), *asked[1:]], journal(KEYS)


def gap() -> Case:
    """A number is missing."""
    return log(KEYS[:2]), [journal(KEYS)[0], journal(KEYS)[1], journal(KEYS)[3]]


def stale_state() -> Case:
    """A turn ran without seeing the one before it."""
    seen = replace(OTHER, turn=2, number=2)
    return [log(KEYS)[0], done("b", seen, 1, 1.5)], [journal(KEYS)[0], row(seen, "b")]


def overtaken() -> Case:
    """A turn that was sent after another one's answer comes before it."""
    late = answers(("b", "a"))
    return [done("a", late["a"], 0, 0.5), done("b", late["b"], 1, 1.5)], journal(("b", "a"))


def refused_and_recorded() -> Case:
    """A definite error left a turn."""
    return [*log(KEYS[:3]), refused("d", 3)], journal(KEYS)


def nobodys() -> Case:
    """A turn that nobody sent."""
    return log(KEYS[:3]), journal(KEYS)


CASES: dict[str, list[Callable[[], Case]]] = {
    "lost": [lost],
    "duplicated": [twice],
    "two_on_one_number": [two_entries_on_a_number, two_answers_on_a_number],
    "renumbered": [another_number],
    "different": [another_answer],
    "gaps": [gap],
    "state": [stale_state],
    "out_of_order": [overtaken],
    "refused_but_there": [refused_and_recorded],
    "nobodys": [nobodys],
    "not_linearizable": [overtaken, stale_state, two_answers_on_a_number],
}


def test_a_clean_history_passes() -> None:
    """Acknowledged turns, one that happened unseen, one that did not, one that was refused."""
    asked = [*log(KEYS), unknown("e", 4), unknown("f", 5), refused("g", 6)]
    verdict = check(asked, journal((*KEYS, "e")))
    assert verdict.good, verdict.said
    assert (verdict.acknowledged, verdict.unknown, verdict.unknown_happened, verdict.refused) == (4, 2, 1, 1)


def test_a_run_without_an_acknowledged_turn_shows_nothing() -> None:
    """An idle server keeps every promise."""
    assert not check([unknown("a", 0)], []).good


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind, cases in CASES.items() for case in cases])
def test_each_violation_is_found(kind: str, case: Callable[[], Case]) -> None:
    """And called by its name."""
    verdict = check(*case())
    assert verdict.wrong[kind] > 0, verdict.said
    assert not verdict.good


def test_every_kind_of_violation_has_a_case() -> None:
    """What no test breaks may never be noticed."""
    assert CASES.keys() == VIOLATIONS.keys()


def test_the_same_key_sent_twice_at_once_is_one_turn() -> None:
    """Both clients have the same answer."""
    asked = log(KEYS)
    assert check([*asked, replace(asked[1], client=2, sent=1.2, done=1.9)], journal(KEYS)).good


def test_the_turns_before_a_rewind_keep_their_numbers() -> None:
    """An entry without a turn takes a number of the journal and none of the turns."""
    rows = journal(KEYS)
    rewind = Row("s", 5, "rewind", None, "r", {})
    assert check(log(KEYS), [*rows, rewind]).good


def test_logs_and_a_journal_are_read_back(tmp_path: Path) -> None:
    """Logs from JSON lines, the journal from the database file by plain SQL."""
    write_log(tmp_path / "1.jsonl", log(KEYS))
    with sqlite3.connect(tmp_path / "store") as made:
        made.execute("CREATE TABLE session (uid, id)")
        made.execute("CREATE TABLE journal (uid, seq, kind, turn, turn_id, delta)")
        made.execute("INSERT INTO session VALUES ('u', 's')")
        rows = [("u", each.seq, "turn", each.turn, each.turn_id, _delta(each)) for each in journal(KEYS)]
        made.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)", rows)
    made.close()
    assert read_logs(tmp_path) == log(KEYS)
    assert read_journal(f"sqlite:///{tmp_path / 'store'}") == journal(KEYS)


def _delta(entry: Row) -> bytes:
    return json.dumps({"outputs": entry.outputs}).encode()


def test_a_store_that_cannot_be_read_is_refused() -> None:
    """By a sentence that says what can be."""
    with pytest.raises(ValueError, match="sqlite:///<file> or postgresql"):
        read_journal("mysql://x/y")


@pytest.mark.parametrize("module", [chaos_check, chaos_history, chaos_log])
def test_the_checker_imports_nothing_of_the_product(module: object) -> None:
    """A fault of the product must not hide itself."""
    tree = ast.parse(Path(str(getattr(module, "__file__", ""))).read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert names
    assert not [name for name in names if name.startswith(("dspex", "supervisors", "tests"))]
