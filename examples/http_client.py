"""The same over HTTP, against a running server (`dspex serve` in another terminal, from the same folder).

python examples/http_client.py
"""

import dspex_actors as dx

CHAT = "question: str, history: dspy.History -> answer: str"


def main() -> None:
    # A client waits a minute for a server that is not there, so that restarts go unnoticed. Here five seconds will do.
    with dx.Client(retry=dx.Retry(unreachable_s=5)) as client:
        try:
            client.programs.create("chat", CHAT)
        except dx.AlreadyExists:
            print("The program is there from an earlier run.")
        session = client.open("chat", id="alice")

        reply = session.predict(question="What is 2+2?")
        print(f"turn {reply.turn}: {reply.outputs.answer}")

        # The same key gives the recorded answer, whatever happened to the first one on its way.
        again = session.predict(question="What is 2+2?", idempotency_key=reply.turn_id)
        print(f"turn {again.turn} again, replayed: {again.replayed}")

        for event in session.stream(question="And times three?"):
            if event.name == "token":
                print(event.data["delta"], end="", flush=True)
            elif event.reply is not None:
                print(f"\nturn {event.reply.turn} is recorded")
            elif event.error is not None:
                raise event.error


if __name__ == "__main__":
    try:
        main()
    except dx.DspexError as error:
        raise SystemExit(error.detail) from None
