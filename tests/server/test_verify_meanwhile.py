"""What the server commits while `verify` reads is no mismatch."""

import pytest
from sqlalchemy import Engine

from server.errors import StorageUnavailable
from server.flows import voiding
from server.store.verification_windows import Journal
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, report
from tests.server.estates import ESTATE, START_S, at, meter_id, plant


def test_a_reading_taken_back_while_the_books_are_read_is_no_mismatch(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(writer)
    for hour in (1, 2):
        read(writer, reading(1, hour * HOUR, 1_000_000 + hour * 2_000))
        charge(writer, hour * HOUR)
    windows, taken = Journal.windows, []

    def meanwhile(self, **span):
        if not taken:
            wrong = {"actor": "olga", "reason": "a wrong digit", "now": at(3 * HOUR)}
            taken.append(
                writer.run(lambda unit: voiding.take_back(unit, ESTATE, meter_id(1), START_S + 2 * HOUR, **wrong))
            )
        return windows(self, **span)

    monkeypatch.setattr(Journal, "windows", meanwhile)
    if engine.dialect.name == "sqlite":
        with pytest.raises(StorageUnavailable, match="verify again"):
            report(engine)
    else:  # all lanes read one snapshot
        assert report(engine).mismatches == ()
    assert taken
    agrees(engine)
