"""A turn that kills every host that runs it: three of them, then it is refused, and its neighbours hardly notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.sessions.conftest import QA
from tests.cluster.sessions.instance import Instance, Json

NEIGHBOURS = 20
DEADLY = {
    "name": "deadly",
    "signature": "question: str -> answer: str",
    "module": "python:tests.support.modules:Deadly",
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance that runs the deadly program, with two standbys."""
    folder: Path = tmp_path_factory.mktemp("poison")
    served = Instance(folder / "home", DSPEX_PROGRAM_PACKAGES="tests.support.modules", DSPEX_STANDBY="2")
    served.start()
    try:
        for program in (QA, DEADLY):
            status, body = served.call("POST", "/v1/programs", program)
            assert status == 201, body
        yield served
    finally:
        served.stop()


class Neighbours:
    """Sessions in use all the while, each turn with a key of its own."""

    def __init__(self, instance: Instance, name: str) -> None:
        self._instance = instance
        self._done = threading.Event()
        self.answers: dict[str, list[tuple[int, Json]]] = {f"{name}-{number}": [] for number in range(NEIGHBOURS)}
        self._threads = [threading.Thread(target=self._ask, args=(session,)) for session in self.answers]

    def start(self) -> None:
        """Begin."""
        for session in self.answers:
            body = {"program": "qa", "id": session, "lm": "mock?latency_s=0.5"}
            assert self._instance.call("POST", "/v1/sessions", body)[0] == 201
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the last turns end."""
        self._done.set()
        for thread in self._threads:
            thread.join(120)

    def _ask(self, session: str) -> None:
        while not self._done.is_set():
            number = len(self.answers[session]) + 1
            body = {"inputs": {"question": f"question {number}"}}
            path, key = f"/v1/sessions/{session}/predict", f"{session}.{number}"
            self.answers[session].append(self._instance.call("POST", path, body, Idempotency_Key=key))


def lost_hosts(instance: Instance) -> int:
    """How many hosts have been started again."""
    _, tree = instance.call("GET", "/v1/tree")
    (hosts,) = [child for child in tree["children"] if child["id"] == "hosts"]
    return sum(host["restarts"] for host in hosts["children"])


def wait_restored(instance: Instance) -> None:
    """Until all standbys are there again."""
    deadline = time.monotonic() + 90
    while len(instance.nodes("standby")) < 2:
        assert time.monotonic() < deadline


def watch_probation(instance: Instance, seen: set[str], done: threading.Event) -> None:
    """Note the hosts that the tree shows on probation."""
    while not done.is_set():
        seen.update(node["id"] for node in instance.nodes("probation"))


@pytest.mark.parametrize("how", ["exit", "hold"])
def test_a_poison_turn_costs_three_hosts_and_its_neighbours_nothing(instance: Instance, how: str) -> None:
    """Refused from then on, its session takes other turns; twenty neighbours have every answer, in order."""
    wait_restored(instance)
    before, seen, done = lost_hosts(instance), set[str](), threading.Event()
    assert instance.call("POST", "/v1/sessions", {"program": "deadly", "id": how})[0] == 201
    neighbours = Neighbours(instance, how)
    neighbours.start()
    watcher = threading.Thread(target=watch_probation, args=(instance, seen, done))
    watcher.start()
    poison = {"inputs": {"question": how}, "timeout_s": 120}
    try:
        first = instance.call("POST", f"/v1/sessions/{how}/predict", poison, Idempotency_Key="k1")
        again = instance.call("POST", f"/v1/sessions/{how}/predict", poison, Idempotency_Key="k1")
        other = instance.call("POST", f"/v1/sessions/{how}/predict", {"inputs": {"question": "hello"}})
    finally:
        done.set()
        watcher.join()
        neighbours.stop()
    wait_restored(instance)
    assert [(status, body.get("code")) for status, body in (first, again)] == [(409, "poison_turn")] * 2
    assert (other[0], other[1].get("turn")) == (200, 1)
    assert lost_hosts(instance) - before == 3
    assert seen
    for answers in neighbours.answers.values():
        assert [(status, body.get("turn")) for status, body in answers] == [(200, n + 1) for n in range(len(answers))]
