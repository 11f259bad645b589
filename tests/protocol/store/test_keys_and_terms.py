"""The contract of keys, terms and the store's own identity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dspex_actors.errors import AlreadyExists, StoreUnavailable
from dspex_actors.resources.key import ApiKey
from dspex_actors.store import Store

KEY = ApiKey("first", "a" * 64, "default", ("admin", "read"), 1_800_000_000_000_000, 1_700_000_000_000_000)


def test_a_key_is_found_by_its_hash(store: Store) -> None:
    """Every field comes back as it was put."""
    store.put_key(KEY)
    assert store.find_key(KEY.sha256) == KEY


def test_an_unknown_hash_finds_no_key(store: Store) -> None:
    """The answer is None, not an error."""
    assert store.find_key("b" * 64) is None


def test_a_key_with_the_same_id_is_replaced(store: Store) -> None:
    """The old secret opens nothing any more."""
    renewed = replace(KEY, sha256="b" * 64, expires_at_us=None)
    store.put_key(KEY)
    store.put_key(renewed)
    assert (store.find_key(KEY.sha256), store.find_key("b" * 64)) == (None, renewed)


def test_a_key_is_added_only_where_there_is_none_of_its_id(store: Store) -> None:
    """Whoever comes second changes nothing; another key's secret is refused as ever."""
    other = replace(KEY, sha256="b" * 64)
    assert not store.has_key(KEY.id)
    assert (store.add_key(KEY), store.add_key(other), store.has_key(KEY.id)) == (True, False, True)
    assert (store.find_key(KEY.sha256), store.find_key("b" * 64)) == (KEY, None)
    with pytest.raises(AlreadyExists):
        store.add_key(replace(KEY, id="second"))


def test_a_secret_belongs_to_one_key(store: Store) -> None:
    """A second id with the same hash is refused and changes nothing."""
    store.put_key(KEY)
    with pytest.raises(AlreadyExists):
        store.put_key(replace(KEY, id="second"))
    assert store.find_key(KEY.sha256) == KEY


def test_terms_only_rise(store: Store) -> None:
    """Each placement that starts gets a higher one."""
    assert [store.take_term() for _ in range(12)] == list(range(1, 13))


def test_the_latest_term_is_the_one_that_was_taken_last(store: Store) -> None:
    """Whoever has a lower one is not placement any more."""
    before = store.term()
    assert (before, store.take_term(), store.term()) == (0, 1, 1)


def test_a_store_has_a_name_and_a_stream_key(store: Store) -> None:
    """A ULID, and 32 bytes."""
    assert (len(store.store_id), len(store.stream_key)) == (26, 32)


def test_an_open_store_answers_a_ping(store: Store) -> None:
    """No error is the answer."""
    store.ping()


def test_a_closed_store_says_so(store: Store) -> None:
    """Reads and writes alike."""
    store.close()
    for call in (store.ping, store.take_term):
        with pytest.raises(StoreUnavailable, match="closed"):
            call()
