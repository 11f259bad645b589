"""What a program or a worn-out host does to others: nothing that a client would call an error."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.sessions.instance import Instance, Json

GREEDY = {"name": "greedy", "signature": "question -> answer", "module": "python:tests.support.modules:Greedy"}
TURNS = 25


@pytest.fixture
def worn(tmp_path: Path) -> Iterator[Instance]:
    """An instance whose hosts are replaced after a hundred turns."""
    served = Instance(tmp_path / "home", DSPEX_HOST_MAX_TURNS="100", DSPEX_PROGRAM_PACKAGES="tests")
    served.start()
    try:
        assert served.call("POST", "/v1/programs", GREEDY)[0] == 201
        yield served
    finally:
        served.stop()


def talk(instance: Instance, session: str) -> list[tuple[int, Json]]:
    """Turns one after the other."""
    assert instance.call("POST", "/v1/sessions", {"program": "greedy", "id": session})[0] == 201
    return [
        instance.call("POST", f"/v1/sessions/{session}/predict", {"inputs": {"question": f"q{number}"}})
        for number in range(TURNS)
    ]


def test_hosts_that_wear_out_and_programs_that_run_away_fail_no_turn_of_others(worn: Instance) -> None:
    """Two of them keep the event loop while eight sessions talk; each host runs a hundred turns at most or so."""
    before = int(worn.wait_nodes("host")[0]["pid"])
    worn.wait_nodes("standby")
    worn.call("POST", "/v1/sessions", {"program": "greedy", "id": "bad"})

    def run_away(question: str) -> tuple[int, Json]:
        return worn.call("POST", "/v1/sessions/bad/predict", {"inputs": {"question": question}})

    with ThreadPoolExecutor(9) as pool:
        talks = [pool.submit(talk, worn, f"s{number}") for number in range(8)]
        bad = [pool.submit(run_away, question).result() for question in ("spin", "block")]
        for answers in (each.result() for each in talks):
            assert [(status, answer.get("turn")) for status, answer in answers] == [
                (200, number + 1) for number in range(TURNS)
            ]
    assert [(status, problem["code"]) for status, problem in bad] == [(500, "program_failed")] * 2
    worn.wait_nodes("standby")
    assert int(worn.wait_nodes("host")[0]["pid"]) != before
