"""A session with a host of its own: whatever dies, it goes on, alone, and its neighbours do not notice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.sessions.conftest import QA
from tests.cluster.sessions.instance import Instance, Json

HUNGRY = {
    "name": "hungry",
    "signature": "question: str -> answer: str",
    "module": "python:tests.support.modules:Hungry",
}
WAIT_S = 90.0


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance with two standbys, of which two sessions may have one for good."""
    settings = {"DSPEX_PROGRAM_PACKAGES": "tests.support.modules", "DSPEX_STANDBY": "2", "DSPEX_DEDICATED_LIMIT": "2"}
    served = Instance(tmp_path_factory.mktemp("dedicated") / "home", **settings)
    served.start()
    try:
        for program in (QA, HUNGRY):
            assert served.call("POST", "/v1/programs", program)[0] == 201
        yield served
    finally:
        served.stop()


@pytest.fixture(autouse=True)
def _as_before(instance: Instance) -> Iterator[None]:
    """Each test begins with the pool complete, and leaves no dedicated session."""
    wait(lambda: len(instance.nodes("standby")) == 2)
    yield
    for session in instance.call("GET", "/v1/sessions")[1]["items"]:
        assert instance.call("DELETE", f"/v1/sessions/{session['id']}")[0] == 204
    wait(lambda: sorted(host["kind"] for host in hosts(instance)) == ["host", "standby", "standby"])


def wait(is_so: Callable[[], bool]) -> None:
    """Until it is so."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so"


def hosts(instance: Instance) -> list[Json]:
    """All hosts, whatever they do."""
    (found,) = [child for child in instance.call("GET", "/v1/tree")[1]["children"] if child["id"] == "hosts"]
    return list(found["children"])


def create(instance: Instance, name: str, program: str = "qa", **more: object) -> tuple[int, Json]:
    """A dedicated session."""
    return instance.call("POST", "/v1/sessions", {"program": program, "id": name, "isolation": "dedicated", **more})


def turn(instance: Instance, name: str, question: str, key: str) -> Json:
    """One that must go well."""
    body = {"inputs": {"question": question}, "timeout_s": 55}
    status, answer = instance.call("POST", f"/v1/sessions/{name}/predict", body, Idempotency_Key=key)
    assert status == 200, answer
    return answer


def home(instance: Instance, name: str) -> Json:
    """The host of a dedicated session, which has nothing else."""
    wait(lambda: any(host.get("session") == name for host in hosts(instance)))
    (host,) = [host for host in hosts(instance) if host.get("session") == name]
    assert (host["kind"], host["shards"]) == ("dedicated", 0)
    return host


class Talk(threading.Thread):
    """Asks a session, one turn after the other, each with a key of its own."""

    def __init__(self, instance: Instance, session: str) -> None:
        super().__init__()
        self._instance, self._session, self._stop_it = instance, session, threading.Event()
        self.answers: list[tuple[int, int]] = []

    def run(self) -> None:
        while not self._stop_it.is_set():
            path, key = f"/v1/sessions/{self._session}/predict", f"k{len(self.answers)}"
            body = {"inputs": {"question": key}}
            status, answer = self._instance.call("POST", path, body, Idempotency_Key=key)
            self.answers.append((status, answer.get("turn", 0)))

    def end(self) -> None:
        """Every turn was answered, in order and without a gap."""
        self._stop_it.set()
        self.join(60)
        assert self.answers == [(200, number + 1) for number in range(len(self.answers))]

    def wait_more(self) -> None:
        """Until some more turns were answered."""
        wanted = len(self.answers) + 5
        wait(lambda: len(self.answers) >= wanted)


def test_its_host_is_killed_under_load_and_it_goes_on_alone(instance: Instance) -> None:
    """Neither it nor its neighbours see an error; two of them never share."""
    for name in ("ann", "bob"):
        status, made = create(instance, name)
        assert (status, made["isolation"], made["host"] is not None) == (201, "dedicated", True)
    assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": "carl"})[0] == 201
    talks = [Talk(instance, name) for name in ("ann", "bob", "carl")]
    for talk in talks:
        talk.start()
    for _ in range(2):
        talks[0].wait_more()
        before = home(instance, "ann")["pid"]
        wait(lambda: bool(instance.nodes("standby")))
        os.kill(before, signal.SIGKILL)
        talks[0].wait_more()
        assert home(instance, "ann")["pid"] not in (before, home(instance, "bob")["pid"])
    for talk in talks:
        talk.end()


def test_one_more_than_may_be_is_refused_by_name_and_not_there(instance: Instance) -> None:
    """And may be as soon as another one is gone."""
    assert [create(instance, name)[0] for name in ("ann", "bob")] == [201, 201]
    status, problem = create(instance, "carl")
    assert (status, problem["code"], "DSPEX_DEDICATED_LIMIT" in problem["detail"]) == (503, "no_capacity", True)
    assert instance.call("GET", "/v1/sessions/carl")[0] == 404
    assert instance.call("DELETE", "/v1/sessions/bob")[0] == 204
    wait(lambda: bool(instance.nodes("standby")))
    assert create(instance, "carl")[0] == 201


def test_placement_is_killed_and_knows_again_whose_host_is_whose(instance: Instance) -> None:
    """Turns go on meanwhile; a host that is lost afterwards is replaced as before."""
    create(instance, "ann")
    before = home(instance, "ann")["pid"]
    talk = Talk(instance, "ann")
    talk.start()
    (placement,) = instance.nodes("placement")
    os.kill(placement["pid"], signal.SIGKILL)
    wait(lambda: any(node["pid"] != placement["pid"] for node in instance.nodes("placement")))
    assert home(instance, "ann")["pid"] == before
    wait(lambda: bool(instance.nodes("standby")))
    os.kill(before, signal.SIGKILL)
    talk.wait_more()
    assert home(instance, "ann")["pid"] != before
    talk.end()


def test_it_moves_and_leaves_a_draining_host_alone(instance: Instance) -> None:
    """To standbys only, and nobody comes to where it is."""
    create(instance, "ann")
    instance.call("POST", "/v1/sessions", {"program": "qa", "id": "carl"})
    talk = Talk(instance, "ann")
    talk.start()
    here = home(instance, "ann")
    assert instance.call("POST", "/v1/sessions/carl/migrate", {"host": here["id"]})[1]["code"] == "no_capacity"
    shared = instance.nodes("host")[0]["id"]
    assert instance.call("POST", "/v1/sessions/ann/migrate", {"host": shared})[1]["code"] == "no_capacity"
    status, moved = instance.call("POST", "/v1/sessions/ann/migrate", {})
    there = home(instance, "ann")
    assert (status, moved.get("from"), moved.get("to")) == (200, here["name"], there["name"])
    wait(lambda: bool(instance.nodes("standby")))
    assert instance.call("POST", f"/v1/hosts/{there['id']}/drain", {})[0] == 200
    assert home(instance, "ann")["pid"] not in (here["pid"], there["pid"])
    talk.end()


def test_one_that_takes_too_much_memory_loses_its_host_and_nobody_elses(instance: Instance) -> None:
    """The turn is refused in the end, as one that kills its hosts; the session takes others."""
    assert create(instance, "greedy", "hungry", limits={"memory_mb": 100})[0] == 201
    instance.call("POST", "/v1/sessions", {"program": "qa", "id": "carl"})
    talk = Talk(instance, "carl")
    talk.start()
    path = "/v1/sessions/greedy/predict"
    status, problem = instance.call("POST", path, {"inputs": {"question": "more"}, "timeout_s": 55})
    assert (status, problem["code"]) == (409, "poison_turn")
    assert instance.call("POST", path, {"inputs": {"question": "hello"}})[1]["turn"] == 1
    talk.end()


def test_after_kill_9_and_a_new_start_each_is_alone_again_and_has_its_past(instance: Instance) -> None:
    """Of the serving process; the next one ends what it left. What was acknowledged has its answer still."""
    for name in ("ann", "bob"):
        assert create(instance, name)[0] == 201
        assert turn(instance, name, f"{name} was here", "k1")["turn"] == 1
    instance.kill()
    instance.start()
    for name in ("ann", "bob"):
        second = turn(instance, name, "and now?", "k2")
        assert (second["turn"], f"after '{name} was here'" in second["outputs"]["answer"]) == (2, True)
        assert turn(instance, name, f"{name} was here", "k1")["turn"] == 1
    assert home(instance, "ann")["pid"] != home(instance, "bob")["pid"]
    wait(lambda: sorted(host["kind"] for host in hosts(instance)) == ["dedicated"] * 2 + ["host"] + ["standby"] * 2)


def test_where_there_are_no_standbys_one_comes_when_its_host_is_drained_and_none_is_left_over(tmp_path: Path) -> None:
    """The drained host goes for good, as another one has come; turns go on meanwhile."""
    bare = Instance(tmp_path / "home", DSPEX_STANDBY="0")
    bare.start()
    try:
        assert bare.call("POST", "/v1/programs", QA)[0] == 201
        wait(lambda: create(bare, "ann")[0] == 201)
        talk, before = Talk(bare, "ann"), home(bare, "ann")
        talk.start()
        talk.wait_more()
        status, drained = bare.call("POST", f"/v1/hosts/{before['id']}/drain", {}, X_Request_Timeout="50")
        assert (status, drained["status"]) == (200, "drained")
        assert home(bare, "ann")["name"] != before["name"]
        talk.wait_more()
        wait(lambda: sorted(host["kind"] for host in hosts(bare)) == ["dedicated", "host"])
        talk.end()
    finally:
        bare.stop()
