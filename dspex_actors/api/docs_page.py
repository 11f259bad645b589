"""`/docs`: a page of our own that shows `/openapi.json` and loads nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from dspex_actors.api.asgi import Headers, Response
from dspex_actors.api.call import Call

_HERE = Path(__file__).parent


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_SCRIPT, _STYLE = _read("docs.js"), _read("docs.css")
PAGE = _read("docs.html").replace("{style}", _STYLE).replace("{script}", _SCRIPT).encode()
POLICY = (
    f"default-src 'none'; script-src {_digest(_SCRIPT)}; style-src {_digest(_STYLE)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Headers = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


async def docs(call: Call) -> Response:
    """The page."""
    return Response(PAGE, media_type=b"text/html; charset=utf-8", headers=_HEADERS)
