"""A session with variables, set from outside, and a program whose version changes under it: in one process.

python examples/variables.py
"""

import asyncio

import dspex_actors as dx

TUTOR = {
    "signature": "question, history: dspy.History -> answer",
    "variables": {
        "level": {"type": "int", "range": [1, 5], "default": 1},
        "tone": {"type": "choice", "choices": ["kind", "strict"], "default": "kind"},
    },
}


async def main() -> None:
    async with dx.local(programs={"tutor": TUTOR}) as runtime:
        session = await runtime.open("tutor", id="ann", variables={"level": 3}, version_policy="follow")
        await session.predict(question="What is a prime?")
        await session.set(level=4, tone="strict")
        await session.predict(question="And a twin prime?")
        print("now:", await session.variables())

        try:
            await session.set(level=9)
        except dx.InvalidRequest as error:
            print("refused:", error.detail)

        # What was true after the first turn is true again; after the second one, too.
        await session.rewind(1)
        print("after turn 1:", await session.variables())
        await session.rewind(2)
        print("after turn 2:", await session.variables())

        # A new version of the program is live, and the session follows it with its next turn.
        made = await runtime.update_program("tutor", instructions="Ask back.")
        await runtime.promote("tutor", made.version)
        await session.predict(question="Why?")
        print("versions:", [turn["version"] for turn in await session.turns()])


if __name__ == "__main__":
    asyncio.run(main())
