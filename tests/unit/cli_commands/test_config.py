"""`dspex config`, and how `dspex serve` gets its settings."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from dspex_actors.config import Settings
from tests.unit.cli_commands.running import dspex, json_of

SECRETS = {"api_key", "lm_api_key", "store_password"}


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each says where it came from."""
    Path("dspex.toml").write_text('port = 1\nhosts = 2\nlm = "from-file"\n')
    monkeypatch.setenv("DSPEX_PORT", "3")
    monkeypatch.setenv("DSPEX_LM", "from-variable")
    shown = json_of(dspex("config", "--port", "4", "--json"))
    assert {name: (shown[name]["value"], shown[name]["source"]) for name in ("port", "lm", "hosts", "standby")} == {
        "port": (4, "flag"), "lm": ("from-variable", "variable"), "hosts": (2, "dspex.toml"), "standby": (1, "default"),
    }  # fmt: skip


def test_every_setting_is_shown() -> None:
    """In the order of the class."""
    assert list(json_of(dspex("config", "--json"))) == list(Settings.model_fields)


def test_secrets_are_shown_as_set_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the keys nor the store's password."""
    monkeypatch.setenv("DSPEX_API_KEY", "hush-key")
    monkeypatch.setenv("DSPEX_STORE_URL", "postgresql://ann:hush@db/x?password=hush")
    shown = json_of(dspex("config", "--json"))
    assert (shown["api_key"]["value"], shown["lm_api_key"]["value"]) == ("set", "not set")
    assert shown["store_url"]["value"] == "postgresql://ann:***@db/x?password=***"
    assert "hush" not in dspex("config").output


@pytest.mark.parametrize("command", ["serve", "config"])
def test_every_setting_that_is_no_secret_has_a_flag(command: str) -> None:
    """And no secret has one: other users of the machine can read arguments."""
    shown = dspex(command, "--help").output
    assert {name for name in Settings.model_fields if f"--{name.replace('_', '-')} " in shown} == (
        set(Settings.model_fields) - SECRETS
    )


@pytest.mark.parametrize(
    ("toml", "named"), [("port = 0", "port"), ("nonsense = 1", "nonsense"), ("port = ", "dspex.toml")]
)
def test_a_bad_setting_is_wrong_usage_and_named(toml: str, named: str) -> None:
    """Exit code 2, no traceback."""
    Path("dspex.toml").write_text(toml)
    result = dspex("config")
    assert (result.exit_code, named in result.stderr, "Traceback" in result.output) == (2, True, False)


def test_a_bad_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message names the setting, never its value."""
    Path("dspex.toml").write_text('api_key = ["hush"]')
    result = dspex("config")
    assert (result.exit_code, "hush" in result.output, "api_key" in result.output) == (2, False, True)


def test_serve_runs_with_the_settings_and_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves is imported only then."""
    given: list[Settings] = []
    fake = ModuleType("dspex_actors.cli.serve")
    monkeypatch.setitem(sys.modules, "dspex_actors.cli.serve", fake)

    def run_serve(settings: Settings) -> int:
        given.append(settings)
        return 7

    monkeypatch.setattr(fake, "run_serve", run_serve, raising=False)
    assert dspex("serve", "--port", "8123", "--lm", "mock?fail=1").exit_code == 7
    assert (given[0].port, given[0].lm, given[0].hosts) == (8123, "mock?fail=1", 1)
