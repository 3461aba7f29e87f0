"""A small estate on its way through warning, cut, payment and power: the verbs of the supply tests.

Time stands still until `wait`; both clocks run at the same pace. Every verb is one unit of the writer.
"""

from sqlalchemy import select

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from server.clock import Now
from server.domain.readings import MeterReading, StatusRead
from server.flows import billing, notices, payments, readings, relays, supply
from server.store import schema
from server.store.estates import get_estate
from server.store.unit import Writing
from tests.server.estates import ESTATE, account_id, at, household, meter_id, plant

GRACE_S = 1200
CLOSED, OPEN, PERMITTED = 0, RELAY_OPEN | COMMAND_OPEN, RELAY_OPEN
FEN_PER_KWH = 59  # a little more than the price of the first tier


class Stage:
    """One estate; household `n` has meter_id(n) and account_id(n)."""

    def __init__(self, writer: Writing, households: int = 3, opening_fen: int = 100, **site: object):
        plant(writer, [household(n + 1, opening_fen=opening_fen) for n in range(households)])
        self.writer = writer
        self.passed_s = 0
        self.registers = {n + 1: 1_000_000 for n in range(households)}
        self.set(schema.estate, mode="armed", grace_s=GRACE_S, **site)

    @property
    def now(self) -> Now:
        return at(self.passed_s)

    def wait(self, seconds: int) -> None:
        self.passed_s += seconds

    def set(self, table, where=True, **values: object) -> None:
        self.writer.run(lambda unit: unit.connection.execute(table.update().where(where).values(**values)) and None)

    def set_account(self, number: int, **values: object) -> None:
        self.set(schema.account, schema.account.c.account_id == account_id(number), **values)

    def rows(self, table, *where) -> list[dict[str, object]]:
        query = select(table).where(*where)
        return self.look(lambda connection: [dict(row) for row in connection.execute(query).mappings()])

    def look(self, question):
        """Ask in a unit of its own, so that a stage also works inside one open transaction."""
        return self.writer.run(lambda unit: question(unit.connection))

    def site(self):
        return self.look(lambda connection: dict(get_estate(connection, ESTATE)))

    def supply(self, number: int) -> dict[str, object]:
        [row] = self.rows(schema.supply, schema.supply.c.meter_id == meter_id(number))
        return row

    def balance(self, number: int) -> int:
        [row] = self.rows(schema.account, schema.account.c.account_id == account_id(number))
        return int(row["balance_fen"])

    def wishes(self, number: int) -> list[dict[str, object]]:
        rows = self.rows(schema.relay_desired, schema.relay_desired.c.meter_id == meter_id(number))
        return sorted(rows, key=lambda row: row["gen"])

    def trips(self) -> list[dict[str, object]]:
        return self.rows(schema.relay_desired, schema.relay_desired.c.action == "trip")

    def notices(self, number: int, kind: str) -> list[dict[str, object]]:
        found = schema.notice.c
        return self.rows(schema.notice, found.account_id == account_id(number), found.kind == kind)

    def read(self, number: int, moved_wh: int = 0) -> None:
        self.registers[number] += moved_wh
        item = MeterReading(meter_id(number), self.now.world_s, self.now.machine_ms, self.registers[number])
        self.writer.run(lambda unit: readings.record(unit, ESTATE, [item], self.now))

    def status(self, number: int, status3: int = CLOSED, offset_s: int | None = 0) -> None:
        item = StatusRead(meter_id(number), self.now.world_s, self.now.machine_ms, status3, offset_s)
        self.writer.run(lambda unit: relays.record_status(unit, ESTATE, [item], self.now))

    def charge(self):
        return self.writer.run(lambda unit: billing.charge_due(unit, ESTATE, self.now))

    def decide(self, *, clock_sane: bool = True):
        return self.writer.run(lambda unit: supply.decide(unit, ESTATE, self.now, clock_sane=clock_sane))

    def receive(self, number: int, kind: str = "cut_warning", channel: str = "message") -> None:
        """The household has got its notices of this kind on this channel."""
        for row in self.notices(number, kind):
            if row["channel"] == channel:
                name = str(row["notice_id"])
                self.writer.run(lambda unit, name=name: notices.mark_delivered(unit, ESTATE, name, self.now))

    def pay(self, number: int, amount_fen: int, key: str = "sale-0001"):
        return self.writer.run(
            lambda unit: payments.sell_at_counter(
                unit, ESTATE, account_id(number), amount_fen, actor="cashier", idem_key=key, now=self.now
            )
        )

    def attempt(self, number: int, step: str, gen: int | None = None) -> None:
        gen = int(self.supply(number)["gen"]) if gen is None else gen
        self.writer.run(lambda unit: relays.record_attempt(unit, ESTATE, meter_id(number), gen, step, "", self.now))

    def orders(self, bus_id: str = "bus-1"):
        return self.look(lambda connection: relays.next_orders(connection, ESTATE, bus_id))

    def is_current(self, number: int, gen: int) -> bool:
        return self.look(lambda connection: relays.is_current(connection, ESTATE, meter_id(number), gen))

    def overdraw(self, *numbers: int) -> None:
        """Consume the credit and be warned; the charge is confirmed by a later reading."""
        for number in numbers:
            self.read(number)
        self.wait(900)
        for number in numbers:
            self.read(number, 1000 * (self.balance(number) // FEN_PER_KWH + 2))
        self.charge()
        for number in numbers:
            self.receive(number)

    def be_ready(self, *numbers: int) -> None:
        """Let the grace pass and look at meter and relay again: nothing stands against a cut any more."""
        self.wait(GRACE_S)
        for number in numbers:
            self.read(number)
            self.status(number)
        self.charge()

    def cut(self, *numbers: int) -> None:
        """The whole way to a relay that was read back open."""
        self.overdraw(*numbers)
        self.be_ready(*numbers)
        self.decide()
        for number in numbers:
            assert self.supply(number)["desired"] == "open", self.supply(number)
            self.attempt(number, "sent")
            self.attempt(number, "accepted")
        self.wait(2)
        for number in numbers:
            self.status(number, OPEN)
