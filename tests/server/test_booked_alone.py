"""What one person may book alone: counted together over a day, and never into another holder's account."""

import pytest
from sqlalchemy import Engine

from server.errors import Refused
from server.store import schema
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, read, reading
from tests.server.estates import household, plant
from tests.server.lives import book, carry, final, open_new, out


def test_much_money_goes_over_only_within_one_household(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=20_000), household(2)])
    read(writer, reading(1, HOUR, 1_000_000))
    out(writer, HOUR, final(1))
    open_new(writer, HOUR, holder="somebody else")
    with pytest.raises(Refused, match="another holder's"):
        carry(writer, HOUR, "H0001", "N1")
    assert balance(engine, "N1")[0] == 0
    writer.run(
        lambda unit: unit.connection.execute(schema.account.update().values(holder="holder 1")) and None
    )  # fmt: skip
    assert carry(writer, HOUR, "H0001", "N1") == {"electricity": 20_000}
    agrees(engine)


def test_small_bookings_of_a_day_by_one_person_count_together(engine: Engine, writer: Writer) -> None:
    plant(writer)
    assert book(writer, 6000, "key-1").batch_seq
    assert book(writer, 6000, "key-2").approval_id
    assert book(writer, -4001, "key-3").approval_id
    assert book(writer, 6000, "key-4", actor="paul").batch_seq
    assert book(writer, 6000, "key-1").batch_seq  # a repeat is the same booking
    assert book(writer, 6000, "key-5", 25 * HOUR).batch_seq
    agrees(engine)
