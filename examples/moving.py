"""A session moves from host to host while it is asked: nobody gets an error, and no turn is lost.

Start a server first: `dspex serve`. Then: python examples/moving.py
"""

import contextlib
import threading

import dspex_actors as dx
from dspex_actors.client.client import Session

CHAT = "question: str, history: dspy.History -> answer: str"
TURNS = 50


def ask(session: Session, turns: list[int]) -> None:
    turns.extend(session.predict(question=f"question {number}").turn for number in range(TURNS))


def main() -> None:
    with dx.Client(retry=dx.Retry(unreachable_s=5)) as client:
        with contextlib.suppress(dx.AlreadyExists):
            client.programs.create("moving-chat", CHAT)
        session = client.open("moving-chat")
        turns: list[int] = []
        asking = threading.Thread(target=ask, args=(session, turns))
        asking.start()
        while asking.is_alive():
            moved = session.migrate()
            print(f"after turn {len(turns)}: from {moved['from']} to {moved['to']}, {moved['pause_ms']:.1f} ms")
        asking.join()
        print(f"{len(turns)} turns, in order and without a gap: {turns == list(range(1, TURNS + 1))}")


if __name__ == "__main__":
    main()
