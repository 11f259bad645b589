"""A session with a host of its own, which nobody else uses.

Start a server first: `dspex serve`. Then: python examples/dedicated.py
"""

import contextlib
import time

import dspex_actors as dx


def hosts(node: dict) -> list[dict]:
    return [node, *(below for child in node["children"] for below in hosts(child))]


def main() -> None:
    with dx.Client() as client:
        with contextlib.suppress(dx.AlreadyExists):
            client.programs.create("alone-qa", "question: str -> answer: str")
        began = time.perf_counter()
        made = client.sessions.create("alone-qa", isolation="dedicated", limits={"memory_mb": 500, "cpus": 1})
        client.session(made["id"]).predict(question="Who else is here?")
        print(f"answered {(time.perf_counter() - began) * 1000:.0f} ms after its creation was asked for")
        (own,) = [node for node in hosts(client.tree()) if node.get("session") == made["id"]]
        print(f"{own['id']} is {own['kind']}: {own['shards']} shards, {own['sessions']} session")
        client.sessions.delete(made["id"])


if __name__ == "__main__":
    main()
