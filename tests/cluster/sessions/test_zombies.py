"""A real host that is frozen in mid-turn, loses its leases unseen and wakes up: with the fence, and without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.chaos_check import check, read_journal
from benchmarks.chaos_log import SHOWN, Answer, Operation, Outcome
from benchmarks.chaos_program import MODULE, PACKAGE
from benchmarks.chaos_store import SqliteStore
from tests.cluster.sessions.instance import Instance
from tests.support.unfenced import drop_keys

ROOT = Path(__file__).parents[3]
BROKEN = ROOT / "tests" / "support" / "broken_server"
DEAF = "heartbeats,assurance,disowning"
MID_TURN_S = 2.0


@pytest.fixture(params=[DEAF, f"{DEAF},fence"], ids=["fenced", "unfenced"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    """Nobody notices a frozen process, nor it itself what it has lost, whoever tells it; in the second one stale owners
    commit, and the journal takes it."""
    settings = {"PYTHONPATH": f"{BROKEN}:{ROOT}", "BROKEN_SERVER": request.param, "DSPEX_PROGRAM_PACKAGES": PACKAGE}
    served = Instance(tmp_path / "home", **settings)
    served.start()
    try:
        program = {"name": "ledger", "module": MODULE, "params": {"history_window": SHOWN}}
        assert served.call("POST", "/v1/programs", program)[0] == 201
        assert served.call("POST", "/v1/sessions", {"program": "ledger", "id": "alice"})[0] == 201
        if "fence" in request.param:
            drop_keys(served.home / "dspex.sqlite3")
        yield served
    finally:
        served.stop()


def ask(server: Instance, log: list[Operation], key: str, pause_s: float = 0.0) -> None:
    """One turn, written down as it was told."""
    sent, body = time.perf_counter(), {"inputs": {"key": key, "pause_s": pause_s}}
    status, told = server.call("POST", "/v1/sessions/alice/predict", body, Idempotency_Key=key)
    assert status == 200, told
    said = told["outputs"]
    answer = Answer(told["turn"], said["number"], said["digest"], tuple(said["after"]), said["process"])
    log.append(Operation(1, "alice", key, sent, sent, time.perf_counter(), Outcome.DONE, answer))


def wait(condition: object, what: str) -> None:
    """Until it holds."""
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.05)


def usurp(server: Instance, zombie: str, heir: str) -> None:
    """The heir has the leases, and the next placement goes by that."""
    assert SqliteStore().take_leases(zombie, heir, server.home) > 0
    (placement,) = server.nodes("placement")
    psutil.Process(placement["pid"]).kill()


@pytest.mark.timeout(300)
def test_what_a_zombie_commits_is_nowhere_or_else_the_checker_finds_it(
    server: Instance, request: pytest.FixtureRequest
) -> None:
    """With the fence every promise is kept; without it a key and a number stand twice."""
    log: list[Operation] = []
    heir, zombie = server.wait_nodes("standby")[0]["name"], server.nodes("host")[0]
    ask(server, log, "t1")
    stuck = threading.Thread(target=ask, args=(server, log, "t2", MID_TURN_S))
    stuck.start()
    wait(lambda: server.call("GET", "/v1/sessions/alice")[1]["status"] == "busy", "t2 did not start")
    frozen = psutil.Process(zombie["pid"])
    frozen.suspend()
    try:
        usurp(server, zombie["name"], heir)
        stuck.join(60)
        ask(server, log, "t3")
    finally:
        frozen.resume()
    wait(lambda: zombie["name"] in {each["name"] for each in server.nodes("standby")}, "the zombie has not come back")
    fenced, journal = "unfenced" not in request.node.name, f"sqlite:///{server.home / 'dspex.sqlite3'}"
    if not fenced:
        wait(lambda: len(read_journal(journal)) > len(log), "the zombie has not committed")
    verdict = check(log, read_journal(journal))
    assert verdict.acknowledged == 3
    assert (verdict.good, verdict.wrong["duplicated"], verdict.wrong["two_on_one_number"] > 0) == (
        (True, 0, False) if fenced else (False, 1, True)
    ), verdict.said
