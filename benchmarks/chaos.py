"""Chaos: paced clients over many sessions while random faults hit the server, and a checker that trusts nobody."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine, report
from benchmarks.chaos_check import VIOLATIONS, Verdict, check, read_journal
from benchmarks.chaos_clients import Clients, Load
from benchmarks.chaos_faults import FAULTS, Fault, Injector, chosen_faults
from benchmarks.chaos_figures import Figures, figures_of
from benchmarks.chaos_log import SHOWN, read_logs, write_log
from benchmarks.chaos_postgres import own_postgres
from benchmarks.chaos_program import MODULE, PACKAGE
from benchmarks.chaos_store import PostgresStore, StoreUnderTest, store_under_test
from benchmarks.chaos_table import tables
from benchmarks.load import run
from benchmarks.nodes_server import nodes_server
from benchmarks.ours import Ours, ours_server
from benchmarks.server import Server, ServerError, stop_on_sigterm

WARM_S = 6.0
"""Load without faults before the first one: what the rest is compared with."""
CALM_S = 3.0
_NO_SETTINGS = ("seed", "json", "logs", "store_url", "postgres")
_SPEC = {"module": MODULE, "params": {"history_window": SHOWN}}


@dataclass(frozen=True, slots=True)
class Options:
    """What is run. `seconds` is how long faults come."""

    seed: int
    seconds: float = 60.0
    sessions: int = 200
    clients: int = 16
    rate: float = 60.0
    hosts: int | None = None
    rest_s: float = 2.0
    faults: Sequence[str] = ()
    store_url: str | None = None
    logs: Path | None = None
    nodes: int = 1

    @property
    def sizes(self) -> tuple[int, int]:
        """Hosts and standbys: a host for each of several nodes, and whichever is lost, a standby on another."""
        return self.hosts or max(2, self.nodes), 1 if self.nodes == 1 else 2


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found out."""

    verdict: Verdict
    figures: Figures
    faults: Sequence[Fault]


async def chaos(options: Options) -> Result:
    """Start a server, load it, inject faults, let it come to rest, check.

    Raises:
        ValueError: The options do not fit together.
        ServerError: The server did not start.
    """
    store = store_under_test(options.store_url)
    kinds = chosen_faults(options.faults, postgres=isinstance(store, PostgresStore), nodes=options.nodes)
    await store.start()
    with contextlib.ExitStack() as stack:
        logs = options.logs or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dxc-")))
        server = await _started(stack, _server(options, store))
        ours = await asyncio.to_thread(Ours.prepare, server, options.sessions, spec=_SPEC)
        operations_logs, faults = await _loaded(options, ours, store, kinds)
        logs.mkdir(parents=True, exist_ok=True)
        for number, operations in enumerate(operations_logs):
            write_log(logs / f"client-{number}.jsonl", operations)
        asked = read_logs(logs)
        verdict = check(asked, await asyncio.to_thread(read_journal, store.check_url(server.folder / "home")))
    return Result(verdict, figures_of(asked, faults), faults)


def _server(options: Options, store: StoreUnderTest) -> Server:
    """`dspex serve` that may load the program of this run, and nothing else that a user's would not."""
    hosts, standbys = map(str, options.sizes)
    settings = {"DSPEX_PROGRAM_PACKAGES": PACKAGE, "DSPEX_HOSTS": hosts, "DSPEX_STANDBY": standbys}
    if store.server_url is not None:
        settings["DSPEX_STORE_URL"] = store.server_url
    return ours_server(env=settings) if options.nodes == 1 else nodes_server(options.nodes, settings)


async def _started(stack: contextlib.ExitStack, server: Server) -> Server:
    report.say("starting the server …")
    stack.callback(report.say_left_behind, server)
    await asyncio.to_thread(server.__enter__)
    stack.push(server.__exit__)
    return server


async def _loaded(
    options: Options, ours: Ours, store: StoreUnderTest, kinds: Sequence[str]
) -> tuple[list[Any], list[Fault]]:
    load = Load(
        f"http://127.0.0.1:{ours.server.port}", ours.key, ours.sessions, options.rate, options.clients, options.seed
    )
    clients = Clients(load)
    injector = Injector(ours, store, options.seed, options.rest_s, clients.is_calm)
    loading = asyncio.ensure_future(clients.run())
    try:
        await asyncio.sleep(WARM_S)
        await injector.run(kinds, time.perf_counter() + options.seconds)
        await asyncio.sleep(CALM_S)
    finally:
        clients.stop()
        await loading
    return clients.logs, injector.injected


def table(figures: Figures) -> Table:
    """One row a kind of fault."""
    shown = Table(title="Added latency of the turns in flight or due during the outage (ms)")
    headings = ("faults", "outage median", "max", "affected", "p50", "p99", "max", "worst later", "failed tries")
    for heading in ("fault", *headings):
        shown.add_column(heading, justify="left" if heading == "fault" else "right")
    for kind, row in figures.kinds().items():
        shown.add_row(kind, *(f"{value:.0f}" for value in row.values()))
    return shown


def say(console: Console, result: Result) -> None:
    """The table, what clients saw, and the verdict."""
    figures, verdict = result.figures, result.verdict
    console.print(table(figures))
    errors = ", ".join(f"{code} {count}" for code, count in figures.errors.most_common()) or "none"
    console.print(
        f"{figures.turns} turns, fault-free p50 {figures.fault_free_ms} ms; ended well {figures.available:.4%}, at the "
        f"first try {figures.at_first:.4%}; failed tries: {errors}"
    )
    for sentence in figures.unanswered:
        console.print(f"not answered: {sentence}")
    console.print(
        f"{verdict.acknowledged} acknowledged, {verdict.refused} refused, {verdict.unknown} unknown of which "
        f"{verdict.unknown_happened} happened; {verdict.recorded} recorded in {verdict.sessions} sessions"
    )
    console.print(", ".join(f"{kind} {verdict.wrong[kind]}" for kind in VIOLATIONS))
    for sentence in verdict.said:
        console.print(sentence)
    console.print("verdict: " + ("every promise was kept" if verdict.good else "BROKEN"))


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[], help="repeats the faults and the load; a run for each"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults come")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=60.0, help="turns a second, over all clients")
    parser.add_argument("--nodes", type=int, default=1, help="Ray nodes, all on this machine; lost ones are replaced")
    parser.add_argument("--hosts", type=int, default=None, help="as many as nodes, and at least 2, when not given")
    parser.add_argument(
        "--rest", type=float, default=2.0, help="seconds between two faults, on average and at least half"
    )
    parser.add_argument("--faults", nargs="+", default=[], metavar="KIND", help=f"only these of: {', '.join(FAULTS)}")
    stores = parser.add_mutually_exclusive_group()
    stores.add_argument("--store-url", default=None, help="postgresql://… without TLS; SQLite without it")
    stores.add_argument("--postgres", action="store_true", help="a PostgreSQL server that lives as long as the run")
    parser.add_argument(
        "--logs",
        type=Path,
        default=None,
        help="keep the clients' logs in this folder; of several seeds in FOLDER-<seed>",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=None,
        help="where the JSON goes instead of benchmarks/results/; of several seeds beside it",
    )
    return parser.parse_args()


def run_seed(said: argparse.Namespace, seed: int, console: Console) -> dict[str, Any]:
    """One run: the seed, the figures, the verdict; what was written as JSON."""
    facts = machine.describe()
    console.print(f"seed {seed}")
    with own_postgres() if said.postgres else contextlib.nullcontext(said.store_url) as url:
        chosen = Options(
            seed, said.seconds, said.sessions, said.clients, said.rate, said.hosts, said.rest, said.faults, url,
            _of_seed(said.logs, said, seed), said.nodes,
        )  # fmt: skip
        result = run(chaos(chosen))
    say(console, result)
    console.print(f"seed {seed}; load after {os.getloadavg()[0]:.1f}; {machine.as_line(facts)}")
    settings = {name: value for name, value in vars(said).items() if name not in _NO_SETTINGS}
    store = "sqlite" if url is None else "postgresql"
    content = {"benchmark": "chaos", "machine": facts, "seed": seed, "store": store, "settings": settings}
    content |= {"verdict": result.verdict.as_json(), "figures": result.figures.as_json()}
    written = report.write_json(f"chaos-{store}-{said.nodes}-{seed}", content, _of_seed(said.json, said, seed))
    report.say(f"written: {written}")
    return content


def _of_seed(path: Path | None, said: argparse.Namespace, seed: int) -> Path | None:
    """One of several runs has a place of its own beside the named one."""
    return path.with_stem(f"{path.stem}-{seed}") if path and len(said.seed) > 1 else path


def main() -> None:
    """A run for each seed, and a table over all; exit 1 when a promise was broken."""
    said = options()
    stop_on_sigterm()
    console = Console(width=130)
    runs = [run_seed(said, seed, console) for seed in said.seed or [secrets.randbelow(1_000_000)]]
    if len(runs) > 1:
        print(tables(runs))
    if not all(each["verdict"]["good"] for each in runs):
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except (ServerError, ValueError) as error:
        raise SystemExit(str(error)) from None
