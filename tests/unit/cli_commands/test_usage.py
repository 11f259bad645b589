"""Wrong usage is exit code 2, before anything is sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from dspex_actors.cli.fields import parse_fields, parse_params
from dspex_actors.cli.main import app
from dspex_actors.cli.output import plain
from dspex_actors.cli.tree import drawn
from tests.unit.cli_commands.running import dspex

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
WRONG = [
    ["predict"], ["predict", "s", "novalue"], ["predict", "s", "a=1", "a=2"], ["predict", "s", "a:=x"],
    ["predict", "s", "--json-inputs", "[1]"], ["predict", "s", "--json-inputs", "{"],
    ["predict", "s", "a=1", "--stdin"],
    ["predict", "s", "--timeout", "0"], ["program", "create"], ["program", "create", "p", "--param", "k=x"],
    ["session", "show", "s", "--turns", "-1"], ["serve", "--port", "99999"], ["nothing"], ["config", "--hosts", "x"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    """With a sentence on standard error and nothing on standard output."""
    result = dspex(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_fields_are_text_or_json() -> None:
    """The sign tells which."""
    assert parse_fields(["a=1", "b:=1", 'c:={"d": [null]}', "e=x=y", "f="]) == {
        "a": "1", "b": 1, "c": {"d": [None]}, "e": "x=y", "f": "",
    }  # fmt: skip


def test_params_are_always_json() -> None:
    """A temperature is a number."""
    assert parse_params(["temperature=0.5"]) == {"temperature": 0.5}
    with pytest.raises(typer.BadParameter, match="double quotes"):
        parse_params(["a=b"])


def test_a_terminal_is_not_steered_by_what_a_model_says() -> None:
    """Escape sequences are shown as what they are not."""
    assert plain("a\x1b[31mb\nc\r") == "a\N{REPLACEMENT CHARACTER}[31mb\nc\N{REPLACEMENT CHARACTER}"


def test_the_tree_is_drawn_with_a_line_for_each_node() -> None:
    """Children below their parents."""
    leaf = {"kind": "host", "status": "ready", "children": [], "pid": 1, "last_exit": None}
    hosts = {
        "id": "hosts",
        "kind": "supervisor",
        "status": "ready",
        "children": [{"id": "h1", **leaf}, {"id": "h2", **leaf}],
    }
    root = {"id": "root", "kind": "supervisor", "status": "ready", "children": [hosts, {"id": "s", **leaf}]}
    lines = drawn(root).splitlines()
    assert lines[2] == "│   ├── h1  host  ready  pid 1"
    assert [line.split("  ")[0] for line in lines][:2] == ["root", "├── hosts"]
    assert len(lines) == 5


def test_every_command_and_option_is_documented() -> None:
    """And no other."""
    page = PAGE.read_text()
    commands, options = set(), set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        subs = getattr(command, "commands", {})
        commands |= {f"dspex {name} {sub}" for sub in subs} or {f"dspex {name}"}
        for each in [*subs.values()] or [command]:
            options |= {
                opt for param in each.params for opt in (*param.opts, *param.secondary_opts) if opt.startswith("--")
            }
    assert set(re.findall(r"`(dspex \w+(?: [a-z]+)?)\b[^`]*`\s*\|", page)) == commands
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) == options - {"--help"}
