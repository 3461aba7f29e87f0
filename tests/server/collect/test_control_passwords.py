"""What a password goes through on its way to the wire: opened for one frame, shown nowhere, missed without harm."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from core.dlt645.commands import RELAY, Password
from core.dlt645.frame import Frame
from server.collect import control
from server.collect.passwords import AGAIN, Passwords
from server.collect.work import as_stored
from server.errors import SecretLocked
from tests.server.collect.fake_bus import ChangingOrders, World, bench_test, running
from tests.server.collect.test_control import OPEN, QUIET, A, B, setup


def test_invariant_20_a_password_shows_in_no_repr_and_no_report():
    orders = ChangingOrders()
    orders.want(A, "trip", password="918273")
    shown = f"{orders.wanted[A]!r} {Password(2, '918273')!r}"
    assert "918273" not in shown


@bench_test
async def test_a_locked_password_is_opened_for_the_frame_alone():
    _, _, port = setup()

    def unlock(meter_id, stored):
        assert (meter_id, stored) == (A, "v1:key:text")
        return "123456"

    async with running(port, World(), cadence=QUIET, unlock=unlock) as bench:
        bench.orders.want(A, "trip", password="v1:key:text")
        await bench.until(lambda: any(s.status3 == OPEN for s in bench.sink.states))
        [frame] = port.relay_frames
        assert frame.data[:4] == bytes.fromhex("02563412")


@bench_test
async def test_a_password_that_does_not_open_refuses_control_with_its_reason_and_reading_goes_on():
    world, _, port = setup()

    def unlock(meter_id, stored):
        raise SecretLocked(f"the password of meter {meter_id} cannot be opened: no key is configured; set meter_keys")

    async with running(port, world, cadence=QUIET, unlock=unlock) as bench:
        bench.orders.want(A, "trip", password="v1:key:text")
        await bench.until(lambda: bench.orders.steps)
        assert bench.orders.steps[0][2:] == (
            "refused",
            f"not sent: the password of meter {A} cannot be opened: no key is configured; set meter_keys",
        )
        await bench.until(lambda: bench.sink.readings)
        assert port.relay_frames == []


def test_a_meter_is_not_locked_by_a_wrong_password_and_the_right_one_is_sent_at_once(monkeypatch):
    """It locks itself after five, until midnight, and then nobody gets the power back of whoever pays."""
    monkeypatch.setattr(control, "RETRY_MIN_S", 0.01)
    world, [meter], port = setup()
    switch = meter._switch

    def guarded(frame):
        if frame.data[1:4] == bytes.fromhex("563412"):
            return switch(frame)
        meter.relay_frames.append(frame)
        return Frame(A, 0xDC, b"\x04")

    meter._switch = guarded

    async def scenario():
        async with running(port, world, cadence=QUIET) as bench:
            bench.orders.want(A, "trip", password="999999")
            await bench.until(lambda: bench.orders.names().count("refused") >= 6)
            assert len([frame for frame in port.requests if frame.control == RELAY]) == 2
            refused = [one for one in bench.orders.steps if one[2] == "refused"]
            assert refused[-1][3].startswith("not sent: the meter has refused its password 2 times today")
            await bench.until(lambda: bench.orders.names().count("read_back") >= 6)  # cases go by it
            bench.orders.want(A, "trip", gen=2, password="123456")
            await bench.until(lambda: any(s.status3 == OPEN for s in bench.sink.states))

    asyncio.run(scenario())


def test_a_refused_password_comes_again_after_hours_the_next_day_or_when_it_is_another():
    now = datetime(2026, 10, 14, 9, 0)  # noqa: DTZ001 - civil
    clock = [now]
    passwords = Passwords(as_stored, lambda: clock[0])

    def refuse(times):
        for _ in range(times):
            assert passwords(A, "999999") == "999999"
            passwords.refused(A, "999999")

    refuse(2)
    with pytest.raises(SecretLocked, match="2 times today"):
        passwords(A, "999999")
    assert passwords(B, "999999") == "999999"
    clock[0] = now + AGAIN
    refuse(1)
    with pytest.raises(SecretLocked, match="3 times today"):
        passwords(A, "999999")
    assert passwords(A, "123456") == "123456"
    clock[0] = now + timedelta(hours=15, minutes=1)  # midnight is past
    refuse(2)
    passwords.accepted(A)
    refuse(2)


def test_a_close_has_a_try_of_its_own_and_a_day_no_more_than_four():
    now = datetime(2026, 10, 14, 0, 30)  # noqa: DTZ001 - civil
    clock = [now]
    passwords = Passwords(as_stored, lambda: clock[0])
    sent = 0
    for hour in range(23):
        clock[0] = now + timedelta(hours=hour)
        for closing in (False, False, False, True, True):
            with suppress(SecretLocked):
                passwords(A, "999999", closing=closing)
                passwords.refused(A, "999999")
                sent += 1
        assert sent == (3 if hour < 8 else 4)


def test_all_of_a_day_counts_whatever_the_password_but_a_new_one_is_tried_once():
    passwords = Passwords(as_stored, lambda: datetime(2026, 10, 14, 9, 0))  # noqa: DTZ001 - civil
    sent = []
    for stored in ("999999", "888888", "777777"):
        for _ in range(3):
            with suppress(SecretLocked):
                sent.append(passwords(A, stored))
                passwords.refused(A, stored)
    assert sent == ["999999"] * 2 + ["888888"] * 2 + ["777777"]


def test_a_new_process_goes_on_from_what_was_counted():
    kept = Memory()
    now = datetime(2026, 10, 14, 9, 0)  # noqa: DTZ001 - civil
    before = Passwords(as_stored, lambda: now, kept)
    for _ in range(2):
        before.refused(A, "999999")
    after = Passwords(as_stored, lambda: now, kept)
    with pytest.raises(SecretLocked, match="2 times today"):
        after(A, "999999")
    assert "999999" not in repr(kept.counts)
    assert after(A, "999999", closing=True) == "999999"
    after.accepted(A)
    assert Passwords(as_stored, lambda: now, kept)(A, "999999") == "999999"


class Memory:
    """What outlives a process."""

    def __init__(self):
        self.counts = {}

    def load(self):
        return self.counts

    def save(self, meter_id, refused):
        self.counts[meter_id] = refused
        if refused is None:
            del self.counts[meter_id]


@bench_test
async def test_a_close_is_sent_after_two_refusals_of_other_writes():
    world, [meter], port = setup()
    meter.status3 = OPEN
    passwords = Passwords(as_stored, lambda: datetime(2026, 10, 14, 9, 0))  # noqa: DTZ001 - civil
    for _ in range(2):
        passwords.refused(A, "123456")
    async with running(port, world, cadence=QUIET, unlock=passwords) as bench:
        bench.orders.want(A, "close", password="123456")
        await bench.until(lambda: port.relay_frames)


@bench_test
async def test_invariant_20_a_password_shows_in_no_log_and_no_step():
    world, _, port = setup(A, B)
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage() + str(record.exc_info))
    log = logging.getLogger("estate645")
    log.addHandler(handler)
    try:
        async with running(port, world, cadence=QUIET) as bench:
            bench.sink.failures_left = 1
            bench.orders.want(A, "trip", password="918273")
            bench.orders.want(B, "trip", password="9182731")  # one digit too many
            await bench.until(lambda: any(s.status3 == OPEN for s in bench.sink.states))
            await bench.until(lambda: bench.orders.names(B))
            assert records
            assert "91827" not in " ".join(records) + str(bench.orders.steps) + str(bench.poller.status())
    finally:
        log.removeHandler(handler)
