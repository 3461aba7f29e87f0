"""A bill as page and as JSON: for the staff every one, for residents their own; the words in both languages."""

import pytest

from core.tariff import tariff_from_dict
from server.domain.readings import MeterReading
from server.flows.billing import charge_due
from server.flows.readings import record
from server.store import schema
from server.store.tariffs import save_tariff
from tests.server.estates import SINGLE
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S


@pytest.fixture
def billed(web):
    """Household A1 has used 2.00 kWh within the last hour."""

    def charge(unit):
        save_tariff(unit.connection, ESTATE, tariff_from_dict(SINGLE), MACHINE_MS)
        for name in ("revenue", "cash"):
            unit.connection.execute(schema.account.insert().values(estate_id=ESTATE, account_id=name, kind=name))
        unit.connection.execute(schema.account.update().values(tariff_id="single"))
        unit.connection.execute(
            schema.meter_cursor.insert().values(
                estate_id=ESTATE, meter_id="000000000001", install_no=1, read_at=WORLD_S - 3600, total_wh=0,
                tier_period_start=0,
            )
        )  # fmt: skip
        unit.connection.execute(schema.meter.update().values(installed_at=WORLD_S - 3600))
        unit.connection.execute(schema.meter_live.update().values(total_wh=None, reading_at=None))
        record(unit, ESTATE, [MeterReading("000000000001", WORLD_S - 60, MACHINE_MS, 2000)], web.clock.now())
        charge_due(unit, ESTATE, web.clock.now(), meter_ids=["000000000001"])

    web.state.writer.run(charge)
    return web


@pytest.fixture
def billed_twice(billed):
    """It has the meter of its neighbour, too, which has used 205.00 kWh."""

    def charge(unit):
        unit.connection.execute(schema.meter.update().values(account_id="A1", max_power_w=1_000_000))
        unit.connection.execute(
            schema.meter_cursor.insert().values(
                estate_id=ESTATE, meter_id="000000000002", install_no=1, read_at=WORLD_S - 3600, total_wh=0,
                tier_period_start=0,
            )
        )  # fmt: skip
        record(unit, ESTATE, [MeterReading("000000000002", WORLD_S - 60, MACHINE_MS, 205_000)], billed.clock.now())
        charge_due(unit, ESTATE, billed.clock.now(), meter_ids=["000000000002"])

    billed.state.writer.run(charge)
    return billed


@pytest.mark.parametrize("name", ["A1:1", "A1:2026-10-13", "A1:2026-10", "A1"])
def test_the_staff_and_the_resident_see_it_worked_out(billed, name):
    for role, path in (("operator", "/bills/"), ("cashier", "/bills/"), ("resident", "/me/bills/")):
        client = billed.signed_in(role)
        for language, words in (("en", "every figure is as booked"), ("zh_CN", "各项与入账一致")):
            client.cookies.set("estate645_language", language)
            page = client.get(path + name)
            assert page.status_code == 200, page.text[:400]
            assert words in page.text
            assert "0.58886875" in page.text


def test_the_api_tells_figures_and_words(billed):
    found = billed.signed_in("resident").get("/api/v1/bills/A1:1").json()
    (line,) = found["lines"]
    assert (line["line"], line["amount_fen"], line["charge"]["charge_nf"]) == ("A1:1", -118, str(2000 * 58_886_875))
    assert found["differences"] == []
    assert any("2.00 kWh × 0.58886875" in text for text in line["words"])


def test_a_residents_neighbour_has_no_bills(billed):
    client = billed.signed_in("resident")
    for path in ("/api/v1/bills/A2:1", "/me/bills/A2:1", "/me/bills/A2", "/api/v1/bills/revenue:1"):
        assert client.get(path).status_code == 404, path
    assert client.get("/bills/A1:1").status_code == 403


def test_pages_lead_from_the_ledger_to_its_bills(billed):
    assert 'href="/bills/A1:1"' in billed.signed_in("operator").get("/households/A1").text
    assert 'href="/me/bills/A1:2026-10-13"' in billed.signed_in("resident").get("/me/bills").text


def test_a_bill_that_differs_is_said_on_the_page(billed):
    connection = billed.state.engine.raw_connection()
    connection.execute("DROP TRIGGER line_no_UPDATE")
    connection.execute("UPDATE line SET charge_nf = charge_nf + 1 WHERE account_id = 'A1'")
    connection.commit()
    connection.close()
    assert "1 项与入账不一致" in billed.signed_in("resident").get("/me/bills/A1:1").text
    assert billed.signed_in("operator").get("/api/v1/bills/A1:1").json()["differences"][0]["what"] == "charge_nf"


def test_bills_and_ledger_of_a_household_of_several_meters_name_the_meter_of_each_line(billed_twice):
    client = billed_twice.signed_in("operator")
    day, first, second = (client.get(f"/bills/{name}").text for name in ("A1:2026-10-13", "A1:1", "A1:2"))
    for page in (day, client.get("/households/A1").text.split('id="ledger"')[1].split("</section>")[0]):
        assert "0000 0000 0001" in page
        assert "0000 0000 0002" in page
    assert ("0000 0000 0001" in first, "0000 0000 0002" in first) == (True, False)
    assert ("0000 0000 0001" in second, "0000 0000 0002" in second) == (False, True)


def test_tiers_are_told_of_each_meter_and_the_price_as_a_range(billed_twice):
    client = billed_twice.signed_in("resident")
    client.cookies.set("estate645_language", "en")
    page = client.get("/me").text
    assert "207.00 kWh" in page
    assert "Each meter has tiers of its own." in page
    assert "¥0.5889–0.6389" in page


def test_a_statement_of_several_meters_names_each(billed_twice):
    billed_twice.clock.move(20 * 86_400)
    operator = billed_twice.signed_in("operator")
    form = {"reason": "a test of names"}
    answer = operator.post("/closing/month/2026-10", data=form, headers=billed_twice.csrf("operator"))
    assert answer.status_code == 303, answer.text
    assert "0000 0000 0001, 0000 0000 0002" in operator.get("/statements/A1/2026-10").text
