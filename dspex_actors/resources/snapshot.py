"""A snapshot: what a session's journal adds up to at one of its entries, as the store keeps it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

STATE_VERSION = 3
"""The newest form of a state that this program reads and can write (`sessions/snapshot.py` has all of them)."""
_CHECKSUM_BYTES = 16


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after entry `seq`; never changed once written.

    Attributes:
        uid: The session.
        seq: The last entry that is in it.
        state_version: The form of `body`.
        body: JSON text.
        turn_ids: What the session's turn ids come to (`sessions/turn_ids.py`). Apart, because a fork has none of them.
        at_us: When it was made, microseconds UTC.
        checksum: Of all that matters in it.
    """

    uid: str
    seq: int
    state_version: int
    body: bytes
    turn_ids: bytes
    at_us: int
    checksum: bytes = b""

    @property
    def size(self) -> int:
        """What reading and writing it costs, in bytes."""
        return len(self.body) + len(self.turn_ids)

    @property
    def intact(self) -> bool:
        """Whether it is what was written."""
        return self.checksum == self._sum()

    def sealed(self) -> Snapshot:
        """The same with its checksum."""
        return replace(self, checksum=self._sum())

    def forked(self, uid: str) -> Snapshot:
        """The fork's own copy: a key of the origin is a fresh one there."""
        return replace(self, uid=uid, turn_ids=b"").sealed()

    def _sum(self) -> bytes:
        # Sizes first, so that no byte can change sides.
        head = f"{self.uid} {self.seq} {self.state_version} {len(self.body)} {len(self.turn_ids)} ".encode()
        return hashlib.blake2b(head + self.body + self.turn_ids, digest_size=_CHECKSUM_BYTES).digest()
