"""A large estate in seconds: what an import of so many households writes, written in bulk."""

from bench.deduct_tick import ESTATE, START_S, estate_document
from core.tariff import tier_period_start_s
from server.clock import Now
from server.domain.ledger import OPENING, Line
from server.flows.estates import import_estate
from server.flows.money_rules import rules_kept
from server.store import ledger, schema
from server.store.bulk import Bundle
from server.store.unit import Unit

OPENING_FEN = 50_000


def plant(unit: Unit, households: int) -> None:
    """An estate of so many households with an opening balance each; the first is imported, the rest are its copies."""
    document = estate_document(1)
    import_estate(unit, document, Now(START_S, START_S * 1_000))
    if households == 1:
        return
    numbers = range(2, households + 1)
    period = tier_period_start_s(document.tariffs[0], START_S)
    bundle = Bundle()
    bundle.insert(
        schema.room, ("estate_id", "room_id", "building_id", "floor", "door"),
        [(ESTATE, f"1-{n:05d}", "1", 1, f"{n:05d}") for n in numbers],
    )  # fmt: skip
    bundle.insert(
        schema.account, ("estate_id", "account_id", "kind", "room_id", "tariff_id", "balance_fen", "version"),
        [(ESTATE, f"H{n:05d}", "household", f"1-{n:05d}", "single", OPENING_FEN, 1) for n in numbers],
    )  # fmt: skip
    bundle.insert(
        schema.meter, ("estate_id", "meter_id", "bus_id", "account_id", "room_id", "start_wh", "installed_at"),
        [(ESTATE, f"{n:012d}", "bus-1", f"H{n:05d}", f"1-{n:05d}", 0, START_S) for n in numbers],
    )  # fmt: skip
    bundle.insert(
        schema.meter_cursor, ("estate_id", "meter_id", "install_no", "read_at", "total_wh", "tier_period_start"),
        [(ESTATE, f"{n:012d}", 1, START_S, 0, period) for n in numbers],
    )  # fmt: skip
    for table in (schema.meter_live, schema.supply):
        bundle.insert(table, ("estate_id", "meter_id"), [(ESTATE, f"{n:012d}") for n in numbers])
    _open(unit, bundle, numbers)
    with rules_kept(unit, ESTATE, "import", Now(START_S, START_S * 1_000)):
        bundle.send(unit.connection)


def _open(unit: Unit, bundle: Bundle, numbers: range) -> None:
    """The opening balances of all but the first household, each in a batch of its own."""
    opening = ledger.accounts_by_id(unit.connection, ESTATE, [OPENING])[OPENING]
    balance_fen, version = opening["balance_fen"], opening["version"]
    batches = []
    for seq, n in enumerate(numbers, ledger.next_batch_seq(unit.connection, ESTATE)):
        name = f"H{n:05d}"
        balance_fen, version = balance_fen - OPENING_FEN, version + 1
        header = (seq, "opening", START_S, START_S * 1_000, f"opening:{name}", "", 2, OPENING_FEN, "system", "")
        lines = [Line(1, name, OPENING_FEN, OPENING_FEN, 1), Line(2, OPENING, -OPENING_FEN, balance_fen, version)]
        batches.append((header, lines))
    ledger.append(bundle, ESTATE, batches)
    row = (balance_fen, version, ESTATE, OPENING)
    bundle.update(schema.account, ("balance_fen", "version"), ("estate_id", "account_id"), [row])
