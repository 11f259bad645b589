"""Streams on real processes: the host is killed in the middle of one, its reader comes back by the turn's id."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse

from tests.cluster.sessions.instance import Instance, Json

Event = tuple[str, str, Json]
SLOW = "mock?latency_s=4"
ENDS = ("turn.completed", "turn.failed")


def send(instance: Instance, session: str, key: str) -> HTTPResponse:
    """Begin a streamed turn."""
    body = json.dumps({"inputs": {"question": "Who reads this word by word?"}}).encode()
    request = urllib.request.Request(f"{instance.url}/v1/sessions/{session}/predict", body, method="POST")
    request.add_header("Idempotency-Key", key)
    return _open(instance, request)


def resume(instance: Instance, session: str, key: str, last: str = "") -> HTTPResponse:
    """Come back to it."""
    request = urllib.request.Request(f"{instance.url}/v1/sessions/{session}/turns/by-id/{key}/events")
    request.add_header("Last-Event-ID", last)
    return _open(instance, request)


def _open(instance: Instance, request: urllib.request.Request) -> HTTPResponse:
    request.add_header("Authorization", f"Bearer {instance.key}")
    request.add_header("Accept", "text/event-stream")
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=60)
    return answer


def events(answer: HTTPResponse) -> Iterator[Event]:
    """What comes, event by event."""
    fields: dict[str, str] = {}
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


def text(found: list[Event]) -> str:
    """What the tokens say."""
    return "".join(data["delta"] for _, name, data in found if name == "token")


def check(found: list[Event]) -> None:
    """Ids rise, and there is one end."""
    numbers = [tuple(map(int, event_id.split("."))) for event_id, _, _ in found]
    assert numbers == sorted(set(numbers))
    assert [name for _, name, _ in found if name in ENDS] == ["turn.completed"] == [found[-1][1]]


def test_readers_of_a_stream_whose_host_is_killed_see_one_end(instance: Instance) -> None:
    """Who sent it, and who had lost the connection before; both get the tokens of the second attempt anew."""
    instance.call("POST", "/v1/sessions", {"program": "qa", "id": "sue", "lm": SLOW})
    instance.wait_nodes("standby")
    with closing(send(instance, "sue", "t1")) as sent:
        stays = events(sent)
        first = [next(stays) for _ in range(4)]
        with closing(resume(instance, "sue", "t1", first[1][0])) as lost:
            comes_back = [*first[:2], next(events(lost))]
        assert comes_back == first[:3]
        with closing(resume(instance, "sue", "t1", first[2][0])) as again:
            watches = events(again)
            comes_back.append(next(watches))
            os.kill(int(instance.nodes("host")[0]["pid"]), signal.SIGKILL)
            first += stays
            comes_back += watches
    for found in (first, comes_back):
        check(found)
        assert [data["attempt"] for _, name, data in found if name == "turn.started"] == [1, 2]
        since = [name for _, name, _ in found].index("turn.started", 1)
        assert text(found[since:]) == found[-1][2]["outputs"]["answer"]
    assert instance.call("GET", "/v1/sessions/sue")[1]["turns"] == 1


def test_a_turn_outlives_its_reader_and_tells_it_later(instance: Instance) -> None:
    """Its answer alone, however often it is asked for; a turn that was never sent is not found."""
    instance.call("POST", "/v1/sessions", {"program": "qa", "id": "tom", "lm": "mock?latency_s=1"})
    with closing(send(instance, "tom", "t1")) as sent:
        begun = [next(events(sent)) for _ in range(2)]
    for last in (begun[-1][0], ""):
        with closing(resume(instance, "tom", "t1", last)) as again:
            found = [*begun, *events(again)] if last else list(events(again))
        check(found)
    assert [name for _, name, _ in found] == ["turn.completed"]
    try:
        resume(instance, "tom", "t2").close()
        status = 200
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    assert status == 404
