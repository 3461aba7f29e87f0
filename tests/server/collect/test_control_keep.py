"""Keep-power in the control lane: told, read back and taken back, beside the relay's own orders."""

from core.dlt645 import identifiers as di
from core.dlt645.commands import RelayAction
from server.collect.dialect import dialect_of
from server.collect.work import MeterPlan
from tests.server.collect.fake_bus import bench_test, running
from tests.server.collect.test_control import OPEN, QUIET, A, setup


@bench_test
async def test_keep_power_is_told_read_back_and_taken_back_by_the_same_lane():
    world, [meter], port = setup()
    async with running(port, world, cadence=QUIET) as bench:
        bench.orders.want(A, "keep", gen=1)
        await bench.until(lambda: any(s.status3 == di.KEEP_POWER for s in bench.sink.states))
        assert bench.orders.names() == ["sent", "accepted", "read_back"]
        assert set(bench.orders.switches) == {"keep"}
        assert bench.orders.steps[-1][3] == "status 1000: relay closed, command closed, keeps the power on"
        bench.orders.want(A, "free", gen=2)
        await bench.until(lambda: any(s.status3 == 0 for s in bench.sink.states))
        assert [frame.data[8] for frame in port.relay_frames] == [RelayAction.KEEP_POWER, RelayAction.CANCEL_KEEP_POWER]
        assert meter.status3 == 0


@bench_test
async def test_tries_of_keep_power_do_not_put_off_the_relay_of_the_same_meter():
    world, [meter], port = setup()
    meter.status3 = OPEN
    async with running(port, world, cadence=QUIET) as bench:
        meter.relay_deaf = True
        bench.orders.want(A, "keep", gen=1)
        await bench.until(lambda: "read_back" in bench.orders.names())
        meter.relay_deaf = False
        bench.orders.want(A, "allow", gen=1)
        await bench.until(lambda: not meter.status3 & di.COMMAND_OPEN, timeout_s=4)


def test_no_other_protocol_is_told_to_keep_the_power():
    modbus = dialect_of(MeterPlan(A, protocol="modbus", model="hiking-dds238-2", unit=1, trips_without_deadline=True))
    older = dialect_of(MeterPlan(A, protocol="1997"))
    assert [bool(one.cannot_switch(action)) for one in (modbus, older) for action in ("keep", "free")] == [True] * 4
    assert modbus.cannot_switch("trip") == ""
