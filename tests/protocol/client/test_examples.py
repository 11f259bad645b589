"""The examples run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.serving import Served

EXAMPLES = Path(__file__).parents[3] / "examples"


def printed(example: str, **variables: str) -> list[str]:
    """The lines that an example prints."""
    environment = {**os.environ, **variables}
    command = [sys.executable, str(EXAMPLES / example)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_embedded_example_shows_a_session_that_remembers() -> None:
    """The second turn saw the first."""
    first, second, streamed, last = printed("embedded.py")
    assert "earlier turns shown: 0" in first
    assert "earlier turns shown: 1" in second
    assert "earlier turns shown: 2" in streamed
    assert last == "turn 3 is recorded"


def test_the_time_travel_example_goes_back_and_forth() -> None:
    """Left turns are in brackets; the fork goes on by itself."""
    lines = printed("time_travel.py")
    assert "earlier turns shown: 2" in lines.pop(1)
    last = "alice: 1 2 3 4 (5)"
    assert lines == ["alice: 1 2 3 4", "alice: 1 2 (3) (4) 5", last, "alice-2: 1 2 3", last]


def test_the_streaming_example_loses_nothing() -> None:
    """What it had and what came later is the answer."""
    lost, whole, replayed = printed("streaming.py")
    assert lost.startswith("lost after 1.3: 'mock answer")
    assert (whole, replayed) == ("turn 1 is recorded: True", "['turn.completed']")


def test_the_example_of_own_modules_runs_both_kinds() -> None:
    """The asynchronous one remembers."""
    first, second, summary = printed("user_module/run.py")
    assert ["(earlier turns: 0)" in first, "(earlier turns: 1)" in second, bool(summary)] == [True] * 3


def test_the_client_example_runs_against_a_server(server: Served) -> None:
    """More than once."""
    port = server.url.rpartition(":")[2]
    lines = printed("http_client.py", DSPEX_PORT=port, DSPEX_API_KEY=server.key)
    assert "turn 1 again, replayed: True" in lines
    assert lines[-1] == "turn 2 is recorded"
    assert printed("http_client.py", DSPEX_PORT=port, DSPEX_API_KEY=server.key)[-1] == "turn 4 is recorded"


def test_the_client_example_without_a_server_ends_in_a_sentence() -> None:
    """Nothing to try again: the address is wrong."""
    environment = {**os.environ, "DSPEX_HOST": "no host", "DSPEX_API_KEY": "k"}
    command = [sys.executable, str(EXAMPLES / "http_client.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr


def test_the_variables_example_sets_and_brings_back() -> None:
    """And ends on the version that was promoted."""
    assert printed("variables.py") == [
        "now: {'level': 4, 'tone': 'strict'}",
        "refused: level must be from 1 to 5, not 9.",
        "after turn 1: {'level': 3, 'tone': 'kind'}",
        "after turn 2: {'level': 4, 'tone': 'strict'}",
        "versions: [1, 1, 2]",
    ]
