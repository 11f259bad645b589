"""Registries of children in one event loop: every call of them, and what a restart does to a name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from supervisors import Child, ChildSpec, Process, Supervisor
from supervisors.entries import Event, Registered, Unregistered
from supervisors.errors import (
    AlreadyRegistered,
    BadSpec,
    ChildGone,
    NotAProcess,
    NotRegistered,
    NotStarted,
    StaleEpoch,
    StartError,
)
from supervisors.local_ref import local_ref
from supervisors.registry import Registry, Via

Story = Callable[[Supervisor, Registry], Awaitable[None]]


class Plain:
    """A child that knows of no registry."""

    def greet(self, whom: str) -> str:
        return f"hello {whom}"


class Named(Process):
    """Registers when it starts, each time that it does."""

    def __init__(self, via: Via) -> None:
        self.via = via

    async def init(self) -> Any:
        await self.via.register(self)

    def who(self) -> int:
        return id(self)

    def fail(self) -> None:
        raise ValueError("as asked")


def told(story: Story) -> None:
    """Run it with a dynamic supervisor and a registry with unique keys."""

    async def run() -> None:
        supervisor = await Supervisor.start(strategy="dynamic", max_restarts=100, backend="local")
        await story(supervisor, await Registry.open("names", backend="local"))
        await supervisor.stop()

    asyncio.run(run())


async def plain(supervisor: Supervisor, id_: str = "plain") -> Child:
    """A child."""
    child = await supervisor.start_child(ChildSpec(id_, start=Plain, restart="temporary"))
    assert child is not None
    return child


def test_a_registered_child_is_found_and_called_by_its_name() -> None:
    """With its value, its keys, and in the count."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await plain(supervisor)
        entry = await names.register("k", "value", who=child)
        holder = await names.holder(child)
        assert (names.lookup("k"), names.whereis("k"), names.count()) == ((entry,), holder, 1)
        assert (names.values("k", holder), names.keys_of(holder)) == (["value"], ["k"])
        assert await names.call("k", "greet", whom="you") == "hello you"
        assert await names.dispatch("k", "greet", "you") == ["hello you"]

    told(story)


def test_a_name_that_is_held_is_refused() -> None:
    """With its holder."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        await names.register("k", who=await plain(supervisor))
        with pytest.raises(AlreadyRegistered) as taken:
            await names.register("k", who=await plain(supervisor))
        assert taken.value.holder == names.whereis("k")

    told(story)


def test_the_entries_of_a_child_are_gone_before_its_supervisor_and_its_watchers_hear_of_its_end() -> None:
    """Also before those that watched it earlier than the registry."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child, counts = await plain(supervisor), list[int]()
        local_ref(child).watch(lambda _: counts.append(names.count()))
        await names.register("k", who=child)
        await names.register("l", who=child)
        names.listen(lambda event: counts.append(names.count()) if isinstance(event, Unregistered) else None)
        await supervisor.terminate_child(child)
        assert counts == [0, 0, 0]
        with pytest.raises(NotRegistered):
            await names.call("k", "greet", "nobody")

    told(story)


def test_a_child_that_is_over_cannot_register() -> None:
    """Neither by itself nor as it was once known."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await plain(supervisor)
        holder = await names.holder(child)
        await supervisor.terminate_child(child)
        for who in (child, holder):
            with pytest.raises(StaleEpoch):
                await names.register("k", who=who)
        assert names.whereis("k") is None

    told(story)


def test_a_child_registers_under_its_via_again_after_each_restart() -> None:
    """Callers by the name reach whoever holds it now; the epoch rises."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        via = names.via("k", "value")
        await supervisor.start_child(ChildSpec("named", start=Named, args=(via,)))
        first, epochs = await via.call("who"), [names.lookup("k")[0].who.epoch]
        arrived = asyncio.Event()
        names.listen(lambda event: arrived.set() if isinstance(event, Registered) else None)
        for _ in range(3):
            arrived.clear()
            with pytest.raises(Exception, match="as asked"):
                await via.call("fail")
            await arrived.wait()
            epochs.append(names.lookup("k")[0].who.epoch)
        assert epochs == sorted(set(epochs))
        assert (await via.call("who") != first, names.lookup("k")[0].value) == (True, "value")

    told(story)


def test_a_child_whose_via_is_taken_does_not_start() -> None:
    """And leaves no entry behind."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        await names.register("k", who=await plain(supervisor))
        with pytest.raises(StartError, match="AlreadyRegistered"):
            await supervisor.start_child(ChildSpec("named", start=Named, args=(names.via("k"),)))
        assert names.count() == 1

    told(story)


def test_a_call_to_a_holder_that_is_over_says_so() -> None:
    """If the caller kept its entry."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await plain(supervisor)
        entry = await names.register("k", who=child)
        await supervisor.terminate_child(child)
        with pytest.raises(ChildGone):
            await names._keeper.call(entry.who, "greet", ("you",), {})

    told(story)


def test_a_value_is_updated_by_its_holder_alone() -> None:
    """Answers the new one and the old one."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child, other = await plain(supervisor), await plain(supervisor)
        await names.register("k", 1, who=child)
        assert await names.update_value("k", lambda value: value + 1, who=child) == (2, 1)
        with pytest.raises(NotRegistered):
            await names.update_value("k", lambda value: value, who=other)
        assert names.lookup("k")[0].value == 2

    told(story)


def test_unregistering_takes_out_ones_own_entries_only() -> None:
    """All of them under the key, or those that match; nothing is fine too."""

    async def story(supervisor: Supervisor, _: Registry) -> None:
        tags = await Registry.open("tags", keys="duplicate", backend="local")
        child, other = await plain(supervisor), await plain(supervisor)
        for value in (1, 2, 3):
            await tags.register("k", value, who=child)
        await tags.register("k", 1, who=other)
        assert await tags.unregister_match("k", lambda entry: entry.value < 2, who=child) == 1
        assert await tags.unregister("k", who=child) == 2
        assert await tags.unregister("k", who=child) == 0
        assert [entry.value for entry in tags.lookup("k")] == [1]

    told(story)


def test_a_message_to_a_shared_key_reaches_everyone_under_it() -> None:
    """An exception is an answer."""

    async def story(supervisor: Supervisor, _: Registry) -> None:
        tags = await Registry.open("tags", keys="duplicate", backend="local")
        assert tags.count() == 0
        await tags.register("k", who=await plain(supervisor))
        await tags.register("k", who=await plain(supervisor))
        assert tags.count() == 2
        assert await tags.dispatch("k", "greet", "all") == ["hello all"] * 2
        (first, _) = await tags.dispatch("k", "nothing")
        assert first.code == "unknown_method"
        assert await tags.dispatch("nobody", "greet") == []

    told(story)


def test_events_and_meta_belong_to_one_registry() -> None:
    """Others of the same event loop have their own."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        others, heard = await Registry.open("others", backend="local"), list[Event]()
        end = names.listen(heard.append)
        child = await plain(supervisor)
        await others.register("k", who=child)
        await names.register("k", who=child)
        end()
        await names.unregister("k", who=child)
        await names.put_meta("colour", "red")
        assert [type(event) for event in heard] == [Registered]
        assert (names.meta("colour"), others.meta("colour", "none"), others.count()) == ("red", "none", 1)

    told(story)


@pytest.mark.parametrize("key", [["list"], {"a": 1}, ("a", ["list"]), object()])
def test_a_key_is_plain_data(key: Any) -> None:
    """The same thing in every process."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        with pytest.raises(BadSpec, match="give a text, a number"):
            await names.register(key, who=await plain(supervisor))

    told(story)


def test_selecting_finds_what_is_asked_for() -> None:
    """All, or by key, holder and value, or one of several; nothing in an empty registry."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        first, second = await plain(supervisor), await plain(supervisor)
        holder = await names.holder(first)
        assert (names.select(), names.keys_of(holder), names.count()) == ((), [], 0)
        for key, value, child in (("a", 1, first), ("ab", 2, first), ("b", 2, second)):
            await names.register(key, value, who=child)
        questions: list[dict[str, Any]] = [
            {}, {"prefix": "a"}, {"where": lambda e: e.who == holder}, {"where": lambda e: e.value == 2},
            {"where": lambda e: e.key in ("a", "b")}, {"prefix": "a", "where": lambda e: e.value == 2}, {"prefix": "c"},
        ]  # fmt: skip
        found = ["".join(str(entry.key) for entry in names.select(**question)) for question in questions]
        assert found == ["aabb", "aab", "aab", "abb", "ab", "ab", ""]

    told(story)


def test_keys_are_equal_as_pythons_values_are() -> None:
    """Elixir tells 1 from 1.0."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        await names.register(1, who=await plain(supervisor))
        with pytest.raises(AlreadyRegistered):
            await names.register(1.0, who=await plain(supervisor))
        await names.register("1", who=await plain(supervisor))
        assert names.count() == 2

    told(story)


def test_a_child_registers_under_its_via_in_a_registry_of_shared_keys_too() -> None:
    """Elixir refuses that; here who calls the name reaches the oldest."""

    async def story(supervisor: Supervisor, _: Registry) -> None:
        tags = await Registry.open("tags", keys="duplicate", backend="local")
        children = [await supervisor.start_child(ChildSpec("n", start=Named, args=(tags.via("k"),))) for _ in range(2)]
        assert [entry.who for entry in tags.lookup("k")] == [await tags.holder(child) for child in children]
        oldest = children[0]
        assert oldest is not None
        assert await tags.via("k").call("who") == id(local_ref(oldest).object)

    told(story)


def test_bad_values_are_refused_with_the_accepted_ones() -> None:
    """Kinds of keys, backends, and whoever is no child."""

    async def story(_: Supervisor, names: Registry) -> None:
        with pytest.raises(BadSpec, match="accepted: 'unique', 'duplicate'"):
            await Registry.open("n", keys="many", backend="local")  # type: ignore[arg-type]
        with pytest.raises(BadSpec, match="accepted: 'local', 'ray'"):
            await Registry.open("n", backend="disk")  # type: ignore[arg-type]
        with pytest.raises(BadSpec, match="name=3 is not accepted; give a text"):
            await Registry.open(3, backend="local")  # type: ignore[arg-type]
        with pytest.raises(BadSpec, match="has 'unique' keys"):
            await Registry.open("names", keys="duplicate", backend="local")
        for who in (None, object(), Named(names.via("k"))):
            with pytest.raises((NotAProcess, NotStarted)):
                await names.register("k", who=who)

    told(story)


def test_ten_thousand_names_are_registered_and_found() -> None:
    """And are gone with their holder."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await plain(supervisor)
        for number in range(10_000):
            await names.register(("user", number), number, who=child)
        assert all(names.lookup(("user", number))[0].value == number for number in range(10_000))
        assert len(names.select(prefix=("user",), where=lambda entry: entry.value < 10)) == 10
        await supervisor.terminate_child(child)
        assert names.count() == 0

    told(story)
