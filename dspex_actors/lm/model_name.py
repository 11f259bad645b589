"""A model's name as text that anyone may see."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_LONGEST = 120


def safe_name(name: str) -> str:
    """The name in one short printable line, without the credentials of an address in it.

    Example:
        >>> safe_name("openai/gpt-4o-mini")
        'openai/gpt-4o-mini'
    """
    printable = "".join(letter if letter.isprintable() else "?" for letter in name[: _LONGEST * 2])
    masked = _CREDENTIALS.sub("//***@", printable)
    return masked if len(masked) <= _LONGEST else f"{masked[: _LONGEST - 1]}…"
