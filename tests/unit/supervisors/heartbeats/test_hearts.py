"""Pulses and their watcher, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from supervisors import pulse
from supervisors.errors import NotBeating
from supervisors.heartbeats import Facts, Heartbeat
from supervisors.hearts import Heart, Hearts
from supervisors.pulse import Pulse, facts_of, state_of

ROOT = Path(__file__).parents[4]
QUICK = Heartbeat(interval_s=0.05, misses=4, blocked_s=0.5)
PATIENT = Heartbeat(interval_s=0.05, misses=60)
WAIT_S = 30.0
Start = Callable[[str], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python processes that beat, then do what they are told."""
    with ExitStack() as stack:

        def begun(code: str) -> int:
            code = f"from supervisors import pulse; pulse.begin({QUICK.interval_s})\nprint(1, flush=True)\n{code}"
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"1\n"
            return process.pid

        yield begun


class Told:
    """What a watcher was told of one child."""

    def __init__(self) -> None:
        self.why = ""
        self.is_hung, self.has_ended = threading.Event(), threading.Event()

    def watched_by(self, hearts: Hearts, pid: int, *, early: bool = False) -> Heart:
        """Let it be watched."""
        return hearts.watch(pid, hung=self.hung, ended=self.has_ended.set, early=early)

    def hung(self, why: str) -> None:
        """It hangs."""
        self.why = why
        self.is_hung.set()


@pytest.fixture
def told() -> Told:
    """Of the one child of a test."""
    return Told()


PAUSE = "import signal; signal.pause()"
AGAIN = f"pulse.begin(0.01); print(1, flush=True); {PAUSE}"


@contextmanager
def speaking(code: str) -> Iterator[tuple[int, list[int]]]:
    """A process that beats and has said some numbers."""
    code = f"from supervisors import pulse; pulse.begin(60.0)\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.pid, list(map(int, process.stdout.readline().split()))
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", "of CPU without a beat"),
        ("import ctypes; ctypes.PyDLL(None).sleep(60)", "blocked for"),
        ("import os; os.kill(os.getpid(), 19)", "stopped by a signal"),
    ],
    ids=["burns", "blocks", "stopped"],
)
def test_a_hung_process_is_told_of_with_its_reason(start: Start, told: Told, code: str, why: str) -> None:
    """And is there until somebody kills it; its end is told, too."""
    hearts = Hearts(QUICK)
    heart = told.watched_by(hearts, start(f"import time; time.sleep(0.2); {code}"))
    assert told.is_hung.wait(WAIT_S)
    assert why in told.why
    assert not told.has_ended.is_set()
    heart.kill()
    assert told.has_ended.wait(WAIT_S)
    hearts.close()


def test_threads_that_are_busy_in_python_do_not_stop_the_pulse(start: Start, told: Told) -> None:
    """Four of them, and the main one blocked for good."""
    busy = "import threading\nfor _ in range(4): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()"
    hearts = Hearts(PATIENT)
    told.watched_by(hearts, start(f"{busy}\nthreading.Event().wait()"))
    assert not told.is_hung.wait(1.0)
    hearts.close()


def test_a_starved_process_is_left_alone(start: Start, told: Told) -> None:
    """It does not beat, but says the system, it wants a CPU and gets none."""
    hearts = Hearts(QUICK, facts=lambda _: Facts(wants_cpu=True))
    pid = start(PAUSE)
    heart = told.watched_by(hearts, pid)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: hearts.verdict(heart) == "starved")
    assert not told.is_hung.is_set()
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: hearts.verdict(heart) == "alive")
    hearts.close()


def test_who_rests_or_of_whom_nobody_wants_to_know_is_never_hung(start: Start, told: Told) -> None:
    """Beside one that is called hung; the ends of all are told."""
    hearts = Hearts(QUICK)
    resting, unasked, watched = pids = [start(PAUSE), start(PAUSE), start(PAUSE)]
    ended = [threading.Event(), threading.Event()]
    slower = Heartbeat(interval_s=QUICK.interval_s / 2, misses=4)
    hearts.watch(resting, hung=lambda why: pytest.fail(why), ended=ended[0].set, options=slower)
    hearts.watch(unasked, ended=ended[1].set)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    told.watched_by(hearts, watched)
    assert told.is_hung.wait(WAIT_S)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert all(event.wait(WAIT_S) for event in (*ended, told.has_ended))
    hearts.close()


def test_a_process_that_begins_again_beats_faster_at_once_and_says_so() -> None:
    """It is not kept waiting by the interval of before."""
    with speaking(AGAIN) as (pid, _):
        other = Pulse(pid)
        wait_until(lambda: other.beats > 2)
        assert other.interval_s == pytest.approx(0.01)
        other.close()


def test_what_a_process_has_started_in_its_group_ends_with_it(told: Told) -> None:
    """When its end is told, or at once after; what has a group of its own stays."""
    code = "import os, subprocess, sys; os.setpgid(0, 0); run = lambda **how: subprocess.Popen(['sleep', '60'], **how)"
    code += "; print(run().pid, run(start_new_session=True).pid, flush=True); import signal; signal.pause()"
    with speaking(code) as (pid, (inside, outside)):
        hearts = Hearts(QUICK)
        told.watched_by(hearts, pid)
        os.kill(pid, signal.SIGKILL)
        assert told.has_ended.wait(WAIT_S)
        wait_until(lambda: state_of(inside) in ("", "Z"))
        assert state_of(outside) == "S"
        os.kill(outside, signal.SIGKILL)
        hearts.close()


def test_of_two_hung_ones_the_second_waits_for_the_end_of_the_first(start: Start) -> None:
    """One unconfirmed kill at a time, whichever of them is first."""
    hearts, told = Hearts(QUICK), [Told(), Told()]
    pids = [start(PAUSE), start(PAUSE)]
    hung = [each.watched_by(hearts, pid) for each, pid in zip(told, pids, strict=True)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: any(each.is_hung.is_set() for each in told))
    first = 0 if told[0].is_hung.is_set() else 1
    assert not told[1 - first].is_hung.wait(0.3)
    hung[first].kill()
    assert told[1 - first].is_hung.wait(WAIT_S)
    hearts.close()


def test_each_child_may_have_options_of_its_own(start: Start) -> None:
    """Two that are stopped: the patient one is a suspect when the other one is hung, and later still."""
    hearts, quick, patient = Hearts(QUICK), Told(), Told()
    pids = [start(PAUSE), start(PAUSE)]
    hearts.watch(pids[0], hung=patient.hung, options=PATIENT)
    heart = quick.watched_by(hearts, pids[1])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert quick.is_hung.wait(WAIT_S)
    heart.kill()
    assert quick.has_ended.wait(WAIT_S)
    assert not patient.is_hung.wait(0.3)
    hearts.close()


@pytest.mark.parametrize("early", [False, True])
def test_an_end_is_told_once(start: Start, early: bool) -> None:
    """By the lifeline or by the pidfd, whichever comes first."""
    hearts, ends, two = Hearts(QUICK), [], threading.Event()
    pid = start(PAUSE)
    hearts.watch(pid, hung=print, ended=lambda: ends.append(pid), early=early)
    hearts.watch(pid, hung=print, ended=two.set)
    os.kill(pid, signal.SIGKILL)
    assert two.wait(WAIT_S)
    wait_until(lambda: bool(ends))
    hearts.close()
    assert ends == [pid]


def test_nothing_is_told_of_one_that_is_watched_no_longer(start: Start, told: Told) -> None:
    """It was stopped on purpose."""
    hearts, other = Hearts(QUICK), Told()
    pid = start(PAUSE)
    heart = told.watched_by(hearts, pid, early=True)
    other.watched_by(hearts, pid)
    heart.cancel()
    heart.kill()
    assert hearts.verdict(heart) == "gone"
    os.kill(pid, signal.SIGKILL)
    assert other.has_ended.wait(WAIT_S)
    hearts.close()
    assert not told.has_ended.is_set()


def test_what_cannot_be_watched_is_refused_with_what_to_do() -> None:
    """No process, no pulse, a closed watcher."""
    hearts = Hearts(QUICK)
    with pytest.raises(NotBeating, match="No such process"):
        Told().watched_by(hearts, 2**22 + 1)
    with pytest.raises(NotBeating, match=r"it has no pulse\). Call supervisors.pulse.begin in it first."):
        Told().watched_by(hearts, os.getppid())
    pulse.begin()
    hearts.close()
    with pytest.raises(NotBeating, match="the watcher is closed"):
        Told().watched_by(hearts, os.getpid())


def test_a_pulse_begun_twice_is_one_and_its_mark_can_change() -> None:
    """The second call brings a new mark; anyone who attaches reads it, or writes another."""
    pulse.begin(mark=b"one")
    pulse.begin(mark=b"two!")
    mine = Pulse(os.getpid())
    assert mine.mark == b"two!"
    mine.write_mark(b"three")
    assert Pulse(os.getpid()).mark == b"three"
    before = mine.beats
    wait_until(lambda: mine.beats > before)
    mine.close()


def test_a_mark_that_is_too_long_is_refused() -> None:
    """The memory has a page."""
    with pytest.raises(ValueError, match="The mark has 2000 bytes; shorten it to 1024"):
        pulse.begin(mark=b"m" * 2000)


def test_the_facts_of_a_process_are_those_of_the_system(start: Start) -> None:
    """Sleeping, running, stopped, gone."""
    pid = start(PAUSE)
    wait_until(lambda: not facts_of(pid).wants_cpu)
    assert facts_of(os.getpid()).wants_cpu
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: facts_of(pid).stopped)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: facts_of(pid).gone)
    assert facts_of(2**22 + 1).gone


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of another process."""
    deadline = threading.Event()
    timer = threading.Timer(WAIT_S, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.wait(0.01), "it did not come true"
    finally:
        timer.cancel()
