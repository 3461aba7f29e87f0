"""Refused meter passwords are rows: a server that starts again goes on from them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from server.collect.passwords import Passwords
from server.collect.work import as_stored
from server.errors import SecretLocked
from server.jobs.refusals import KeptRefusals
from tests.server.books import rows
from tests.server.estates import ESTATE, meter_id, plant

ZONE = ZoneInfo("Asia/Shanghai")
MORNING = datetime(2026, 10, 14, 9, 0, tzinfo=ZONE)


def started(engine, writer, now=MORNING):
    return Passwords(as_stored, lambda: now, KeptRefusals(engine, writer, ESTATE, ZONE))


def test_a_restart_allows_no_tries_more(engine, writer):
    plant(writer, 1)
    first = started(engine, writer)
    for _ in range(2):
        first.refused(meter_id(1), "999999")
    writer.run(lambda unit: None)  # what was submitted before is committed
    with pytest.raises(SecretLocked, match="2 times today"):
        started(engine, writer)(meter_id(1), "999999")
    [row] = rows(engine, "password_refusal")
    assert (row["times"], row["day_times"], row["refused_at"]) == (2, 2, int(MORNING.timestamp()))
    assert "999999" not in str(row)
    assert started(engine, writer, MORNING + timedelta(days=1))(meter_id(1), "999999") == "999999"
    first.accepted(meter_id(1))
    writer.run(lambda unit: None)
    assert rows(engine, "password_refusal") == []


def test_a_store_that_takes_nothing_holds_up_no_command(engine, writer, caplog):
    plant(writer, 1)
    passwords = started(engine, writer)
    writer.stop()
    passwords.refused(meter_id(1), "999999")
    assert "was not kept" in caplog.text
