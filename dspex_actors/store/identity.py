"""What a store is born with: its random name, the key of the router-host handshake, and the term that starts count."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, Select, String, cast, insert, or_, select, update

from dspex_actors.errors import StoreUnavailable
from dspex_actors.ids import new_ulid
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.store.schema import meta

_STATE_VERSION = "state_version_written"
_RETENTION = "retention_at_us"


@dataclass(frozen=True, slots=True)
class Identity:
    """The store's random name, and 32 random bytes made with it."""

    store_id: str
    stream_key: bytes


def give(connection: Connection) -> None:
    """Write an identity into a store that has none."""
    if connection.scalar(_value("store_id")) is None:
        born = {"store_id": new_ulid(), "stream_key": secrets.token_hex(32), "term": "0"}
        born |= {_STATE_VERSION: str(STATE_VERSION), _RETENTION: "0"}
        connection.execute(insert(meta), [{"key": key, "value": value} for key, value in born.items()])


def read(connection: Connection) -> Identity:
    """The store's identity."""
    wanted = select(meta.c.key, meta.c.value).where(meta.c.key.in_(["store_id", "stream_key"]))
    found = {row.key: row.value for row in connection.execute(wanted)}
    if len(found) != 2:
        raise StoreUnavailable("The store has lost its identity (table meta); restore it from a backup.")
    return Identity(found["store_id"], bytes.fromhex(found["stream_key"]))


def check(connection: Connection, expected: str | None) -> None:
    """Raises StoreUnavailable where the store is not the expected one."""
    found = connection.scalar(_value("store_id"))
    if expected is not None and found != expected:
        msg = f"This is the store {found}, not {expected}; point DSPEX_STORE_URL at the one this process began with."
        raise StoreUnavailable(msg)


def take_term(connection: Connection) -> int:
    """The next term."""
    raised = cast(cast(meta.c.value, BigInteger) + 1, String)
    term = connection.scalar(update(meta).where(meta.c.key == "term").values(value=raised).returning(meta.c.value))
    return _known(term)


def term(connection: Connection) -> int:
    """The latest term."""
    return _known(connection.scalar(_value("term")))


def _known(term: str | None) -> int:
    if term is None:
        raise StoreUnavailable("The store has lost its term (table meta); restore it from a backup.")
    return int(term)


def state_version(connection: Connection) -> int:
    """The form in which hosts write states: the newest that all of them can read."""
    return int(connection.scalar(_value(_STATE_VERSION)) or 1)


def raise_state_version(connection: Connection, version: int) -> int:
    """From now on every host reads `version`: write it. It never goes back; gives what holds then."""
    number = cast(meta.c.value, BigInteger)
    connection.execute(update(meta).where(meta.c.key == _STATE_VERSION, number < version).values(value=str(version)))
    return state_version(connection)


def claim_sweep(connection: Connection, now_us: int, every_us: int) -> bool:
    """Whether retention is applied by the caller now: nobody has begun to within this time."""
    last = cast(meta.c.value, BigInteger)
    # A clock that was ahead must not hold up everybody until then: one sweep too many does no harm.
    due = or_(last <= now_us - every_us, last > now_us)
    claim = update(meta).where(meta.c.key == _RETENTION, due).values(value=str(now_us))
    return connection.scalar(claim.returning(meta.c.key)) is not None


def give_back_sweep(connection: Connection) -> None:
    """Whoever asks next may apply retention: the claim came to nothing."""
    connection.execute(update(meta).where(meta.c.key == _RETENTION).values(value="0"))


def _value(key: str) -> Select[str]:
    return select(meta.c.value).where(meta.c.key == key)
