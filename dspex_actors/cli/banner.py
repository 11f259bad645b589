"""What `dspex serve` prints when it is ready."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import quote

from dspex_actors.config import Settings

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
_MOCK = """
  ** THE MOCK ENGINE ANSWERS: no language model is set, and what programs say is made up. **
  ** Set DSPEX_LM (openai/gpt-4o-mini, ...) with DSPEX_LM_API_KEY for real answers.       **
"""


def url_of(settings: Settings) -> str:
    """The address that a client on this machine uses."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"


def banner(settings: Settings, secret: str, key_file: Path, logs: Path, ready_s: float) -> str:
    """URL, sign-in address, a curl line to paste, where data and logs are; and loudly, if so, that the mock answers."""
    url = url_of(settings)
    key = f"$(cat {shlex.quote(str(key_file))})"
    lines = [
        "",
        f"DSPex Actors is ready at {url}  ({ready_s:.1f} s)",
        "",
        f"  sign in  {url}/login?key={quote(secret, safe='')}",
        f'  try      curl -H "Authorization: Bearer {key}" {url}/v1/tree',
        f"  data     {settings.home}",
        f"  logs     {logs}",
        "  stop     Ctrl-C",
    ]
    return "\n".join(lines) + "\n" + (_MOCK if settings.lm.startswith("mock") else "")
