"""Who is asking: a bearer key, or the cookie that `/login` set."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from dspex_actors.api.asgi import Response
from dspex_actors.api.call import Call
from dspex_actors.errors import Forbidden, Unauthenticated
from dspex_actors.resources.key import Principal

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOW = "Send `Authorization: Bearer <key>`, or sign in with /login?key=<key>."


async def authenticate(call: Call) -> Principal:
    """The principal behind a call. Raises Unauthenticated; Forbidden for a cookie that another site may have sent."""
    header = call.headers.get(b"authorization")
    if header is not None:
        return await call.runtime.authenticate(_bearer(header))
    secret = _cookie(call)
    if secret is None:
        raise Unauthenticated(f"This call needs a key. {_HOW}")
    if call.scope["method"] not in SAFE:
        _check_same_origin(call)
    return await call.runtime.authenticate(secret)


def _bearer(header: bytes) -> str:
    scheme, _, secret = header.partition(b" ")
    try:
        text = secret.strip().decode()
    except UnicodeDecodeError:
        text = ""
    if scheme.lower() != b"bearer" or not text:
        raise Unauthenticated("The Authorization header takes `Bearer <key>`.")
    return text


def cookie_name(call: Call) -> str:
    """The cookie's name holds the port: browsers share cookies between the ports of one machine."""
    port = call.headers.get(b"host", b"").rpartition(b":")[2]
    return f"dspex_key_{port.decode()}" if port.isdigit() else "dspex_key"


def _cookie(call: Call) -> str | None:
    name = cookie_name(call)
    for pair in call.headers.get(b"cookie", b"").decode("latin-1").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name and value:
            return unquote(value)
    return None


def _check_same_origin(call: Call) -> None:
    """Only a browser sends our cookie, and every browser says where an unsafe request comes from."""
    site = call.headers.get(b"sec-fetch-site")
    if site is not None:
        same = site == b"same-origin"
    else:
        origin = call.headers.get(b"origin", b"").decode("latin-1")
        same = bool(origin) and _netloc(origin) == call.headers.get(b"host", b"").decode("latin-1").lower()
    if not same:
        raise Forbidden("A signed-in browser may change things from this site's own pages only. Use a bearer key.")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


async def login(call: Call) -> Response:
    """Trade a key for the cookie, and go to the documentation. Raises Unauthenticated for a wrong key."""
    secret = call.query.get("key", "")
    if not secret:
        raise Unauthenticated("Sign in with /login?key=<key>.")
    await call.runtime.authenticate(secret)
    secure = "; Secure" if call.scope.get("scheme") == "https" else ""
    cookie = f"{cookie_name(call)}={quote(secret, safe='')}; Path=/; HttpOnly; SameSite=Strict{secure}"
    headers = ((b"location", b"/docs"), (b"referrer-policy", b"no-referrer"), (b"set-cookie", cookie.encode()))
    return Response(b"", 303, b"text/plain", headers)
