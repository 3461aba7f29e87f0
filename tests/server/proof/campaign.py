"""Weeks of an estate in which much goes wrong, on one virtual clock, judged at the meters.

Registers and status words are taken from the simulated meters' own answers; each relay command goes out through the
real control lane, byte by byte, on a line that loses, repeats and holds back frames. Flows, jobs, store and clock guard
are the real ones. The server is killed between any two steps, its clock jumps, people pay early, late, in between or
never. Two of the staff mend within a day or so what stops all cuts: a clock, a breaker, the red button.

One seed is one history: nothing is drawn in the order of ids that the server makes up.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from sqlalchemy import func, select

from core.dlt645 import identifiers as di
from core.dlt645.commands import Read
from core.errors import CoreError
from server.collect.control import RelayLane
from server.collect.line import BusLine
from server.collect.readout import MeterState, Readout
from server.collect.tally import Tally
from server.collect.work import StepReport, as_stored
from server.domain.readings import ContactFailure, MeterReading, StatusRead
from server.flows import notices, payments, supply
from server.flows.estates import import_estate
from server.store import schema
from server.store.estates import get_estate
from server.store.supply import switched_on
from sim.meters.dlt645 import answer
from tests.server.estates import ESTATE, SIMULATED, at, document, household
from tests.server.proof.justice import Justice
from tests.server.proof.referee import Referee
from tests.server.proof.staff import Staff
from tests.server.proof.trouble import Trouble
from tests.server.proof.whole import Whole
from tests.sim import rig

BEGIN = datetime(2026, 10, 11, 16, 0, tzinfo=UTC)  # Monday 2026-10-12 00:00 in Shanghai; no holiday until the new year
MORNING, BEFORE_NOON, NOON = "05:30", "09:05", "13:00"
LOOKS = (MORNING, BEFORE_NOON, NOON, "16:57")
RELAYS_READ_EVERY_DAYS = 7
GRACE_S = 6 * 3600
TTL_S = 120
STARTS_MAX = 3
CLOCK_FINE_S = 60
METERS_OF_BUS = 60
OPEN_BITS = di.RELAY_OPEN | di.COMMAND_OPEN
FAULTS = {
    "silent": 40, "intermittent": 60, "truncated": 40, "bit_errors": 200, "concentrator_reboot": 100,
    "register_backwards": 15, "bcd_bit_flip": 25, "clock_jump": 25, "clock_drift": 25, "relay_inert": 15,
    "relay_stuck_closed": 15, "false_tripped": 15, "bypass": 20, "holiday": 30, "register_stuck": 15,
}  # fmt: skip


class _Lane(NamedTuple):
    relays: RelayLane
    readout: Readout
    states: dict


class Killed(Exception):
    """The process is gone; what only memory held is lost."""


class Campaign:
    """`live` lives through days; `referee` has what was wrong."""

    paid_in_between = 0.1  # how often somebody pays after orders were fetched and before they are carried out
    mended = 0.35  # how often the staff mends at a look what stops all cuts

    def __init__(self, engine, seed, count, *, clock_jumps=True, faults=FAULTS):
        self.random = Random(seed)
        self.clock_jumps = clock_jumps
        homes = [
            household(n + 1, opening_fen=self.random.randrange(50, 15_000), bus_id=f"bus-{n // METERS_OF_BUS}")
            for n in range(count)
        ]
        self.whole = Whole(engine, self._scenario(homes, faults), lambda unit: self._import(unit, homes), BEGIN, seed)
        self.accounts = {home.meter_id: home.account_id for home in homes}
        self.meters = {home.meter_id: self.whole.world.household(home.meter_id).meter for home in homes}
        self.kinds = {home.meter_id: self.random.choice(("early",) * 7 + ("late",) * 2 + ("slow",)) for home in homes}
        self.tally = Counter()
        self.referee = Referee(self.whole, {home.meter_id: home.opening_fen for home in homes}, GRACE_S)
        self.justice = Justice(self.referee, self.meters)
        self.staff = Staff(self.whole, self.tally)
        self.trouble = Trouble(self.whole.world, self.meters)
        for line in self.whole.lines.values():
            line.fate = self._fate
        self._asks = {
            which: {name: Read(name, which).to_frame() for name in self.meters}
            for which in (di.ENERGY_TOTAL, di.STATUS_WORD_3)
        }
        self._plans, self._lanes = {}, {}
        self.days = 0
        self.sales = 0

    def _scenario(self, homes, faults):
        simulated = [
            rig.household(home.room_id, home.meter_id, home.bus_id, start_register_wh=home.start_wh)
            | {"load": "constant", "mean_power_w": self.random.randrange(150, 900)}
            | {"resident": {"button": self.random.choice(("prompt", "slow")), "button_delay_s": [60, 5400]}}
            for home in homes
        ]
        buses = [rig.bus(bus_id, baud=9600) for bus_id in dict.fromkeys(home.bus_id for home in homes)]
        return rig.table(simulated, buses, tariff={"id": "single"} | SIMULATED) | {
            "faults": {"rates": faults, "lasts_h": [3, 60]}
        }

    def _import(self, unit, homes):
        plan = document(homes)
        site = replace(plan.estate, grace_s=GRACE_S, command_ttl_s=TTL_S, trips_per_day_max=60, trips_per_hour_max=30)
        buses = tuple(
            replace(plan.buses[0], bus_id=bus_id, baud=9600, reply_delay_max_ms=300)
            for bus_id in dict.fromkeys(home.bus_id for home in homes)
        )
        import_estate(unit, replace(plan, estate=site, buses=buses, gates=()), replace(at(), world_s=_epoch(BEGIN)))
        unit.connection.execute(schema.estate.update().values(mode="armed"))

    # time

    def live(self, days):
        for _ in range(days):
            midnight = BEGIN + timedelta(days=self.days)
            for look in LOOKS:
                hour, minute = map(int, look.split(":"))
                self._pass(midnight + timedelta(hours=hour, minutes=minute, seconds=self.random.randrange(60)))
                self._look_round(look)
            self.justice.day_ends(self.whole.world.now_ms, self.trouble.doubtful(), self._word)
            self.days += 1
        self.referee.look()

    def _pass(self, moment):
        world = self.whole.world
        for _ in self.whole.env.passing(world.clock.now_s(_epoch(moment) * 1000)):
            pass
        self.referee.look()

    def _look_round(self, look):
        self._misfortune()
        self._read(everything=look == MORNING)
        self._people()
        self._staff()
        if look in (BEFORE_NOON, NOON):
            first, possible = look == BEFORE_NOON, self._is_possible()
            self.justice.look(self.whole.world.now_ms, self.trouble.doubtful(), first=first, possible=possible)
        self._work(look)
        self._deliver()
        self.referee.look()
        self.tally["looks"] += 1
        if not self._is_possible():
            self.tally["looks held"] += 1
            self.justice.held()
        elif look == NOON:
            self.justice.decided(self._word)

    def _work(self, look):
        """Decide and switch. Who is killed at it is started again, and begins with deciding."""
        for _ in range(STARTS_MAX):
            try:
                self.whole.tick.run_once()
                if look != MORNING:
                    self._settle_again()
                    self.whole.tick.run_once()
                self._switch()
            except Killed:
                self.tally["killed"] += 1
                self._restart()
            else:
                return

    def _misfortune(self):
        """Now and then the machine's clock is wrong for a day, or the server is started again, wrong clock or not."""
        draw = self.random.random()
        if self.clock_jumps and draw < 0.01:
            self.whole.clock.jump_s = self.random.choice((-7200, -300, 400, 10_800, 86_400))
            self.tally["clock jumps"] += 1
        elif draw < 0.03:
            self.whole.clock.jump_s = 0.0
        if self.random.random() < 0.05:
            self._restart()
        if self.random.random() < 0.01:
            self._red_button()

    def _restart(self):
        self.whole.restart()
        self._plans, self._lanes = {}, {}
        self.tally["restarts"] += 1

    def _red_button(self):
        now = self.whole.clock.now()
        self.whole.writer.run(lambda unit: supply.stop_all(unit, ESTATE, actor="anna", now=now) and None)
        self.referee.stopped(True)
        self.tally["red button"] += 1

    # the head-end reads

    def _read(self, everything):
        """A round over all buses; twice in a row where somebody is close to being cut."""
        deaf, flaky = self.trouble.unheard()
        names = [n for n in self.meters if n not in deaf and (n not in flaky or self.random.random() < 0.5)]
        self._take(names, [n for n in names if self._is_watched(n) or (everything and self._is_turn(n))])
        now = self.whole.clock.now()
        lost = [ContactFailure(name, now.world_s, now.machine_ms, "no reply") for name in deaf]
        self.whole.sink.failures(lost)
        if everything:
            self._read_clocks(names)

    def _read_clocks(self, names):
        """Those that were far off when they were read last, perhaps since our own clock was."""
        live = schema.meter_live.c
        query = select(live.meter_id).where(func.abs(live.clock_offset_s) > CLOCK_FINE_S)
        off = set(self.whole.look(lambda connection: list(connection.execute(query).scalars())))
        for name in (one for one in names if one in off):
            lane = self._lane(self.meters[name].config.bus_id)
            read = lane.readout.clock_offset(lane.states[name], 2)
            with suppress(CoreError):
                offset_s, now = self.whole.loop.run_until_complete(read), self.whole.clock.now()
                word = self._ask(di.STATUS_WORD_3, name)
                self.whole.sink.status([StatusRead(name, now.world_s, now.machine_ms, word, offset_s)])

    def _settle_again(self):
        """The collector reads those near a threshold more often; two readings have to agree."""
        overdrawn = self._overdrawn()
        for _ in self.whole.env.passing(self.whole.env.now + 240):
            pass
        deaf, flaky = self.trouble.unheard()  # a fault may have begun meanwhile
        watched = [n for n in overdrawn if n not in deaf and (n not in flaky or self.random.random() < 0.5)]
        self._take(watched, watched)

    def _take(self, names, watched):
        registers = []
        for name in names:
            total_wh = self._ask(di.ENERGY_TOTAL, name)
            now = self.whole.clock.now()
            registers.append(MeterReading(name, now.world_s, now.machine_ms, total_wh))
        now = self.whole.clock.now()
        words = [StatusRead(name, now.world_s, now.machine_ms, self._ask(di.STATUS_WORD_3, name)) for name in watched]
        self.tally["readings"] += len(registers)
        self.whole.sink.energy(registers)
        self.whole.sink.status(words)

    def _ask(self, which, name):
        reply = answer(self.meters[name], self._asks[which][name], self.whole.world.now_ms)
        return di.decode_value(which, reply.data[4:])[0]

    def _overdrawn(self):
        query = (
            select(schema.meter.c.meter_id)
            .join(schema.account, schema.account.c.account_id == schema.meter.c.account_id)
            .where(schema.account.c.balance_fen <= 0)
        )
        return sorted(self.whole.look(lambda connection: list(connection.execute(query).scalars())))

    def _is_turn(self, name):
        return (int(name) + self.days) % RELAYS_READ_EVERY_DAYS == 0

    def _is_watched(self, name):
        return self.meters[name].relay.command_open or self.meters[name].relay.shown_open

    # the head-end switches

    def _switch(self):
        """Every order once, and what failed once more."""
        for bus_id in (*self.whole.lines, *self.whole.lines):
            orders = self.whole.orders.next(bus_id)
            if orders and self.random.random() < self.paid_in_between:
                self._pay(self.random.choice(orders).meter_id)  # between the fetching of orders and their frames
            for order in orders:
                lane = self._lane(bus_id)
                attempt = lane.relays.carry_out(order, lane.states[order.meter_id], 2)
                self.whole.loop.run_until_complete(attempt)
                self.tally[order.action] += 1
                self.referee.look()

    def _lane(self, bus_id):
        if bus_id not in self._lanes:
            self._plans = self._plans or {plan.bus_id: plan for plan in self.whole.plans()}
            plan = self._plans[bus_id]
            port = self.whole.lines[bus_id].plugged_into(self.whole.loop)
            line = BusLine(port, plan.timing, self.whole.clocks, Tally(), lambda: None)
            self.whole.loop.run_until_complete(line.open())
            readout = Readout(line, self.whole.clocks)
            relays = RelayLane(
                line, readout, self.whole.clocks,
                is_current=self._is_current, hand_over=self._hand_over, unlock=as_stored,
            )  # fmt: skip
            self._lanes[bus_id] = _Lane(relays, readout, {meter.meter_id: MeterState(meter) for meter in plan.meters})
        return self._lanes[bus_id]

    async def _is_current(self, order, sending):
        return self.whole.orders.still_current(order.meter_id, order.gen, order.switch, sending=sending)

    async def _hand_over(self, result, _wait):
        if self.random.random() < 0.01:
            raise Killed
        if isinstance(result, StepReport):
            self.whole.orders.report(result.meter_id, result.gen, result.step, result.detail, result.switch)
        else:
            self.whole.sink.status([result])

    def _fate(self, frame):
        """When a relay frame reaches the meters: at once, never, twice, or long after its deadline."""
        draw = self.random.random()
        late_s = TTL_S + self.random.choice((11, 600, 4000, 80_000))
        if draw < 0.06:
            self.tally["lost"] += 1
            return []
        if draw < 0.12:
            self.tally["late"] += 1
            return [late_s]
        if draw < 0.18:
            self.tally["repeated late"] += 1
            return [0.0, late_s]
        if draw < 0.22:
            self.whole.lines[self.meters[frame.address].config.bus_id].swallowing = True
            self.tally["answer lost"] += 1
        return [0.0]

    # people

    def _people(self):
        for name in self._overdrawn():
            dark = self.meters[name].relay.shown_open
            chance = {"early": 0.6, "late": 0.6 if dark else 0.05, "slow": 0.2 if dark else 0.02}[self.kinds[name]]
            if self.random.random() < chance:
                self._pay(name)

    def _staff(self):
        """They come, set the clock right, and look after everything else."""
        if self.random.random() >= self.mended:
            return
        if self.whole.clock.jump_s or not self.whole.guard.look():  # the clocks of all meters say so, too
            self.whole.clock.jump_s = 0.0
            self._restart()
        if self.staff.start_again():
            self.referee.stopped(False)
        self.staff.close_breaker()
        self.staff.release_jumps(self.trouble.doubtful())

    # what holds every cut, and whose cut may be held

    def _is_possible(self):
        """Whether the switches of the estate and the clock let anybody be cut."""
        site = self.whole.look(lambda connection: get_estate(connection, ESTATE))
        return switched_on(site) and self.whole.guard.look() and not self.whole.clock.jump_s

    def _word(self, name):
        query = select(schema.supply.c.candidate).where(schema.supply.c.meter_id == name)
        return self.whole.look(lambda connection: connection.execute(query).scalar_one())

    def _pay(self, name):
        self.sales += 1
        amount_fen, key = self.random.choice((1, 3000, 9000, 20_000)), f"sale-{self.sales:08d}"
        now = self.whole.clock.now()
        self.whole.writer.run(
            lambda unit: payments.sell_at_counter(
                unit, ESTATE, self.accounts[name], amount_fen, actor="lin", idem_key=key, now=now
            )
        )
        self.referee.paid(name, amount_fen)
        self.justice.spared(name)
        self.tally["payments"] += 1

    def _deliver(self):
        """Most notices arrive; some much later."""
        notice = schema.notice.c
        query = (
            select(notice.notice_id)
            .where(notice.status != "delivered", notice.channel == "message")
            .order_by(notice.created_ms, notice.account_id, notice.kind)
        )
        now = self.whole.clock.now()
        for notice_id in self.whole.look(lambda connection: list(connection.execute(query).scalars())):
            if self.random.random() < 0.8:
                self.whole.writer.run(
                    lambda unit, notice_id=notice_id: notices.mark_delivered(unit, ESTATE, notice_id, now)
                )


def _epoch(moment):
    return int(moment.timestamp())
