"""Whatever port of an instance is asked without a key: it says nothing but that it is there."""

from __future__ import annotations

import contextlib
import http.client
import json

import psutil

from tests.cluster.sessions.instance import Instance

HEALTH = {"/livez", "/readyz", "/-/healthz"}
PATHS = [
    *sorted(HEALTH), "/-/routes", "/", "/v1/programs", "/v1/sessions", "/v1/tree", "/docs", "/openapi.json", "/info",
    "/login", "/metrics", "/api/jobs/", "/stats", "/nodes", "/logs",
]  # fmt: skip


def _ports(instance: Instance) -> dict[int, str]:
    """The listening TCP ports of the instance's processes, with each one's command."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DSPEX_HOME") == str(instance.home):
                for connection in process.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN:
                        found[connection.laddr.port] = " ".join(process.cmdline())
    return found


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body; 0 from what does not speak HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def test_without_a_key_every_port_tells_its_health_and_the_applications_name_at_most(instance: Instance) -> None:
    """The one other thing: Ray's agent shows its node's metrics to local users."""
    ports = _ports(instance)
    assert instance.port in ports
    for port, command in ports.items():
        for path in PATHS:
            status, body = _get(port, path)
            if "Agent" in command and body.startswith(b"# HELP"):
                continue  # whatever the path
            if path == "/-/routes" and status == 200:
                assert json.loads(body) == {"/": "dspex"}, body
            else:
                assert status != 200 or path in HEALTH, (port, command, path, body[:200])
                assert len(body) < 600, (port, command, path, body)


def test_the_api_port_refuses_everything_else(instance: Instance) -> None:
    """401 with a sentence, known address or not."""
    for path in ("/v1/programs", "/v1/tree", "/docs", "/openapi.json", "/info", "/nothing", "/metrics"):
        assert _get(instance.port, path)[0] == 401, path
