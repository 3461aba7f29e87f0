"""What a password goes through on its way to the wire: opened for one frame, shown nowhere, missed without harm."""

import logging

from core.dlt645.commands import Password
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
