"""The API of meters that keep the credit: who may order, set and decide, and what is shown."""

import pytest

from server.flows import recharges as flows
from server.store import schema
from server.store.estates import get_account
from tests.server.web.conftest import ESTATE


@pytest.fixture
def local(web):
    """The account of a household whose meter keeps the credit, with 30 yuan on it."""
    [meter, *_] = web.rows(schema.meter.select().where(schema.meter.c.kind == "household").order_by("meter_id"))
    account_id = meter["account_id"]
    table, money = schema.meter, schema.account
    for update in (
        table.update().where(table.c.meter_id == meter["meter_id"]).values(fee="local", customer="000000000042"),
        money.update().where(money.c.account_id == account_id).values(balance_fen=3000),
    ):
        web.state.writer.run(lambda unit, update=update: unit.connection.execute(update) and None)
    return account_id


def post(client, web, path, body, login, method="post"):
    return client.request(method.upper(), f"/api/v1{path}", json=body, headers=web.csrf(login))


WISH = {"amount_fen": 1000, "key": "order-0001"}


@pytest.mark.parametrize("role", ["cashier", "operator"])
def test_money_is_let_into_the_meter_once(web, local, role):
    client = web.signed_in(role)
    answers = [post(client, web, f"/households/{local}/recharges", WISH, role) for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    [shown] = client.get(f"/api/v1/households/{local}/recharges").json() if role == "operator" else [None]
    if shown is not None:
        assert (shown["amount_fen"], shown["status"], shown["purchase_count"]) == (1000, "waiting", None)
    assert web.state.writer.run(lambda unit: get_account(unit.connection, ESTATE, local)["balance_fen"]) == 2000


@pytest.mark.parametrize("role", ["admin", "reader", "resident"])
def test_others_may_neither_order_nor_set_nor_decide(web, local, role):
    client = web.signed_in(role)
    for method, path, body in (
        ("post", f"/households/{local}/recharges", WISH),
        ("put", f"/households/{local}/meter-settings", {"alarm1_fen": 1}),
        ("post", "/recharges/none/decide", {"booked": True, "reason": "x"}),
    ):
        assert post(client, web, path, body, role, method).status_code == 403


def test_a_cashier_sells_and_does_not_set_or_decide(web, local):
    client = web.signed_in("cashier")
    assert (
        post(client, web, f"/households/{local}/meter-settings", {"alarm1_fen": 1}, "cashier", "put").status_code == 403
    )
    body = {"booked": True, "reason": "x"}
    assert post(client, web, "/recharges/none/decide", body, "cashier").status_code == 403


def test_what_is_refused_is_said(web, local):
    client = web.signed_in("operator")
    too_much = post(client, web, f"/households/{local}/recharges", WISH | {"amount_fen": 3001}, "operator")
    assert too_much.status_code == 422, too_much.text
    assert "3000 fen" in too_much.text
    assert post(client, web, "/recharges/none/decide", {"booked": True, "reason": "x"}, "operator").status_code == 404


def test_settings_are_wished_and_shown(web, local):
    client = web.signed_in("operator")
    wanted = {"alarm1_fen": 3000, "price_peak_nf_per_wh": 66_290_000}
    answer = post(client, web, f"/households/{local}/meter-settings", wanted, "operator", "put")
    assert answer.status_code == 202, answer.text
    shown = {one["name"]: one for one in client.get(f"/api/v1/households/{local}/meter-settings").json()}
    assert {name: (one["wanted"], one["status"], one["shown"]) for name, one in shown.items()} == {
        "alarm1_fen": (3000, "waiting", None), "price_peak_nf_per_wh": (66_290_000, "waiting", None),
    }  # fmt: skip


def test_an_operator_decides_by_the_display(web, local):
    client = web.signed_in("operator")
    one = post(client, web, f"/households/{local}/recharges", WISH, "operator").json()["recharge_id"]
    now = web.state.clock.now()
    for _ in range(3):
        web.state.writer.run(lambda unit: flows.note_undecided(unit, ESTATE, one, "no answer", now))
    answer = post(
        client, web, f"/recharges/{one}/decide", {"booked": False, "reason": "the display shows 0"}, "operator"
    )
    assert answer.status_code == 204, answer.text
    [shown] = client.get(f"/api/v1/households/{local}/recharges").json()
    assert (shown["status"], shown["detail"]) == ("refused", "the display shows 0")


def test_a_resident_sees_the_own_household_alone(web, local):
    client = web.signed_in("resident")
    own = web.rows(schema.app_user.select().where(schema.app_user.c.role == "resident"))[0]["account_id"]
    other = next(row["account_id"] for row in web.rows(schema.account.select()) if row["account_id"] not in (own, None))
    assert client.get(f"/api/v1/households/{own}/recharges").status_code == 200
    assert client.get(f"/api/v1/households/{other}/recharges").status_code == 404
