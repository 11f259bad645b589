"""The admin key: given, kept, or made."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from dspex_actors.cli import first_key
from dspex_actors.cli.first_key import ensure_admin_key, provide_admin_key
from dspex_actors.clock import ManualClock
from dspex_actors.config import Settings
from dspex_actors.errors import InvalidRequest
from dspex_actors.home import Home
from dspex_actors.resources.key import hash_secret, new_secret
from dspex_actors.store import Store, open_store


@pytest.fixture
def store() -> Iterator[Store]:
    """One in memory."""
    opened = open_store("sqlite://")
    yield opened
    opened.close()


def ensure(home: Path, store: Store, given: str | None = None) -> str:
    """The secret of a start."""
    settings = Settings(home=home, api_key=None if given is None else SecretStr(given))
    return ensure_admin_key(settings, Home(home), store, ManualClock())


def test_the_first_start_makes_a_key_and_later_ones_keep_it(tmp_path: Path, store: Store) -> None:
    """The store knows its hash as `admin`, the file its secret, for this user alone."""
    secret = ensure(tmp_path, store)
    assert ensure(tmp_path, store) == secret
    key = store.find_key(hash_secret(secret))
    assert key is not None
    assert (key.id, key.tenant, key.scopes, key.expires_at_us) == ("admin", "default", ("admin",), None)
    assert (tmp_path / "api-key").read_text() == secret + "\n"
    assert stat.S_IMODE((tmp_path / "api-key").stat().st_mode) == 0o600


def test_a_given_key_replaces_the_one_before(tmp_path: Path, store: Store) -> None:
    """A changed DSPEX_API_KEY counts from the next start on, and stays without it."""
    made = ensure(tmp_path, store)
    assert ensure(tmp_path, store, "given") == "given"
    assert store.find_key(hash_secret(made)) is None
    assert ensure(tmp_path, store) == "given"


def test_a_kept_key_is_put_into_a_fresh_store(tmp_path: Path, store: Store) -> None:
    """Another DSPEX_STORE_URL with the same home takes the same key."""
    (tmp_path / "api-key").write_text("kept\n")
    assert ensure(tmp_path, store) == "kept"
    assert store.find_key(hash_secret("kept")) is not None


@pytest.mark.parametrize("secret", ["", "two words", "ü", "line\n"])
def test_a_key_that_no_header_can_carry_is_refused(tmp_path: Path, store: Store, secret: str) -> None:
    """Before the store or the home hear of it."""
    with pytest.raises(InvalidRequest, match="DSPEX_API_KEY"):
        ensure(tmp_path, store, secret)
    assert list(tmp_path.iterdir()) == []


def provide(home: Path, store: Store, given: str | None = None) -> None:
    """What an API replica does."""
    settings = Settings(home=home, api_key=None if given is None else SecretStr(given))
    provide_admin_key(settings, store, ManualClock())


def test_the_first_replica_makes_the_key_and_one_on_another_node_leaves_it(tmp_path: Path, store: Store) -> None:
    """It makes the home as well; that node's home stays as it is, with another instance's key or none."""
    provide(tmp_path / "n1", store)
    secret = (tmp_path / "n1" / "api-key").read_text().strip()
    (tmp_path / "n2").mkdir()
    (tmp_path / "n2" / "api-key").write_text("another instance's\n")
    for name in ("n1", "n2", "n3"):
        provide(tmp_path / name, store)
        assert store.find_key(hash_secret(secret)) is not None
    assert (tmp_path / "n2" / "api-key").read_text() == "another instance's\n"
    assert not (tmp_path / "n3").exists()


def test_a_given_key_is_taken_by_a_replica_without_a_home(tmp_path: Path, store: Store) -> None:
    """Where there is one it is written down too."""
    provide(tmp_path / "none", store, "given")
    assert store.find_key(hash_secret("given")) is not None
    assert not (tmp_path / "none").exists()
    provide(tmp_path, store, "given")
    assert (tmp_path / "api-key").read_text() == "given\n"


def test_a_first_key_that_cannot_be_kept_says_what_to_set(tmp_path: Path, store: Store) -> None:
    """Nobody would ever know it."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidRequest, match="DSPEX_API_KEY"):
        provide(tmp_path / "file" / "home", store)
    assert not store.has_key("admin")


def test_of_two_replicas_that_make_the_first_key_one_does(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's file is gone: its secret opens nothing."""
    provide(tmp_path / "n1", store)
    monkeypatch.setattr(store, "has_key", lambda _: False)
    provide(tmp_path / "n2", store)
    assert store.find_key(hash_secret((tmp_path / "n1" / "api-key").read_text().strip())) is not None
    assert not (tmp_path / "n2" / "api-key").exists()


def test_of_two_replicas_that_make_the_first_key_at_once_one_makes_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes between its look and its file; what is written down is what the store knows."""
    another = iter([lambda: provide(tmp_path, store)])

    def made() -> str:
        next(another, lambda: None)()
        return new_secret()

    monkeypatch.setattr(first_key, "new_secret", made)
    provide(tmp_path, store)
    assert store.find_key(hash_secret((tmp_path / "api-key").read_text().strip())) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["api-key"]
