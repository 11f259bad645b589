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
StoreUrl = Annotated[str | None, typer.Option(help="SQLAlchemy address of the store.")]
Hosts = Annotated[int | None, typer.Option(help="Hosts that own sessions.")]
Standby = Annotated[int | None, typer.Option(help="Warm hosts that take over.")]
Lm = Annotated[str | None, typer.Option(help="A DSPy model name, or mock?latency_s=0.1&fail=0.01.")]
LmApiBase = Annotated[str | None, typer.Option(help="Base address of the model's API.")]
ProgramPackages = Annotated[
    str | None, typer.Option(help="Packages that python:pkg.mod:Class programs may come from, comma separated.")
]
TestMode = Annotated[bool | None, typer.Option(help="Shorter waits for tests; never in production.")]
