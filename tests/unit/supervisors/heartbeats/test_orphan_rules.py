"""Who is swept away: the owner gone and the epoch stale, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.errors import BadSpec
from supervisors.orphans import Identity, Mark, Marked, Owner, World, is_orphan, orphans


def process(pid: int = 7, epoch: int = 3, cluster: str = "c", owner: str = "o", **more: int) -> Marked:
    """A marked process."""
    return Marked(Identity(pid, 100 + pid), Mark(cluster, owner, epoch), **more)


def world(epoch: int = 4, living: set[int] | None = None, **more: frozenset[Identity]) -> World:
    """One owner, in its fourth life."""
    return World("c", {"o": Owner(epoch, frozenset({4} if living is None else living))}, **more)


@pytest.mark.parametrize(
    ("marked", "known", "swept"),
    [
        (process(), world(), True),
        (process(), world(living=set()), True),
        (process(epoch=4), world(), False),
        (process(epoch=4), world(living=set()), False),
        (process(epoch=3), world(living={3, 4}), False),
        (process(epoch=5), world(living=set()), False),
        (process(cluster="another"), world(), False),
        (process(owner="unheard of"), world(), False),
        (process(), world(leased=frozenset({process().identity})), False),
        (process(), world(adopted=frozenset({process().identity})), False),
        (process(), world(leased=frozenset({Identity(7, 999)})), True),
    ],
    ids=[
        "owner replaced",
        "owner replaced, and its successor gone too",
        "owner lives",
        "owner gone, nobody came after it",
        "an older incarnation lives still",
        "a newer owner than is known",
        "another cluster",
        "an owner that nobody knows",
        "leased",
        "adopted",
        "the number's former process was leased",
    ],
)
def test_only_what_nobody_owns_any_more_is_swept(marked: Marked, known: World, swept: bool) -> None:
    """The table."""
    assert is_orphan(marked, known) is swept


def test_neither_the_sweeper_nor_its_ancestors_are_swept() -> None:
    """It may have been started by an orphan."""
    assert orphans([process(1), process(2), process(3)], world(), frozenset({1, 3})) == [process(2)]


def test_what_an_adopted_process_had_started_is_adopted_with_it() -> None:
    """Its own mark is the old one, for ever; while the leader of its group lives, that one's counts."""
    helper, adopted = process(8, epoch=3, leader=7), process(7, epoch=4, leader=7)
    assert orphans([helper, adopted], world()) == []
    assert orphans([helper], world()) == [helper]


def test_what_descends_from_an_owned_process_is_owned_in_whichever_group() -> None:
    """A helper in a session of its own, started by a shell that an adopted process had started."""
    adopted, shell, helper = process(7, epoch=4), process(8, leader=8, parent=7), process(9, leader=9, parent=8)
    assert orphans([adopted, shell, helper], world()) == []
    assert orphans([process(7), shell, helper], world()) == [process(7), shell, helper]
    daemon = process(10, leader=10, parent=1, starter=7)
    assert orphans([adopted, daemon], world()) == []
    assert orphans([daemon], world()) == [daemon]
    assert orphans([process(8, parent=9), process(9, parent=8)], world()) == [
        process(8, parent=9),
        process(9, parent=8),
    ]


@given(
    st.builds(process, st.integers(1, 9), st.integers(0, 6), st.sampled_from("cd"), st.sampled_from("op")),
    st.builds(world, st.integers(0, 6), st.sets(st.integers(0, 6))),
)
def test_who_is_swept_has_no_living_owner_and_a_successor(marked: Marked, known: World) -> None:
    """Both must hold, whatever else."""
    if is_orphan(marked, known):
        owner = known.owners[marked.mark.owner]
        assert marked.mark.cluster == known.cluster
        assert marked.mark.epoch not in owner.living
        assert marked.mark.epoch < owner.epoch


TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1)


@given(st.builds(Mark, TEXT, TEXT, st.integers(0)))
def test_a_mark_is_the_same_after_a_journey(mark: Mark) -> None:
    """As bytes and back; the environment carries the same."""
    assert Mark.decode(mark.encode()) == mark
    assert mark.environment() == {"SUPERVISORS_MARK": mark.encode().decode()}


@given(st.binary())
def test_what_is_no_mark_is_none(data: bytes) -> None:
    """Whatever someone else put there."""
    mark = Mark.decode(data)
    assert mark is None or Mark.decode(mark.encode()) == mark


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (("", "o", 1), "cluster=''"),
        (("c", "a\x1fb", 1), "owner='a"),
        (("c", "o", -1), "epoch=-1 is not accepted; give a whole number from 0"),
        (("c", "o", True), "epoch=True"),
    ],
)
def test_a_bad_mark_is_refused_by_name(fields: tuple[str, str, int], sentence: str) -> None:
    """Before a process carries it."""
    with pytest.raises(BadSpec, match=sentence):
        Mark(*fields)
