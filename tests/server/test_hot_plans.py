"""PostgreSQL's own plans of what is asked again and again, with years of payments and commands in the tables."""

import pytest
from sqlalchemy import event

from server.store import breaker, commands, household, orders, payments, refunds, statistics, supply
from tests.server.estates import ESTATE, MACHINE_MS, START_S, account_id, meter_id, plant

pytestmark = [
    pytest.mark.ci,
    pytest.mark.parametrize("backend", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]
ROWS = 60_000
DAY_S = START_S - 86_400
LONG = ("payment_order", "payment", "relay_desired", "relay_attempt", "audit", "callback_inbox")
FILLED = (
    """INSERT INTO payment_order (estate_id, order_no, account_id, amount_fen, provider, channel, status, created_ms,
    created_at, paid_ms, payment_id, actor, confirmed_ms, powered_off) SELECT '{e}', 'o' || i, 'H' || i % 5000, 5000,
    'sandbox', 'counter', CASE WHEN i % 3000 = 0 THEN 'created' ELSE 'paid' END, {ms} - i * 60000, {s} - i * 60,
    {ms} - i * 60000, 'p' || i, 'till-' || i % 9, CASE WHEN i % 20 = 0 THEN {ms} END, (i % 20 = 0)::int
    FROM generate_series(1::bigint, {n}) AS i""",
    """INSERT INTO payment (estate_id, payment_id, provider, transaction_id, order_no, account_id, amount_fen,
    batch_seq, event_at, created_ms, state) SELECT '{e}', 'p' || i, 'sandbox', 't' || i, 'o' || i, 'H' || i % 5000,
    5000, 1, {s} - i * 60, {ms} - i * 60000, 'credited' FROM generate_series(1::bigint, {n}) AS i""",
    """INSERT INTO relay_desired (estate_id, meter_id, gen, state, action, reason, decided_at, created_ms, expires_at)
    SELECT '{e}', i % 5000, i / 5000, 'open', CASE WHEN i % 2 = 0 THEN 'trip' ELSE 'allow' END, 'arrears',
    {s} - i * 300, {ms} - i * 300000, 0 FROM generate_series(1::bigint, {n}) AS i""",
    """INSERT INTO relay_attempt (estate_id, meter_id, gen, step_no, step, world_at, created_ms)
    SELECT '{e}', i % 5000, i / 5000, 1, 'sent', {s} - i * 300, {ms} - i * 300000
    FROM generate_series(1::bigint, {n}) AS i""",
    """INSERT INTO audit (estate_id, audit_id, actor, verb, subject, world_at, created_ms)
    SELECT '{e}', i, 'anna', 'x', 'y', {s} - i, {ms} - i FROM generate_series(1::bigint, {n}) AS i""",
    """INSERT INTO callback_inbox (estate_id, provider, event_id, body, verdict, received_ms)
    SELECT '{e}', 'sandbox', i, '', 'booked', {ms} - i * 60000 FROM generate_series(1::bigint, {n}) AS i""",
    "ANALYZE",
)
ASKED = {
    "top-ups of today": lambda conn: statistics.topups(conn, ESTATE, DAY_S),
    "pay to power": lambda conn: statistics.pay_to_power_ms(conn, ESTATE, DAY_S),
    "newest commands": lambda conn: statistics.recent_commands(conn, ESTATE),
    "newest commands with their steps": lambda conn: commands.newest_commands(conn, ESTATE, limit=20),
    "newest acts": lambda conn: statistics.recent_audit(conn, ESTATE),
    "cuts of a day": lambda conn: statistics.trips_since(conn, ESTATE, DAY_S),
    "the till": lambda conn: statistics.till(conn, ESTATE, "till-1", DAY_S),
    "what a cashier took": lambda conn: payments.taken_by(conn, ESTATE, "till-1", DAY_S),
    "the last sale": lambda conn: refunds.newest_sale(conn, ESTATE, "till-1"),
    "payments of a household": lambda conn: household.payments(conn, ESTATE, account_id(1)),
    "commands of a meter": lambda conn: household.relay_history(conn, ESTATE, meter_id(1)),
    "orders that wait": lambda conn: payments.open_orders(conn, ESTATE, limit=50),
    "newest payments": lambda conn: refunds.find_payments(conn, ESTATE, "", limit=50),
    "a payment by its number": lambda conn: refunds.find_payments(conn, ESTATE, "t777", limit=50),
    "suspense": lambda conn: refunds.suspense(conn, ESTATE, limit=50),
    "unfinished commands": lambda conn: supply.unfinished_orders(conn, ESTATE, "bus-1", MACHINE_MS),
    "facts of a decision": lambda conn: supply.trip_candidates(conn, ESTATE, [account_id(1)], START_S, clock_sane=True),
    "payments under way": lambda conn: breaker.payments_under_way(conn, ESTATE, [account_id(1)], MACHINE_MS),
    "messages of an hour": lambda conn: breaker.news_of_payments(conn, ESTATE, MACHINE_MS),
    "the clock of a payment": lambda conn: orders.mark_power_permitted(conn, ESTATE, account_id(1), MACHINE_MS),
}


@pytest.fixture
def grown(writer, engine):
    plant(writer, 3)
    with engine.begin() as connection:
        for text in FILLED:
            connection.exec_driver_sql(text.format(e=ESTATE, ms=MACHINE_MS, s=START_S, n=ROWS).replace("%", "%%"))
    return engine


def test_no_long_table_is_read_from_end_to_end(grown):
    asked, walks = [], []

    @event.listens_for(grown, "before_cursor_execute")
    def note(_connection, _cursor, text, parameters, _context, _many):
        asked.append((text, parameters))

    for name, ask in ASKED.items():
        with grown.connect() as connection:
            asked.clear()
            ask(connection)
            for text, parameters in asked.copy():  # the plan is asked for, too
                plan = connection.exec_driver_sql(f"EXPLAIN {text}", parameters).scalars().all()
                walks += [(name, step.strip()) for step in plan if "Seq Scan" in step and _is_long(step)]
    assert walks == []


def _is_long(step):
    return any(f" on {table} " in step for table in LONG)
