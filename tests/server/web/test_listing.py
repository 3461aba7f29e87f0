"""Pages of rows on both databases: in order, after the cursor, of this estate alone."""

from server.store import listing, schema
from tests.server.web.conftest import ESTATE, MACHINE_MS, SECRET, WORLD_S, seed


def filled(engine):
    conn = engine.connect()
    seed(conn)
    for number in range(4):
        conn.execute(
            schema.reading.insert().values(
                estate_id=ESTATE, read_at=WORLD_S + number, meter_id="000000000001", install_no=1,
                received_ms=MACHINE_MS, total_wh=number * 10, verdict="accepted",
            )
        )  # fmt: skip
        conn.execute(
            schema.anomaly_case.insert().values(
                estate_id=ESTATE, case_id=f"c{number}", kind="silent", subject="000000000001", severity="warning",
                evidence="{}", opened_at=WORLD_S, opened_ms=MACHINE_MS, status="open" if number else "closed",
            )
        )  # fmt: skip
        conn.execute(
            schema.batch.insert().values(
                estate_id=ESTATE, batch_seq=number, kind="topup", event_at=WORLD_S, created_ms=MACHINE_MS,
                idem_key=str(number), payload_sha256="", lines=2, turnover_fen=100,
            )
        )  # fmt: skip
        conn.execute(
            schema.line.insert().values(
                estate_id=ESTATE, batch_seq=number, line_no=1, account_id="A1", amount_fen=100,
                balance_after_fen=100 * number, account_version=number + 1,
            )
        )  # fmt: skip
    return conn


def test_every_list_goes_on_after_its_cursor(engine):
    with filled(engine) as conn:
        assert listing.household_ids(conn, ESTATE, after="", limit=5) == ["A1", "A2"]
        assert listing.household_ids(conn, ESTATE, after="A1", limit=5) == ["A2"]
        assert listing.household_ids(conn, ESTATE, after="", limit=1) == ["A1"]
        meter = "000000000001"
        newest = listing.readings(conn, ESTATE, meter, before=None, limit=2)
        older = listing.readings(conn, ESTATE, meter, before=newest[-1]["read_at"], limit=2)
        assert [row["total_wh"] for row in (*newest, *older)] == [30, 20, 10, 0]
        lines = listing.ledger_lines(conn, ESTATE, "A1", before=3, limit=9)
        assert [(row["account_version"], row["kind"]) for row in lines] == [(2, "topup"), (1, "topup")]
        cases = listing.cases(conn, ESTATE, statuses=("open",), after="c1", limit=9)
        assert [row["case_id"] for row in cases] == ["c2", "c3"]


def test_another_estate_sees_nothing(engine):
    with filled(engine) as conn:
        assert listing.household_ids(conn, "other", after="", limit=5) == []
        assert listing.readings(conn, "other", "000000000001", before=None, limit=5) == []
        assert listing.ledger_lines(conn, "other", "A1", before=None, limit=5) == []
        assert listing.cases(conn, "other", statuses=("open",), after="", limit=5) == []
        assert listing.supply_decisions(conn, "other", limit=5) == []
        assert listing.client(conn, "other", "partner") is None
        found = listing.client(conn, ESTATE, "partner")
        assert found is not None
        assert found["secret"] == SECRET
