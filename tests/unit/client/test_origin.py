"""Addresses and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

import dspex_actors as dx
from dspex_actors.client.origin import origin
from tests.unit.client.scripted import Script, answered, problem


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "HOST", "PORT", "API_KEY"):
        monkeypatch.delenv(f"DSPEX_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_address_comes_from_the_variables() -> None:
    """And is the one of a server that was not told otherwise."""
    assert origin(None, None).url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:9"), ("::", "http://[::1]:9"), ("box", "http://box:9")]
)
def test_an_address_to_listen_on_becomes_one_to_call(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    """Nobody can call 0.0.0.0."""
    monkeypatch.setenv("DSPEX_HOST", host)
    monkeypatch.setenv("DSPEX_PORT", "9")
    assert origin(None, None).url == url


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x", "http://", "http://u:p@x", "http://x?a=1", "http://x:y", "http://a b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """With the form that one has."""
    with pytest.raises(dx.InvalidRequest, match="http://host:port"):
        origin(url, None)


def test_a_bad_port_in_the_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same sentence."""
    monkeypatch.setenv("DSPEX_PORT", "many")
    with pytest.raises(dx.InvalidRequest):
        origin(None, None)


def test_the_key_is_the_argument_then_the_variable_then_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file is in the data folder, by default `.dspex` here."""
    (tmp_path / ".dspex").mkdir()
    (tmp_path / ".dspex" / "api-key").write_text("from-file\n")
    assert origin(None, None).key == "from-file"
    monkeypatch.setenv("DSPEX_API_KEY", "from-variable")
    assert origin(None, None).key == "from-variable"
    assert origin(None, "from-argument").key == "from-argument"


def test_the_file_is_not_for_other_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It holds the admin key of this one."""
    monkeypatch.setenv("DSPEX_HOME", str(tmp_path))
    (tmp_path / "api-key").write_text("from-file")
    assert [origin(url, None).key for url in ("http://localhost:1", "http://[::1]:1", "http://example.com")] == [
        "from-file", "from-file", None,
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    """A header could not carry it."""
    with pytest.raises(dx.InvalidRequest) as caught:
        origin(None, key)
    assert key not in str(caught.value)


def test_the_key_is_sent_and_shown_nowhere() -> None:
    """Not by the client, not by what it is made of."""
    script = Script(answered())
    client = script.client()
    client.tree()
    assert script.sent("authorization") == ["Bearer dspex_secret"]
    assert "dspex_secret" not in f"{client!r} {client.session('s')!r} {origin(None, 'dspex_secret')!r}"


def test_without_a_key_the_refusal_says_where_one_may_come_from() -> None:
    """A wrong one is the server's to explain."""
    with pytest.raises(dx.Unauthenticated, match="set DSPEX_API_KEY"):
        Script(problem("unauthenticated")).client(api_key=None).tree()
    with pytest.raises(dx.Unauthenticated, match="It was unauthenticated"):
        Script(problem("unauthenticated")).client().tree()


def test_readiness_is_asked_once_and_without_a_key() -> None:
    """It is a question, not an error."""
    script = Script(problem("no_capacity"), answered())
    client = script.client()
    assert (client.ready(), client.ready()) == (False, True)
    assert script.sent("authorization") == [None, None]
