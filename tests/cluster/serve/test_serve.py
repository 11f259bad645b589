"""`dspex serve` for real: start, stop, kill, side by side."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.cluster.serve.instances import Instance, listeners, wait_until

Serve = Callable[..., Instance]
pytestmark = pytest.mark.timeout(400)


def assert_nothing_left(instance: Instance) -> None:
    """No process with its marker, no listener on its port, no folder of its sockets."""
    assert instance.processes() == []
    assert instance.run_folders() == []
    with pytest.raises(OSError, match="refused"):
        instance.get("/readyz")


def test_a_stop_leaves_no_process_no_port_and_no_folder(serve: Serve) -> None:
    """SIGTERM: drained, exit 0; the home keeps its data."""
    instance = serve().wait_ready()
    assert instance.get("/readyz") == 200
    assert len(instance.run_folders()) == 1
    assert instance.stop() == 0, instance.said()
    assert_nothing_left(instance)
    assert (instance.home / "calls").read_text().split() == ["start_tree", "drain", "stop_tree"]
    assert {"api-key", "dspex.sqlite3", "instance", "lock", "logs"} <= {path.name for path in instance.home.iterdir()}


def test_all_ports_but_one_are_on_loopback_and_none_is_another_instances(serve: Serve) -> None:
    """Two side by side; the one on all interfaces is Serve's own RPC, which asks for Ray's token."""
    first, second = serve("a").wait_ready(), serve("b").wait_ready()
    ports = [listeners(instance.processes()) for instance in (first, second)]
    assert not {port for _, port in ports[0]} & {port for _, port in ports[1]}
    for found in ports:
        assert len([ip for ip, _ in found if ip != "127.0.0.1"]) <= 1
    assert [first.stop(), second.get("/readyz"), second.stop()] == [0, 200, 0]


def test_a_held_home_and_a_taken_port_are_refused_before_anything_starts(serve: Serve) -> None:
    """Each with exit code 1 and one sentence that says what to do; the first goes on."""
    first = serve().wait_ready()
    same_home, same_port = serve(), serve("other", port=first.port)
    assert [same_home.driver.wait(30), same_port.driver.wait(30)] == [1, 1]
    assert f"in use by pid {first.driver.pid} at http://127.0.0.1:{first.port}: stop that one" in same_home.said()
    assert f"Port {first.port} on 127.0.0.1 is taken: stop what listens there" in same_port.said()
    assert same_port.processes() == []
    assert [len(other.said().splitlines()) for other in (same_home, same_port)] == [1, 1]
    assert first.get("/readyz") == 200


def test_after_kill_9_of_the_driver_the_next_start_clears_the_rest(serve: Serve) -> None:
    """HAProxy outlives the driver; the start says how many it ended, and works on the same port."""
    killed = serve().wait_ready()
    killed.driver.kill()
    killed.driver.wait(10)
    left = killed.process("haproxy")
    again = serve(port=killed.port).wait_ready()
    assert not left.is_running()
    assert "processes that an earlier start left" in again.said()
    assert (again.get("/readyz"), again.stop()) == (200, 0)
    assert_nothing_left(again)


def test_after_kill_9_of_everything_the_next_start_works_at_once(serve: Serve) -> None:
    """Nothing waits for a lease, a lock or a port of the dead."""
    killed = serve().wait_ready()
    killed.kill_everything()
    again = serve(port=killed.port).wait_ready()
    assert (again.get("/readyz"), again.stop()) == (200, 0)
    assert_nothing_left(again)


@pytest.mark.parametrize("part", ["raylet_socket_name", "gcs/gcs_server"])
def test_when_ray_dies_the_instance_says_so_and_ends(serve: Serve, part: str) -> None:
    """Exit 1, and nothing left: whoever watches the process can start it again."""
    instance = serve().wait_ready()
    instance.process(part).kill()
    assert instance.driver.wait(60) == 1
    assert "died, so the instance ended; start it again" in instance.said()
    assert_nothing_left(instance)


def test_a_second_ctrl_c_does_not_wait_for_what_runs(serve: Serve) -> None:
    """Also when what runs never ends."""
    instance = serve().wait_ready()
    (instance.home / "never-drains").touch()
    instance.driver.send_signal(signal.SIGINT)
    wait_until(lambda: "drain" in (instance.home / "calls").read_text(), 10, "it drains")
    began = time.monotonic()
    assert instance.stop(signal.SIGINT) == 1
    assert time.monotonic() - began < 20  # 0.5 s on a quiet machine; a drain may take 45 s
    assert_nothing_left(instance)


def test_ctrl_c_while_it_starts_leaves_nothing(serve: Serve) -> None:
    """At the first sign of a process of its own."""
    instance = serve()
    instance.wait_processes(3)
    assert instance.stop(signal.SIGINT) == 1
    assert "Stopped before it was ready" in instance.said()
    assert_nothing_left(instance)


def test_the_printed_curl_line_works_when_pasted(serve: Serve) -> None:
    """With the real application: the tree answers, and the stop leaves nothing of it either."""
    instance = serve(app="serve_app").wait_ready()
    (line,) = [line.strip().removeprefix("try").strip() for line in instance.said().splitlines() if "curl -H" in line]
    answer = subprocess.run(["bash", "-c", line.replace("curl", "curl -sf", 1)], capture_output=True, check=True)
    assert json.loads(answer.stdout)["id"] == "root"
    assert instance.get("/v1/tree") == 401
    assert instance.stop() == 0, instance.said()
    assert_nothing_left(instance)
