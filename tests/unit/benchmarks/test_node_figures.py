"""What clients feel of a fault, from what each turn saw."""

from __future__ import annotations

from benchmarks.node_figures import Asked, figures


def asked(due: float, took: float, node: str, error: str | None = None) -> Asked:
    """A turn that was due then and took so long."""
    return Asked("s", "t1", due, due + took, node, error)


def test_the_turns_of_the_lost_node_are_measured_until_its_loss_is_noticed() -> None:
    """Minus the median before; later turns, and those of other nodes, are the others."""
    before = [asked(0.0, 0.1, "a"), asked(0.1, 0.1, "b"), asked(0.2, 0.1, "a")]
    during = [asked(0.95, 1.6, "a"), asked(1.0, 1.1, "a"), asked(1.2, 0.3, "b"), asked(2.6, 0.2, "a", "no_capacity")]
    felt = figures(before + during, "a", 1.0, 2.5).as_json()
    assert felt == {
        "noticed_ms": 1500.0, "affected": 2, "added_p50_ms": 1000.0, "added_p99_ms": 1500.0, "added_max_ms": 1500.0,
        "others_max_ms": 200.0, "errors": 1,
    }  # fmt: skip


def test_a_fault_that_loses_no_node_affects_nobody_in_particular() -> None:
    """All turns are others."""
    felt = figures([asked(0.0, 0.1, "a"), asked(1.0, 0.4, "a")], None, 0.5, 0.5)
    assert (felt.affected, felt.added_max_ms, round(felt.others_max_ms)) == (0, 0.0, 300)
