"""The options that several commands take. Each setting that is no secret has a flag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str | None, typer.Option("--url", help="The server's address. [default: from DSPEX_HOST and DSPEX_PORT]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0.001, max=3600, help="Time for all of it.")]

Home = Annotated[Path | None, typer.Option(help="Data folder: the store, the key, the logs.")]
Host = Annotated[str | None, typer.Option(help="Address that the HTTP front listens on.")]
Port = Annotated[int | None, typer.Option(help="Port that the HTTP front listens on.")]
StoreUrl = Annotated[
    str | None, typer.Option(help="Address of the store: sqlite:///<file> or postgresql://<user>@<host>/<database>.")
]
Hosts = Annotated[int | None, typer.Option(help="Hosts that own sessions.")]
Standby = Annotated[int | None, typer.Option(help="Warm hosts that take over.")]
ApiReplicas = Annotated[
    int | None, typer.Option(help="Processes that answer HTTP; 2 with PostgreSQL, else 1, when not given.")
]
StreamPorts = Annotated[str | None, typer.Option(help="Ports of hosts for other nodes, as 7400-7463.")]
SessionIdle = Annotated[
    float | None, typer.Option("--session-idle-s", help="Idle seconds after which a session leaves memory.")
]
SessionsInMemory = Annotated[int | None, typer.Option(help="Sessions that a host keeps in memory at most.")]
ProgramLoop = Annotated[
    float | None,
    typer.Option("--program-loop-s", help="Seconds that an async program may keep its event loop."),
]
ProgramCpu = Annotated[
    float | None, typer.Option("--program-cpu-s", help="Seconds of CPU that a sync program may use in a turn.")
]
HostMaxMemory = Annotated[
    int | None, typer.Option("--host-max-memory-mb", help="Megabytes of its own at which a host is replaced.")
]
HostMaxTurns = Annotated[int | None, typer.Option(help="Turns after which a host is replaced.")]
HostMaxAge = Annotated[float | None, typer.Option("--host-max-age-s", help="Seconds after which a host is replaced.")]
DedicatedLimit = Annotated[int | None, typer.Option(help="Sessions that may have a host of their own.")]
DedicatedMemory = Annotated[
    int | None, typer.Option("--dedicated-memory-mb", help="Megabytes that a dedicated session's host may take.")
]
DedicatedCpus = Annotated[float | None, typer.Option(help="Processors that a dedicated session's host may take.")]
DedicatedCgroup = Annotated[
    Path | None, typer.Option(help="A cgroup v2 folder that the kernel's limits of such hosts are made in.")
]
Lm = Annotated[str | None, typer.Option(help="A DSPy model name, or mock?latency_s=0.1&fail=0.01.")]
LmApiBase = Annotated[str | None, typer.Option(help="Base address of the model's API.")]
ProgramPackages = Annotated[
    str | None, typer.Option(help="Packages that python:pkg.mod:Class programs may come from, comma separated.")
]
SnapshotEntries = Annotated[int | None, typer.Option(help="A snapshot of a session after so many journal entries.")]
SnapshotBytes = Annotated[int | None, typer.Option(help="The same in bytes of entries, whichever comes first.")]
RetentionDays = Annotated[
    float | None,
    typer.Option("--retention-days", help="Days that turns are kept, where a tenant says nothing else."),
]
RetentionTurns = Annotated[
    int | None, typer.Option("--retention-turns", help="Turns of a session that are kept, likewise.")
]
RetentionFailed = Annotated[
    float | None, typer.Option("--retention-failed-days", help="Days that failed attempts are kept, likewise.")
]
RetentionEvery = Annotated[
    float | None, typer.Option("--retention-every-s", help="Seconds from one sweep of the past to the next.")
]
TestMode = Annotated[bool | None, typer.Option(help="Shorter waits for tests; never in production.")]
