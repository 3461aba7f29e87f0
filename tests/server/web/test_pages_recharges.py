"""Pages of meters that keep the credit: recharges are ordered and decided, limits and prices wished and read back."""

import pytest

from server.domain.local_fee import SETTINGS
from server.store import schema
from server.web.operator.recharges import figure_read, figure_said, figure_typed
from tests.server.web.conftest import MACHINE_MS

ACCOUNT, METER = "A1", "000000000001"


@pytest.fixture
def local(web):
    """Household A1 has a meter that keeps the credit, and 30 yuan on its account."""
    own = schema.meter.c.meter_id == METER
    web.execute(schema.meter.update().where(own).values(fee="local", customer="000000000042"))
    web.execute(schema.account.update().where(schema.account.c.account_id == ACCOUNT).values(balance_fen=3000))
    return web


def operator(web, language="en"):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    return client


def post(client, web, path, data, role="operator"):
    return client.post(path, data=data, headers=web.csrf(role))


def test_a_recharge_is_ordered_once_and_shown(local):
    client = operator(local)
    assert "1-101" in client.get("/recharges").text
    form = {"account_id": ACCOUNT, "amount": "12.50", "order_key": "a-key-of-a-form"}
    assert [post(client, local, "/recharges", form).status_code for _ in range(2)] == [303, 303]
    page = client.get("/recharges").text
    assert page.count("waiting for the meter&#39;s count") == 1
    assert "12.50" in page
    assert "It has the money" not in page  # the meter was not asked yet
    assert "等待电表次数" in operator(local, "zh_CN").get("/recharges").text


def test_what_nobody_can_tell_is_decided_by_the_display(local):
    client = operator(local)
    post(client, local, "/recharges", {"account_id": ACCOUNT, "amount": "10", "order_key": "a-key-of-a-form"})
    [row] = local.rows(schema.recharge.select())
    path = f"/recharges/{row['recharge_id']}/decide"
    local.execute(
        schema.recharge.update().values(status="running", purchase_count=7, tries=3, next_ms=MACHINE_MS + 60_000)
    )
    assert "It has the money" in client.get("/recharges").text
    assert "It has the money" not in local.signed_in("cashier").get("/recharges").text
    assert post(local.signed_in("cashier"), local, path, {"booked": "yes", "reason": "x"}, "cashier").status_code == 403
    assert post(client, local, path, {"booked": "yes", "reason": "count 7, 10.00"}).status_code == 303
    [row] = local.rows(schema.recharge.select())
    assert (row["status"], row["detail"]) == ("booked", "count 7, 10.00")
    assert "in the meter" in client.get("/recharges").text


def test_limits_and_prices_are_wished_and_shown_as_read_back(local):
    client = operator(local)
    path = f"/households/{ACCOUNT}/meter-settings"
    assert "never wanted" in client.get(path).text
    wish = {"alarm1_fen": "30.00", "alarm2_fen": "10", "price_flat_nf_per_wh": "0.5889", "hoard_fen": ""}
    assert post(client, local, path, wish).status_code == 303
    rows = {row["name"]: row["wanted"] for row in local.rows(schema.meter_setting.select())}
    assert rows == {"alarm1_fen": 3000, "alarm2_fen": 1000, "price_flat_nf_per_wh": 58_890_000}
    local.execute(schema.meter_setting.update().values(shown=2000, status="failed"))
    page = client.get(path).text
    assert "not taken" in page
    assert "¥0.5889/kWh" in page
    assert "¥20.00" in page
    assert "Limits and prices" in client.get(f"/households/{ACCOUNT}").text
    assert post(client, local, path, {"alarm1_fen": "much"}).status_code == 422
    assert local.signed_in("reader").get(path).status_code == 200
    assert post(local.signed_in("reader"), local, path, wish, "reader").status_code == 403


def test_a_meter_that_keeps_no_credit_has_no_such_page(local):
    assert operator(local).get("/households/A2/meter-settings").status_code == 404
    assert "Limits and prices" not in operator(local).get("/households/A2").text


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_read_as_it_is_typed(name):
    setting = SETTINGS[name]
    value = figure_read(setting, "12.34")
    assert figure_read(setting, figure_typed(setting, value)) == value
    assert "12.34" in figure_said(setting, value)
    assert figure_said(setting, None) == "—"
