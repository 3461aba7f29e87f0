"""Random histories of supply, and a small model that imports none of its rules.

Readings, charges, notices, payments, commands, read-backs, switches and time in any order. After every step: a cut
was decided only when the model agrees with each condition of it; generations have no gap; a relay is what the last
status word said and nothing else; a payment that lifts the balance wanted the power back in its own unit, but not of
those whom two people have isolated (`isolation_model`).
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from sqlalchemy import Engine

from server.flows import relays, supply
from server.store import schema
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.isolation_model import TALLY, IsolationActs
from tests.server.local_writer import rolled_back
from tests.server.supply_stage import CLOSED, FEN_PER_KWH, GRACE_S, OPEN, PERMITTED, Stage

HOUR_MAX, DAY_MAX, BUS_MAX = 2, 3, 2
FRESH_S, APART_MS, CLOCK_S = 1800, 2000, 60
KEEP = 1 << 12
RELAY_OF = {CLOSED: "closed", OPEN: "open", PERMITTED: "permitted", KEEP: "closed"}
NUMBERS = (1, 2, 3)
OBSTACLES = (
    None, None, "credit", "notice", "grace", "reading", "confirmation", "held", "status", "keep", "open",
    "clock", "jump", "protected", "paused", "night", "mode", "stop", "breaker",
)  # fmt: skip
Number = st.sampled_from(NUMBERS)


class SupplyMachine(IsolationActs):
    """Three households on one bus."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.context = rolled_back(engine)
        self.stage = Stage(
            self.context.__enter__(), len(NUMBERS), trips_per_hour_max=HOUR_MAX, trips_per_day_max=DAY_MAX
        )
        self.relay = dict.fromkeys(NUMBERS, "unknown")
        self.status_seen: dict[int, tuple[int, int, int, int]] = {}
        self.accepted: dict[int, list[tuple[int, int]]] = {n: [] for n in NUMBERS}
        self.held = dict.fromkeys(NUMBERS, False)
        self.last_charge: dict[int, tuple[int, int]] = {}
        self.above_ms = dict.fromkeys(NUMBERS, self.stage.now.machine_ms)
        self.keep = dict.fromkeys(NUMBERS, False)

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)

    # what happens

    @rule(seconds=st.sampled_from([1, 30, 60, 300, 1200, 3600, 20_000]))
    def time_passes(self, seconds):
        self.stage.wait(seconds)

    @initialize(missing=st.sampled_from(OBSTACLES), sends=st.booleans(), pays=st.booleans())
    def somebody_is_cut(self, missing, sends, pays):
        self.a_debt_takes_its_course(1, None, sends, pays)
        self.a_debt_takes_its_course(2, missing, not sends, not pays)

    @rule()
    def everything_is_switched_on(self):
        self.stage.set(schema.estate, mode="armed", stopped=0, breaker="closed")
        self.stage.set(schema.account, schema.account.c.kind == "household", protected=0, status="normal")

    @rule()
    def the_next_working_morning_comes(self):
        local = datetime.fromtimestamp(self.stage.now.world_s, ZoneInfo("Asia/Shanghai"))
        morning = local.replace(hour=9, minute=5, second=0) + timedelta(days=1)
        while morning.weekday() >= 5:
            morning += timedelta(days=1)
        self.stage.wait(int((morning - local).total_seconds()))

    @rule(number=Number, moved_wh=st.sampled_from([0, 10, 100, 500]))
    def meter_is_read(self, number, moved_wh):
        self.stage.wait(1)
        self._read(number, moved_wh)

    def _read(self, number, moved_wh):
        self.stage.read(number, moved_wh)
        verdict = self.stage.rows(schema.reading, schema.reading.c.meter_id == meter_id(number))
        newest = max(verdict, key=lambda row: row["read_at"])
        if newest["verdict"] == "accepted":
            self.accepted[number].append((self.stage.now.world_s, self.stage.now.machine_ms))
            self.held[number] = False
        else:
            self.stage.registers[number] -= moved_wh
            self.held[number] = True

    @rule(number=Number)
    def meter_goes_backwards(self, number):
        self.stage.wait(1)
        self._read(number, -500)

    @rule(
        number=Number,
        status3=st.sampled_from([CLOSED, CLOSED, CLOSED, OPEN, PERMITTED, KEEP]),
        offset_s=st.sampled_from([0, 0, 0, 59, 100]),
    )
    def status_is_read(self, number, status3, offset_s):
        self.stage.wait(1)
        self._status(number, status3, offset_s)

    def _status(self, number, status3, offset_s=0):
        self.stage.status(number, status3, offset_s)
        self.relay[number] = RELAY_OF[status3]
        self.status_seen[number] = (self.stage.now.world_s, self.stage.now.machine_ms, status3, offset_s)

    @rule()
    def charges_are_booked(self):
        self._charge()

    def _charge(self):
        before = {n: self.stage.balance(n) for n in NUMBERS}
        self.stage.charge()
        for number in NUMBERS:
            moved_fen = before[number] - self.stage.balance(number)
            if moved_fen:
                self.last_charge[number] = (self.accepted[number][-1][0], moved_fen)
        self._note_balances()

    def _note_balances(self):
        for number in NUMBERS:
            if self.stage.balance(number) > 0:
                self.above_ms[number] = self.stage.now.machine_ms

    @rule(number=Number)
    def credit_is_used_up(self, number):
        self.stage.wait(900)
        self._use_up(number)
        self.stage.receive(number)

    @rule(numbers=st.sets(Number, min_size=1))
    def grace_passes_and_all_is_seen(self, numbers):
        self.stage.wait(GRACE_S)
        for number in sorted(numbers):
            self._read(number, 0)
            self._status(number, OPEN if self.relay[number] == "open" else CLOSED)
        self._charge()

    @rule(number=Number, missing=st.sampled_from(OBSTACLES), sends=st.booleans(), pays=st.booleans())
    def a_debt_takes_its_course(self, number, missing, sends, pays):
        """The whole way to a cut, with at most one thing wrong; then perhaps a frame and a payment."""
        self.everything_is_switched_on()
        self.the_next_working_morning_comes()
        self.two_people_release(number)
        if self.stage.supply(number)["desired"] == "open":
            self.household_pays(number, 1 - self.stage.balance(number))
        if missing == "credit":
            self.household_pays(number, 5000)
        self._use_up(number)
        if missing != "notice":
            self.stage.receive(number)
        self._read(number, 0)
        self._status(number, CLOSED)
        waits_s = {"grace": GRACE_S // 2, "reading": FRESH_S + 1, "status": FRESH_S + 1}
        self.stage.wait(waits_s.get(missing, GRACE_S))
        self._obstruct(number, missing)
        if missing != "reading":
            self._read(number, 100 if missing == "confirmation" else 0)
        if missing == "held":
            self._hold(number)
        if missing != "status":
            word = {"keep": KEEP, "open": OPEN}.get(missing, CLOSED)
            self._status(number, word, 100 if missing == "clock" else 0)
        self._charge()
        self._decide(clock_sane=missing != "jump")
        if sends:
            self.collector_sends(number)
        if pays:
            self.household_pays(number, 500)

    def _use_up(self, number):
        self._read(number, 0)
        self.stage.wait(900)
        self._read(number, 1000 * max(0, self.stage.balance(number) // FEN_PER_KWH + 1))
        self._charge()
        self.stage.wait(2)

    def _obstruct(self, number, missing):
        switches = {"mode": {"mode": "dry_run"}, "stop": {"stopped": 1}, "breaker": {"breaker": "open"}}
        households = {"protected": {"protected": 1}, "paused": {"status": "paused"}}
        if missing in switches:
            self.stage.set(schema.estate, **switches[missing])
        if missing in households:
            self.stage.set_account(number, **households[missing])
        if missing == "night":
            self.stage.wait(9 * 3600)
        if missing == "confirmation":
            self.stage.set_account(number, balance_fen=2)

    def _hold(self, number):
        self.stage.wait(5)
        self._read(number, -500)

    @rule(number=Number, channel=st.sampled_from(["page", "message"]))
    def notice_is_received(self, number, channel):
        self.stage.wait(1)
        self.stage.receive(number, channel=channel)

    @rule(number=Number, amount_fen=st.sampled_from([1, 60, 500]))
    def household_pays(self, number, amount_fen):
        self.stage.wait(1)
        before = self.stage.supply(number)
        self.stage.pay(number, amount_fen, f"sale-{self.stage.passed_s:08d}")
        self._note_balances()
        after = self.stage.supply(number)
        lifted = self.stage.balance(number) > 0
        if before["desired"] == "open" and lifted and number not in self.isolated:
            TALLY["restores"] += 1
            assert (after["desired"], after["gen"]) == ("closed", before["gen"] + 1)
        else:
            assert after["gen"] == before["gen"]

    @rule(number=Number, step=st.sampled_from(["sent", "accepted", "refused", "no_reply", "expired"]))
    def collector_reports(self, number, step):
        self.stage.wait(1)
        if self.stage.supply(number)["gen"]:
            self.stage.attempt(number, step)
            self._note_left(number, step)

    def _note_left(self, number, step):
        if number in self.isolated and step == "sent":
            self.left[number] = self.stage.now.world_s

    @rule(number=Number)
    def collector_sends(self, number):
        self.stage.wait(1)
        row = self.stage.supply(number)
        gen = int(row["gen"])
        wants_trip = bool(gen) and self.stage.wishes(number)[-1]["action"] == "trip"
        if not wants_trip or row["command"] == "confirmed":
            return
        now = self.stage.now
        cleared = self.stage.writer.run(
            lambda unit: relays.clear_trip(unit, ESTATE, meter_id(number), gen, now, clock_sane=True, sending=True)
        )
        if cleared:
            TALLY["sent"] += 1
            if number in self.isolated:
                self._agree_on_hazard(number, self.isolated[number][0])
            else:
                self._agree_on_household(number)
            self._agree_on_switches(self.stage.site())
            self._note_left(number, "sent")
            self.stage.attempt(number, "sent")
            self.stage.attempt(number, "accepted")

    @rule(mode=st.sampled_from(["armed", "armed", "armed", "dry_run", "observe"]))
    def mode_is_set(self, mode):
        self.stage.set(schema.estate, mode=mode)

    @rule(stopped=st.sampled_from([0, 0, 1]))
    def stop_is_set(self, stopped):
        if stopped:
            now = self.stage.now
            self.stage.writer.run(lambda unit: supply.stop_all(unit, ESTATE, actor="anna", now=now))
        self.stage.set(schema.estate, stopped=stopped)

    @rule(breaker=st.sampled_from(["closed", "closed", "open"]))
    def breaker_is_set(self, breaker):
        self.stage.set(schema.estate, breaker=breaker)

    @rule(number=Number, protected=st.sampled_from([0, 0, 1]), status=st.sampled_from(["normal", "normal", "paused"]))
    def household_changes(self, number, protected, status):
        self.stage.set_account(number, protected=protected, status=status)

    # decisions, and what the model thinks of them

    @rule()
    def cuts_are_decided(self):
        self._decide(clock_sane=True)

    @rule()
    @precondition(lambda self: self.stage.passed_s > 3600)
    def cuts_are_decided_while_the_clock_is_in_doubt(self):
        self._decide(clock_sane=False)

    def _decide(self, *, clock_sane):
        self.stage.wait(1)
        before, site = len(self.stage.trips()), self.stage.site()
        desired = {n: self.stage.supply(n)["desired"] for n in NUMBERS}
        self.stage.decide(clock_sane=clock_sane)
        cut = [n for n in NUMBERS if desired[n] == "closed" and self.stage.supply(n)["desired"] == "open"]
        assert clock_sane or not cut
        assert len(self.stage.trips()) == before + len(cut)
        for number in cut:
            TALLY["trips"] += 1
            self._agree_on_switches(site)
            self._agree_on_household(number)
            self._agree_on_relay(number)
        return cut

    def _agree_on_switches(self, site):
        assert (site["mode"], site["stopped"], site["breaker"]) == ("armed", 0, "closed")

    def _agree_on_household(self, number):
        now_s = self.stage.now.world_s
        [row] = self.stage.rows(schema.account, schema.account.c.account_id == account_id(number))
        assert (row["protected"], row["status"]) == (0, "normal")
        assert row["balance_fen"] <= 0 or (row["balance_fen"] == 1 and row["residue_nf"] > 0)
        local = datetime.fromtimestamp(now_s, ZoneInfo("Asia/Shanghai"))
        assert local.weekday() < 5
        assert 9 <= local.hour < 17
        warnings = [
            notice["delivered_at"]
            for notice in self.stage.notices(number, "cut_warning")
            if notice["delivered_at"] is not None and notice["created_ms"] >= self.above_ms[number]
        ]
        assert warnings
        assert now_s - min(warnings) >= GRACE_S
        assert not self.held[number]
        [*_, (_, earlier_ms), (read_at, read_ms)] = self.accepted[number]
        assert read_ms - earlier_ms >= APART_MS
        charged_at, charged_fen = self.last_charge[number]
        unconfirmed_fen = charged_fen if charged_at == read_at else 0
        assert row["balance_fen"] + unconfirmed_fen <= 1

    def _agree_on_relay(self, number):
        now_s = self.stage.now.world_s
        assert now_s - self.accepted[number][-1][0] <= FRESH_S
        seen_at, _, status3, offset_s = self.status_seen[number]
        assert now_s - seen_at <= FRESH_S
        assert status3 == CLOSED
        assert abs(offset_s) <= CLOCK_S

    # what holds after every step

    @invariant()
    def generations_have_no_gap(self):
        for number in NUMBERS:
            gens = [wish["gen"] for wish in self.stage.wishes(number)]
            assert gens == list(range(1, len(gens) + 1))
            assert self.stage.supply(number)["gen"] == len(gens)

    @invariant()
    def relays_are_what_was_read_back(self):
        for number in NUMBERS:
            row = self.stage.supply(number)
            assert row["relay"] == self.relay[number]
            if row["command"] == "confirmed":
                assert self.status_seen[number][1] >= self.stage.wishes(number)[-1]["created_ms"]

    @invariant()
    def only_the_newest_wish_is_handed_out(self):
        site = self.stage.site()
        switched_on = (site["mode"], site["stopped"], site["breaker"]) == ("armed", 0, "closed")
        for order in self.stage.orders():
            [row] = self.stage.rows(schema.supply, schema.supply.c.meter_id == order.meter_id)
            assert order.gen == row["gen"]
            assert switched_on or order.action != "trip"

    @invariant()
    def cuts_stay_within_the_limits(self):
        times = sorted(int(row["decided_at"]) for row in self.stage.trips())
        for end in times:
            assert sum(end - 60 < at <= end for at in times) <= BUS_MAX
            assert sum(end - 3600 < at <= end for at in times) <= HOUR_MAX
            assert sum(end - 86_400 < at <= end for at in times) <= DAY_MAX

    @invariant()
    def the_books_balance(self):
        assert sum(int(row["amount_fen"]) for row in self.stage.rows(schema.line)) == 0
