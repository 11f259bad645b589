"""Names of incarnations: one for each start of a child, never used again."""

from __future__ import annotations

import secrets
import time


def incarnation(base: str) -> str:
    """A name that was never used and never will be: the base, then time and chance; later ones sort later."""
    return f"{base}#{time.time_ns() // 1_000:014x}{secrets.token_hex(5)}"
