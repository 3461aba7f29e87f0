"""The time of a cut is that of its read-back; later readings of the relay do not move it."""

from server.store.household import RelayStep, RelayWish
from server.web.resident.story import cut_since


def wish(gen, action, *steps, decided_at=900):
    done = tuple(RelayStep(name, at, 0, "") for name, at in steps)
    return RelayWish(
        gen=gen, state="open" if action == "trip" else "closed", action=action, reason="arrears", actor="system",
        decided_at=decided_at, created_ms=0, evidence="{}", steps=done,
    )  # fmt: skip


def test_the_newest_cut_counts_from_its_read_back():
    trips = [
        wish(3, "trip", ("sent", 1000), ("accepted", 1001), ("read_back", 1002)),
        wish(2, "allow", ("read_back", 600)),
        wish(1, "trip", ("read_back", 500)),
    ]
    assert cut_since(trips) == 1002


def test_a_cut_without_a_read_back_counts_from_its_decision():
    assert cut_since([wish(1, "trip", ("sent", 1000))]) == 900


def test_without_a_cut_there_is_no_time():
    assert cut_since([]) is None
    assert cut_since([wish(1, "close", ("read_back", 600))]) is None
