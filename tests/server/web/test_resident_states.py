"""What a resident is told when a relay was never read, money is short, a payment went quiet or they have moved out."""

import hashlib
from pathlib import Path

import pytest

from server.store import schema
from server.web import resident
from server.web.operator.decisions import Check, Verdict, told_once
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

TOKEN = "of-the-order"


def english(client):
    client.cookies.set("estate645_language", "en")
    return client


def order(web, **fields):
    own = {
        "estate_id": ESTATE, "order_no": "o1", "account_id": "A1", "amount_fen": 10_000, "provider": "sandbox",
        "channel": "phone", "status": "paid", "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest(),
        "created_ms": MACHINE_MS - 700_000, "created_at": WORLD_S, "paid_ms": MACHINE_MS - 600_000, "actor": "resident",
        "powered_off": 1,
    }  # fmt: skip
    web.execute(schema.payment_order.insert().values(own | fields))
    return english(web.client()).get(f"/pay/o1?token={TOKEN}").text


@pytest.mark.parametrize(("relay", "said", "unsaid"), [("closed", "Power is on", "Balance in order"),
                                                       ("unknown", "Balance in order", "Power is on")])  # fmt: skip
def test_power_is_said_to_be_on_only_when_the_relay_was_read_back(web, relay, said, unsaid):
    web.execute(schema.supply.update().values(relay=relay, relay_at=WORLD_S if relay == "closed" else None))
    client = english(web.signed_in("resident"))
    for path in ("/me", "/me/help"):
        page = client.get(path).text
        assert said in page
        assert unsaid not in page
    assert ("The meter is on." in client.get("/me/help").text) == (relay == "closed")


def test_no_days_are_promised_for_a_payment_that_leaves_a_debt(web):
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(balance_fen=-30_000_000))
    page = english(web.signed_in("resident")).get("/me").text
    assert "about 0 days" not in page


def test_the_office_can_be_called_with_a_touch(web):
    web.execute(schema.estate.update().values(phone="020-8888 0645"))
    assert 'href="tel:020-88880645"' in web.signed_in("resident").get("/me/account").text


def test_a_meter_that_stays_silent_is_told_in_minutes_not_against_ten_seconds(web):
    web.execute(schema.supply.update().values(relay="open", relay_at=WORLD_S))
    page = order(web)
    assert "The meter has been silent for 10 min" in page
    assert "usually under 10 s" not in page


def cut(web, **values):
    web.execute(schema.supply.update().values(relay="open", desired="open", relay_at=WORLD_S, **values))


def test_a_payment_too_small_for_the_power_says_at_once_what_is_missing(web):
    cut(web, cause="arrears")
    web.execute(schema.account.update().values(balance_fen=-1001, close_allowed_fen=0))
    page = order(web, paid_ms=MACHINE_MS - 1000)
    assert "The power is still off: ¥20 more brings it back" in page
    assert 'data-final="1"' in page
    assert "the command is on its way" not in page
    assert "so far, usually under 10 s" not in page


def test_a_payment_that_is_enough_is_switching_on(web):
    cut(web, cause="arrears")
    web.execute(schema.supply.update().values(desired="closed"))
    page = order(web, paid_ms=MACHINE_MS - 1000)
    assert "so far, usually under 10 s" in page
    assert "more brings it back" not in page


def test_who_is_isolated_while_the_page_is_open_is_told_that_paying_does_not_help(web):
    client = english(web.signed_in("resident"))
    assert 'id="payform"' in client.get("/me").text
    cut(web, cause="safety")
    page = client.get("/me").text
    live = page[page.index('id="standing"') : page.index("</section>")]
    assert "data-isolated>Paying does not bring this power back." in live
    style = (Path(resident.__file__).parents[1] / "assets" / "css" / "resident.css").read_text("utf-8")
    assert "#standing:has([data-isolated]) ~ #payform { display: none; }" in style


def test_an_order_that_ended_unpaid_promises_no_power(web):
    page = order(web, status="closed", paid_ms=None)
    assert "no payment has come for it" in page
    assert "Switching on" not in page
    assert "A payment already made is safe" not in page


def test_who_has_moved_out_is_told_so_and_can_sign_out(web):
    client = english(web.signed_in("resident"))
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(status="closed"))
    page = client.get("/me")
    assert page.status_code == 404
    assert "this account is closed; the office has its bills and receipts" in page.text
    assert 'action="/logout"' in page.text


def test_what_is_so_of_each_meter_of_a_household_is_told_once(web):
    web.execute(schema.meter.update().values(account_id="A1"))
    page = english(web.signed_in("operator")).get("/households/A1").text
    assert page.count("Account in normal service") == 1


def test_what_is_so_of_one_meter_names_it():
    same, other = (
        Check("mode", "Cutting is armed", True, False, ""),
        Check("fresh", "Reading is too old", False, True, "1 h"),
    )
    fresh = Check("fresh", "Reading is fresh", True, False, "")
    judged = [
        Verdict("A1", "1-0101", "", 0, 0, checks, "", "", 0, meter)
        for checks, meter in (((same, other), "202601010001"), ((same, fresh), "202601010002"))
    ]
    assert [(check.word, check.detail) for check in told_once(judged)] == [
        ("Cutting is armed", ""),
        ("Reading is too old", "1 h · 2026 0101 0001"),
        ("Reading is fresh", "2026 0101 0002"),
    ]
