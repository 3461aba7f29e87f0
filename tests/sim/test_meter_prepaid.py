"""Meters with local fee control: credit that runs down, alarms, trips, and purchases by 03H with the dummy scheme."""

from fractions import Fraction

import pytest

from core.dlt645 import prepaid
from core.dlt645.commands import Password, RelayAction, Write
from core.dlt645.frame import Frame
from core.dlt645.identifiers import COMMAND_OPEN, KEEP_POWER, PRE_TRIP_ALARM, RELAY_OPEN, STATUS_WORD_3, encode_value
from core.dlt645.prepaid import Credit
from core.vending import DummyVendingBackend, Session
from tests.sim.rig import ADDRESS, Virtual, bus, household, table

CUSTOMER = "000000123456"
RELAY_BITS = COMMAND_OPEN | RELAY_OPEN | KEEP_POWER | PRE_TRIP_ALARM
FLAT = {"id": "t", "price": "0.50004"}
TWO_RATES = {
    "id": "t",
    "kind": "tou",
    "prices": {"peak": "0.8", "valley": "0.3"},
    "periods": [{"from": "10:05", "to": "22:00", "rate": "peak"}, {"from": "22:00", "to": "10:05", "rate": "valley"}],
}


class Stage:
    def __init__(self, credit_fen=1000, tariff=FLAT, power_w=1000, button="never", **keys):
        resident = {"button": button, "button_delay_s": 60}
        keys = {"load": "constant", "mean_power_w": power_w, "resident": resident, **keys}
        self.estate = Virtual(
            table([household(local_credit_fen=credit_fen, **keys)], [bus(wire="none")], tariff=tariff)
        )
        self.backend, self.session, self.nonce = DummyVendingBackend(), None, 0

    @property
    def money(self):
        """Remaining and overdraft in fen."""
        return tuple(int(self.estate.read_long(di)[::-1].hex()) for di in (0x00900200, 0x00900201))

    @property
    def relay(self):
        return self.estate.read(STATUS_WORD_3)[0] & RELAY_BITS

    def pass_h(self, hours):
        self.estate.run_s(hours * 3600)

    def write(self, di, row):
        (reply,) = self.estate.ask(Write(ADDRESS, di, encode_value(di, row), Password()).to_frame(), wait_s=0.01)
        assert reply.control == 0x94, reply

    def say(self, command):
        (reply,) = self.estate.ask(command.to_frame(), wait_s=0.01)
        return reply.control, reply.data

    def authenticate(self):
        self.nonce += 1
        identity = self.backend.identity(ADDRESS, self.nonce.to_bytes(8, "little"))
        command = prepaid.AuthenticateIdentity(ADDRESS, identity.cipher, identity.random, identity.factor)
        control, data = self.say(command)
        assert control == 0x83
        assert len(data) == 16
        said = prepaid.IdentityReply.read(data[4:])
        self.session = Session(ADDRESS, identity, said.random, said.serial)

    def buy(self, amount_fen, count, customer=CUSTOMER, kind=prepaid.Recharge, spoil=b""):
        credit = Credit(amount_fen, count, customer)
        macs = self.backend.seal_credit(self.session, kind.DI, credit)
        return self.say(kind(ADDRESS, credit, macs.mac_1, spoil or macs.mac_2))

    def open_account(self, amount_fen=5000):
        self.authenticate()
        assert self.buy(amount_fen, 1, kind=prepaid.OpenAccount) == (0x83, bytes.fromhex("ff010107"))


def test_the_credit_runs_down_with_the_energy_at_the_price_of_four_decimals():
    stage = Stage(1000)
    assert stage.money == (1000, 0)
    assert stage.estate.read(0x04050103) == (50_000_000,), "0.50004 yuan, as a meter can hold it"
    stage.pass_h(10)
    register = stage.estate.household().meter.register
    spent = Fraction(register.steps_wh(stage.estate.world.now_ms)) * 50_000_000 / 10**9
    assert stage.money[0] == int(1000 - spent) == 500


def test_each_rate_has_its_own_price():
    stage = Stage(5000, TWO_RATES)
    stage.pass_h(3)
    rates = stage.estate.read(0x0001FF00)[1:]
    assert rates[1]
    assert rates[3]
    assert stage.money[0] == 5000 + (-(rates[1] * 80_000_000 + rates[3] * 30_000_000)) // 10**9
    assert stage.estate.read(0x02800020) == (80_000_000,)


def test_a_written_price_holds_from_then_on():
    stage = Stage(5000)
    stage.pass_h(2)
    before_wh = stage.estate.household().meter.register.steps_wh(stage.estate.world.now_ms)
    stage.write(0x04050103, [100_000_000])
    stage.pass_h(2)
    now_wh = stage.estate.household().meter.register.steps_wh(stage.estate.world.now_ms)
    owed = before_wh * 50_000_000 + (now_wh - before_wh) * 100_000_000
    assert stage.money[0] == (5000 * 10**9 - owed) // 10**9


def test_a_spent_credit_trips_at_the_moment_it_is_spent():
    stage = Stage(1000)
    stage.pass_h(40)
    assert stage.relay == COMMAND_OPEN | RELAY_OPEN
    (event,) = stage.estate.household().meter.relay.events
    # 10 yuan buy 20 kWh; the step of 10 Wh before the last leaves half a fen, which is shown as nothing
    assert event.at_ms - stage.estate.world.origin_ms == 19_990 * 3600
    assert stage.money == (0, 0)


def test_the_overdraft_limit_lends_that_much():
    stage = Stage(1000)
    stage.write(0x04001003, [500])
    stage.pass_h(25)
    assert stage.relay == 0
    assert stage.money == (0, 250)
    stage.pass_h(10)
    assert stage.relay == COMMAND_OPEN | RELAY_OPEN
    assert stage.money == (0, 500)


def test_alarm_1_sounds_and_alarm_2_trips_once_and_lets_the_button_close():
    stage = Stage(1000)
    stage.write(0x04001001, [800])
    stage.write(0x04001002, [500])
    stage.pass_h(3.9)
    assert stage.relay == 0
    stage.pass_h(0.2)
    assert stage.relay == PRE_TRIP_ALARM
    stage.pass_h(6)
    assert stage.relay == PRE_TRIP_ALARM | RELAY_OPEN, "open, and the button may close it"
    stage.estate.household().meter.press_button(stage.estate.world.now_ms)
    stage.write(0x04001005, [0])
    stage.pass_h(5)
    assert stage.relay == PRE_TRIP_ALARM, "it does not trip for that again"
    stage.pass_h(10)
    assert stage.relay == PRE_TRIP_ALARM | COMMAND_OPEN | RELAY_OPEN, "spent"


def test_debt_keeps_it_open_whatever_the_head_end_permits():
    stage = Stage(100)
    stage.pass_h(10)
    for action in (RelayAction.ALLOW_CLOSE, RelayAction.CLOSE):
        assert stage.estate.switch(action).control == 0x9C
        assert stage.relay == COMMAND_OPEN | RELAY_OPEN
    assert not stage.estate.household().meter.press_button(stage.estate.world.now_ms)


def test_keep_power_holds_off_the_trip_and_its_end_trips():
    stage = Stage(100)
    stage.estate.switch(RelayAction.KEEP_POWER)
    stage.pass_h(30)
    assert stage.relay == KEEP_POWER
    assert stage.money[1] > 0
    stage.estate.switch(RelayAction.CANCEL_KEEP_POWER)
    assert stage.relay == COMMAND_OPEN | RELAY_OPEN


def test_a_purchase_is_booked_once_by_its_count():
    stage = Stage(0, power_w=1)
    stage.estate.run_s(60)
    assert stage.relay == COMMAND_OPEN | RELAY_OPEN
    assert stage.estate.read(STATUS_WORD_3)[0] >> 8 & 3 == 2, "a meter prepaid by money"
    assert stage.estate.read(STATUS_WORD_3)[0] >> 14 & 1, "not opened"
    stage.open_account(5000)
    assert stage.relay == RELAY_OPEN, "permits the button again"
    assert not stage.estate.read(STATUS_WORD_3)[0] >> 14 & 1
    assert stage.money == (5000, 0)
    assert stage.buy(3000, 1) == (0xC3, b"\x02\x00"), "n = m: repeated"
    assert stage.buy(3000, 3) == (0xC3, b"\x20\x00"), "a count is missing"
    assert stage.buy(3000, 0) == (0xC3, b"\x20\x00")
    assert stage.buy(3000, 2, customer="000000999999") == (0xC3, b"\x10\x00"), "another customer"
    assert stage.buy(3000, 2, spoil=bytes(4)) == (0xC3, b"\x04\x00"), "MAC"
    assert stage.money == (5000, 0)
    assert stage.buy(3000, 2) == (0x83, bytes.fromhex("ff020107"))
    assert stage.money == (8000, 0)


def test_a_purchase_beyond_the_hoarding_limit_is_refused():
    stage = Stage(1000)
    stage.write(0x04001004, [6000])
    stage.authenticate()
    assert stage.buy(5001, 1, kind=prepaid.OpenAccount) == (0xC3, b"\x40\x00")
    assert stage.buy(5000, 1, kind=prepaid.OpenAccount)[0] == 0x83


def test_an_authentication_ends_after_five_minutes():
    stage = Stage(1000)
    stage.open_account()
    assert stage.estate.read(STATUS_WORD_3)[0] >> 13 & 1
    assert stage.estate.read(0x02800022) == (5,)
    stage.estate.run_s(300)
    assert not stage.estate.read(STATUS_WORD_3)[0] >> 13 & 1
    assert stage.buy(100, 2) == (0xC3, b"\x08\x00")
    stage.authenticate()
    assert stage.buy(100, 2)[0] == 0x83


def test_the_status_says_money_and_count_with_macs_that_the_backend_knows():
    stage = Stage(1000)
    stage.open_account(2345)
    control, data = stage.say(prepaid.QueryStatus(ADDRESS))
    assert (control, len(data)) == (0x83, 30)
    status = prepaid.Status.read(data[4:])
    assert (status.remaining_fen, status.count, status.customer) == (stage.money[0], 1, CUSTOMER)
    assert stage.backend.vouches_for(ADDRESS, status)
    assert not stage.backend.vouches_for("000000000001", status)


def test_purchases_are_recorded_whole_and_field_by_field():
    stage = Stage(1000)
    stage.pass_h(2)
    stage.open_account(2000)
    first = stage.estate.civil()
    stage.pass_h(2)
    stage.authenticate()
    before = stage.money[0]
    assert stage.buy(500, 2)[0] == 0x83
    whole = stage.estate.read_long(0x0333FF01)
    assert len(whole) == 23
    assert whole == b"".join(stage.estate.read_long(0x03330001 | item << 8) for item in range(1, 7))
    numbers = [int(whole[at : at + 4][::-1].hex()) for at in (7, 11, 15, 19)]
    assert numbers == [500, before, before + 500, 2500]
    assert whole[5:7] == b"\x02\x00"
    earlier = stage.estate.read_long(0x0333FF02)
    assert earlier[:5] == bytes.fromhex(f"{first:%y%m%d%H%M}")[::-1]
    assert stage.estate.read_long(0x0333FF03) == bytes(23)


def test_a_repaid_debt_waits_for_the_close_allowed_amount():
    stage = Stage(100, button="prompt")
    stage.write(0x04001005, [1000])
    stage.pass_h(10)
    stage.open_account(900)
    stage.pass_h(1)
    assert stage.relay == COMMAND_OPEN | RELAY_OPEN, "9 yuan are not enough"
    stage.authenticate()
    stage.buy(500, 2)
    assert stage.relay == RELAY_OPEN
    stage.pass_h(1)
    assert stage.relay == 0, "the resident has pressed the button"
    assert stage.money[0] < 1400


def test_a_meter_in_remote_mode_keeps_no_money():
    estate = Virtual(table([household()], [bus(wire="none")]))
    assert estate.household().meter.notes.account is None
    assert [r.data for r in estate.ask(Frame(ADDRESS, 0x11, bytes.fromhex("01ff3303")))] == [b"\x02"]
    assert estate.read(0x00900200) == (0,)


@pytest.mark.parametrize("credit_fen", [-1, 100_000_000, "5000"])
def test_impossible_credit_is_refused(credit_fen):
    with pytest.raises(Exception, match="local_credit_fen"):
        Stage(credit_fen)
