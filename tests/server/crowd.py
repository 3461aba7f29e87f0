"""A large estate, planted in bulk: what an import of so many households would write, in seconds."""

from collections.abc import Sequence

from core.tariff import tier_period_start_s
from server.domain.readings import MeterReading, StatusRead
from server.flows import billing, readings, relays
from server.flows.estates import import_estate
from server.flows.money_rules import rules_kept
from server.store import schema
from server.store.bulk import insert_rows
from server.store.ledger import next_batch_seq
from tests.server.estates import ESTATE, MACHINE_MS, SINGLE, START_S, account_id, at, document, meter_id, tariff

METERS_ON_BUS = 64
START_WH = 1_000_000
CHUNK = 5000


def bus_of(number: int) -> str:
    return f"bus-{number // METERS_ON_BUS}"


class Crowd:
    """Households 1..n, `opening_fen` each, armed; time stands still until `wait`."""

    def __init__(self, writer, households: int, opening_fen: int, definition=SINGLE):
        self.writer, self.count, self.passed_s = writer, households, 0
        self.registers = dict.fromkeys(range(1, households + 1), START_WH)
        planned = document([], tariffs=(definition,))
        writer.run(lambda unit: import_estate(unit, planned, at()))
        period = tier_period_start_s(tariff(definition), START_S)
        writer.run(lambda unit: _planted(unit, households, opening_fen, definition["id"], period))
        self.set(schema.estate, mode="armed", grace_s=1200)

    @property
    def now(self):
        return at(self.passed_s)

    def wait(self, seconds: int) -> None:
        self.passed_s += seconds

    def set(self, table, where=True, **values) -> None:
        self.writer.run(lambda unit: unit.connection.execute(table.update().where(where).values(**values)) and None)

    def look(self, question):
        return self.writer.run(lambda unit: question(unit.connection))

    def read(self, moved_wh: dict[int, int]) -> None:
        """Read these households after they used so much more."""
        for number, wh in moved_wh.items():
            self.registers[number] += wh
        now = self.now
        items = [MeterReading(meter_id(n), now.world_s, now.machine_ms, self.registers[n]) for n in moved_wh]
        for start in range(0, len(items), CHUNK):
            part = items[start : start + CHUNK]
            self.writer.run(lambda unit, part=part: readings.record(unit, ESTATE, part, now))

    def status(self, numbers: Sequence[int], status3: int) -> None:
        now = self.now
        items = [StatusRead(meter_id(n), now.world_s, now.machine_ms, status3, 0) for n in numbers]
        for start in range(0, len(items), CHUNK):
            part = items[start : start + CHUNK]
            self.writer.run(lambda unit, part=part: relays.record_status(unit, ESTATE, part, now))

    def look_at(self, numbers: Sequence[int]) -> None:
        """Their status words were read as closed, nothing else has changed."""
        meters = [meter_id(number) for number in numbers]
        for start in range(0, len(meters), CHUNK):
            where = schema.meter_live.c.meter_id.in_(meters[start : start + CHUNK])
            self.set(schema.meter_live, where, status3=0, status3_at=self.now.world_s, clock_offset_s=0)

    def charge(self) -> None:
        while self.writer.run(lambda unit: billing.charge_due(unit, ESTATE, self.now)).meters:
            pass

    def receive_all(self) -> None:
        """Everybody has got the cut warning."""
        found = schema.notice.c
        where = (found.kind == "cut_warning") & (found.delivered_at.is_(None))
        self.set(schema.notice, where, status="delivered", delivered_at=self.now.world_s)


def _plant(connection, households: int, opening_fen: int, tariff_id: str, period: int) -> None:
    numbers = range(1, households + 1)
    insert_rows(
        connection, schema.bus, ("estate_id", "bus_id", "url"),
        [(ESTATE, name, f"/dev/{name}") for name in sorted({bus_of(n) for n in numbers} - {"bus-1"})],
    )  # fmt: skip
    insert_rows(
        connection, schema.account,
        ("estate_id", "account_id", "kind", "room_id", "tariff_id", "balance_fen", "version"),
        [(ESTATE, account_id(n), "household", f"1-{n}", tariff_id, opening_fen, 1) for n in numbers],
    )  # fmt: skip
    insert_rows(
        connection, schema.meter,
        ("estate_id", "meter_id", "bus_id", "account_id", "room_id", "start_wh", "installed_at"),
        [(ESTATE, meter_id(n), bus_of(n), account_id(n), f"1-{n}", START_WH, START_S) for n in numbers],
    )  # fmt: skip
    insert_rows(
        connection, schema.meter_cursor,
        ("estate_id", "meter_id", "install_no", "read_at", "total_wh", "tier_period_start"),
        [(ESTATE, meter_id(n), 1, START_S, START_WH, period) for n in numbers],
    )  # fmt: skip
    for table in (schema.meter_live, schema.supply):
        insert_rows(connection, table, ("estate_id", "meter_id"), [(ESTATE, meter_id(n)) for n in numbers])
    _open_books(connection, households, opening_fen)


def _planted(unit, *crowd) -> None:
    with rules_kept(unit, ESTATE, "import", at()):
        _plant(unit.connection, *crowd)


def _open_books(connection, households: int, opening_fen: int) -> None:
    """A batch for each account."""
    numbers, before = range(1, households + 1), next_batch_seq(connection, ESTATE) - 1
    columns = (
        "estate_id", "batch_seq", "kind", "event_at", "created_ms", "idem_key", "payload_sha256", "lines",
        "turnover_fen",
    )  # fmt: skip
    headers = [
        (ESTATE, before + n, "opening", START_S, MACHINE_MS, f"opening:{account_id(n)}", "", 2, opening_fen)
        for n in numbers
    ]
    insert_rows(connection, schema.batch, columns, headers)
    lines = [
        line
        for n in numbers
        for line in (
            (ESTATE, before + n, 1, account_id(n), opening_fen, opening_fen, 1),
            (ESTATE, before + n, 2, "opening", -opening_fen, -n * opening_fen, n),
        )
    ]
    insert_rows(
        connection, schema.line,
        ("estate_id", "batch_seq", "line_no", "account_id", "amount_fen", "balance_after_fen", "account_version"),
        lines,
    )  # fmt: skip
    total_fen = households * opening_fen
    where = (schema.account.c.estate_id == ESTATE, schema.account.c.account_id == "opening")
    connection.execute(schema.account.update().where(*where).values(balance_fen=-total_fen, version=households))
