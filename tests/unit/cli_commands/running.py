"""Runs a command in this process."""

from __future__ import annotations

from typing import Any

import orjson
from typer.testing import CliRunner, Result

from dspex_actors.cli.main import app


def dspex(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """`dspex <arguments>`; the output is not a terminal's."""
    return CliRunner().invoke(app, list(arguments), input=stdin)


def json_of(result: Result) -> Any:
    """The one document on standard output of a command that succeeded."""
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)
