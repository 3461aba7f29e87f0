"""A household of several meters: every page and answer speaks of all of them, or names the one that it speaks of."""

import re
from html import unescape

import pytest

from server.store import schema, wall
from server.store.days import Day, together
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S
from tests.server.web.test_resident_states import order

FIRST, SECOND = "000000000001", "000000000002"
SAID = {FIRST: "0000 0000 0001", SECOND: "0000 0000 0002"}
TODAY, YESTERDAY = "2026-10-13", "2026-10-12"
DAY_S = 86_400


def of(table, meter_id):
    return table.update().where(table.c.meter_id == meter_id)


def read(web, meter_id, total_wh, at):
    web.execute(schema.reading.insert().values(
        estate_id=ESTATE, meter_id=meter_id, install_no=1, read_at=at, received_ms=MACHINE_MS, total_wh=total_wh,
        source="poll", verdict="accepted", reason="", rules=1, raw_hex="",
    ))  # fmt: skip


@pytest.fixture
def two(web):
    """The first household has the meter of the second, too; the second one was opened for arrears."""
    web.execute(schema.meter.update().values(account_id="A1"))
    web.execute(
        of(schema.supply, SECOND).values(relay="open", desired="open", cause="arrears", relay_at=WORLD_S, gen=3)
    )
    web.execute(of(schema.supply, FIRST).values(relay="closed", relay_at=WORLD_S))
    web.execute(of(schema.register_day, SECOND).values(first_wh=1000, total_wh=8000))
    web.execute(of(schema.meter_live, SECOND).values(power_mw=140_000, total_wh=8000, reading_at=WORLD_S - 7200))
    web.execute(of(schema.meter_live, FIRST).values(reading_at=WORLD_S - 60))
    for number, meter_id in enumerate((FIRST, SECOND)):
        read(web, meter_id, 4000 + 1110 * number, WORLD_S - 60)
    return web


def page_of(web, path, role="operator", language="en"):
    client = web.signed_in(role)
    client.cookies.set("estate645_language", language)
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:500]
    return answer.text


def text_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def part(page, place):
    """From the element with this id to the end of its section."""
    start = page.index(f'id="{place}"')
    return text_of(page[start : page.index("</section>", start)])


def test_a_household_is_told_by_all_its_meters(two):
    with two.state.engine.connect() as conn:
        row = wall.household(conn, ESTATE, "A1")
        each = wall.meters_of(conn, ESTATE, "A1")
        [found] = wall.find(conn, ESTATE, SECOND)
        assert wall.household(conn, ESTATE, "A2") is None
    assert [(one.meter_id, one.meters, one.power_mw) for one in each] == [(FIRST, 1, 860_000), (SECOND, 1, 140_000)]
    assert (row.meters, row.meter_id, row.power_mw) == (2, SECOND, 1_000_000)
    assert row.reading_at == WORLD_S - 7200
    assert found == row


def test_a_meter_that_never_answered_makes_the_household_one_that_was_not_read(two):
    two.execute(of(schema.supply, SECOND).values(relay="closed", desired="closed"))
    two.execute(of(schema.meter_live, SECOND).values(contact_at=None, reading_at=None, power_mw=None))
    with two.state.engine.connect() as conn:
        row = wall.household(conn, ESTATE, "A1")
    assert (row.meter_id, row.contact_at, row.reading_at, row.power_mw) == (FIRST, None, None, 860_000)


@pytest.mark.parametrize(
    ("relays", "shown"),
    [
        ((("open", "safety"), ("open", "arrears")), SECOND),
        ((("open", "safety"), ("permitted", "")), SECOND),
        ((("permitted", ""), ("open", "arrears")), SECOND),
        ((("open", "safety"), ("closed", "")), FIRST),
        ((("closed", ""), ("unknown", "")), FIRST),
    ],
)
def test_what_money_brings_back_goes_before_what_it_does_not(two, relays, shown):
    for meter_id, (relay, cause) in zip((FIRST, SECOND), relays, strict=True):
        desired = "open" if relay == "open" else "closed"
        two.execute(of(schema.supply, meter_id).values(relay=relay, desired=desired, cause=cause))
    with two.state.engine.connect() as conn:
        assert wall.household(conn, ESTATE, "A1").meter_id == shown


def days(meter_id, **energies):
    return [Day(meter_id, day.replace("_", "-"), wh) for day, wh in energies.items()]


def test_days_of_several_meters_are_added_up_where_each_tells_them():
    first = days("1", d1=10, d2=20, d3=30, d5=50)
    second = days("2", d2=1, d3=2, d4=3, d5=4)
    assert [(one.day, one.energy_wh) for one in together([first, second], 31)] == [
        ("d1", 10), ("d2", 21), ("d3", 32), ("d5", 54),
    ]  # fmt: skip
    assert [(one.day, one.energy_wh) for one in together([first, []], 2)] == [("d3", 30), ("d5", 50)]
    assert together([], 31) == []


def test_a_day_before_the_last_that_are_known_of_a_meter_is_not_taken_for_one_before_it_was_installed():
    silent = days("1", d1=10, d2=10)
    assert together([silent, days("2", d8=5, d9=5)], 2) == []


def test_the_page_of_the_household_lists_each_meter(two):
    page = page_of(two, "/households/A1")
    listed = part(page, "meters")
    for meter_id in (FIRST, SECOND):
        assert SAID[meter_id] in listed
        assert f'href="/households/A1?meter={meter_id}"' in page
    assert "room 1-102" in listed
    assert "5.00" in listed
    assert "8.00" in listed
    assert "4.00" in listed
    assert "7.00" in listed
    facts = part(page, "facts")
    assert "1.00 kW" in facts
    assert "2 of 2 meters have told it" in facts
    assert "1 open , 1 closed" in facts
    table = text_of(page[page.index('<details class="figures">') : page.index("</details>")])
    assert "11.00" in table


@pytest.mark.parametrize(("query", "shown", "register"), [("", SECOND, "5.11"), (f"?meter={FIRST}", FIRST, "4.00")])
def test_readings_and_commands_are_of_the_chosen_meter_which_is_named(two, query, shown, register):
    page = page_of(two, f"/households/A1{query}")
    for place in ("readings", "supply"):
        assert SAID[shown] in part(page, place), place
    assert register in part(page, "readings")
    live = re.search(r'<section class="facts" id="facts" hx-get="([^"]+)"', page)[1]
    assert live == f"/households/A1{query}"


def test_a_meter_of_somebody_else_is_not_shown(web):
    client = web.signed_in("operator")
    assert client.get(f"/households/A1?meter={SECOND}").status_code == 404
    assert client.get("/households/A1?meter=x").status_code == 422


def test_a_household_of_one_meter_says_nothing_of_several(web):
    for path, role in (("/households/A1", "operator"), ("/drawer/A1", "operator"), ("/me", "resident")):
        page = page_of(web, path, role)
        assert 'id="meters"' not in page, path
        assert "?meter=" not in page, path
        assert "Read all now" not in page, path


def test_the_rules_of_the_household_show_keep_power_of_each_meter(two):
    page = text_of(page_of(two, "/households/A1/rules"))
    assert SAID[FIRST] in page
    assert SAID[SECOND] in page
    assert page.count("Keep-power of the meter") == 2


def test_the_relay_of_the_meter_that_was_chosen_is_closed(two):
    client = two.signed_in("operator")
    page = client.get("/households/A1").text
    dialog = page[page.index('id="close-dialog"') :]
    assert re.findall(r'<option value="(\d+)"', dialog) == [SECOND]
    form = {"reason": "they paid in the office", "meter": SECOND}
    answer = client.post("/households/A1/close", data=form, headers=two.csrf("operator"))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/households/A1?meter={SECOND}")
    wanted = {row["meter_id"]: (row["gen"], row["desired"]) for row in two.rows(schema.supply.select())}
    assert wanted == {FIRST: (0, "closed"), SECOND: (4, "closed")}
    form = {"reason": "again", "meter": "000000000009"}
    assert client.post("/households/A1/close", data=form, headers=two.csrf("operator")).status_code == 404


def test_the_meter_that_was_chosen_is_isolated(two):
    two.execute(schema.estate.update().values(mode="armed"))
    two.execute(schema.meter_live.update().values(status3=0, status3_at=WORLD_S))
    form = {"cause": "safety", "reason": "a burnt neutral", "meter": FIRST}
    answer = two.signed_in("operator").post("/households/A1/isolate", data=form, headers=two.csrf("operator"))
    assert answer.status_code == 303, answer.text
    [asked] = two.rows(schema.approval.select())
    assert f'"{FIRST}"' in asked["payload"]


def test_decisions_name_each_meter_and_count_the_household_once(two):
    two.execute(schema.account.update().values(balance_fen=-500, level=3))
    page = page_of(two, "/supply?room=1-101")
    decisions = part(page, "decisions")
    assert SAID[FIRST] in decisions
    assert SAID[SECOND] in decisions
    assert "1 household keeps its power" in decisions
    proof = text_of(page[page.index('<ul class="proof">', page.index("1-101, all checks")) :])
    assert SAID[FIRST] in proof
    assert SAID[SECOND] in proof
    assert "2 meters" in part(page, "without-power")
    for path in ("/supply/decisions", "/supply/decisions/all"):
        assert SAID[SECOND] in text_of(page_of(two, path)), path


def test_a_case_about_a_meter_in_another_room_is_one_of_the_household(two):
    two.execute(schema.anomaly_case.insert().values(
        estate_id=ESTATE, case_id="C2", kind="silent", subject=SECOND, room_id="1-102", severity="high",
        evidence="{}", opened_at=WORLD_S, opened_ms=MACHINE_MS,
    ))  # fmt: skip
    page = page_of(two, "/households/A1")
    assert 'href="/cases/C2"' in page
    case = page_of(two, "/cases/C2")
    assert 'href="/households/A1"' in case or "/households/A1/isolate" in case
    assert re.findall(r'<option value="(\d{12})"', case) == [SECOND]


def test_all_meters_are_read_on_demand_and_the_silent_one_is_named(two):
    client = two.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    drawer = client.post("/households/A1/read", headers=two.csrf("operator")).text
    assert f"Not read: {SAID[SECOND]}. Their last known figures stay." in drawer
    assert SAID[FIRST] in text_of(drawer)
    assert "2 meters" in text_of(drawer)
    assert "11.00 kWh" in text_of(drawer)  # of today


def test_the_resident_is_told_the_energy_of_all_and_which_meter_is_off(two):
    page = page_of(two, "/me", "resident")
    listed = part(page, "meters")
    assert f"{SAID[FIRST]} Power is on" in listed
    assert f"{SAID[SECOND]} Power is off" in listed
    assert "Without power: 1 of your 2 meters, see below." in text_of(page)
    assert "11.00" in part(
        page_of(two, "/me/usage", "resident").replace('<table class="tb">', '<table id="days">'), "days"
    )
    account = text_of(page_of(two, "/me/account", "resident"))
    assert SAID[FIRST] in account
    assert SAID[SECOND] in account


def test_who_has_one_meter_isolated_may_still_pay_for_the_other(two):
    two.execute(of(schema.supply, SECOND).values(cause="safety"))
    page = page_of(two, "/me", "resident")
    assert 'id="payform"' in page
    assert "Off for safety" in part(page, "meters")
    two.execute(of(schema.supply, FIRST).values(relay="open", desired="open", cause="tamper"))
    assert 'id="payform"' not in page_of(two, "/me", "resident")


def test_the_progress_of_a_payment_is_that_of_the_meter_that_money_brings_back(two):
    two.execute(of(schema.supply, FIRST).values(relay="open", desired="open", cause="safety"))
    two.execute(of(schema.supply, SECOND).values(desired="closed"))
    page = order(two, paid_ms=MACHINE_MS - 1000)
    assert 'data-phase="switching"' in page
    assert f"Meter {SAID[SECOND]}" in page
    two.execute(of(schema.supply, SECOND).values(relay="closed"))
    client = two.signed_in("operator")
    assert 'data-phase="on"' in client.get("/pay/o1").text
    two.execute(of(schema.supply, SECOND).values(relay="open", desired="open", cause="safety"))
    assert 'data-phase="held"' in client.get("/pay/o1").text


def test_the_api_adds_up_and_tells_each(two):
    client = two.signed_in("resident")
    home = client.get("/api/v1/households/A1").json()
    assert (home["meters"], home["meter_id"], home["power_mw"]) == (2, SECOND, 1_000_000)
    each = client.get("/api/v1/households/A1/meters").json()
    assert [(one["meter_id"], one["relay"], one["total_wh"]) for one in each] == [
        (FIRST, "closed", 5000), (SECOND, "open", 8000),
    ]  # fmt: skip
    assert client.get("/api/v1/households/A1/usage").json() == [{"day": TODAY, "energy_wh": 11_000}]
    assert client.get(f"/api/v1/households/A1/usage?meter={FIRST}").json() == [{"day": TODAY, "energy_wh": 4000}]
    for query, meter_id in (("", SECOND), (f"?meter={FIRST}", FIRST)):
        read_of = client.get(f"/api/v1/households/A1/readings{query}").json()["items"]
        assert {one["meter_id"] for one in read_of} == {meter_id}
        assert client.get(f"/api/v1/households/A1/keep-power{query}").json()["meter_id"] == meter_id
    for path in ("readings", "relay", "usage", "gaps", "keep-power"):
        assert client.get(f"/api/v1/households/A1/{path}?meter=000000000009").status_code == 404
