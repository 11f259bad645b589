"""A stream that is lost in the middle, and resumed where it was: in one process, with the mock engine.

python examples/streaming.py
"""

import asyncio

import orjson

import dspex_actors as dx

CHAT = "question: str, history: dspy.History -> answer: str"


async def main() -> None:
    async with dx.local(programs={"chat": CHAT}, lm="mock?latency_s=1") as runtime:
        session = await runtime.open("chat", id="alice")

        # Three events, then the connection is gone. The turn goes on.
        text, last_event_id = "", ""
        stream = session.stream(question="Tell me something long.", idempotency_key="t1")
        async for event in stream:
            if event.name == "token":
                text += orjson.loads(event.data)["delta"]
            last_event_id = event.id
            if event.id == "1.3":
                break
        await stream.aclose()
        print(f"lost after {last_event_id}: {text!r}")

        # By its id, without sending it again: what came after the last event, and the one end.
        async for event in session.resume("t1", last_event_id):
            data = orjson.loads(event.data)
            match event.name:
                case "turn.started":
                    text = ""  # another attempt: the tokens so far are void
                case "token":
                    text += data["delta"]
                case "turn.completed":
                    print(f"turn {data['turn']} is recorded: {data['outputs']['answer'] == text}")

        # And as often as you like.
        print([event.name async for event in session.resume("t1")])


if __name__ == "__main__":
    asyncio.run(main())
