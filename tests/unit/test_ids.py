"""Identities are for ever: what stores hold already must be found again by every later version."""

from __future__ import annotations

import hashlib

import pytest

from dspex_actors.errors import InvalidRequest
from dspex_actors.ids import SHARDS, body_hash, canonical_json, check_name, new_ulid, rfc3339, shard_of

UID = "01JQ0000000000000000000000"


@pytest.mark.parametrize(("tenant", "shard"), [("default", 873), ("acme", 1016)])
def test_a_shard_is_the_same_in_every_version_and_counts_the_tenant(tenant: str, shard: int) -> None:
    """`blake2b(tenant/uid)`, eight bytes, big-endian, modulo 1,024."""
    digest = hashlib.blake2b(f"{tenant}/{UID}".encode(), digest_size=8).digest()
    assert shard_of(tenant, UID) == shard == int.from_bytes(digest, "big") % 1024


def test_every_shard_gets_its_share() -> None:
    """Ten thousand sessions: none is empty that should have ten, and none has many more."""
    counts = [0] * SHARDS
    for _ in range(10_000):
        counts[shard_of("default", new_ulid())] += 1
    assert (SHARDS, sum(counts)) == (1024, 10_000)
    assert counts.count(0) < 5
    assert max(counts) < 40


def test_equal_bodies_have_one_hash_whatever_the_order_of_their_fields() -> None:
    """Sorted keys, no spaces, UTF-8; the kind is part of it."""
    assert canonical_json({"b": [1, {"d": None, "c": "ä"}], "a": 2}) == '{"a":2,"b":[1,{"c":"ä","d":null}]}'.encode()
    assert body_hash("turn", {"b": 1, "a": 2}) == body_hash("turn", {"a": 2, "b": 1})
    assert body_hash("turn", {"a": 2}) == hashlib.sha256(b'turn\n{"a":2}').digest()
    assert len({body_hash("turn", {}), body_hash("rewind", {}), body_hash("turn", {"a": 1})}) == 3


@pytest.mark.parametrize("name", ["a", "0", "A.b_c~d-e", "x" * 128])
def test_a_name_may_be_this(name: str) -> None:
    """It comes back as it was given."""
    assert check_name(name, "id") == name


@pytest.mark.parametrize("name", ["", "x" * 129, "-a", ".a", "_a", "~a", "a/b", "a b", "a\n", "ä", "a:b"])
def test_a_name_may_not_be_that(name: str) -> None:
    """The sentence says where, and what may be."""
    with pytest.raises(InvalidRequest, match=r"id takes 1 to 128 letters"):
        check_name(name, "id")


def test_times_are_shown_in_utc_with_a_z_and_all_digits() -> None:
    """Also where the last ones are zeros, so that texts sort as times do."""
    assert rfc3339(1_700_000_000_000_000) == "2023-11-14T22:13:20.000000Z"
    assert rfc3339(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
