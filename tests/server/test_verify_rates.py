"""`verify` holds the rate registers that a charge ends at against those of its reading."""

import pytest
from sqlalchemy import Engine

from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, report
from tests.server.estates import household, meter_id, plant
from tests.server.test_ledger import tamper

RATES = (250_000,) * 4


@pytest.fixture
def charged(engine: Engine, writer: Writer) -> Engine:
    """A household by rates with two charges, and one by the total."""
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=RATES), household(2)])
    for hours, moved in ((1, 2_500), (2, 5_000)):
        of_rates = (250_000 + moved,) * 4
        read(
            writer,
            reading(1, hours * HOUR, 1_000_000 + 4 * moved, of_rates),
            reading(2, hours * HOUR, 1_000_000 + moved, of_rates),
        )
        charge(writer, hours * HOUR)
    agrees(engine)
    return engine


def of_rates(engine: Engine) -> list[str]:
    return [one.detail for one in report(engine).mismatches if one.invariant == 3 and "to_rates_wh" in one.detail]


def test_invariant_03_rates_that_were_moved_in_the_reading_are_found(charged: Engine) -> None:
    tamper(charged, "reading", "UPDATE reading SET rate1_wh = 251000, rate4_wh = 254000 WHERE total_wh = 1010000")
    assert [(one.invariant, one.detail) for one in report(charged).mismatches] == [
        (3, "to_rates_wh (T1, T4) is 252500,252500,252500,252500, should be 251000,252500,252500,254000")
    ]
    assert report(charged).mismatches[0].subject.startswith(f"meter {meter_id(1)}, batch ")


def test_invariant_03_rates_that_were_moved_in_the_line_are_found(charged: Engine) -> None:
    tamper(
        charged, "line", "UPDATE line SET to_rates_wh = '255000,254000,256000,255000' WHERE to_wh = 1020000"
    )  # fmt: skip
    assert of_rates(charged) == [
        "to_rates_wh (T2, T3) is 255000,254000,256000,255000, should be 255000,255000,255000,255000"
    ]


def test_invariant_03_rates_that_were_taken_out_of_the_reading_are_found(charged: Engine) -> None:
    empty = ", ".join(f"rate{number}_wh = NULL" for number in range(1, 5))
    tamper(charged, "reading", f"UPDATE reading SET {empty} WHERE total_wh = 1010000")
    assert of_rates(charged) == ["to_rates_wh is 252500,252500,252500,252500, but the reading there has no rates"]
