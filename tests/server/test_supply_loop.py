"""The whole supply loop around meters that really switch: frames get lost or come late, replies too, people act.

What is watched is the meters, not the rows: nobody is cut outside the allowed time, before being warned or while a
switch is off, and once the world settles everybody who has paid has power and everybody's relay is known.
"""

from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from server.domain.readings import StatusRead
from server.flows import approvals, relays, supply
from server.store import schema
from tests.server.estates import ESTATE, meter_id
from tests.server.local_writer import rolled_back
from tests.server.meter_model import Frame, ModelMeter
from tests.server.supply_stage import FEN_PER_KWH, GRACE_S, Stage

NUMBERS = (1, 2, 3)
Number = st.sampled_from(NUMBERS)
Fate = st.sampled_from(["fine", "fine", "lost", "late", "reply lost", "killed"])
Late = st.sampled_from([30, 590])
ZONE = ZoneInfo("Asia/Shanghai")
TALLY: Counter[str] = Counter()


class SupplyLoop(RuleBasedStateMachine):
    """Three households, their meters, and a collector whose line is bad."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.context = rolled_back(engine)
        self.stage = Stage(self.context.__enter__(), len(NUMBERS), command_ttl_s=600, reading_fresh_s=3600)
        self.meters = {n: ModelMeter(1_000_000) for n in NUMBERS}
        self.relay = dict.fromkeys(NUMBERS, "unknown")
        self.read_ms: set[int] = set()
        self.counted = dict.fromkeys(NUMBERS, 0)

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)

    @initialize(policy=st.sampled_from(["allow", "direct"]), delays=st.sampled_from([(0, 0, 0), (0, 120, 500)]))
    def estate_is_set_up(self, policy, delays):
        self.stage.set(schema.estate, close_policy=policy)
        for number, delay_s in zip(NUMBERS, delays, strict=True):
            self.meters[number].trip_delay_s = delay_s

    # time and use

    def _wait(self, seconds):
        self.stage.wait(seconds)
        for meter in self.meters.values():
            meter.pass_time(self.stage.now.world_s)

    @rule(seconds=st.sampled_from([2, 60, 300, 1200, 5400, 20_000, 90_000]))
    def time_passes(self, seconds):
        self._wait(seconds)

    @rule(number=Number)
    def credit_is_used_up_and_warned_of(self, number):
        self._poll(number)
        self._wait(900)
        if not self.meters[number].is_open:
            self.meters[number].total_wh += 1000 * max(0, self.stage.balance(number) // FEN_PER_KWH + 1)
        self._poll(number)
        self._tick()
        self.stage.receive(number)

    @rule(
        numbers=st.sets(Number, min_size=1),
        hour=st.sampled_from([10, 10, 16]),
        fate=Fate,
        late_s=Late,
        paid=st.booleans(),
    )
    def debt_runs_its_whole_course(self, numbers, hour, fate, late_s, paid):
        """On another day: used up, warned of, decided, sent, and perhaps paid while a frame is on its way."""
        local = datetime.fromtimestamp(self.stage.now.world_s, ZONE)
        morning = (local + timedelta(days=1)).replace(hour=hour, minute=0, second=0)
        self._wait(int(morning.timestamp()) - self.stage.now.world_s)
        for number in sorted(numbers):
            self.credit_is_used_up_and_warned_of(number)
        self.grace_passes_and_all_is_polled()
        self.collector_works(fate, late_s)
        if paid:
            for number in sorted(numbers):
                self.household_pays(number, 3000)
            self.collector_works("fine", 0)
            self.world_settles()

    @rule(number=Number, channel=st.sampled_from(["page", "message"]))
    def notice_is_received(self, number, channel):
        self._wait(1)
        self.stage.receive(number, channel=channel)

    # the head-end at work

    @rule(number=Number)
    def meter_is_polled(self, number):
        self._wait(2)
        self._poll(number)

    def _poll(self, number):
        meter = self.meters[number]
        self.stage.read(number, meter.total_wh - self.stage.registers[number])
        self._read_status(number)

    def _read_status(self, number):
        status3, now = self.meters[number].status3(), self.stage.now
        item = StatusRead(meter_id(number), now.world_s, now.machine_ms, status3, 0)
        self.stage.writer.run(lambda unit: relays.record_status(unit, ESTATE, [item], now))
        self.relay[number] = relays.relay_of(status3)
        self.read_ms.add(now.machine_ms)
        return status3

    @rule(clock_sane=st.sampled_from([True, True, True, False]))
    def ticks(self, clock_sane):
        self._wait(1)
        self._tick(clock_sane=clock_sane)

    @rule()
    def grace_passes_and_all_is_polled(self):
        self._wait(GRACE_S)
        for number in NUMBERS:
            self._poll(number)
        self._tick()

    def _tick(self, *, clock_sane=True):
        self.stage.charge()
        before = {n: self.stage.supply(n)["gen"] for n in NUMBERS}
        self.stage.decide(clock_sane=clock_sane)
        for number in NUMBERS:
            assert self.stage.supply(number)["gen"] - before[number] in (0, 1)

    @rule(fate=Fate, late_s=Late)
    def collector_works(self, fate, late_s):
        self._wait(1)
        for order in self.stage.orders():
            self._carry_out(order, fate, late_s)

    def _carry_out(self, order, fate="fine", late_s=0):
        number = next(n for n in NUMBERS if meter_id(n) == order.meter_id)
        if order.action == "trip" and self.stage.now.world_s >= order.expires_at:
            self.stage.attempt(number, "expired", order.gen)
            return
        status3 = self._read_status(number)
        if self._is_done(order.action, status3):
            self.stage.attempt(number, "read_back", order.gen)
            return
        if not self._may_send(order, number):
            self.stage.attempt(number, "superseded", order.gen)
            return
        TALLY[order.action] += 1
        now_s = self.stage.now.world_s
        lifetime_s = min(order.command_ttl_s, order.expires_at - now_s)
        if fate != "lost":
            arrives_s = now_s + (late_s if fate in ("late", "killed") else 0)
            self.meters[number].take(Frame(order.action, arrives_s, now_s + lifetime_s))
        if fate == "killed":  # the server has died between the frame and its report
            return
        self.stage.attempt(number, "sent", order.gen)
        self.stage.attempt(number, "accepted" if fate == "fine" else "no_reply", order.gen)
        self._wait(1)
        if fate != "reply lost":
            self._read_status(number)

    def _is_done(self, action, status3):
        if action == "trip":
            return bool(status3 & COMMAND_OPEN)
        return not status3 & (COMMAND_OPEN if action == "allow" else COMMAND_OPEN | RELAY_OPEN)

    def _may_send(self, order, number):
        now = self.stage.now
        if order.action != "trip":
            return self.stage.is_current(number, order.gen)
        may = self.stage.writer.run(
            lambda unit: relays.clear_trip(unit, ESTATE, order.meter_id, order.gen, now, clock_sane=True, sending=True)
        )
        if may:
            site = self.stage.site()
            assert (site["mode"], site["stopped"], site["breaker"]) == ("armed", 0, "closed")
            assert self.stage.balance(number) <= 0
            delivered = [row["delivered_at"] for row in self.stage.notices(number, "cut_warning")]
            assert any(at is not None and now.world_s - at >= GRACE_S for at in delivered)
        return may

    # people

    @rule(number=Number, amount_fen=st.sampled_from([1, 60, 3000]))
    def household_pays(self, number, amount_fen):
        self._wait(1)
        before = self.stage.supply(number)
        self.stage.pay(number, amount_fen, f"sale-{self.stage.passed_s:08d}")
        after = self.stage.supply(number)
        if before["desired"] == "open" and self.stage.balance(number) > 0:
            TALLY["lifted"] += 1
            assert (after["desired"], after["gen"]) == ("closed", before["gen"] + 1)
            assert not self.stage.is_current(number, int(before["gen"]))

    @rule(number=Number)
    def resident_presses_the_button(self, number):
        self.meters[number].press_button()

    @rule(number=Number)
    def operator_gives_power_back(self, number):
        self._wait(1)
        row = self.stage.supply(number)
        if row["desired"] == "open" or row["relay"] == "open":
            now = self.stage.now
            self.stage.writer.run(
                lambda unit: supply.close_by_hand(unit, ESTATE, meter_id(number), actor="anna", reason="ill", now=now)
            )

    @rule(number=Number, keeps=st.booleans())
    def keep_power_is_set_in_the_meter(self, number, keeps):
        self.meters[number].keeps_power = keeps

    @rule(number=Number, protected=st.sampled_from([0, 0, 1]))
    def household_is_protected(self, number, protected):
        self.stage.set_account(number, protected=protected)

    @rule()
    def red_button(self):
        self._wait(1)
        now = self.stage.now
        self.stage.writer.run(lambda unit: supply.stop_all(unit, ESTATE, actor="anna", now=now))
        assert all(order.action != "trip" for order in self.stage.orders())

    @rule()
    def two_people_start_again(self):
        self._wait(1)
        if not self.stage.site()["stopped"]:
            return
        run, now = self.stage.writer.run, self.stage.now
        asked = run(lambda unit: approvals.request_start_again(unit, ESTATE, actor="anna", now=now))
        [row] = self.stage.rows(schema.approval, schema.approval.c.approval_id == asked)
        sha = str(row["payload_sha256"])
        run(lambda unit: approvals.approve(unit, ESTATE, asked, sha, actor="boris", now=now))

    @rule()
    def world_settles(self):
        """The line is good again and everybody presses the button: who has paid has power, and it is known."""
        TALLY["settled"] += 1
        for _ in range(4):
            self._wait(601)
            for number in NUMBERS:
                self._read_status(number)
            for order in self.stage.orders():
                if order.action != "trip":
                    self._carry_out(order)
            for number in NUMBERS:
                self.meters[number].press_button()
        self._wait(1)
        for number in NUMBERS:
            self._read_status(number)
            if self.stage.balance(number) > 0:
                TALLY["lit"] += bool(self.meters[number].trips_done_s)
                assert not self.meters[number].is_open
                assert (self.stage.supply(number)["desired"], self.stage.supply(number)["relay"]) == ("closed",) * 2

    # what holds after every step

    @invariant()
    def nobody_is_cut_outside_the_allowed_time(self):
        for number, meter in self.meters.items():
            for at_s in meter.trips_done_s[self.counted[number] :]:
                local = datetime.fromtimestamp(at_s, ZONE)
                assert local.weekday() < 5
                assert 9 <= local.hour < 17 or (local.hour, local.minute, local.second) == (17, 0, 0)
                TALLY["dark"] += 1
            self.counted[number] = len(meter.trips_done_s)

    @invariant()
    def relays_are_what_was_read_back(self):
        for number in NUMBERS:
            assert self.stage.supply(number)["relay"] == self.relay[number]

    @invariant()
    def generations_have_no_gap(self):
        for number in NUMBERS:
            gens = [wish["gen"] for wish in self.stage.wishes(number)]
            assert gens == list(range(1, len(gens) + 1))
            assert self.stage.supply(number)["gen"] == len(gens)

    @invariant()
    def the_pay_to_power_clock_stops_only_at_read_backs(self):
        for row in self.stage.rows(schema.payment_order):
            assert {row["confirmed_ms"], row["button_ms"]} <= self.read_ms | {None}


def play(engine: Engine, examples: int, steps: int) -> None:
    """Play histories, and demand that they told of cuts and restores."""
    TALLY.clear()
    run_state_machine_as_test(
        lambda: SupplyLoop(engine), settings=settings(max_examples=examples, stateful_step_count=steps)
    )
    assert min(TALLY[name] for name in ("dark", "lifted", "settled", "lit")) > 0, dict(TALLY)


def test_the_loop_cuts_nobody_wrongly_and_gives_everybody_back(sqlite_engine):
    play(sqlite_engine, 12, 25)


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_the_loop_over_many_histories(sqlite_engine):
    play(sqlite_engine, 120, 50)


@pytest.mark.parametrize("policy", ["allow", "direct"])
@pytest.mark.parametrize("delay_s", [0, 120])
@pytest.mark.parametrize(
    ("fate", "late_s"), [("fine", 0), ("lost", 0), ("late", 30), ("late", 590), ("reply lost", 0), ("killed", 30)]
)
def test_whatever_becomes_of_the_frame_a_payment_brings_the_power_back(sqlite_engine, policy, delay_s, fate, late_s):
    loop = SupplyLoop(sqlite_engine)
    try:
        loop.estate_is_set_up(policy, (delay_s,) * 3)
        loop.debt_runs_its_whole_course({1, 2}, 10, fate, late_s, paid=True)
        loop.nobody_is_cut_outside_the_allowed_time()
        assert [len(loop.meters[number].trips_done_s) for number in NUMBERS] == [int(fate != "lost")] * 2 + [0]
    finally:
        loop.teardown()
