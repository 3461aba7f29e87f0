"""Closing at the console and by API, statements and receipts: page and PDF, both languages, own ones only."""

import re

import pytest

from server.flows.fees import post_fee
from server.flows.payments import sell_at_counter
from server.store import schema
from server.web.paper import Block, Column, Paper, marked_up, pdf_of
from tests.server.books import post_topup
from tests.server.web.conftest import ESTATE, WORLD_S

DAYS = 86_400
MONTH = "2026-10"


@pytest.fixture
def closed(web):
    """October with a sale, a late opening balance and a fee, closed on 2 November; the payment's id."""
    now = web.clock.now()
    web.state.writer.run(
        lambda unit: sell_at_counter(unit, ESTATE, "A1", 12_345, actor="cashier", idem_key="k" * 8, now=now)
    )
    web.state.writer.run(
        lambda unit: post_topup(
            unit, ESTATE, "A2", 500, provider="cash", idem_key="a2", event_at=WORLD_S, actor="c", now=now
        )
    )
    web.state.writer.run(
        lambda unit: post_fee(
            unit, ESTATE, "A1", "property", 2_000, idem_key="fee", event_at=WORLD_S, actor="c", memo="十月", now=now
        )
    )
    web.clock.move(20 * DAYS)
    operator = web.signed_in("operator")
    answer = operator.post(f"/closing/month/{MONTH}", data={"reason": ""}, headers=web.csrf("operator"))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/closing/month/{MONTH}")
    return web.rows(schema.payment.select())[0]["payment_id"]


def test_the_console_closes_a_month_once_and_shows_it(web, closed):
    operator = web.signed_in("operator")
    again = operator.post(f"/closing/month/{MONTH}", data={}, headers=web.csrf("operator"))
    assert again.status_code == 303
    assert len(web.rows(schema.settlement.select())) == 1
    page = operator.get(f"/closing/month/{MONTH}").text
    assert "1-101" in page
    assert "123.45" in page
    listed = operator.get("/closing").text
    assert f"/closing/month/{MONTH}" in listed
    assert "2026-11" not in re.findall(r'action="/closing/month/([^"]+)"', listed)  # November has not ended


def test_a_period_in_doubt_asks_for_the_reason(web):
    web.execute(schema.tariff.insert().values(
        estate_id=ESTATE, tariff_id="t", name="t", created_ms=0,
        definition='{"id": "t", "name": "t", "versions": [{"valid_from": "2020-01-01", "price": "0.5"}]}',
    ))  # fmt: skip
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(tariff_id="t"))
    now = web.clock.now()
    web.state.writer.run(
        lambda unit: sell_at_counter(unit, ESTATE, "A1", 100, actor="cashier", idem_key="k" * 8, now=now)
    )
    web.clock.move(20 * DAYS)
    operator, headers = web.signed_in("operator"), web.csrf("operator")
    operator.cookies.set("estate645_language", "en")
    page = operator.get("/closing").text
    assert "1 meter is not charged up to the end" in page
    assert 'name="reason" required' in page
    assert operator.post(f"/closing/month/{MONTH}", data={"reason": ""}, headers=headers).status_code == 422
    answer = operator.post(f"/closing/month/{MONTH}", data={"reason": "meter in repair"}, headers=headers)
    assert answer.status_code == 303
    assert "meter in repair" in operator.get("/closing").text


def test_the_api_closes_and_tells_sums(web):
    web.clock.move(20 * DAYS)
    operator, headers = web.signed_in("operator"), web.csrf("operator")
    first = operator.post(f"/api/v1/settlements/month/{MONTH}", json={}, headers=headers)
    assert first.status_code == 200
    assert operator.post(f"/api/v1/settlements/month/{MONTH}", json={}, headers=headers).json() == first.json()
    listed = operator.get("/api/v1/settlements/month").json()
    assert [one["period"] for one in listed["closed"]] == [MONTH]
    assert (listed["next"]["period"], listed["next"]["over"]) == ("2026-11", False)
    assert operator.get(f"/api/v1/settlements/month/{MONTH}").json()["hash"] == first.json()["hash"]
    for path in ("year", "month/2026-09", "day/2026-10-13", "month/2026-09/accounts"):
        assert operator.get(f"/api/v1/settlements/{path}").status_code == 404
    reader = web.signed_in("reader")
    assert reader.post("/api/v1/settlements/month/2026-11", json={}, headers=web.csrf("reader")).status_code == 403


def test_accounts_of_a_closed_month_page_by_page_and_as_csv(web, closed):
    reader = web.signed_in("reader")
    found, cursor = [], ""
    while True:
        page = reader.get(f"/api/v1/settlements/month/{MONTH}/accounts?limit=2&cursor={cursor}").json()
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert sorted(one["account_id"] for one in found) == ["A1", "A1:property", "A2", "cash", "revenue:property"]
    assert sum(one["closing_fen"] for one in found) == 0
    [home] = [one for one in found if one["account_id"] == "A1"]
    assert (home["room_id"], home["by_kind"], home["charge_nf"]) == ("1-101", {"topup": 12_345}, "0")
    assert "A1,1-101,0,12345" in reader.get(f"/api/v1/settlements/month/{MONTH}/accounts.csv").text


@pytest.mark.parametrize(("language", "words"), [
    ("en", ("Electricity statement, Oct 2026", "Balance at the end", "Property fees")),
    ("zh_CN", ("2026年10月电费对账单", "充值", "物业费")),
])  # fmt: skip
def test_a_resident_reads_the_own_statement_in_both_languages(web, closed, language, words):
    resident = web.signed_in("resident")
    resident.cookies.set("estate645_language", language)
    assert f"/statements/A1/{MONTH}" in resident.get("/me/bills").text
    page = resident.get(f"/statements/A1/{MONTH}")
    assert page.status_code == 200
    assert [word for word in (*words, "123.45", "十月") if word not in page.text] == []
    file = resident.get(f"/statements/A1/{MONTH}.pdf")
    assert (file.headers["content-type"], file.content[:5]) == ("application/pdf", b"%PDF-")
    assert f'filename="statement-A1-{MONTH}.pdf"' in file.headers["content-disposition"]


def test_a_receipt_is_for_the_household_and_the_staff(web, closed):
    for role in ("resident", "cashier", "operator", "reader"):
        client = web.signed_in(role)
        assert "¥123.45" in client.get(f"/receipts/A1/{closed}").text
        assert client.get(f"/receipts/A1/{closed}.pdf").content[:5] == b"%PDF-"
        assert client.get(f"/receipts/A2/{closed}").status_code == 404
    assert f"/receipts/A1/{closed}" in web.signed_in("resident").get("/me/bills").text
    assert f"/receipts/A1/{closed}" in web.signed_in("operator").get("/households/A1").text


FOREIGN = [f"/statements/A2/{MONTH}", f"/statements/A2/{MONTH}.pdf", "/api/v1/households/A2/statements",
           f"/api/v1/households/A2/statements/{MONTH}"]  # fmt: skip


@pytest.mark.parametrize("path", FOREIGN)
def test_a_neighbours_statement_does_not_exist(web, closed, path):
    resident = web.signed_in("resident")
    assert resident.get(path).status_code == 404
    assert resident.get(path.replace("A2", "A1")).status_code == 200
    assert web.signed_in("operator").get(path).status_code == 200


def test_a_receipt_marks_a_balance_that_rests_on_an_estimated_register(web, closed):
    reader = web.signed_in("operator")
    reader.cookies.set("estate645_language", "en")
    told = {
        "estate_id": ESTATE,
        "account_id": "A1",
        "status": "left",
        "meter_id": "000000000001",
        "reason": "r",
        "actor": "olga",
    }
    paid = web.rows(schema.payment.select())[0]["event_at"]
    how = "estimated: 5230 Wh in 86400 s without readings, as 5230 Wh in the 86400 s before"
    acts = (("moved_out", how, "5.23 kWh"), ("final_corrected", "5230 Wh were estimated; -1 fen", ""))
    assert "Balance afterwards (est.)" not in reader.get(f"/receipts/A1/{closed}").text
    for number, (act, detail, said) in enumerate(acts, 90):
        event = {**told, "event_no": number, "act": act, "detail": detail, "world_at": paid - 1, "created_ms": 0}
        web.execute(schema.account_event.insert().values(**event))
        page = reader.get(f"/receipts/A1/{closed}").text
        assert ("Balance afterwards (est.)" in page, "estimated: 5.23 kWh" in page) == (bool(said), bool(said))


def test_who_has_moved_out_still_gets_statement_and_receipt(web, closed):
    web.execute(schema.meter.update().where(schema.meter.c.account_id == "A1").values(account_id=None))
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(status="closed"))
    operator = web.signed_in("operator")
    assert "123.45" in operator.get(f"/statements/A1/{MONTH}").text
    assert operator.get(f"/receipts/A1/{closed}.pdf").status_code == 200
    assert [one["period"] for one in operator.get("/api/v1/households/A1/statements").json()] == [MONTH]
    assert f"/statements/A1/{MONTH}" in operator.get("/accounts/A1").text
    for strange in ("cash", "A1:property", "nobody"):  # system accounts have no statements
        assert operator.get(f"/statements/{strange}/{MONTH}").status_code == 404


def test_a_statement_as_json_has_every_line_and_each_ledger(web, closed):
    own = web.signed_in("resident").get(f"/api/v1/households/A1/statements/{MONTH}").json()
    assert [(one["ledger"], one["opening_fen"], one["closing_fen"]) for one in own["ledgers"]] == [
        ("electricity", 0, 12_345), ("property", 0, -2_000),
    ]  # fmt: skip
    assert [(one["kind"], one["amount_fen"], one["late"]) for one in own["lines"]] == [
        ("topup", 12_345, False), ("fee", -2_000, False),
    ]  # fmt: skip
    assert web.signed_in("resident").get("/api/v1/households/A1/statements/2026-09").status_code == 404


def paper(text):
    return Paper(
        "x", text, "翠湖苑", (("房号", "1 栋 101"),), (Block(text, (Column("项目"), Column("元", figures=True)),
                                                       (("充值 <b>&", "−¥1.00"),), sums=1),)
    )  # fmt: skip


def test_chinese_is_set_in_a_font_that_every_reader_of_pdf_has():
    file = pdf_of(paper("电费账单"), compressed=False)
    assert b"STSong-Light" in file
    assert b"UniGB-UCS2-H" in file
    shown = "电费账单".encode("utf-16-be")
    escaped = b"".join(
        bytes([byte]) if 32 <= byte < 127 and byte not in b"()\\" else b"\\%03o" % byte for byte in shown
    )
    assert escaped in file or shown in file
    assert file == pdf_of(paper("电费账单"), compressed=False)


def test_what_latin_fonts_have_stays_in_them():
    assert marked_up("−¥1.00 <b>") == "-¥1.00 &lt;b&gt;"
    assert marked_up("房 1-101") == '<font name="STSong-Light">房</font> 1-101'


def test_a_long_table_begins_on_the_page_of_what_is_before_it():
    """A table goes on over pages; it is not moved to the next one whole, which leaves half of this one empty."""
    columns = (Column("Day"), Column("yuan", figures=True))
    tables = [Block(name, columns, (("one", "1.00"),) * rows) for name, rows in (("first", 20), ("second", 30))]
    file = pdf_of(Paper("x", "y", "z", (("a", "b"),), tuple(tables)), compressed=False)
    first_page = file[: file.index(b"(second)")]
    assert first_page.count(b"stream") == file.count(b"stream", 0, file.index(b"(first)"))
