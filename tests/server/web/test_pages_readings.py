"""The reading centre: held readings are released or voided with a reason, and meters are exchanged, by page and API."""

import pytest

from core.tariff import tariff_from_dict
from server.store import schema
from server.store.tariffs import save_tariff
from server.web.operator.readings import by_meter
from tests.server.estates import BY_RATES, SINGLE
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

METER = "000000000001"
HELD_AT = WORLD_S + 900


@pytest.fixture
def held(web):
    """A reading far above the accepted register of household A1, which has a tariff and a cursor at its start."""
    web.state.writer.run(lambda unit: save_tariff(unit.connection, ESTATE, tariff_from_dict(SINGLE), MACHINE_MS))
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(tariff_id=SINGLE["id"]))
    web.execute(schema.meter.update().where(schema.meter.c.meter_id == METER).values(start_wh=5000))
    web.execute(
        schema.meter_live.update().where(schema.meter_live.c.meter_id == METER).values(
            reading_at=WORLD_S, reading_ms=MACHINE_MS
        )
    )  # fmt: skip
    common = {"estate_id": ESTATE, "meter_id": METER, "install_no": 1, "received_ms": MACHINE_MS}
    for at, wh, verdict in ((WORLD_S, 5000, "accepted"), (HELD_AT, 900_000, "jump")):
        web.execute(
            schema.reading.insert().values(
                read_at=at, total_wh=wh, verdict=verdict, reason="895000 Wh forward, at most 3970 Wh are plausible",
                rules=2, **common,
            )
        )  # fmt: skip
    web.execute(
        schema.meter_cursor.insert().values(
            estate_id=ESTATE, meter_id=METER, install_no=1, read_at=WORLD_S, total_wh=5000, tier_period_start=WORLD_S
        )
    )
    web.clock.move(1800)
    return web


def verdict(web):
    query = schema.reading.select().where(schema.reading.c.read_at == HELD_AT)
    return web.rows(query)[0]["verdict"]


def test_the_page_shows_what_is_held_and_why(held):
    client = held.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get("/readings").text
    assert "held: jump" in page
    assert "895.00 kWh forward, at most 3.97 kWh are plausible" in page
    assert "1-101" in page
    assert "/release" not in held.signed_in("reader").get("/readings").text


def test_the_home_of_the_staff_counts_what_is_held_at_most_ten_seconds_late(held):
    client = held.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    assert "1 meter has held readings" in client.get("/today").text
    client.post(f"/readings/{METER}/{HELD_AT}/void", data={"reason": "seen"}, headers=held.csrf("operator"))
    held.clock.move(10)
    assert "has held" not in client.get("/today").text


def test_of_each_meter_the_newest_held_reading_stands_first():
    rows = [{"meter_id": meter, "read_at": at} for meter, at in (("1", 9), ("2", 8), ("1", 7), ("1", 6))]
    newest, older = by_meter(rows)
    assert ([row["read_at"] for row in newest], [row["read_at"] for row in older]) == ([9, 8], [7, 6])


def test_what_ran_backwards_is_offered_to_be_voided_only(held):
    backwards = HELD_AT + 900
    held.execute(
        schema.reading.insert().values(
            estate_id=ESTATE, meter_id=METER, install_no=1, received_ms=MACHINE_MS, read_at=backwards, total_wh=4000,
            verdict="backwards", reason="1000 Wh backwards: reset or replacement suspected", rules=2,
        )
    )  # fmt: skip
    page = held.signed_in("operator").get("/readings").text
    assert f"/readings/{METER}/{HELD_AT}/release" in page
    assert f"/readings/{METER}/{backwards}/release" not in page
    assert f"/readings/{METER}/{backwards}/void" in page


def test_a_reading_that_counts_is_taken_back_from_its_page_and_by_the_api(held):
    client = held.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get(f"/readings/{METER}/{WORLD_S}")
    assert page.status_code == 200
    assert "No charge went by it" in page.text
    assert held.signed_in("reader").get(f"/readings/{METER}/{WORLD_S}").status_code == 403
    path = f"/api/v1/readings/{METER}/{WORLD_S}/void"
    answer = client.post(path, json={"reason": "a wrong digit"}, headers=held.csrf("operator"))
    assert answer.json() == {"verdict": "voided", "approval_id": ""}
    assert client.post(path, json={"reason": "again"}, headers=held.csrf("operator")).status_code == 409
    assert client.get(f"/readings/{METER}/77").status_code == 404
    assert client.get(f"/readings/{METER}/{HELD_AT}").status_code == 409  # held, and settled on the other page


@pytest.mark.parametrize(("act", "after"), [("release", "released"), ("void", "voided")])
def test_a_person_decides_on_the_page(held, act, after):
    client = held.signed_in("operator")
    path = f"/readings/{METER}/{HELD_AT}/{act}"
    answer = client.post(path, data={"reason": "seen on site"}, headers=held.csrf("operator"))
    assert answer.status_code == 303
    assert verdict(held) == after
    client.cookies.set("estate645_language", "en")
    assert "seen on site" in client.get("/readings").text


def test_the_api_lists_releases_and_says_what_counts(held):
    client = held.signed_in("operator")
    [one] = client.get("/api/v1/readings/held").json()
    assert (one["read_at"], one["verdict"], one["accepted_wh"], one["final_wh"]) == (HELD_AT, "jump", 5000, None)
    path = f"/api/v1/readings/{METER}/{HELD_AT}/release"
    assert client.post(path, json={"reason": ""}, headers=held.csrf("operator")).status_code == 422
    answer = client.post(path, json={"reason": "seen"}, headers=held.csrf("operator"))
    assert answer.json() == {"verdict": "released", "approval_id": ""}
    listed = client.get("/api/v1/households/A1/readings").json()["items"]
    assert [(row["verdict"], row["final_wh"], row["rules"]) for row in listed] == [
        ("released", 900_000, 2), ("accepted", 5000, 2),
    ]  # fmt: skip
    assert client.get("/api/v1/readings/held").json() == []


def test_the_api_exchanges_a_meter_and_lists_it(held):
    client = held.signed_in("operator")
    body = {"final_wh": 5000, "new_meter_id": "000000000077", "start_wh": 120, "reason": "worn out"}
    answer = client.post(f"/api/v1/meters/{METER}/replace", json=body, headers=held.csrf("operator"))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["new_meter_id"], answer.json()["install_no"]) == ("000000000077", 1)
    [kept] = client.get("/api/v1/exchanges").json()
    assert (kept["kind"], kept["old_meter_id"], kept["reason"]) == ("replacement", METER, "worn out")
    ratio = {"ratio": 30, "reason": "transformers"}
    answer = client.post("/api/v1/meters/000000000077/ratio", json=ratio, headers=held.csrf("operator"))
    assert answer.json()["install_no"] == 2


def test_the_form_takes_kwh_as_people_write_them(held):
    client = held.signed_in("operator")
    data = {"final_kwh": "5", "new_meter_id": "77", "start_kwh": "0.12", "reason": "worn out"}
    answer = client.post("/households/A1/replace", data=data, headers=held.csrf("operator"))
    assert answer.status_code == 303, answer.text
    [kept] = held.rows(schema.exchange.select())
    assert (kept["final_wh"], kept["start_wh"], kept["new_meter_id"]) == (5000, 120, "000000000077")
    answer = client.post("/households/A1/ratio", data={"new_ratio": "30", "reason": "x"}, headers=held.csrf("operator"))
    assert answer.status_code == 303, answer.text
    bad = client.post("/households/A1/replace", data={**data, "final_sharp": "1"}, headers=held.csrf("operator"))
    assert bad.status_code in (400, 409, 422)


def test_bits_of_the_status_word_that_have_no_name_are_shown_raw(web):
    web.execute(
        schema.meter_live.update().where(schema.meter_live.c.meter_id == METER).values(
            status3=0x0450, status3_at=WORLD_S
        )
    )  # fmt: skip
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get("/households/A1").text
    assert "0450" in page
    assert "relay open, relay commanded open" in page
    assert "bits without a name: 0400" in page
    assert client.get("/api/v1/households/A1").json()["status3"] == 0x0450


@pytest.mark.parametrize(
    ("language", "said"), [("zh_CN", "之前的读数已归档"), ("en", "are archived; the energy of days")]
)
def test_the_page_and_the_api_say_that_older_readings_are_archived(web, language, said):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    path = "/api/v1/households/A1/readings"
    assert said not in client.get("/households/A1").text
    assert client.get(path).json()["archived_until"] is None
    texts = dict.fromkeys(("file", "file_sha256", "rows_sha256", "actor"), "")
    span = {"month": "2026-08", "from_at": WORLD_S - 90 * 86_400, "to_at": WORLD_S - 60 * 86_400, "readings": 9}
    web.execute(
        schema.reading_archive.insert().values(
            estate_id=ESTATE, archive_no=1, act="moved", created_ms=0, **span, **texts
        )
    )
    assert said in client.get("/households/A1").text
    assert client.get(path).json()["archived_until"] == span["to_at"]


def test_energy_that_waits_for_rates_says_so_and_what_to_do(held):
    client = held.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    assert "Energy that waits" not in client.get("/readings").text
    held.state.writer.run(lambda unit: save_tariff(unit.connection, ESTATE, tariff_from_dict(BY_RATES), MACHINE_MS))
    held.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(tariff_id="tou"))
    held.execute(
        schema.reading.insert().values(
            estate_id=ESTATE, meter_id=METER, install_no=1, received_ms=MACHINE_MS, read_at=WORLD_S + 3600,
            total_wh=6000, verdict="accepted", reason="", rules=2,
        )
    )  # fmt: skip
    held.execute(
        schema.meter_live.update().where(schema.meter_live.c.meter_id == METER).values(reading_at=WORLD_S + 3600)
    )
    held.clock.move(7200)
    page = client.get("/readings").text
    assert "Prices by time of use hold from 13 Oct 09:05, and of then no rates are known" in page
    assert "import the household with a tariff of one price" in page
