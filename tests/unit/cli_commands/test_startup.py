"""What commands cost before they do anything."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

SERVER_PARTS = ("dspy", "litellm", "ray", "sqlalchemy", "alembic", "uvicorn")
COMMANDS = ["session ls", "session show s", "program ls", "predict s a=b", "tree", "config", "version", "--help"]
RUN = """
import sys
from dspex_actors.cli.main import main
sys.argv = ["dspex", *{arguments!r}]
try:
    main()
except SystemExit:
    pass
print("IMPORTED", *sys.modules)
"""


def imported(command: str) -> set[str]:
    """The modules that a command has imported when it ends; nothing listens on the port that it asks."""
    code = RUN.format(arguments=command.split())
    environment = {"DSPEX_PORT": "1", "DSPEX_API_KEY": "k", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.partition("IMPORTED")[2].split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_client_command_imports_no_part_of_the_server(command: str) -> None:
    """They take seconds."""
    modules = imported(command)
    assert "dspex_actors.cli.main" in modules
    assert modules.isdisjoint(SERVER_PARTS)


def test_the_version_needs_neither_settings_nor_a_client() -> None:
    """It is what a person tries first."""
    assert imported("version").isdisjoint({"pydantic_settings", "httpx", "rich.console"})


def test_the_version_takes_less_than_half_a_second_of_the_processor() -> None:
    """The best of three, in processor time: the machine may be busy with other things."""
    command = [
        sys.executable,
        "-c",
        "import sys; from dspex_actors.cli.main import main; sys.argv = ['', 'version']; main()",
    ]
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) <= 0.5
