"""What an instance's processes find in their environment."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from dspex_actors.cli.environment import adopt, instance_environment
from dspex_actors.cli.haproxy import haproxy_binary, haproxy_environment, write_front
from dspex_actors.config import Settings
from dspex_actors.errors import InvalidRequest
from dspex_actors.home import Home, Instance

TEMPLATE = """global
    log 127.0.0.1:514 local0 info
defaults
    errorfile 502 /tmp/ray/500.http
    errorfile 503 /tmp/ray/500.http
    errorfile 504 /tmp/ray/500.http
frontend prometheus
    bind :9101
frontend http_frontend
    bind 0.0.0.0:8000
listen stats
  bind *:8404
"""


def test_the_environment_carries_marker_and_settings_but_not_the_admin_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first process needs the admin key; the hosts need the model's."""
    monkeypatch.setattr(os, "environ", {"DSPEX_API_KEY": "secret"})
    settings = Settings(home=tmp_path, port=8123, lm_api_key=SecretStr("model"))
    adopt(instance_environment(settings, Home(tmp_path), Instance("ab", 7)))
    assert os.environ["DSPEX_INSTANCE"] == "ab:7"
    assert (os.environ["DSPEX_PORT"], os.environ["DSPEX_LM_API_KEY"]) == ("8123", "model")
    assert "DSPEX_API_KEY" not in os.environ
    assert Settings().plain() == settings.plain()


@pytest.mark.parametrize("form", ["ann:p%40ss@db/x", "ann@db/x?password=p%40ss"])
def test_the_stores_password_travels_as_a_variable_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Never in the settings that Ray is handed, nor in what a log shows of them."""
    monkeypatch.setattr(os, "environ", {})
    settings = Settings(home=tmp_path, store_url=f"postgresql://{form}")
    said = f"{settings.plain()}{settings.environment()}{settings!r}"
    assert ("p@ss" in said, "p%40ss" in said) == (False, False)
    adopt(instance_environment(settings, Home(tmp_path), Instance("ab", 7)))
    assert (os.environ["DSPEX_STORE_URL"], os.environ["DSPEX_STORE_PASSWORD"]) == ("postgresql://ann@db/x", "p@ss")
    assert Settings(**settings.plain()).database_url == "postgresql://ann@db/x?password=p%40ss"


def test_ray_asks_for_a_token_that_only_this_user_can_read_and_no_start_shares(tmp_path: Path) -> None:
    """Another user of the machine can reach loopback too."""
    seen = set()
    for term in (1, 2):
        values = instance_environment(Settings(home=tmp_path), Home(tmp_path), Instance("ab", term))
        token = Path(values["RAY_AUTH_TOKEN_PATH"])
        assert (values["RAY_AUTH_MODE"], stat.S_IMODE(token.stat().st_mode)) == ("token", 0o600)
        seen.add(token.read_text())
    assert len(seen) == 2


def test_a_folder_too_long_for_sockets_is_refused_with_what_to_set() -> None:
    """A socket's path ends at 107 bytes."""
    with pytest.raises(InvalidRequest, match="TMPDIR"):
        haproxy_environment(Path("/tmp") / ("x" * 60), threads=1)


def test_haproxy_opens_no_port_but_the_front(tmp_path: Path) -> None:
    """Its own two pages move to sockets beside its configuration, its log lines to nowhere."""
    write_front(tmp_path, "/bin/true")
    config = tmp_path / "h" / "c"
    config.write_text(TEMPLATE)
    subprocess.run([tmp_path / "h" / "front", "-db", "-f", config], check=True)
    binds = [line.split()[1] for line in config.read_text().splitlines() if "bind" in line]
    assert binds == [f"unix@{config.parent}/m", "0.0.0.0:8000", f"unix@{config.parent}/s"]
    assert "log" not in config.read_text()


@pytest.mark.parametrize(("status", "code"), [(502, "outcome_unknown"), (503, "no_capacity"), (504, "outcome_unknown")])
def test_what_haproxy_says_itself_is_a_problem_that_may_be_tried_again(tmp_path: Path, status: int, code: str) -> None:
    """A replica that is lost is no fault of the server, and surely none that a client should give up at."""
    write_front(tmp_path, "/bin/true")
    config = tmp_path / "h" / "a-node" / "c"
    config.parent.mkdir()
    config.write_text(TEMPLATE)
    subprocess.run([tmp_path / "h" / "front", "-db", "-f", config], check=True)
    (line,) = (line for line in config.read_text().splitlines() if f"errorfile {status} " in line)
    head, _, body = Path(line.split()[2]).read_bytes().partition(b"\r\n\r\n")
    problem, lines = orjson.loads(body), head.decode().split("\r\n")
    assert (problem["code"], problem["retryable"]) == (code, True)
    assert lines[0].split()[1] == str(problem["status"])
    assert {"Content-Type: application/problem+json", f"Content-Length: {len(body)}"} < set(lines)


def test_the_binary_that_the_user_names_is_used_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never another one silently."""
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", "/bin/true")
    assert haproxy_binary() == "/bin/true"
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", str(tmp_path / "missing"))
    with pytest.raises(InvalidRequest, match="HAProxy is missing"):
        haproxy_binary()
