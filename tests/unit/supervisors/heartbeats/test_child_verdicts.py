"""Who is hung and who waits: the table of verdicts, the detector's own lateness, one kill at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.errors import BadSpec
from supervisors.heartbeats import Facts, Heartbeat, Verdict, Ward

OPTIONS = Heartbeat(interval_s=1.0, misses=4, blocked_s=6.0)
STOPPED = Facts(stopped=True)
WAITS = Facts(wants_cpu=True)
SLEEPS = Facts()


class Watch:
    """A ward with a clock of its own, and children that are silent unless the test beats for them."""

    def __init__(self, *names: str) -> None:
        self.ward: Ward[str] = Ward(1.0, confirm_s=10.0)
        self.now_s = 0.0
        self.beats = dict.fromkeys(names, 0)
        self.killed: list[tuple[str, str]] = []
        for name in names:
            self.ward.admit(name, OPTIONS)
        self.look(Facts())

    def look(self, facts: Facts, after_s: float = 1.0) -> None:
        """One look, with these facts about every silent child."""
        self.now_s += after_s
        silent = self.ward.hear(self.now_s, self.beats)
        if found := self.ward.judge(self.now_s, dict.fromkeys(silent, facts)):
            self.killed.append(found)

    def dismiss(self, name: str) -> None:
        """The child's end is confirmed."""
        self.ward.dismiss(name)
        del self.beats[name]


def burning(look: int) -> Facts:
    """A process that uses a whole CPU."""
    return Facts(cpu_s=float(look), wants_cpu=True)


@pytest.mark.parametrize(
    ("facts", "verdict", "why"),
    [
        ([STOPPED] * 4, "hung", "hung: stopped by a signal"),
        ([burning(look) for look in range(4)], "hung", "hung: 2.0 s of CPU without a beat"),
        ([WAITS] * 4, "starved", ""),
        ([WAITS] * 100, "starved", ""),
        ([SLEEPS] * 4, "starved", ""),
        ([SLEEPS] * 8, "hung", "hung: blocked for 8.0 s"),
        ([SLEEPS, SLEEPS, SLEEPS, SLEEPS, WAITS, SLEEPS, SLEEPS, SLEEPS], "starved", ""),
        ([STOPPED] * 3, "suspect", ""),
        ([STOPPED], "alive", ""),
        ([Facts(gone=True)] * 4, "gone", ""),
    ],
)
def test_a_silent_child_is_judged_by_what_its_process_does(facts: list[Facts], verdict: Verdict, why: str) -> None:
    """The table of the module, one look a second, four misses allowed."""
    watch = Watch("a")
    for fact in facts:
        watch.look(fact)
    assert (watch.ward.verdict("a"), watch.killed) == (verdict, [("a", why)] if why else [])


def test_a_beat_makes_a_suspect_an_innocent() -> None:
    """Whatever was counted against it is forgotten."""
    watch = Watch("a")
    for look in range(3):
        watch.look(burning(look))
    watch.beats["a"] += 1
    watch.look(burning(3))
    assert watch.ward.verdict("a") == "alive"
    for look in range(4, 7):
        watch.look(burning(look))
    assert not watch.killed


def test_a_detector_that_was_late_accuses_nobody() -> None:
    """Its own pause of a minute counts neither as silence nor as CPU burnt."""
    watch = Watch("a")
    watch.look(burning(1))
    watch.look(burning(2))
    watch.look(burning(62), after_s=60.0)
    assert watch.ward.verdict("a") == "suspect"
    assert not watch.killed


def test_a_detector_that_is_on_time_again_goes_on() -> None:
    """What it had counted before its pause still counts."""
    watch = Watch("a")
    watch.look(STOPPED)
    watch.look(STOPPED)
    watch.look(STOPPED, after_s=60.0)
    watch.look(STOPPED)
    watch.look(STOPPED)
    assert watch.killed == [("a", "hung: stopped by a signal")]


def test_one_unconfirmed_kill_at_a_time() -> None:
    """The next hung child waits until the end of the first one is seen."""
    watch = Watch("a", "b", "c")
    for _ in range(8):
        watch.look(STOPPED)
    assert [name for name, _ in watch.killed] == ["a"]
    watch.dismiss("a")
    watch.look(STOPPED)
    watch.look(STOPPED)
    assert [name for name, _ in watch.killed] == ["a", "b"]


def test_a_kill_that_is_never_confirmed_does_not_hold_up_the_others_for_ever() -> None:
    """After `confirm_s`; the first one is not killed again."""
    watch = Watch("a", "b")
    for _ in range(4 + 10):
        watch.look(STOPPED)
    assert [name for name, _ in watch.killed] == ["a", "b"]


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 30.0)), max_size=60))
def test_a_child_that_never_waits_long_for_its_own_beat_is_never_killed(looks: list[tuple[bool, float]]) -> None:
    """Silence is only what on-time looks saw: fewer than four seconds of it between beats kill nobody."""
    watch, silent_s = Watch("a"), 0.0
    for beat, after_s in looks:
        counts_s = after_s if after_s <= 2.0 else 0.0
        if beat or silent_s + counts_s >= 4.0:
            watch.beats["a"] += 1
            silent_s = 0.0
        else:
            silent_s += counts_s
        watch.look(STOPPED, after_s)
    assert not watch.killed


@given(st.lists(st.sampled_from(["beat a", "beat b", "stop", "end"]), max_size=80))
def test_never_two_unconfirmed_kills(steps: list[str]) -> None:
    """Whatever happens within `confirm_s`, a second kill comes after the end of the first."""
    watch = Watch("a", "b")
    unconfirmed = 0
    for step in steps[:9]:
        if step.startswith("beat") and step[-1] in watch.beats:
            watch.beats[step[-1]] += 1
        if step == "end" and unconfirmed:
            watch.dismiss(watch.killed[-1][0])
            unconfirmed = 0
        before = len(watch.killed)
        watch.look(STOPPED)
        unconfirmed += len(watch.killed) - before
        assert unconfirmed <= 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"interval_s": 0}, "interval_s=0 is not accepted; give a number of seconds above 0."),
        ({"interval_s": float("nan")}, "interval_s=nan is not accepted"),
        ({"misses": 1}, "misses=1 is not accepted; give a whole number from 2."),
        ({"misses": True}, "misses=True is not accepted"),
        ({"blocked_s": -1.0}, "blocked_s=-1.0 is not accepted"),
    ],
)
def test_a_bad_option_is_refused_by_name(options: dict[str, float], sentence: str) -> None:
    """Before anything is watched."""
    with pytest.raises(BadSpec, match=sentence.replace(".", r"\.")):
        Heartbeat(**options)  # type: ignore[arg-type]


def test_a_child_that_blocks_may_be_left_alone() -> None:
    """`blocked_s=None` is the rule without it: no CPU used is starved, and waits."""
    ward: Ward[str] = Ward(1.0)
    ward.admit("a", Heartbeat(interval_s=1.0, blocked_s=None))
    for now_s in range(100):
        silent = ward.hear(float(now_s), {"a": 0})
        assert ward.judge(float(now_s), dict.fromkeys(silent, SLEEPS)) is None
    assert ward.verdict("a") == "starved"
