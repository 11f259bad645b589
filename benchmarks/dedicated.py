"""How soon a dedicated session is usable: from the request that creates it to the answer of its first turn."""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.ours import PROGRAM, Ours, ours_server
from benchmarks.server import ServerError, stop_on_sigterm

GOAL_MS = 100.0
WAIT_S = 60.0
QUIET_S = 2.0
"""What starts a host costs both cores; a person does not create the next session in that moment."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One session: how long its creation took, and the first turn after that, in milliseconds."""

    created_ms: float
    turn_ms: float

    @property
    def usable_ms(self) -> float:
        """From the first byte asked to the last one answered."""
        return self.created_ms + self.turn_ms


def create(client: httpx.Client, name: str) -> Creation:
    """Create one, ask it, and delete it."""
    began = time.perf_counter()
    body = {"program": PROGRAM, "id": name, "isolation": "dedicated"}
    client.post("/v1/sessions", json=body).raise_for_status()
    created = time.perf_counter()
    client.post(f"/v1/sessions/{name}/predict", json={"inputs": {"question": "first"}}).raise_for_status()
    answered = time.perf_counter()
    client.delete(f"/v1/sessions/{name}").raise_for_status()
    return Creation((created - began) * 1e3, (answered - created) * 1e3)


def wait_as_before(client: httpx.Client) -> None:
    """Until the host of the last session has ended and another standby is there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        tree = client.get("/v1/tree").raise_for_status().json()
        (hosts,) = [node for node in tree["children"] if node["id"] == "hosts"]
        kinds = sorted(host["kind"] for host in hosts["children"] if host["status"] == "ready")
        if kinds == ["host", "standby"] and len(hosts["children"]) == len(kinds):
            time.sleep(QUIET_S)
            return
        if time.monotonic() > deadline:
            raise ServerError("No standby became ready within 60 s.")
        time.sleep(0.2)


def measure(sessions: int) -> list[Creation]:
    """One after the other, on a server of its own."""
    with ours_server() as server, Ours.prepare(server, 1).client() as client:
        made = []
        for number in range(sessions):
            wait_as_before(client)
            made.append(create(client, f"alone-{number}"))
    return made


def table(made: list[Creation]) -> Table:
    """The median and the worst."""
    shown = Table(title=f"A dedicated session, {len(made)} times (ms; the goal is {GOAL_MS:.0f})")
    for heading in ("", "created", "first turn", "usable"):
        shown.add_column(heading, justify="right")
    columns = [[each.created_ms for each in made], [each.turn_ms for each in made], [each.usable_ms for each in made]]
    for name, of in (("median", statistics.median), ("max", max)):
        shown.add_row(name, *(f"{of(column):.1f}" for column in columns))
    return shown


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    stop_on_sigterm()
    about = machine.describe()
    made = measure(options.sessions)
    console = Console()
    console.print(table(made))
    console.print(machine.as_line(about))
    path = report.write_json(
        "dedicated", {"machine": about, "creations": [asdict(each) for each in made]}, options.json
    )
    report.say(f"written to {path}")


if __name__ == "__main__":
    main()
