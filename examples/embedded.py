"""A session in one process: no server, no Ray, no key. The mock engine answers.

python examples/embedded.py
"""

import asyncio
import json

import dspex_actors as dx

CHAT = "question: str, history: dspy.History -> answer: str"


async def main() -> None:
    async with dx.local(programs={"chat": CHAT}) as runtime:
        session = await runtime.open("chat", id="alice")

        first = await session.predict(question="What is 2+2?")
        print(f"turn {first.turn}: {first.outputs.answer}")

        # The session remembers: the program is shown the first turn without our sending it.
        second = await session.predict(question="And times three?")
        print(f"turn {second.turn}: {second.outputs.answer}")

        async for event in session.stream(question="Say it again, slowly."):
            data = json.loads(event.data)
            if event.name == "token":
                print(data["delta"], end="", flush=True)
            elif event.name == "turn.completed":
                print(f"\nturn {data['turn']} is recorded")


if __name__ == "__main__":
    asyncio.run(main())
